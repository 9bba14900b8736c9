"""Forecasts of a trained model: quantiles, breach probability and the time when the limit is reached."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from tsf.errors import ModelError
from tsf.kinds import AlertLine
from tsf.learn.breach import BreachHead, corrected
from tsf.learn.breach_inputs import past_of, season_steps
from tsf.learn.spec import Spec
from tsf.params import TrainParams
from tsf.series import Floats, Forecast, SeriesSet, carried, newest

__all__ = ["Answers", "Forecasting", "WindowQuantiles", "exceedance", "least_context", "predict", "rolling_answers",
           "rolling_forecasts"]  # fmt: skip

LIMIT = AlertLine()  # reached where all of it is used
BATCH = 1_024  # windows at a time, at most; small enough for the caches of a CPU
BATCH_STEPS = 400_000  # steps of context at a time, at most; bounds the memory


# Series, and B windows of them by row and origin, (B,) each -> (B, H, Q) in the metric's unit: quantiles of the steps
# and of their running maximum.
WindowQuantiles = Callable[[SeriesSet, NDArray[np.int64], NDArray[np.int64]], tuple[Floats, Floats]]


class Forecasting(Protocol):
    """What can forecast: a `Model`, or the `Exported` one of a file."""

    @property
    def spec(self) -> Spec:
        """Its inputs and its shape."""

    @property
    def params(self) -> TrainParams:
        """The parameters it was trained with."""

    @property
    def breach(self) -> BreachHead | None:
        """What corrects the chance of a breach, if it has learnt to."""

    @property
    def reads(self) -> int:
        """The newest steps that its quantiles follow from."""

    @property
    def looks_back(self) -> int:
        """The newest steps that a forecast reads; fewer do, but tell less of a breach."""

    def window_quantiles(self) -> WindowQuantiles:
        """How it forecasts windows, for as many calls as are needed."""


def predict(
    model: Forecasting,
    series: SeriesSet,
    *,
    line: AlertLine | float = LIMIT,
    horizon: int | None = None,
    confidence: float = 0.5,
) -> Forecast:
    """Forecast every series from its last step on; only the last `model.looks_back` steps are read.

    line: where the last known limit counts as reached; a number is a share of it. confidence: the time to the limit is
    the earliest step with this chance of a breach; the origin where the newest value is at the line already. horizon:
    steps ahead, the model's own by default, never more.
    Series without enough fresh samples get NaN and the reason in `abstained`. Labels never seen in training are fine.
    Raises ModelError where the step differs from the model's, or the horizon is longer than it has learnt.
    """
    line = line if isinstance(line, AlertLine) else AlertLine(line)
    said = next(rolling_forecasts(model, series, [series.n_steps - 1], line=line, horizon=horizon))
    if said.p_breach is None or series.limit is None:
        return said
    there = newest(series.values) >= line.level(newest(series.limit))
    return replace(said, limit_time=_limit_time(said, said.p_breach, there, confidence))


def rolling_forecasts(
    model: Forecasting,
    series: SeriesSet,
    origins: Sequence[int],
    *,
    line: AlertLine = LIMIT,
    horizon: int | None = None,
) -> Iterator[Forecast]:
    """What `predict` says of `series` up to and with each of the increasing `origins`, but for the time to the limit.

    Many are computed at once.
    """
    spec, params = model.spec, model.spec.params
    if series.step_seconds != spec.step_seconds:
        raise ModelError(
            f"the series have a step of {series.step_seconds} s, the model learnt {spec.step_seconds} s",
            cure="train a model for this step or fetch with the model's",
        )
    if (horizon := horizon or params.prediction_steps) > params.prediction_steps:
        raise ModelError(
            f"{horizon} steps are asked, the model forecasts {params.prediction_steps}",
            cure="train it with more prediction_steps",
        )
    for origin, said in zip(origins, rolling_answers(model, series, origins, line=line), strict=True):
        quantiles = said.steps[:, :horizon]
        quantiles.flags.writeable = False  # so that the forecast need not copy what is its largest part
        chance = None if said.chance is None else said.chance[:, :horizon]
        yield Forecast(
            labels=series.labels,
            origin_seconds=int(series.times[origin]),
            step_seconds=series.step_seconds,
            levels=np.array(params.quantiles),
            quantiles=quantiles,
            p_breach=chance,
            abstained=said.abstained,
        )


class Answers(NamedTuple):
    """Of N series at one origin: (N, H, Q) quantiles of the steps and of their running maximum, in the metric's unit.

    peaks: None where they were not asked for. chance: (N, H) of a breach, None without a limit. abstained: (N,) why
    there is none of these, "" where they are.
    """

    steps: Floats
    peaks: Floats | None
    chance: Floats | None
    abstained: NDArray[np.object_]

    def part(self, place: Any) -> Answers:
        """What lies at `place` of each of them, as a view."""
        peaks, chance = (None if one is None else one[place] for one in (self.peaks, self.chance))
        return Answers(self.steps[place], peaks, chance, self.abstained[place])


def rolling_answers(
    model: Forecasting, series: SeriesSet, origins: Sequence[int], *, line: AlertLine = LIMIT, with_peaks: bool = False
) -> Iterator[Answers]:
    """`Answers` at each of the increasing `origins`; the windows of several go through the network together."""
    params, n = model.params, series.n_series
    length, levels = params.sequence_length, len(params.quantiles)
    forecast = model.window_quantiles()
    if series.limit is not None and not np.isfinite(series.limit).all():
        series = replace(series, limit=carried(series.limit))
    size = max(1, min(BATCH, BATCH_STEPS // length))
    together, early = max(1, size // n), int(np.searchsorted(origins, length - 1))
    for begin in (*range(early), *range(early, len(origins), together)):  # contexts of early ones differ in length
        asked = np.asarray(origins[begin : begin + (1 if begin < early else together)])
        start = max(0, int(asked[0]) + 1 - model.looks_back)
        recent = series.between(start, int(asked[-1]) + 1)
        shape = (len(asked), n, params.prediction_steps)
        # Filled part by part: these are by far the largest arrays of a forecast, and stand in memory once.
        whole = Answers(
            np.full((*shape, levels), np.nan),
            np.full((*shape, levels), np.nan) if with_peaks else None,
            None if series.limit is None else np.full(shape, np.nan),
            np.full(shape[:2], "", object),
        )
        for row in range(0, n, size):
            rows = slice(row, row + size)
            part = recent if n <= size else recent.take(np.arange(n)[rows])
            _answer(model, forecast, part, asked - start, line, whole.part((slice(None), rows)))
        for number in range(len(asked)):
            yield whole.part(number)


def _answer(
    model: Forecasting,
    forecast: WindowQuantiles,
    recent: SeriesSet,
    origins: NDArray[np.int64],
    line: AlertLine,
    found: Answers,
) -> None:
    """Write into `found`, (O, N, ...) each, what is said of all of `recent` at each of its O steps `origins`."""
    length = model.params.sequence_length
    for number, origin in enumerate(origins.tolist()):
        found.abstained[number] = _abstained(recent.values[:, max(0, origin + 1 - length) : origin + 1], model.params)
    at, rows = np.nonzero(found.abstained == "")
    if not len(at):
        return
    start = max(0, int(origins[0]) + 1 - model.reads)  # the breach head may look farther back
    said = forecast(recent.between(start, recent.n_steps), rows, origins[at] - start)
    # The same number comes out a last bit apart from a vector and from a scalar instruction: quantiles must not cross.
    steps, peaks = (np.maximum.accumulate(quantiles, axis=2) for quantiles in said)
    found.steps[at, rows] = steps
    if found.peaks is not None:
        found.peaks[at, rows] = peaks
    if found.chance is not None and recent.limit is not None:
        limit = recent.limit[rows, origins[at]]
        threshold = line.level(limit)
        chance = exceedance(peaks, np.array(model.params.quantiles), threshold)
        if model.breach is not None:
            step, samples = recent.step_seconds, model.params.breach_samples
            past = past_of(recent.values, rows, origins[at], length, model.params.prediction_steps, step)
            chance = corrected(chance, past, threshold, season_steps(step), samples, model.breach, line.shares(limit))
        found.chance[at, rows] = chance


def exceedance(quantiles: Floats, levels: Floats, threshold: Floats) -> Floats:
    """(N, H) probability of a value >= (N,) threshold, from (N, H, Q) quantiles; never falling along H.

    Linear between the quantiles; beyond them the tails fall exponentially, at the rate at which the outermost quantiles
    lie apart from the median. NaN where the threshold is.
    """
    wanted = threshold[:, None]
    below = (quantiles < wanted[..., None]).sum(2)  # (N, H)
    left = np.clip(below - 1, 0, len(levels) - 2)
    a, b = (np.take_along_axis(quantiles, index[..., None], 2)[..., 0] for index in (left, left + 1))
    gap = np.where(b > a, b - a, 1.0)
    share = np.clip((wanted - a) / gap, 0, 1)
    inside = levels[left] + share * (levels[left + 1] - levels[left])
    middle = quantiles[..., int(np.searchsorted(levels, 0.5))]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        low, high = quantiles[..., 0], quantiles[..., -1]
        falls = np.log(0.5 / levels[0]) * (low - wanted) / (middle - low)
        rises = np.log(0.5 / (1 - levels[-1])) * (wanted - high) / (high - middle)
        under = levels[0] * np.exp(-np.nan_to_num(falls, nan=np.inf))
        over = 1 - (1 - levels[-1]) * np.exp(-np.nan_to_num(rises, nan=np.inf))
    cdf = np.where(below == 0, under, np.where(below == len(levels), over, inside))
    return np.where(np.isfinite(wanted), np.maximum.accumulate(1 - cdf, axis=1), np.nan)


def least_context(params: TrainParams) -> int:
    """Samples that a context must hold before anything is said about the future."""
    return max(2, min(params.sequence_length // 8, params.prediction_steps))


def _abstained(past: Floats, params: TrainParams) -> NDArray[np.object_]:
    """(N,) why a series with these newest samples gets no forecast, as `Forecast.abstained` says it."""
    need, length, oldest = least_context(params), params.sequence_length, max(2, -(-params.prediction_steps // 2))
    seen = np.isfinite(past)
    count = seen.sum(1)
    age = np.argmax(seen[:, ::-1], axis=1)
    reasons = np.full(len(past), "", object)
    for row in np.flatnonzero((count < need) | (age > oldest)):
        if count[row] == 0:
            reasons[row] = f"no sample (in the last {length} steps)"
        elif count[row] < need:
            reasons[row] = f"too few samples ({count[row]} in the last {length} steps, {need} are needed)"
        else:
            reasons[row] = f"too old (the newest sample is {age[row]} steps old, {oldest} are allowed)"
    return reasons


def _limit_time(forecast: Forecast, p_breach: Floats, there: NDArray[np.bool_], confidence: float) -> Floats:
    """(N,) Unix seconds: the origin for series that are `there` already, NaN where no chance is known."""
    likely = p_breach >= confidence
    when = np.where(likely.any(1), forecast.times[np.argmax(likely, axis=1)], np.inf)
    return np.where(np.isnan(p_breach[:, 0]), np.nan, np.where(there, forecast.origin_seconds, when))
