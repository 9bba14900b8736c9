import { describe, expect, it } from 'vitest';

import type { Explanation } from '../src/model/api';
import { heaviest } from '../src/model/reasons';

const explanation = {
  past: [
    { from_hours: 48, to_hours: 1.5, moves_by: 2 },
    { from_hours: 1.5, to_hours: 0, moves_by: 9 }
  ],
  inputs: { calendar: 5, limit: 0, 'label user': 1 }
} as unknown as Explanation;

describe('what a forecast rests on', () => {
  it('stands with the heaviest at the top, and without what moves nothing', () => {
    expect(heaviest(explanation, 9)).toEqual([
      { without: 'the newest 90 min', movesBy: 9 },
      { without: 'calendar', movesBy: 5 },
      { without: 'what lay 2 d to 90 min back', movesBy: 2 },
      { without: 'label user', movesBy: 1 }
    ]);
  });

  it('is cut to as many as are asked for', () => {
    expect(heaviest(explanation, 1).map(one => one.without)).toEqual(['the newest 90 min']);
  });
});
