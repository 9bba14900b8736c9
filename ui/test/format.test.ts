import { describe, expect, it } from 'vitest';

import { ago, amount, percent, span, toLimit } from '../src/model/format';

describe('what a person reads', () => {
  it('is bytes in powers of 1024', () => {
    expect(amount(0, 'bytes')).toBe('0 B');
    expect(amount(1536, 'bytes')).toBe('1.5 KiB');
    expect(amount(-3 * 1024 ** 3, 'bytes')).toBe('-3 GiB');
    expect(amount(2 ** 80, 'bytes')).toBe('1.049M EiB');
    expect(amount(1536, 'bytes/s')).toBe('1.5 KiB/s');
  });

  it('writes what the server calls percent and ratio as a person does', () => {
    expect([amount(80.25, 'percent'), amount(0.9825, 'ratio'), amount(3, '')]).toEqual(['80.25 %', '98.25 %', '3']);
  });

  it('is a dash for what is unknown', () => {
    expect([amount(null, 'bytes'), amount(Number.NaN, ''), percent(undefined)]).toEqual(['–', '–', '–']);
  });

  it('never claims certainty by rounding', () => {
    expect([0, 0.001, 0.008, 0.5, 0.994, 1].map(percent)).toEqual(['0 %', '<1 %', '<1 %', '50 %', '>99 %', '100 %']);
  });

  it('is a span in its largest fitting unit', () => {
    expect([5, 60, 5400, 7200, 19800, 86400, 172800, 864000].map(span)).toEqual([
      '5 s',
      '1 min',
      '90 min',
      '2 h',
      '5.5 h',
      '24 h',
      '2 d',
      '10 d'
    ]);
  });

  it('is the time to the limit, or why there is none', () => {
    const at = (seconds: number | null) => toLimit({ limit: 10, p_breach: 0.3, seconds_to_limit: seconds });
    expect([at(0), at(7200), at(null)]).toEqual(['reached', 'in 2 h', 'not in sight']);
  });

  it('is the moment where a page says that, but never beside a limit that is reached', () => {
    const row = { limit: 10, p_breach: 0.9, expected: '27 Nov, 04:00' };
    expect(toLimit({ ...row, seconds_to_limit: null })).toBe('27 Nov, 04:00');
    expect(toLimit({ ...row, seconds_to_limit: 0 })).toBe('reached');
  });

  it('says that the limit is not in sight only where there is a limit, and a forecast that has looked', () => {
    const row = { limit: 10, p_breach: 0.3, seconds_to_limit: null, abstained: '' };
    expect(toLimit({ ...row, limit: null })).toBe('no limit');
    expect(toLimit({ ...row, p_breach: null })).toBe('no forecast');
    expect(toLimit({ ...row, abstained: 'too few samples' })).toBe('no forecast');
    expect(toLimit({ ...row, p_breach: null, seconds_to_limit: 0 })).toBe('reached');
  });

  it('is how long ago something was', () => {
    const now = Date.parse('2026-11-01T12:00:00Z');
    expect(ago('2026-11-01T09:00:00Z', now)).toBe('3 h ago');
    expect(ago('2026-11-01T11:59:50Z', now)).toBe('just now');
    expect(ago(null, now)).toBe('never');
  });
});
