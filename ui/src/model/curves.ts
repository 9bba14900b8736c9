/** The curves of a series and of a model's evaluation, from what the server answers. Pure. */

import type { Chart, Evaluation, Labels, Prediction } from './api';
import type { Curve } from './chart';
import { amount } from './format';
import { sameLabels } from './rows';
import { t } from './words';

export type Forecast = NonNullable<Chart['forecast']>;

/** The series with its limit, the line that counts as reached, and the forecast as nested bands around the median. */
export function seriesCurves(chart: Chart, forecast: Forecast | null = chart.forecast): Curve[] {
  const curves: Curve[] = forecast ? [...bands(forecast)] : [];
  curves.push({ name: t('actual'), kind: 'actual', times: chart.times, values: chart.actual });
  if (forecast) {
    const median = forecast.quantiles['0.5'];
    if (median) {
      curves.push({ name: t('forecast'), kind: 'median', times: forecast.times, values: median });
    }
  }
  if (chart.limit) {
    const ahead = forecast?.times ?? [];
    const times = [...chart.times, ...ahead];
    const carried = (known: readonly (number | null)[]) => [...known, ...ahead.map(() => lastOf(known))];
    curves.push({ name: t('limit'), kind: 'limit', times, values: carried(chart.limit) });
    if (chart.level && (chart.line !== 1 || chart.left !== null)) {
      curves.push({ name: lineName(chart), kind: 'line', times, values: carried(chart.level) });
    }
  }
  return curves;
}

/** The newest known value. */
export function lastOf(values: readonly (number | null)[]): number | null {
  return [...values].reverse().find(value => value !== null) ?? null;
}

function lineName(chart: Chart): string {
  const share = amount(chart.line, 'ratio');
  return chart.left === null
    ? t('{share} of the limit', { share })
    : t('{share} of the limit, or {left} left', { share, left: amount(chart.left, chart.unit) });
}

/** Shares of the future that the drawn bands should hold; of the learnt ones the nearest are taken. */
const DRAWN = [0.8, 0.4];

function bands(forecast: Forecast): Curve[] {
  const levels = [...forecast.levels].sort((a, b) => a - b);
  const pairs = levels.slice(0, Math.floor(levels.length / 2)).map((low, i) => [low, levels[levels.length - 1 - i]]);
  const near = (share: number) =>
    [...pairs].sort((a, b) => Math.abs(a[1] - a[0] - share) - Math.abs(b[1] - b[0] - share))[0];
  return [...new Set(pairs.length ? DRAWN.map(near) : [])].flatMap(([low, high]) => {
    const [lower, upper] = [forecast.quantiles[String(low)], forecast.quantiles[String(high)]];
    const name = t('{share} interval', { share: amount(high - low, 'ratio') });
    return lower && upper ? [{ name, kind: 'band' as const, times: forecast.times, values: upper, low: lower }] : [];
  });
}

/** The chance of a breach, step by step; none for a series without a limit or without a forecast. */
export function chanceCurves(forecast: Forecast | null): Curve[] {
  if (!forecast?.p_breach?.some(value => value !== null)) {
    return [];
  }
  const values = forecast.p_breach.map(value => (value === null ? null : 100 * value));
  return [{ name: t('chance of a breach'), kind: 'median', times: forecast.times, values }];
}

/** The fresh forecast of the series with these labels, in the form of the stored one. */
export function predicted(prediction: Prediction, labels: Labels): Forecast | null {
  const found = prediction.predictions.find(one => sameLabels(one.labels, labels));
  return found
    ? {
        times: prediction.timestamps.map(time => Date.parse(time) / 1000),
        levels: prediction.levels,
        quantiles: found.quantiles,
        p_breach: found.p_breach,
        limit_time: found.limit_time,
        origin: prediction.origin,
        model: prediction.model.version,
        abstained: found.abstained
      }
    : null;
}

/** The numeric columns of the evaluation beside each other; x is hours ahead, written as seconds. */
export function lossCurves(evaluation: Evaluation): Curve[] {
  const rows = evaluation.by_horizon;
  const names = Object.keys(rows[0] ?? {}).filter(name => name !== 'hours');
  const times = rows.map(row => 3600 * Number(row.hours));
  return names.map(name => {
    const values = rows.map(row => (typeof row[name] === 'number' ? row[name] : null));
    return { name, kind: name === 'model' ? 'median' : 'other', times, values };
  });
}
