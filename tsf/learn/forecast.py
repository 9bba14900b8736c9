"""Forecasts of a trained model: quantiles, breach probability and the time when the limit is reached."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from tsf.errors import ModelError
from tsf.learn.breach import corrected, season_steps
from tsf.learn.calibration import stretched
from tsf.learn.model import Model
from tsf.learn.train import least_context, pick_device
from tsf.learn.windows import Windows, carried
from tsf.series import Forecast, SeriesSet

__all__ = ["exceedance", "predict", "predict_peaks"]

Floats = NDArray[np.float64]
BATCH = 1_024  # series at a time, at most; small enough for the caches of a CPU
BATCH_STEPS = 400_000  # steps of context at a time, at most; bounds the memory


def predict(
    model: Model, series: SeriesSet, *, line: float = 1.0, horizon: int | None = None, confidence: float = 0.5
) -> Forecast:
    """Forecast every series from its last step on; only the last sequence_length steps are read.

    line: share of the last known limit whose reaching is a breach. confidence: the time to the limit is the earliest
    step with this chance of a breach. horizon: steps ahead, the model's own by default,
    never more. Series without enough fresh samples get NaN and the
    reason in `abstained`. Labels never seen in training are fine. Raises ModelError where the step differs from the
    model's.
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
    recent = series.between(max(0, series.n_steps - params.sequence_length), series.n_steps)
    abstained = _abstained(recent, model)
    n = series.n_series
    quantiles = np.full((n, horizon, len(params.quantiles)), np.nan)
    p_breach = None if recent.limit is None else np.full((n, horizon), np.nan)
    for some, part in _batches(model, recent, series.limit, abstained == ""):
        steps, peaks = _predict_batch(model, part)
        quantiles[some] = steps[:, :horizon]
        if p_breach is not None and part.limit is not None:
            p_breach[some] = _chance(model, part, peaks, line * part.limit[:, -1])[:, :horizon]
    quantiles.flags.writeable = False  # so that the forecast need not copy what is its largest part
    origin = int(series.times[-1])
    return Forecast(
        labels=series.labels,
        origin_seconds=origin,
        step_seconds=series.step_seconds,
        levels=np.array(params.quantiles),
        quantiles=quantiles,
        p_breach=p_breach,
        limit_time=None if p_breach is None else _limit_time(p_breach, origin, series.step_seconds, confidence),
        abstained=abstained,
    )


def predict_peaks(model: Model, recent: SeriesSet) -> Floats:
    """(N, H, Q) quantiles of the running maximum after the last step of `recent`; NaN where the model abstains."""
    peaks = np.full((recent.n_series, model.params.prediction_steps, len(model.params.quantiles)), np.nan)
    for some, part in _batches(model, recent, recent.limit, _abstained(recent, model) == ""):
        peaks[some] = _predict_batch(model, part)[1]
    return peaks


def _batches(
    model: Model, recent: SeriesSet, limit: Floats | None, answered: NDArray[np.bool_]
) -> Iterator[tuple[NDArray[np.int64], SeriesSet]]:
    """The rows of `recent` that are `answered`, a part at a time; gaps of the limit hold what `limit` said before."""
    size = max(1, min(BATCH, BATCH_STEPS // model.params.sequence_length))
    rows = np.flatnonzero(answered)
    for start in range(0, len(rows), size):
        some = rows[start : start + size]
        part = recent.take(some)
        if limit is not None and part.limit is not None and not np.isfinite(part.limit).all():
            part = replace(part, limit=carried(limit[some])[:, -recent.n_steps :])
        yield some, part


@torch.no_grad()
def _predict_batch(model: Model, recent: SeriesSet) -> tuple[Floats, Floats]:
    """(B, H, Q) quantiles in the metric's unit: of the steps and of the running maximum."""
    spec, params = model.spec, model.spec.params
    device = pick_device(params.device if params.device == "cpu" else "auto")
    model.network.to(device).eval()
    if not spec.limited:
        recent = replace(recent, limit=None)
    elif recent.limit is None:  # a model that knows limits is asked without one
        recent = replace(recent, limit=np.full(recent.values.shape, np.nan))
    windows = Windows(recent, params, spec.vocabularies, spec.covariates, device)
    rows = torch.arange(recent.n_series, device=device)
    window, scale = windows.gather(rows, torch.full_like(rows, recent.n_steps - 1))
    steps, peaks = (part.double().cpu().numpy() for part in model.network(window))
    low, high = (
        edge if edge is not None else free for edge, free in zip(params.bounds, (-np.inf, np.inf), strict=True)
    )

    def real(scaled: Floats, factors: Floats) -> Floats:
        moved = stretched(scaled, factors, params.quantiles)
        return np.asarray(scale.unscaled(torch.from_numpy(moved).to(device)).cpu().numpy().clip(low, high))

    return real(steps, model.calibration.steps), real(peaks, model.calibration.peaks)


def _chance(model: Model, recent: SeriesSet, peaks: Floats, threshold: Floats) -> Floats:
    """(N, H) probability that the (N,) threshold is reached, corrected where the model has a breach head."""
    chance = exceedance(peaks, np.array(model.params.quantiles), threshold)
    chance[np.isnan(peaks[:, 0, 0])] = np.nan
    if model.breach is None:
        return chance
    season, samples = season_steps(recent.step_seconds), model.spec.breach_samples
    return corrected(chance, recent.values, threshold, season, samples, model.breach)


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


def _abstained(recent: SeriesSet, model: Model) -> NDArray[np.object_]:
    """(N,) why a series gets no forecast, "" where it gets one."""
    params = model.spec.params
    need, oldest = least_context(params), max(2, -(-params.prediction_steps // 2))
    seen = np.isfinite(recent.values)
    count = seen.sum(1)
    age = np.argmax(seen[:, ::-1], axis=1)
    reasons = np.full(recent.n_series, "", object)
    for row in np.flatnonzero((count < need) | (age > oldest)):
        if count[row] == 0:
            reasons[row] = f"no sample in the last {params.sequence_length} steps"
        elif count[row] < need:
            reasons[row] = f"{count[row]} samples in the last {params.sequence_length} steps, {need} are needed"
        else:
            reasons[row] = f"the newest sample is {age[row]} steps old, {oldest} are allowed"
    return reasons


def _limit_time(p_breach: Floats, origin: int, step_seconds: int, confidence: float) -> Floats:
    likely = p_breach >= confidence
    when = origin + step_seconds * (np.argmax(likely, axis=1) + 1.0)
    return np.where(np.isnan(p_breach[:, 0]), np.nan, np.where(likely.any(1), when, np.inf))
