/** Which rows of a long list are shown: those that match, in order, within the window. Pure. */

import type { Labels, Run, SeriesRow, Task } from './api';

/** Rows first … last (exclusive) of `count` that a viewport shows, with some more on both sides. */
export function visibleRows(scrollTop: number, height: number, rowHeight: number, count: number, spare = 8) {
  const first = Math.min(Math.max(0, Math.floor(scrollTop / rowHeight) - spare), count);
  const last = Math.min(count, Math.ceil((scrollTop + height) / rowHeight) + spare);
  return { first, last: Math.max(first, last) };
}

/** Whether every word of `search` is found in `text`, whatever the case. */
export function matches(text: string, search: string): boolean {
  const folded = text.toLowerCase();
  return search
    .toLowerCase()
    .split(/\s+/)
    .every(word => folded.includes(word));
}

export type TaskColumn = 'urgency' | 'name' | 'state' | 'chance' | 'run';

const BY: Record<Exclude<TaskColumn, 'urgency'>, (a: Task, b: Task) => number> = {
  name: (a, b) => a.name.localeCompare(b.name),
  state: (a, b) => a.state.localeCompare(b.state),
  chance: (a, b) => (b.urgency?.p_breach ?? -1) - (a.urgency?.p_breach ?? -1),
  run: (a, b) => (b.last_run ?? '').localeCompare(a.last_run ?? '')
};

/** `tasks` that match, sorted: by urgency as the server has them, else equal ones by name. */
export function shownTasks(tasks: readonly Task[], search: string, column: TaskColumn, down = false): Task[] {
  const sign = down ? -1 : 1;
  const found = tasks.filter(task =>
    matches(`${task.name} ${task.user} ${task.preset} ${task.state} ${task.metric_query}`, search)
  );
  if (column === 'urgency') {
    return down ? found.reverse() : found;
  }
  return found.sort((a, b) => sign * BY[column](a, b) || BY.name(a, b));
}

/** `series` that match, in the server's order: the most urgent first. */
export function shownSeries(series: readonly SeriesRow[], search: string): SeriesRow[] {
  return search.trim() === '' ? [...series] : series.filter(row => matches(`${row.task} ${row.title}`, search));
}

/** Whether these are the labels of one series: all that either has are equal. */
export function sameLabels(one: Labels, other: Labels): boolean {
  return Object.keys({ ...one, ...other }).every(name => one[name] === other[name]);
}

/** `labels` to read. Signs that turn the direction of writing are spelled out, as the server does in titles. */
export function labelsText(labels: Labels): string {
  return Object.entries(labels)
    .map(([name, value]) => `${name}=${value}`)
    .join(', ')
    .replace(
      /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g,
      sign => '\\u' + sign.charCodeAt(0).toString(16).padStart(4, '0')
    );
}

/** `labels`, and every other name that one of `rows` has as empty, which is "has it not": no other series has these. */
export function exactly(labels: Labels, rows: readonly { labels: Labels }[]): Labels {
  const names = new Set(rows.flatMap(row => Object.keys(row.labels)));
  return { ...Object.fromEntries([...names].map(name => [name, ''])), ...labels };
}

/** Of `runs`, the newest first, the one to listen to: what runs now, else what has run last. */
export function speaking(runs: readonly Run[]): Run | undefined {
  return runs.find(run => run.state === 'running') ?? runs.find(run => run.started_at) ?? runs[0];
}

/** `newest` and the last run of each task that is older than these, the newest first. */
export function runsToRead(newest: readonly Run[], tasks: readonly Task[]): Run[] {
  const ids = new Set(newest.map(run => run.id));
  const older = tasks.flatMap(task => (task.run && !ids.has(task.run.id) ? [task.run] : []));
  return [...newest, ...older].sort((one, other) => other.id - one.id);
}

/** How many series of all tasks call for an alarm; a list of series may be cut off. */
export function alarmsOf(tasks: readonly Task[]): number {
  return tasks.reduce((total, task) => total + (task.urgency?.likely ?? 0), 0);
}

/** What a person may do with a task now. */
export function actionsOf(task: Task): Record<'run' | 'cancel' | 'retry' | 'predict' | 'push', boolean> {
  const active = task.state === 'pending' || task.state === 'running';
  const ended = task.state === 'failed' || task.state === 'cancelled';
  const retry = ended && task.run !== null; // what somebody ran by hand has no run to repeat
  const predict = Boolean(task.model);
  return { run: !active && !retry, cancel: active, retry, predict, push: predict && !active };
}
