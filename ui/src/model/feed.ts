/** Tasks and series as the server has them now, asked for again and again while somebody may be looking. */

import { API_VERSION, ApiError, type About, type Api, type Health, type SeriesRow, type Task } from './api';
import { Store } from './store';

/** Why the pages cannot show anything, as a word; the views say it in the person's language. */
export type Problem = {
  kind: 'missing' | 'version' | 'unreachable' | 'forbidden' | 'project' | 'failed';
  detail: string;
};

export interface Feed {
  loaded: boolean;
  about: About | null;
  problem: Problem | null;
  tasks: readonly Task[];
  /** The most urgent of them; `total` is how many there are. */
  series: readonly SeriesRow[];
  total: number;
  /** Why nothing of the queue runs, or empty. */
  busy: string;
  /** The checks of the server's surroundings that are not well. */
  troubles: readonly Health['checks'][number][];
}

export const EMPTY_FEED: Feed = {
  loaded: false,
  about: null,
  problem: null,
  tasks: [],
  series: [],
  total: 0,
  busy: '',
  troubles: []
};

/** The longest rest, however long the last answer took: a machine may have slept meanwhile. */
const LONGEST_SECONDS = 60;

/** Keeps `store` in step with the server; `refresh` asks at once, `start` goes on every `seconds()`. */
export class Poller {
  readonly store = new Store<Feed>(EMPTY_FEED);
  private asking: Promise<void> | undefined;
  private checking: Promise<void> | undefined;
  private troubles: Feed['troubles'] = [];
  private tookSeconds = 0;

  constructor(
    private readonly api: Api,
    private readonly seconds: () => number,
    private readonly hidden: () => boolean = () => false
  ) {}

  start(): void {
    void this.refresh().finally(() => setTimeout(() => this.start(), 1000 * this.pause()));
  }

  /** One request at a time: who asks meanwhile waits for the same answer. */
  refresh(): Promise<void> {
    this.asking ??= this.ask().finally(() => (this.asking = undefined));
    return this.asking;
  }

  /** Seconds to the next question: of a slow server it is a tenth of the time that is spent on asking. */
  private pause(): number {
    const seconds = this.seconds() * (this.store.get().problem ? 3 : 1);
    return Math.max(seconds, Math.min(LONGEST_SECONDS, 10 * this.tookSeconds));
  }

  /** The server's surroundings, apart: whoever does not answer there must not hold up the pages; a later look tells of it. */
  private check(): void {
    this.checking ??= this.api
      .health()
      .then(
        ({ checks }) => (this.troubles = checks.filter(check => check.state !== 'ok')),
        (error: Error) => (this.troubles = [{ name: 'health', state: 'fail', detail: error.message, cure: '' }])
      )
      .then(() => (this.checking = undefined));
  }

  private async ask(): Promise<void> {
    if (this.hidden() && this.store.get().loaded) {
      return;
    }
    const begin = Date.now();
    try {
      const about = await this.api.about();
      const problem = problemOf(about);
      if (problem) {
        this.store.update({ loaded: true, about, problem });
        return;
      }
      this.check();
      const [tasks, series] = await Promise.all([this.api.tasks(), this.api.series()]);
      this.store.update({
        loaded: true,
        about,
        problem: null,
        tasks: tasks.items,
        series: series.items,
        total: series.total,
        busy: tasks.queue.busy ?? '',
        troubles: this.troubles
      });
    } catch (error) {
      this.store.update({ loaded: true, problem: problemOfError(error) });
    } finally {
      this.tookSeconds = (Date.now() - begin) / 1000;
    }
  }
}

function problemOf(about: About): Problem | null {
  if (about.api_version !== API_VERSION) {
    return { kind: 'version', detail: about.version };
  }
  return about.project === null ? { kind: 'project', detail: about.message ?? '' } : null;
}

function problemOfError(error: unknown): Problem {
  const { status, message } = error instanceof ApiError ? error : { status: -1, message: String(error) };
  const kind =
    status === 0 ? 'unreachable' : status === 404 ? 'missing' : [401, 403].includes(status) ? 'forbidden' : 'failed';
  return { kind, detail: message };
}
