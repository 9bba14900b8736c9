"""Totals over series, such as groups over their users, whose forecasts add up.

The median of a total is the sum of the medians of its members: bottom-up, in Hyndman and Athanasopoulos, Forecasting:
Principles and Practice, 3rd edition, 11.2. Quantiles do not add up, because members do not peak together; a total's
interval and chance of a breach come from a forecast of the summed series, and the interval is moved onto the sum.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tsf.io.exposition import Present
from tsf.io.join import join_rows
from tsf.io.source import fetch_from_source
from tsf.learn import Model, predict
from tsf.params import Params, TaskParams
from tsf.series import Floats, Forecast, SeriesSet, label_rows, newest

__all__ = ["Totals", "forecast_totals", "read_totals", "sum_series"]

CARRIED_STEPS = 6  # a member that is missing for longer in between makes the total unknown; at the end it is gone


@dataclass(frozen=True, eq=False)
class Totals:
    """The sums over push.totals, with their forecast. total_of: (N,) which of them each series is part of."""

    series: SeriesSet
    forecast: Forecast
    total_of: NDArray[np.intp]

    @property
    def present(self) -> Present:
        """What they use now, and may use."""
        return Present(newest(self.series.values), None if self.series.limit is None else newest(self.series.limit))


def read_totals(params: Params, task: TaskParams, model: Model, context: SeriesSet, forecast: Forecast) -> Totals:
    """Sum the series of `context` and forecast the sums, whose own limits may be read. Raises SourceError."""
    series, total_of = sum_series(context, task.push.totals)
    if task.push.total_limit is not None:
        asked = task.fetch.model_copy(update={"metric_query": task.push.total_limit, "limit": None, "covariates": {}})
        seconds = context.n_steps * context.step_seconds
        found, _ = fetch_from_source(params, asked, int(context.times[-1]), history_seconds=seconds)
        index = join_rows(
            label_rows(series.labels), label_rows(found.labels), f"push.total_limit {asked.metric_query!r}"
        )
        known = (index >= 0)[:, None] & (found.values[index] > 0)  # 0 is no limit, as in fetch.limit
        series = replace(series, limit=np.where(known, found.values[index], np.nan))
    return Totals(series, forecast_totals(model, task, context, forecast, series, total_of), total_of)


def sum_series(series: SeriesSet, keep: Sequence[str]) -> tuple[SeriesSet, NDArray[np.intp]]:
    """The sums over all series with the same values of the labels `keep`, and (N,) which of them each belongs to.

    A member counts as nothing before its first sample and after its last one. Limits add up as values do; covariates
    are averaged.
    """
    names = [name for name in keep if name in series.labels]
    rows = list(zip(*(series.labels[name].tolist() for name in names), strict=True)) or [()] * series.n_series
    places = {row: place for place, row in enumerate(sorted(set(rows)))}
    total_of = np.array([places[row] for row in rows])
    known = np.isfinite(series.values)
    started = np.maximum.accumulate(known, axis=1)
    goes_on = np.maximum.accumulate(known[:, ::-1], axis=1)[:, ::-1]
    carried = pd.DataFrame(series.values.T).ffill(limit=CARRIED_STEPS).to_numpy().T
    there = np.isfinite(carried)
    torn = started & goes_on & ~there  # between two samples

    def sums(values: Floats, broken: NDArray[np.bool_]) -> Floats:
        found = np.zeros((len(places), series.n_steps))
        np.add.at(found, total_of, np.where(there, np.nan_to_num(values), 0.0))
        bad = np.zeros(found.shape, bool)
        np.logical_or.at(bad, total_of, broken)
        some = np.zeros(found.shape, bool)
        np.logical_or.at(some, total_of, there)
        return np.where(some & ~bad, found, np.nan)

    limit = None
    if series.limit is not None:
        ceiling = pd.DataFrame(series.limit.T).ffill().bfill().to_numpy().T
        limit = sums(ceiling, there & np.isnan(ceiling))
    count = np.maximum(np.bincount(total_of), 1)[:, None]
    covariates = {}
    for name, array in series.covariates.items():
        covariates[name] = np.zeros((len(places), series.n_steps))
        np.add.at(covariates[name], total_of, array / count[total_of])
    labels = {name: np.array([row[number] for row in places], object) for number, name in enumerate(names)}
    totals = SeriesSet(labels, series.times, series.step_seconds, sums(carried, torn), limit, covariates)
    return totals, total_of


def forecast_totals(
    model: Model, task: TaskParams, series: SeriesSet, forecast: Forecast, totals: SeriesSet, total_of: NDArray[np.intp]
) -> Forecast:
    """The forecast of `totals` whose median is the sum of the medians of `forecast`, that of their members `series`.

    A total abstains where a member does that has been there of late.
    """
    horizon = forecast.quantiles.shape[1]
    own = predict(model, totals, line=task.alert.alert_line, horizon=horizon, confidence=task.alert.confidence)
    middle = forecast.at(0.5)
    summed = np.zeros((totals.n_series, horizon))
    lately = np.asarray(np.isfinite(series.values[:, -1 - CARRIED_STEPS :]).any(axis=1))
    np.add.at(summed, total_of, np.where(lately[:, None], np.nan_to_num(middle), 0.0))
    silent = np.bincount(total_of, weights=lately & np.isnan(middle[:, 0]), minlength=totals.n_series)
    members = np.bincount(total_of, weights=lately, minlength=totals.n_series)
    abstained = np.array(own.abstained, object)
    for row in np.flatnonzero((silent > 0) & (abstained == "")):
        abstained[row] = f"{silent[row]:.0f} of its {members[row]:.0f} series have no forecast"
    told = (abstained == "")[:, None]
    low = -np.inf if model.params.bounds[0] is None else model.params.bounds[0]
    moved = np.maximum(own.quantiles + (summed - own.at(0.5))[..., None], low)
    return replace(
        own,
        quantiles=np.where(told[..., None], moved, np.nan),
        p_breach=None if own.p_breach is None else np.where(told, own.p_breach, np.nan),
        limit_time=None if own.limit_time is None else np.where(told[:, 0], own.limit_time, np.nan),
        abstained=abstained,
        model_version=forecast.model_version,
        data_hash=forecast.data_hash,
    )
