"""Totals over series, such as groups over their users, whose forecasts add up.

The median of a total is the sum of the medians of its members: bottom-up, in Hyndman and Athanasopoulos, Forecasting:
Principles and Practice, 3rd edition, 11.2. Quantiles do not add up, because members do not peak together; a total's
interval and chance of a breach come from a forecast of the summed series, and the interval is moved onto the sum.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tsf.errors import QueryError
from tsf.io.exposition import Present
from tsf.io.join import join_rows
from tsf.io.source import fetch_from_source
from tsf.learn import Forecasting, predict
from tsf.params import Params, TaskParams
from tsf.series import Floats, Forecast, SeriesSet, label_rows, newest

__all__ = ["Totals", "forecast_totals", "label_totals", "read_totals", "sum_series"]

CARRIED_STEPS = 6  # a member that is missing for longer in between makes the total unknown; at the end it is gone


@dataclass(frozen=True, eq=False)
class Totals:
    """The M sums over the S sets of labels of push.totals, with their forecast.

    total_of: (S, N) which of the sums each series is part of, -1 where none of that set is.
    """

    series: SeriesSet
    forecast: Forecast
    total_of: NDArray[np.intp]

    @property
    def present(self) -> Present:
        """What they use now, and may use."""
        return Present(newest(self.series.values), None if self.series.limit is None else newest(self.series.limit))


def read_totals(
    params: Params, task: TaskParams, model: Forecasting, context: SeriesSet, forecast: Forecast
) -> Totals | None:
    """Sum the series of `context` and forecast the sums, whose own limits may be read. Raises SourceError.

    A set of labels that no series has is logged; None where there is no other.
    """
    rows, total_of = label_totals(context, task.push.totals)
    for keep, of in zip(task.push.totals, total_of, strict=True):
        if (of < 0).all() or not set(keep) <= context.labels.keys():
            logging.getLogger(__name__).warning("push.totals: no series has all of the labels %s.", ", ".join(keep))
    if not rows:
        return None
    series = sum_series(context, rows, total_of)
    if task.push.total_limit is not None:
        asked = task.fetch.model_copy(update={"metric_query": task.push.total_limit, "limit": None, "covariates": {}})
        seconds = context.n_steps * context.step_seconds
        found, _ = fetch_from_source(params, asked, until_seconds=int(context.times[-1]), history_seconds=seconds)
        series = _limited(series, found, f"push.total_limit {asked.metric_query!r}", several=len(total_of) > 1)
    return Totals(series, forecast_totals(model, task, context, forecast, series, total_of), total_of)


def _limited(series: SeriesSet, found: SeriesSet, where: str, *, several: bool) -> SeriesSet:
    """The sums with the limits `found`; of `several` sets of labels, those that have none there keep theirs.

    A limit then belongs to the sum with its very labels: that of a group is none of each of its clusters. Raises
    QueryError with `where` if none belongs to any.
    """
    rows, others = label_rows(series.labels), label_rows(found.labels)
    limit = np.full(series.values.shape, np.nan) if series.limit is None else series.limit.copy()
    of_set, told = _by_names(rows, several), _by_names(others, several)
    if not of_set.keys() & told.keys():
        raise QueryError(
            f"none of its series, such as {others[0]}, has the labels of a sum, such as {rows[0]}",
            where=where,
            cure="aggregate by one of the lists of push.totals, as in max by (group) (…)",
        )
    for names in of_set.keys() & told.keys():
        index = join_rows([rows[row] for row in of_set[names]], [others[row] for row in told[names]], where)
        values = found.values[told[names]][index]
        known = (index >= 0)[:, None] & (values > 0)  # 0 is no limit, as in fetch.limit
        limit[of_set[names]] = np.where(known, values, np.nan)
    return replace(series, limit=limit)


def _by_names(rows: Sequence[Mapping[str, str]], several: bool) -> dict[frozenset[str], list[int]]:
    """The rows with each set of label names; all together where there are not `several` sets."""
    found: dict[frozenset[str], list[int]] = {}
    for place, row in enumerate(rows):
        found.setdefault(frozenset(row if several else ()), []).append(place)
    return found


def label_totals(series: SeriesSet, sets: Sequence[Sequence[str]]) -> tuple[list[dict[str, str]], NDArray[np.intp]]:
    """The labels of M sums, over all `series` with the same values of the labels of one of S `sets`; their members.

    The latter as `total_of` of Totals. Where there are several sets, series that lack a label of one are in none of its
    sums: these could not be told from those of a smaller set.
    """
    rows: list[dict[str, str]] = []
    total_of = np.full((len(sets), series.n_series), -1)
    for place, keep in enumerate(sets):
        columns = {name: series.labels[name].tolist() for name in keep if name in series.labels}
        members = list(zip(*columns.values(), strict=True)) if columns else [()] * series.n_series
        whole = len(columns) == len(set(keep))
        told = {row for row in members if len(sets) == 1 or (whole and all(row))}
        number = {row: len(rows) + at for at, row in enumerate(sorted(told))}
        total_of[place] = [number.get(row, -1) for row in members]
        rows += [dict(zip(columns, row, strict=True)) for row in number]
    return rows, total_of


def sum_series(series: SeriesSet, rows: Sequence[Mapping[str, str]], total_of: NDArray[np.intp]) -> SeriesSet:
    """The sums with the labels `rows` over their members, as `label_totals` has both; at least one.

    A member counts as nothing before its first sample; its last one is carried on for CARRIED_STEPS, then it counts as
    nothing again. Limits add up as values do; covariates are averaged.
    """
    n_totals, names = len(rows), dict.fromkeys(name for row in rows for name in row)
    known = np.isfinite(series.values)
    started = np.maximum.accumulate(known, axis=1)
    goes_on = np.maximum.accumulate(known[:, ::-1], axis=1)[:, ::-1]
    carried = pd.DataFrame(series.values.T).ffill(limit=CARRIED_STEPS).to_numpy().T
    there = np.isfinite(carried)
    torn = started & goes_on & ~there  # between two samples
    some = _gathered(np.logical_or, there, total_of, n_totals)

    def sums(values: Floats, broken: NDArray[np.bool_]) -> Floats:
        found = _gathered(np.add, np.where(there, np.nan_to_num(values), 0.0), total_of, n_totals)
        return np.where(some & ~_gathered(np.logical_or, broken, total_of, n_totals), found, np.nan)

    limit = None
    if series.limit is not None:
        ceiling = pd.DataFrame(series.limit.T).ffill().bfill().to_numpy().T
        limit = sums(ceiling, there & np.isnan(ceiling))
    count = _gathered(np.add, np.ones((series.n_series, 1)), total_of, n_totals)
    covariates = {
        name: _gathered(np.add, array, total_of, n_totals) / count for name, array in series.covariates.items()
    }
    labels = {name: np.array([row.get(name, "") for row in rows], object) for name in names}
    return SeriesSet(labels, series.times, series.step_seconds, sums(carried, torn), limit, covariates)


def _gathered(add: np.ufunc, values: NDArray[Any], total_of: NDArray[np.intp], n_totals: int) -> NDArray[Any]:
    """(M, …) what (N, …) values give together, member by member, for each of the sums."""
    found = np.zeros((n_totals, *values.shape[1:]), values.dtype)
    for of in total_of:
        add.at(found, of[of >= 0], values[of >= 0])
    return found


def forecast_totals(
    model: Forecasting,
    task: TaskParams,
    series: SeriesSet,
    forecast: Forecast,
    totals: SeriesSet,
    total_of: NDArray[np.intp],
) -> Forecast:
    """The forecast of `totals` whose median is the sum of the medians of `forecast`, that of their members `series`.

    A total abstains where a member does that has been there of late.
    """
    horizon = forecast.quantiles.shape[1]
    own = predict(model, totals, line=task.alert.alert_line, horizon=horizon, confidence=task.alert.confidence)
    middle = forecast.at(0.5)
    lately = np.asarray(np.isfinite(series.values[:, -1 - CARRIED_STEPS :]).any(axis=1))
    counted = np.where(lately[:, None], np.nan_to_num(middle), 0.0)
    summed = _gathered(np.add, counted, total_of, totals.n_series)
    silent, members = (
        _gathered(np.add, which.astype(np.int64), total_of, totals.n_series)
        for which in (lately & np.isnan(middle[:, 0]), lately)
    )
    abstained = own.abstained.copy()
    for row in np.flatnonzero((silent > 0) & (abstained == "")):
        abstained[row] = f"members without a forecast ({silent[row]} of {members[row]})"
    told = (abstained == "")[:, None]
    moved = np.maximum(own.quantiles + (summed - own.at(0.5))[..., None], model.params.edges[0])
    return replace(
        own,
        quantiles=np.where(told[..., None], moved, np.nan),
        p_breach=None if own.p_breach is None else np.where(told, own.p_breach, np.nan),
        limit_time=None if own.limit_time is None else np.where(told[:, 0], own.limit_time, np.nan),
        abstained=abstained,
        model_version=forecast.model_version,
        data_hash=forecast.data_hash,
    )
