"""Forecasts without learning: last value, seasonal naive, and predict_linear exactly as Prometheus computes it.

Each builder returns a Forecaster that scores can be taken of as of a model: it looks at the past only and answers with
quantiles, normal ones from the errors that the same rule made in the past.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from statistics import NormalDist

import numpy as np

from tsf.learn.features import seasons_of
from tsf.series import Floats, Forecast, SeriesSet, carried

__all__ = ["Forecaster", "default_baselines", "last_value", "predict_linear", "seasonal_naive"]

RECENT_STEPS = 1_000  # that tell how wrong a rule is; older ones would cost time, and are of another time
Forecaster = Callable[[SeriesSet, int], Forecast]
"""(the past, up to and with the origin; horizon in steps) -> Forecast."""


def default_baselines(
    step_seconds: int, n_steps: int, levels: Sequence[float], bounds: tuple[float, float] = (-math.inf, math.inf)
) -> dict[str, Forecaster]:
    """The rivals of every model: last value, the seasons that fit into `n_steps`, predict_linear over 12 hours.

    bounds: lowest and highest possible value; they keep to them as a model does, or it would win by what it was told.
    """
    found = {"last_value": last_value(levels)}
    for name, seconds in {"day": 86_400, "week": 604_800}.items():
        if (steps := round(seconds / step_seconds)) in seasons_of(step_seconds, n_steps // 2):
            found[f"seasonal_naive_{name}"] = seasonal_naive(steps, levels)
    window = 43_200 if step_seconds <= 14_400 else 12 * step_seconds
    hours = f"{window // 3600}h"
    found[f"predict_linear_{hours}"] = predict_linear(window, levels)
    return {name: _kept_within(bounds, forecaster) for name, forecaster in found.items()}


def last_value(levels: Sequence[float]) -> Forecaster:
    """The newest sample holds; errors grow as those of a random walk."""

    def forecast(past: SeriesSet, horizon: int) -> Forecast:
        filled = carried(past.values)
        recent = slice(-RECENT_STEPS - 1, None)
        spread = _spread(past.values[:, recent][:, 1:] - filled[:, recent][:, :-1])
        steps = np.arange(1, horizon + 1)
        return _normal(past, np.repeat(filled[:, -1:], horizon, 1), spread[:, None] * np.sqrt(steps), levels)

    return forecast


def seasonal_naive(period_steps: int, levels: Sequence[float]) -> Forecaster:
    """The value one period earlier holds (the newest known one of that phase); errors grow from period to period."""

    def forecast(past: SeriesSet, horizon: int) -> Forecast:
        n, total = past.values.shape
        short = -total % period_steps
        turns = np.pad(past.values, ((0, 0), (short, 0)), constant_values=np.nan).reshape(n, -1, period_steps)
        newest = carried(turns.transpose(0, 2, 1).reshape(n * period_steps, -1))[:, -1].reshape(n, period_steps)
        steps = np.arange(horizon)
        recent = past.values[:, -RECENT_STEPS - period_steps :]
        spread = _spread(recent[:, period_steps:] - recent[:, :-period_steps])
        growth = np.sqrt(steps // period_steps + 1.0)
        return _normal(past, newest[:, steps % period_steps], spread[:, None] * growth, levels)

    return forecast


def predict_linear(window_seconds: int, levels: Sequence[float], *, left_open: bool = False) -> Forecaster:
    """`predict_linear(v[window], h * step)` of Prometheus for every step; the interval is that of least squares.

    https://prometheus.io/docs/prometheus/latest/querying/functions/: at least 2 samples; a constant gives itself.
    left_open: the window is (t - w, t] as in Prometheus 3; else [t - w, t] as in Prometheus 2.
    """

    def forecast(past: SeriesSet, horizon: int) -> Forecast:
        seconds = past.step_seconds * np.arange(1, horizon + 1, dtype=np.float64)
        window = _window(past.values, past.step_seconds, window_seconds, left_open)
        middle, spread = _least_squares(window, past.step_seconds, seconds)
        return _normal(past, middle, spread, levels)

    return forecast


def _kept_within(bounds: tuple[float, float], forecaster: Forecaster) -> Forecaster:
    def forecast(past: SeriesSet, horizon: int) -> Forecast:
        free = forecaster(past, horizon)
        return replace(free, quantiles=free.quantiles.clip(*bounds))

    return forecast


def _window(values: Floats, step_seconds: int, window_seconds: int, left_open: bool) -> Floats:
    count = -(-window_seconds // step_seconds) if left_open else window_seconds // step_seconds + 1
    return values[:, -count:]


def _least_squares(window: Floats, step_seconds: int, ahead_seconds: Floats) -> tuple[Floats, Floats]:
    """(N, H) predictions and (N, H) standard errors from (N, W) samples, the last one at the time of evaluation."""
    x = step_seconds * np.arange(1.0 - window.shape[1], 1.0)
    seen = ~np.isnan(window)
    count = seen.sum(1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        x_mean = (seen * x).sum(1, keepdims=True) / count
        y = np.where(seen, window, 0.0)
        y_mean = y.sum(1, keepdims=True) / count
        dx, dy = np.where(seen, x - x_mean, 0.0), np.where(seen, window - y_mean, 0.0)
        variance = (dx**2).sum(1, keepdims=True)
        slope = (dx * dy).sum(1, keepdims=True) / variance
        first = np.take_along_axis(window, seen.argmax(1)[:, None], axis=1)
        constant = np.isfinite(first) & (~seen | (window == first)).all(1, keepdims=True)
        slope, y_mean = np.where(constant, 0.0, slope), np.where(constant, first, y_mean)
        middle = y_mean + slope * (ahead_seconds - x_mean)
        noise = (np.where(seen, dy - slope * dx, 0.0) ** 2).sum(1, keepdims=True) / np.maximum(count - 2, 1)
        spread = np.sqrt(noise * (1 + 1 / count + (ahead_seconds - x_mean) ** 2 / variance))
    enough = count >= 2
    return np.where(enough, middle, np.nan), np.where(enough, spread, np.nan)


def _normal(past: SeriesSet, middle: Floats, spread: Floats, levels: Sequence[float]) -> Forecast:
    """Normal quantiles around (N, H) middles; no quantile where there is no middle."""
    z = np.array([NormalDist().inv_cdf(level) for level in levels])
    with np.errstate(invalid="ignore"):
        quantiles = middle[..., None] + np.nan_to_num(spread, nan=0.0, posinf=0.0)[..., None] * z
    none = np.isnan(middle).all(1)
    return Forecast(
        labels=past.labels,
        origin_seconds=int(past.times[-1]),
        step_seconds=past.step_seconds,
        levels=np.asarray(levels, np.float64),
        quantiles=quantiles,
        abstained=np.where(none, "too few samples", "").astype(object),
    )


def _spread(errors: Floats) -> Floats:
    """(N,) root mean square of (N, T) errors, 0 where there are none."""
    known = np.isfinite(errors)
    squares = np.where(known, errors, 0.0) ** 2
    return np.asarray(np.sqrt(squares.sum(1) / np.maximum(known.sum(1), 1)))
