"""Rolling-origin backtest: every forecaster sees the same past and is judged on the same values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tsf.errors import HistoryError
from tsf.kinds import AlertLine
from tsf.learn.baselines import Forecaster
from tsf.learn.breach_inputs import season_steps
from tsf.learn.features import is_night
from tsf.learn.forecast import predict
from tsf.learn.metrics import coverage, mase, pinball, points_of_limit, seasonal_error, wql
from tsf.learn.model import Model
from tsf.params import NightParams
from tsf.series import Floats, Forecast, Labels, SeriesSet, carried

__all__ = ["Backtest", "backtest", "model_forecaster", "rolling_origins"]

BUCKETS = 4  # parts of the horizon that are scored by themselves


@dataclass(frozen=True, eq=False)
class Backtest:
    """O origins x N series x H steps of truth, and the scores of what each forecaster said of them.

    origins_seconds: (O,) Unix time of the last step seen. truth: (O, N, H). examples: forecaster -> its forecast from
    the middle origin; those from all the others would fill the memory. calibration: a row per level, a column per
    forecaster: the share of values up to that quantile.
    table: a row per forecaster: `wql`, `mase`, `coverage` of the 80 % interval, `points` (error in points of limit),
    `answered` (share of known values that it forecast), `n` (values that all forecasters answered; the rest of the
    columns is over these). by_horizon, by_dimension, by_night: the same, per bucket of steps, label value, time of day.
    """

    origins_seconds: NDArray[np.int64]
    truth: Floats
    examples: Mapping[str, Forecast]
    calibration: pd.DataFrame
    table: pd.DataFrame
    by_horizon: pd.DataFrame
    by_dimension: pd.DataFrame
    by_night: pd.DataFrame


def model_forecaster(model: Model, *, line: AlertLine | float = 1.0) -> Forecaster:
    """The model as a Forecaster; its horizon must cover what is asked."""

    def forecast(past: SeriesSet, horizon: int) -> Forecast:
        return predict(model, past, line=line, horizon=horizon)

    return forecast


def rolling_origins(n_steps: int, holdout_steps: int, horizon: int, stride: int) -> list[int]:
    """Indices of the last step seen: the first leaves the whole holdout unseen, the last still has a full horizon."""
    return list(range(n_steps - holdout_steps - 1, n_steps - horizon, stride))


def backtest(
    forecasters: Mapping[str, Forecaster],
    series: SeriesSet,
    origins: Sequence[int],
    horizon: int,
    levels: Sequence[float],
    *,
    season: int | None = None,
    dimensions: Iterable[str] | None = None,
    time_zone: str = "UTC",
    night: NightParams | None = None,
) -> Backtest:
    """Let every forecaster see `series` up to each origin (index of the last step seen) and score what it says.

    season: steps of the MASE scale, a day by default (a week for daily data).
    dimensions: labels of the table by dimension, all by default.
    Raises HistoryError where an origin leaves less than the horizon.
    """
    if not origins or min(origins) < 0 or max(origins) + horizon >= series.n_steps:
        raise HistoryError(
            f"origins {list(origins)[:3]} … do not leave {horizon} steps of the {series.n_steps}",
            cure="lengthen the history or the holdout, or shorten the horizon",
        )
    grid = np.asarray(levels, np.float64)
    shape = len(origins), series.n_series, horizon
    said = {name: _Said.of(shape, grid) for name in forecasters}
    examples: dict[str, Forecast] = {}
    truth, scales = np.empty(shape), np.empty(shape[:2])
    season = season or season_steps(series.step_seconds)
    for number, origin in enumerate(origins):
        past = series.between(0, origin + 1)
        truth[number] = series.values[:, origin + 1 : origin + 1 + horizon]
        scales[number] = seasonal_error(past.values, season)
        for name, forecaster in forecasters.items():
            forecast = forecaster(past, horizon)
            said[name].add(number, truth[number], forecast)
            if number == len(origins) // 2:
                examples[name] = forecast
    judged = _Judged(truth, {name: one.answers for name, one in said.items()}, scales, _limits(series, origins))
    ahead = series.times[np.asarray(origins)][:, None] + series.step_seconds * np.arange(1, horizon + 1)
    nights = is_night(ahead.ravel(), time_zone, night or NightParams()).reshape(ahead.shape)  # (O, H)
    return Backtest(
        origins_seconds=series.times[np.asarray(origins)],
        truth=judged.truth,
        examples=examples,
        calibration=pd.DataFrame({name: one.calibration for name, one in said.items()}, pd.Index(grid, name="level")),
        table=judged.table(np.ones_like(judged.truth, bool)).set_index("forecaster"),
        by_horizon=_by_horizon(judged, horizon),
        by_dimension=_by_dimension(judged, series.labels, dimensions),
        by_night=pd.concat(
            [judged.table(np.broadcast_to((nights == which)[:, None], judged.truth.shape)).assign(time=name)
             for name, which in (("day", False), ("night", True)) if (nights == which).any()], ignore_index=True
        ),
    )  # fmt: skip


class _Answers(NamedTuple):
    """What a forecaster said, (O, N, H) each: its pinball loss, mean over the levels, and three of the quantiles."""

    loss: Floats
    low: Floats
    middle: Floats
    high: Floats


@dataclass(frozen=True, eq=False)
class _Said:
    """What is kept of a forecaster's quantiles, origin by origin; all of them would be many times as much."""

    levels: Floats  # (Q,)
    answers: _Answers
    below: NDArray[np.int64]  # (O, Q) values up to each quantile
    known: NDArray[np.int64]  # (O,) values that can be below one

    @classmethod
    def of(cls, shape: tuple[int, int, int], levels: Floats) -> _Said:
        """Nothing yet, of `shape` (O, N, H)."""
        answers = _Answers(*(np.empty(shape) for _ in _Answers._fields))
        return cls(levels, answers, np.zeros((shape[0], len(levels)), np.int64), np.zeros(shape[0], np.int64))

    def add(self, number: int, truth: Floats, forecast: Forecast) -> None:
        """Take what is wanted of the forecast of (N, H) `truth` from origin `number`."""
        quantiles = forecast.quantiles  # (N, H, Q)
        if not np.array_equal(forecast.levels, self.levels):
            quantiles = np.stack([forecast.at(level) for level in self.levels.tolist()], axis=2)
        self.answers.loss[number] = pinball(truth, quantiles, self.levels).mean(-1)
        for kept, wanted in zip(self.answers[1:], (0.1, 0.5, 0.9), strict=True):
            kept[number] = quantiles[..., int(np.abs(self.levels - wanted).argmin())]
        known = np.isfinite(truth) & np.isfinite(quantiles[..., 0])
        self.below[number] = (truth[known][:, None] <= quantiles[known]).sum(axis=0)
        self.known[number] = known.sum()

    @property
    def calibration(self) -> Floats:
        """(Q,) share of the values up to each quantile, NaN where it answered nothing."""
        total = self.known.sum()
        return self.below.sum(axis=0) / total if total else np.full(len(self.levels), np.nan)


@dataclass(frozen=True, eq=False)
class _Judged:
    truth: Floats  # (O, N, H)
    answers: Mapping[str, _Answers]
    scales: Floats  # (O, N)
    limit: Floats | None  # (O, N)

    def table(self, where: NDArray[np.bool_], parts: NDArray[np.int64] | None = None) -> pd.DataFrame:
        """Scores of every forecaster over the values of an (O, N, H) mask that all of them answered.

        parts: (O, N, H) numbers from 0 on; then a row per part and forecaster.
        """
        known = where & np.isfinite(self.truth)
        answered = {name: np.isfinite(said.loss) for name, said in self.answers.items()}
        common = known & np.logical_and.reduce(list(answered.values()))
        truth = np.where(common, self.truth, np.nan)
        scales = np.repeat(self.scales[..., None], truth.shape[2], axis=2)

        def count(values: NDArray[np.bool_]) -> NDArray[np.int64]:
            return np.array([values.sum()]) if parts is None else np.bincount(parts[values], minlength=parts.max() + 1)

        asked, judged = count(known), count(common)
        tables = []
        for name, said in self.answers.items():
            columns: dict[str, Any] = {
                "forecaster": name,
                "wql": wql(truth, said.loss, parts),
                "mase": mase(truth, said.middle, scales, parts),
                "coverage": coverage(truth, said.low, said.high, parts),
            }
            if self.limit is not None:
                columns["points"] = points_of_limit(truth, said.middle, self.limit[..., None], parts)
            columns |= {"answered": count(answered[name] & known) / np.maximum(asked, 1), "n": judged}
            tables.append(pd.DataFrame(columns))
        return pd.concat(tables).sort_index(kind="stable").reset_index(drop=True)  # the forecasters of a part together


def _limits(series: SeriesSet, origins: Sequence[int]) -> Floats | None:
    """(O, N) the newest limit known at each origin."""
    if series.limit is None:
        return None
    return carried(series.limit)[:, list(origins)].T.copy()


def _by_horizon(judged: _Judged, horizon: int) -> pd.DataFrame:
    parts = []
    for steps in np.array_split(np.arange(horizon), min(BUCKETS, horizon)):
        where = np.zeros_like(judged.truth, bool)
        where[..., steps] = True
        parts.append(judged.table(where).assign(first_step=steps[0] + 1, last_step=steps[-1] + 1))
    return pd.concat(parts, ignore_index=True)


def _by_dimension(judged: _Judged, labels: Labels, dimensions: Iterable[str] | None) -> pd.DataFrame:
    parts, everything = [], np.ones_like(judged.truth, bool)
    for name in labels if dimensions is None else [name for name in dimensions if name in labels]:
        rows, values = pd.factorize(labels[name], sort=True)
        table = judged.table(everything, np.broadcast_to(rows[:, None], judged.truth.shape))
        parts.append(table.assign(dimension=name, value=np.repeat(values, len(judged.answers))))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
