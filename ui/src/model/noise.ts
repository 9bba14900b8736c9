/** The alarms of a week against what people will bear, over all tasks. Pure. */

import type { Task } from './api';
import { digits } from './format';
import { t } from './words';

/** Alarms of the last seven days of their budget; where nobody counted, what the replay expects; else the reason. */
export function noiseUsed(tasks: readonly Task[]): string {
  const counted = tasks.filter(task => task.noise.alarms !== null);
  if (counted.length) {
    return t('{n} of {budget} alarms', { n: sum(counted, 'alarms'), budget: sum(counted, 'budget') });
  }
  const expected = tasks.filter(task => task.noise.expected !== null);
  if (expected.length) {
    const values = { n: sum(expected, 'expected'), budget: sum(expected, 'budget') };
    return t('about {n} of {budget}, by replay', values);
  }
  return tasks.find(task => task.noise.reason)?.noise.reason ?? t('unknown');
}

/** Why the alarms of some tasks are not counted, a line each. */
export function reasons(tasks: readonly Task[]): string {
  return tasks.flatMap(task => (task.noise.reason ? [`${task.name}: ${task.noise.reason}`] : [])).join('\n');
}

/** A sum over tasks, as exact as a person needs it. */
function sum(tasks: readonly Task[], key: 'alarms' | 'expected' | 'budget'): string {
  const all = tasks.reduce((total, task) => total + (task.noise[key] ?? 0), 0);
  return digits(all < 10 ? Math.round(10 * all) / 10 : Math.round(all));
}
