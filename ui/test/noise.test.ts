import { describe, expect, it } from 'vitest';

import type { Task } from '../src/model/api';
import { noiseUsed, reasons } from '../src/model/noise';

function task(name: string, noise: Partial<Task['noise']>): Task {
  return { name, noise: { alarms: null, expected: null, budget: null, reason: '', ...noise } } as Task;
}

describe('the noise of a week', () => {
  it('is what was counted, of the budget of the tasks that were counted', () => {
    const tasks = [
      task('a', { alarms: 2, budget: 5, expected: 1 }),
      task('b', { alarms: 1, budget: 10 }),
      task('c', { budget: 100, expected: 50, reason: 'no rules' })
    ];
    expect(noiseUsed(tasks)).toBe('3 of 15 alarms');
    expect(reasons(tasks)).toBe('c: no rules');
  });

  it('is none where nothing fired', () => {
    expect(noiseUsed([task('a', { alarms: 0, budget: 5 })])).toBe('0 of 5 alarms');
  });

  it('is what the replay expects where nobody counted, and says so', () => {
    const tasks = [task('a', { expected: 2.345, budget: 5 }), task('b', { reason: 'no limit' })];
    expect(noiseUsed(tasks)).toBe('about 2.3 of 5, by replay');
  });

  it('is unknown for a reason', () => {
    expect(noiseUsed([task('a', {}), task('b', { reason: 'no limit' })])).toBe('no limit');
    expect(noiseUsed([])).toBe('unknown');
  });
});
