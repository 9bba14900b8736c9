import { describe, expect, it } from 'vitest';

import type { Chart } from '../src/model/api';
import {
  bandPath,
  linePath,
  nearest,
  readings,
  scaleOf,
  thinned,
  timeTicks,
  valueTicks,
  zoneShift
} from '../src/model/chart';
import { clock } from '../src/model/format';
import { chanceCurves, lossCurves, predicted, seriesCurves } from '../src/model/curves';

const FRAME = { width: 500, height: 200, left: 50, right: 10, top: 10, bottom: 20 };
const PLAIN = { x: (s: number) => s, y: (v: number) => v };
const DAY = 86400;

const CHART: Chart = {
  task: 'storage',
  row: 3,
  title: 'user=chen',
  labels: { user: 'chen' },
  unit: 'bytes',
  time_zone: 'Asia/Shanghai',
  step_seconds: 3600,
  times: [0, 3600, 7200],
  actual: [1, null, 3],
  limit: [10, 10, 10],
  line: 0.98,
  left: null,
  level: [9.8, 9.8, 9.8],
  forecast: {
    times: [10800, 14400],
    levels: [0.1, 0.5, 0.9],
    quantiles: { '0.1': [2, 3], '0.5': [4, 5], '0.9': [6, 11] },
    p_breach: [0.01, 0.2],
    limit_time: null,
    model: 'model_20261101_000000',
    abstained: ''
  },
  breaches: [],
  alarms: []
};

describe('linePath', () => {
  it('breaks where a value is missing', () => {
    expect(linePath([0, 1, 2, 3], [5, null, 7, 8], PLAIN)).toBe('M0,5M2,7L3,8');
  });

  it('is empty for a series without a value', () => {
    expect(linePath([0, 1], [null, null], PLAIN)).toBe('');
  });
});

describe('bandPath', () => {
  it('runs along the upper edge and back along the lower one, a piece for each known stretch', () => {
    expect(bandPath([0, 1, 2, 3], [1, 1, null, 1], [2, 3, 4, 5], PLAIN)).toBe('M0,2L1,3L1,1L0,1ZM3,5L3,1Z');
  });
});

describe('thinned', () => {
  it('keeps the peak, the dip and the gap of many values', () => {
    const values: (number | null)[] = Array.from({ length: 50000 }, (_, i) => Math.sin(i / 900));
    values[12345] = 99;
    values[23456] = -99;
    values[34567] = null;
    const kept = thinned(values, 1500);
    expect(kept.length).toBeLessThanOrEqual(1500);
    expect(kept).toEqual([...kept].sort((a, b) => a - b));
    expect(kept).toEqual(expect.arrayContaining([12345, 23456, 34567]));
  });
});

describe('ticks', () => {
  it('are round numbers inside the range', () => {
    expect(valueTicks(0, 103, 'percent', 5).map(tick => tick.at)).toEqual([0, 25, 50, 75, 100]);
  });

  it('are round in the unit of the bytes', () => {
    expect(valueTicks(0, 3.2 * 1024 ** 4, 'bytes', 4).map(tick => tick.label)).toEqual([
      '0 B',
      '1 TiB',
      '2 TiB',
      '3 TiB'
    ]);
  });

  it('stand on the midnights of the time zone', () => {
    const begin = Date.parse('2026-11-01T05:00:00Z') / 1000;
    const ticks = timeTicks(begin, begin + 5 * DAY, 'Asia/Shanghai', 7);
    expect(ticks.map(tick => new Date(1000 * tick.at).toISOString().slice(11, 16))).toEqual(Array(5).fill('16:00'));
    expect(ticks[0].label).toBe('2 Nov');
  });

  it.each([
    ['2026-10-22T12:00:00Z', ['23 Oct', '24 Oct', '25 Oct', '26 Oct', '27 Oct']],
    ['2026-03-26T12:00:00Z', ['27 Mar', '28 Mar', '29 Mar', '30 Mar', '31 Mar']]
  ])('stand on each midnight once where the clocks are changed after %s', (time, days) => {
    const begin = Date.parse(time) / 1000;
    const ticks = timeTicks(begin, begin + 5 * DAY, 'Europe/Berlin', 7);
    expect(ticks.map(tick => tick.label)).toEqual(days);
    expect(ticks.map(tick => clock(tick.at, 'Europe/Berlin', { hour: '2-digit', minute: '2-digit' }))).toEqual(
      Array(5).fill('00:00')
    );
  });

  it('say what the clocks show where an hour comes twice or never', () => {
    const labels = (time: string) => {
      const begin = Date.parse(time) / 1000;
      return timeTicks(begin, begin + 5 * 3600, 'Europe/Berlin', 6).map(tick => tick.label);
    };
    expect(labels('2026-10-24T23:00:00Z')).toEqual(['01:00', '02:00', '03:00', '04:00', '05:00']);
    expect(labels('2026-03-29T00:00:00Z')).toEqual(['01:00', '03:00', '04:00', '05:00', '06:00', '07:00']);
  });

  it('carry the date also where the clocks skip midnight', () => {
    const begin = Date.parse('2026-09-04T12:00:00Z') / 1000;
    const labels = timeTicks(begin, begin + 3 * DAY, 'America/Santiago', 4).map(tick => tick.label);
    expect(labels).toEqual(['5 Sept', '6 Sept', '7 Sept']);
  });

  it('are in UTC where the browser does not know the zone', () => {
    expect(zoneShift(0, 'Mars/Olympus')).toBe(0);
    expect(zoneShift(0, 'Asia/Kolkata')).toBe(19800);
  });
});

describe('scaleOf', () => {
  it('holds every curve inside the frame', () => {
    const scale = scaleOf(seriesCurves(CHART), FRAME, 'bytes', 'UTC');
    for (const [seconds, value] of [
      [0, 1],
      [14400, 11],
      [14400, 2]
    ]) {
      expect(scale.x(seconds)).toBeGreaterThanOrEqual(FRAME.left);
      expect(scale.x(seconds)).toBeLessThanOrEqual(FRAME.width - FRAME.right);
      expect(scale.y(value)).toBeGreaterThanOrEqual(FRAME.top);
      expect(scale.y(value)).toBeLessThanOrEqual(FRAME.height - FRAME.bottom);
    }
    expect(scale.seconds(scale.x(7200))).toBeCloseTo(7200);
  });

  it('stands also without a value, and with one alone', () => {
    expect(scaleOf([], FRAME, '', 'UTC').y(0)).toBe(180);
    const one = { name: 'a', kind: 'actual' as const, times: [5], values: [7] };
    expect(Number.isFinite(scaleOf([one], FRAME, '', 'UTC').y(7))).toBe(true);
  });
});

describe('the curves of a series', () => {
  it('are bands, actual, median, the limit carried on, and the line below it', () => {
    const curves = seriesCurves(CHART);
    expect(curves.map(curve => curve.name)).toEqual([
      '80 % interval',
      'actual',
      'forecast',
      'limit',
      '98 % of the limit'
    ]);
    expect(curves[3].values).toEqual([10, 10, 10, 10, 10]);
    expect(curves[4].values[0]).toBeCloseTo(9.8);
  });

  it('have the line where the server says, and its words say that an amount may be left', () => {
    const line = seriesCurves({ ...CHART, left: 2048, level: [9.8, 9, 8] })[4];
    expect(line.name).toBe('98 % of the limit, or 2 KiB left');
    expect(line.values).toEqual([9.8, 9, 8, 8, 8]);
    expect(seriesCurves({ ...CHART, line: 1, left: null }).map(curve => curve.kind)).not.toContain('line');
    expect(seriesCurves({ ...CHART, line: 1, left: 1 }).map(curve => curve.kind)).toContain('line');
  });

  it('need neither a forecast nor a limit', () => {
    const curves = seriesCurves({ ...CHART, limit: null, level: null, forecast: null });
    expect(curves.map(curve => curve.kind)).toEqual(['actual']);
    expect(chanceCurves(null)).toEqual([]);
    expect(chanceCurves({ ...CHART.forecast!, p_breach: [null, null] })).toEqual([]);
  });

  it('are read where one points, a gap says nothing', () => {
    const curves = seriesCurves(CHART);
    expect(readings(curves, 14400, 'bytes', 'UTC').slice(1)).toEqual([
      '80 % interval 3 B … 11 B',
      'forecast 5 B',
      'limit 10 B',
      '98 % of the limit 9.8 B'
    ]);
    expect(readings(curves, 3600, 'bytes', 'UTC').join()).not.toContain('actual');
  });

  it('take the fresh forecast of the same labels only', () => {
    const one = {
      labels: { user: 'chen' },
      predictions: [4],
      quantiles: { '0.5': [4] },
      p_breach: null,
      limit_time: null,
      abstained: ''
    };
    const answer = {
      task: 'storage',
      model: { name: 'model_20261102_000000', version: 'v', data_hash: 'd', commit: 'c' },
      origin: null,
      timestamps: ['1970-01-01T03:00:00+00:00'],
      step_seconds: 3600,
      levels: [0.5],
      coverage: { nominal: 0.8, measured: null, n: null, reason: 'not evaluated' },
      total: 1,
      predictions: [one]
    };
    expect(predicted(answer, { user: 'chen' })?.times).toEqual([10800]);
    expect(predicted(answer, { user: 'chen', area: 'home' })).toBeNull();
  });
});

describe('the loss by horizon', () => {
  it('is a curve for the model and for each baseline', () => {
    const rows = [
      { hours: 1, last_value: 0.2, model: 0.1 },
      { hours: 2, last_value: null, model: 0.2 }
    ];
    const curves = lossCurves({ metrics: {}, by_horizon: rows, training: [] });
    expect(curves.map(curve => [curve.name, curve.kind, curve.values])).toEqual([
      ['last_value', 'other', [0.2, null]],
      ['model', 'median', [0.1, 0.2]]
    ]);
    expect(lossCurves({ metrics: {}, by_horizon: [], training: [] })).toEqual([]);
  });
});

describe('nearest', () => {
  it('is the entry next to a moment', () => {
    expect([-5, 4, 6, 99].map(moment => nearest([0, 10, 20], moment))).toEqual([0, 0, 1, 2]);
    expect(nearest([], 3)).toBe(-1);
  });
});
