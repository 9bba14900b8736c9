/** What a forecast rests on: the parts of the past and the inputs that move its median most when they are hidden. */

import type { Explanation } from './api';
import { span } from './format';
import { t } from './words';

export interface Reason {
  without: string;
  movesBy: number;
}

/** The first of them, the heaviest at the top; what does not move the median at all is left out. */
export function heaviest(explanation: Explanation, count: number): Reason[] {
  const past = explanation.past.map(part => ({
    without: part.to_hours
      ? t('what lay {old} to {new} back', { old: span(3600 * part.from_hours), new: span(3600 * part.to_hours) })
      : t('the newest {span}', { span: span(3600 * part.from_hours) }),
    movesBy: part.moves_by
  }));
  const inputs = Object.entries(explanation.inputs).map(([without, movesBy]) => ({ without, movesBy }));
  return [...past, ...inputs]
    .flatMap(one => (one.movesBy ? [{ ...one, movesBy: one.movesBy }] : []))
    .sort((a, b) => b.movesBy - a.movesBy)
    .slice(0, count);
}
