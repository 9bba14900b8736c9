import { describe, expect, it } from 'vitest';

import type { Labels, Run, SeriesRow, Task } from '../src/model/api';
import {
  actionsOf,
  alarmsOf,
  exactly,
  labelsText,
  matches,
  runsToRead,
  sameLabels,
  shownSeries,
  shownTasks,
  speaking,
  visibleRows
} from '../src/model/rows';

function task(
  name: string,
  parts: Partial<Task> = {},
  urgency: { seconds: number | null; chance: number } | null = null
): Task {
  return {
    id: name,
    name,
    user: 'oncall',
    preset: 'storage',
    metric_query: 'used_bytes',
    limit: 1,
    state: 'completed',
    error: '',
    urgency: urgency && {
      series: 'a',
      p_breach: urgency.chance,
      limit_time: null,
      seconds_to_limit: urgency.seconds,
      likely: 0,
      total: 1
    },
    noise: { alarms: null, expected: null, budget: null, reason: '' },
    last_run: null,
    last_push: null,
    failed_notebook: null,
    failed_cell: null,
    run: null,
    metrics: null,
    links: {},
    ...parts
  };
}

const names = (tasks: Task[]) => tasks.map(one => one.name);

describe('visibleRows', () => {
  it('is the rows in sight and a few on both sides, whatever the length', () => {
    expect(visibleRows(0, 600, 50, 5000)).toEqual({ first: 0, last: 20 });
    expect(visibleRows(50000, 600, 50, 5000)).toEqual({ first: 992, last: 1020 });
    expect(visibleRows(250000, 600, 50, 5000)).toEqual({ first: 4992, last: 5000 });
  });

  it('covers the sight in any place', () => {
    for (let top = 0; top <= 5000 * 44 - 300; top += 977) {
      const { first, last } = visibleRows(top, 300, 44, 5000);
      expect(first * 44).toBeLessThanOrEqual(top);
      expect(last * 44).toBeGreaterThanOrEqual(top + 300);
    }
  });

  it('is empty where there is nothing, also after a list became shorter', () => {
    expect(visibleRows(0, 600, 50, 0)).toEqual({ first: 0, last: 0 });
    expect(visibleRows(90000, 600, 50, 3)).toEqual({ first: 3, last: 3 });
  });
});

describe('matches', () => {
  it('finds every word in any order and case', () => {
    expect(matches('group=Vision user=chen', 'CHEN vision')).toBe(true);
    expect(matches('group=Vision user=chen', 'chen speech')).toBe(false);
    expect(matches('anything', '  ')).toBe(true);
  });

  it('takes search text as text, never as a pattern', () => {
    expect(matches('a.b', 'axb')).toBe(false);
    expect(matches('a(b', '(')).toBe(true);
  });
});

describe('shownTasks', () => {
  const tasks = [
    task('calm', {}, { seconds: null, chance: 0.1 }),
    task('soon', {}, { seconds: 3600, chance: 0.4 }),
    task('there', { state: 'failed' }, { seconds: 0, chance: 0.9 }),
    task('likely', {}, { seconds: null, chance: 0.7 }),
    task('fresh', { state: 'new' })
  ];

  it('leaves it to the server what is urgent', () => {
    expect(names(shownTasks(tasks, '', 'urgency'))).toEqual(['calm', 'soon', 'there', 'likely', 'fresh']);
    expect(names(shownTasks(tasks, 'o', 'urgency', true))).toEqual(['fresh', 'likely', 'there', 'soon', 'calm']);
  });

  it('sorts by chance, unknown ones last', () => {
    expect(names(shownTasks(tasks, '', 'chance'))).toEqual(['there', 'likely', 'soon', 'calm', 'fresh']);
  });

  it('can be turned round and sorted by name', () => {
    expect(names(shownTasks(tasks, '', 'name', true))).toEqual(['there', 'soon', 'likely', 'fresh', 'calm']);
  });

  it('filters by name, owner, state and query, and leaves the list it was given alone', () => {
    const before = names(tasks);
    expect(names(shownTasks(tasks, 'failed', 'name'))).toEqual(['there']);
    expect(names(shownTasks(tasks, 'oncall used', 'name'))).toHaveLength(5);
    expect(names(tasks)).toEqual(before);
  });
});

describe('shownSeries', () => {
  it('keeps the order of the server', () => {
    const row = (name: string, title: string) => ({ task: name, title }) as SeriesRow;
    const rows = [row('b', 'user=x'), row('a', 'user=y'), row('a', 'user=x')];
    expect(shownSeries(rows, 'user=x')).toEqual([rows[0], rows[2]]);
    expect(shownSeries(rows, ' ')).toEqual(rows);
  });
});

describe('the labels of a series', () => {
  const sets: Labels[] = [{ group: 'a' }, { group: 'a', user: 'b' }, { group: 'a', area: 'c' }];
  const rows = sets.map(labels => ({ labels }));

  it('are equal only if all are', () => {
    expect(sameLabels({ group: 'a', user: 'b' }, { user: 'b', group: 'a' })).toBe(true);
    expect(sameLabels({ group: 'a' }, { group: 'a', user: 'b' })).toBe(false);
    expect(sameLabels({ group: 'a', user: 'b' }, { group: 'a' })).toBe(false);
    expect(sameLabels({}, {})).toBe(true);
  });

  it('say with empty ones what it has not, so that no other series has them', () => {
    expect(exactly({ group: 'a' }, rows)).toEqual({ group: 'a', user: '', area: '' });
    expect(exactly({ group: 'a', user: 'b' }, rows)).toEqual({ group: 'a', user: 'b', area: '' });
    expect(exactly({}, [])).toEqual({});
  });
});

describe('actionsOf', () => {
  it('offers to run, to cancel or to retry, never two of them', () => {
    for (const state of ['new', 'pending', 'running', 'completed', 'failed', 'cancelled', 'stale'] as const) {
      const can = actionsOf(task('a', { state, run: {} as Task['run'] }));
      expect([can.run, can.cancel, can.retry].filter(Boolean)).toHaveLength(1);
    }
  });

  it('offers to run what failed by hand, as the queue has nothing to repeat', () => {
    expect(actionsOf(task('a', { state: 'failed', run: null }))).toMatchObject({ run: true, retry: false });
  });

  it('offers a forecast only where there is a model', () => {
    expect(actionsOf(task('a')).predict).toBe(false);
    expect(actionsOf(task('a', { model: '0123456789ab' })).predict).toBe(true);
  });
});

describe('the log that opens', () => {
  const run = (id: number, state: Run['state'], started: string | null) => ({ id, state, started_at: started }) as Run;
  const waiting = run(3, 'pending', null);

  it('is of what runs, though others that wait are newer', () => {
    const runs = [waiting, run(2, 'running', '2026-11-01T00:00:00Z'), run(1, 'failed', '2026-10-31T00:00:00Z')];
    expect(speaking(runs)?.id).toBe(2);
  });

  it('is else of what has run last, or of what waits first of all', () => {
    expect(speaking([waiting, run(1, 'failed', '2026-10-31T00:00:00Z')])?.id).toBe(1);
    expect(speaking([waiting])?.id).toBe(3);
    expect(speaking([])).toBeUndefined();
  });

  it('is that of the run that was asked for, however many have come since', () => {
    const newest = [waiting, run(2, 'failed', '2026-10-31T00:00:00Z')];
    const tasks = [
      task('a', { run: newest[1] }),
      task('b', { run: run(1, 'failed', '2026-10-01T00:00:00Z') }),
      task('c')
    ];
    expect(runsToRead(newest, tasks).map(one => one.id)).toEqual([3, 2, 1]);
  });
});

describe('labels to read', () => {
  it('spell out what would turn round all that follows', () => {
    expect(labelsText({ user: 'a\u202egpj.exe', team: 'b\u061c' })).toBe('user=a\\u202egpj.exe, team=b\\u061c');
  });
});

describe('the alarms of all tasks', () => {
  it('are counted by the server, as a list of series is cut off', () => {
    const one = task('a', {}, { seconds: 0, chance: 0.9 });
    const loud = { ...one, urgency: one.urgency && { ...one.urgency, likely: 12000, total: 20000 } };
    expect(alarmsOf([loud, { ...loud, name: 'b' }, task('never run')])).toBe(24000);
  });
});
