"""Measures of forecasts, NaN where nothing was measured left out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["coverage", "mase", "pinball", "points_of_limit", "seasonal_error", "wql"]

Floats = NDArray[np.float64]


def pinball(truth: Floats, quantiles: Floats, levels: Floats) -> Floats:
    """(..., Q) pinball losses with the factor 2 of GluonTS, of (...) truth against (..., Q) quantiles."""
    away = truth[..., None] - quantiles
    return np.asarray(2 * np.maximum(levels * away, (levels - 1) * away))


def wql(truth: Floats, losses: Floats) -> float:
    """Weighted quantile loss as GluonTS and GIFT-Eval define it: sum(losses) / sum(|truth|).

    losses: the mean pinball loss of each value over the levels, shaped like the truth. NaN where all values are 0.
    """
    known = np.isfinite(truth) & np.isfinite(losses)
    total = np.abs(truth[known]).sum()
    return float(losses[known].sum() / total) if total > 0 else float("nan")


def seasonal_error(past: Floats, season: int) -> Floats:
    """(N,) mean absolute difference of (N, T) values one season apart; one step apart where the past is too short."""
    lag = season if past.shape[1] > season else 1
    away = np.abs(past[:, lag:] - past[:, :-lag])
    known = np.isfinite(away)
    return np.where(known.any(1), np.where(known, away, 0).sum(1) / np.maximum(known.sum(1), 1), np.nan)


def mase(truth: Floats, median: Floats, scale: Floats) -> float:
    """Mean absolute error in units of the seasonal error `scale`, shaped like the truth; no error where it has none."""
    return _mean(np.abs(truth - median) / np.where(scale > 0, scale, np.nan))


def coverage(truth: Floats, low: Floats, high: Floats) -> float:
    """Share of values inside [low, high]."""
    inside = np.where(np.isfinite(truth) & np.isfinite(low), (truth >= low) & (truth <= high), np.nan)
    return _mean(inside)


def points_of_limit(truth: Floats, median: Floats, limit: Floats) -> float:
    """Mean absolute error in percentage points of the limit, shaped like the truth or broadcast to it."""
    return _mean(100 * np.abs(truth - median) / np.where(limit > 0, limit, np.nan))


def _mean(values: Floats) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else float("nan")
