/** The geometry of a chart: from times and numbers to ticks and SVG paths. Pure. */

import { amount, clock, moment } from './format';

export type Values = readonly (number | null)[];

/** Values over Unix times. A band's `low` runs along its lower edge, `values` along the upper. */
export interface Curve {
  name: string;
  kind: 'actual' | 'median' | 'band' | 'limit' | 'line' | 'other';
  times: readonly number[];
  values: Values;
  low?: Values;
}

export interface Tick {
  at: number;
  label: string;
}

export interface Frame {
  width: number;
  height: number;
  left: number;
  right: number;
  top: number;
  bottom: number;
}

export interface Scale {
  x: (seconds: number) => number;
  y: (value: number) => number;
  seconds: (x: number) => number;
  xTicks: Tick[];
  yTicks: Tick[];
}

/** Axes on which all of `curves` lie inside `frame`, or `range` if given. An empty chart spans an hour and 0 … 1. */
export function scaleOf(
  curves: readonly Curve[],
  frame: Frame,
  unit: string,
  zone: string,
  range: readonly [number, number] = valueRange(curves)
): Scale {
  const times = curves.flatMap(curve => [curve.times[0], curve.times[curve.times.length - 1]]).filter(Number.isFinite);
  const [begin, end] = times.length ? [Math.min(...times), Math.max(...times)] : [0, 3600];
  const [low, high] = range;
  const inner = { w: frame.width - frame.left - frame.right, h: frame.height - frame.top - frame.bottom };
  const x = (seconds: number) => frame.left + (inner.w * (seconds - begin)) / Math.max(1, end - begin);
  const y = (value: number) => frame.top + (inner.h * (high - value)) / (high - low);
  return {
    x,
    y,
    seconds: at => begin + ((at - frame.left) / Math.max(1, inner.w)) * (end - begin),
    xTicks: timeTicks(begin, end, zone, Math.max(2, Math.floor(inner.w / 90))),
    yTicks: valueTicks(low, high, unit, Math.max(2, Math.floor(inner.h / 45)))
  };
}

function valueRange(curves: readonly Curve[]): [number, number] {
  let [low, high] = [Infinity, -Infinity];
  for (const value of curves.flatMap(curve => [...curve.values, ...(curve.low ?? [])])) {
    if (value !== null && Number.isFinite(value)) {
      low = Math.min(low, value);
      high = Math.max(high, value);
    }
  }
  if (low > high) {
    return [0, 1];
  }
  if (low >= 0 && low < 0.4 * high) {
    low = 0; // near enough to be worth its place
  }
  const room = (high - low || Math.abs(high) || 1) * 0.06;
  return [low === 0 ? 0 : low - room, high + room];
}

/** Round values between `low` and `high`, at most `most` of them; bytes are round in their own unit. */
export function valueTicks(low: number, high: number, unit: string, most: number): Tick[] {
  const base = unit.startsWith('bytes')
    ? 1024 ** Math.max(0, Math.floor(Math.log2(Math.max(1, Math.abs(high))) / 10))
    : 1;
  const rough = (high - low) / base / most;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = ([1, 2, 2.5, 5, 10].find(factor => factor * power >= rough) ?? 10) * power * base;
  const first = Math.ceil(low / step);
  const count = Math.floor(high / step) - first + 1;
  return Array.from({ length: count }, (_, i) => ({ at: (first + i) * step, label: amount((first + i) * step, unit) }));
}

const TIME_STEPS = [300, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800, 1209600, 2419200];

/** Full hours or days of `zone` between two moments, at most `most`; midnights carry the date. */
export function timeTicks(begin: number, end: number, zone: string, most: number): Tick[] {
  const step = TIME_STEPS.find(seconds => (end - begin) / seconds <= most) ?? Math.ceil((end - begin) / most);
  const ticks: Tick[] = [];
  let shift = zoneShift(begin, zone);
  let local = Math.ceil((begin + shift) / step) * step; // steps are counted on the clocks of the zone
  for (let at = momentOf(local, shift, zone); at <= end; at = momentOf(local, shift, zone)) {
    if (at > (ticks[ticks.length - 1]?.at ?? -Infinity)) {
      const midnight = local % 86400 === 0;
      ticks.push({
        at,
        label: clock(at, zone, midnight ? { month: 'short', day: 'numeric' } : { hour: '2-digit', minute: '2-digit' })
      });
    }
    shift = zoneShift(at, zone);
    local += step;
  }
  return ticks;
}

/** When the clocks of `zone`, `shift` ahead until then, show `local`; where they skip it, when they would have shown it. */
function momentOf(local: number, shift: number, zone: string): number {
  const [before, after] = [local - shift, local - zoneShift(local - shift, zone)];
  return after + zoneShift(after, zone) === local ? after : before;
}

/** Seconds that `zone` is ahead of UTC at this moment; 0 for a zone that the browser does not know. */
export function zoneShift(seconds: number, zone: string): number {
  try {
    const parts = new Intl.DateTimeFormat('en', { timeZone: zone, timeZoneName: 'longOffset' }).formatToParts(
      1000 * seconds
    );
    const found = /([+-])(\d\d):(\d\d)/.exec(parts.find(part => part.type === 'timeZoneName')?.value ?? '');
    return found ? (found[1] === '-' ? -60 : 60) * (60 * Number(found[2]) + Number(found[3])) : 0;
  } catch {
    return 0;
  }
}

/** An SVG path through the points; where a value is missing the line is broken. */
export function linePath(times: readonly number[], values: Values, scale: Pick<Scale, 'x' | 'y'>, most = 1500): string {
  let pen = 'M';
  let path = '';
  for (const i of thinned(values, most)) {
    const value = values[i];
    if (value === null || !Number.isFinite(value)) {
      pen = 'M';
      continue;
    }
    path += `${pen}${round(scale.x(times[i]))},${round(scale.y(value))}`;
    pen = 'L';
  }
  return path;
}

/** An SVG path around the area between two edges, one piece for each stretch where both are known. */
export function bandPath(times: readonly number[], low: Values, high: Values, scale: Pick<Scale, 'x' | 'y'>): string {
  let path = '';
  let begin = 0;
  for (let i = 0; i <= times.length; i++) {
    if (i < times.length && low[i] !== null && high[i] !== null) {
      continue;
    }
    const piece = Array.from({ length: i - begin }, (_, k) => begin + k);
    const edge = (values: Values) => (k: number) => `${round(scale.x(times[k]))},${round(scale.y(values[k] ?? 0))}`;
    if (piece.length) {
      path += `M${[...piece.map(edge(high)), ...piece.reverse().map(edge(low))].join('L')}Z`;
    }
    begin = i + 1;
  }
  return path;
}

/** Indices that keep the shape of many values: of each bucket its lowest, its highest and any gap. */
export function thinned(values: Values, most: number): number[] {
  if (values.length <= most) {
    return values.map((_, i) => i);
  }
  const size = Math.ceil((3 * values.length) / most);
  const kept: number[] = [];
  for (let begin = 0; begin < values.length; begin += size) {
    const bucket = Array.from({ length: Math.min(size, values.length - begin) }, (_, i) => begin + i);
    const known = bucket.filter(i => values[i] !== null).sort((a, b) => (values[a] ?? 0) - (values[b] ?? 0));
    const gap = bucket.find(i => values[i] === null);
    kept.push(...new Set([known[0], known[known.length - 1], gap].filter(i => i !== undefined).sort((a, b) => a - b)));
  }
  return kept;
}

/** The index of the entry of ascending `times` that lies nearest; -1 for none. */
export function nearest(times: readonly number[], seconds: number): number {
  let [low, high] = [0, times.length - 1];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    [low, high] = times[middle] <= seconds ? [middle, high] : [low, middle];
  }
  return high < 0 ? -1 : seconds - times[low] <= times[high] - seconds ? low : high;
}

/** What the curves say near a moment, for a person who points at it or reads the table. */
export function readings(curves: readonly Curve[], seconds: number, unit: string, zone: string): string[] {
  const found = curves.flatMap(curve => {
    const i = nearest(curve.times, seconds);
    const gap = curve.times.length > 1 ? curve.times[1] - curve.times[0] : 1;
    const value = curve.values[i];
    if (i < 0 || Math.abs(curve.times[i] - seconds) > gap || value === null) {
      return [];
    }
    const low = curve.low?.[i];
    return [`${curve.name} ${typeof low === 'number' ? amount(low, unit) + ' … ' : ''}${amount(value, unit)}`];
  });
  return found.length ? [moment(seconds, zone), ...found] : [];
}

function round(value: number): number {
  return Math.round(10 * value) / 10;
}
