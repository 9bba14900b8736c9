/** The log: what a run has said, followed while it speaks. */

import * as React from 'react';

import type { Desk, Page } from '../desk';
import type { Run, Task } from '../model/api';
import { ago } from '../model/format';
import { runsToRead, speaking } from '../model/rows';
import type { Store } from '../model/store';
import { t } from '../model/words';
import { Choice, Guarded, useAsked, useNow, useStore } from './common';
import { stateWord } from './tasks';

const KEPT = 500000; // characters; a browser stays quick with these

export function LogPage({ desk, page }: { desk: Desk; page: Store<Page> }): React.ReactElement {
  return (
    <div className="tsf-page">
      <Guarded desk={desk}>{feed => <Runs desk={desk} page={page} tasks={feed.tasks} />}</Guarded>
    </div>
  );
}

function Runs({ desk, page, tasks }: { desk: Desk; page: Store<Page>; tasks: readonly Task[] }): React.ReactElement {
  const shown = useStore(page);
  const now = useNow();
  const news = tasks.map(task => `${task.run?.id} ${task.run?.state}`).join();
  const { value, error } = useAsked(() => desk.api.runs(), 'runs', news);
  const runs = runsToRead(value?.items ?? [], tasks);
  const run = runs.find(one => one.id === shown.run) ?? speaking(runs);
  const name = (one: Run) =>
    `${one.id} · ${one.task} · ${stateOf(one)} · ${ago(one.ended_at ?? one.started_at ?? one.queued_at, now)}`;
  return (
    <>
      <div className="tsf-buttons">
        <h1>{t('Log')}</h1>
        {run && (
          <Choice
            label={t('Run')}
            value={String(run.id)}
            options={runs.map(one => [String(one.id), name(one)])}
            onChange={id => page.set({ page: 'log', run: Number(id) })}
          />
        )}
      </div>
      {run ? (
        <Text key={run.id} desk={desk} run={run} />
      ) : (
        <p className="tsf-note">{error ?? t('Nothing has run yet.')}</p>
      )}
    </>
  );
}

function stateOf(run: Run): string {
  return run.state === 'superseded' ? t('superseded') : stateWord(run.state);
}

function Text({ desk, run }: { desk: Desk; run: Run }): React.ReactElement {
  const text = useLog(desk, run.id);
  const box = React.useRef<HTMLPreElement>(null);
  const atEnd = React.useRef(true);
  React.useLayoutEffect(() => {
    if (box.current && atEnd.current) {
      box.current.scrollTop = box.current.scrollHeight;
    }
  }, [text]);
  return (
    <pre
      className="tsf-log"
      ref={box}
      // eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex -- what scrolls must be reached by the keyboard
      tabIndex={0}
      role="log"
      aria-label={t('Log')}
      onScroll={event => {
        const { scrollTop, scrollHeight, clientHeight } = event.currentTarget;
        atEnd.current = scrollHeight - scrollTop - clientHeight < 30;
      }}
    >
      {text || run.error || (run.state === 'pending' ? t('It waits in the queue.') : t('It has said nothing yet.'))}
    </pre>
  );
}

/** All that the run has said; asked on from where the last answer ended, each second until it has ended. */
function useLog(desk: Desk, run: number): string {
  const [text, setText] = React.useState('');
  React.useEffect(() => {
    let wanted = true;
    let timer: ReturnType<typeof setTimeout>;
    const follow = async (offset: number) => {
      const answer = await desk.api.log(run, offset).catch(() => ({ text: '', next_offset: offset, ended: false }));
      if (!wanted) {
        return;
      }
      if (answer.text) {
        setText(old => (old + answer.text).slice(-KEPT));
      }
      if (!answer.ended || answer.text) {
        timer = setTimeout(() => void follow(answer.next_offset), answer.text ? 300 : 1500);
      }
    };
    void follow(0);
    return () => {
      wanted = false;
      clearTimeout(timer);
    };
  }, [desk, run]);
  return text;
}
