"""Measures of forecasts, NaN where nothing was measured left out.

`parts` of a measure are numbers from 0 on, shaped like the truth: it is then told of each part, (P,), NaN where one has
nothing to be measured.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["coverage", "mase", "pinball", "points_of_limit", "seasonal_error", "wql"]

Floats = NDArray[np.float64]
Parts = NDArray[np.int64] | None


def pinball(truth: Floats, quantiles: Floats, levels: Floats) -> Floats:
    """(..., Q) pinball losses with the factor 2 of GluonTS, of (...) truth against (..., Q) quantiles."""
    away = truth[..., None] - quantiles
    return np.asarray(2 * np.maximum(levels * away, (levels - 1) * away))


def wql(truth: Floats, losses: Floats, parts: Parts = None) -> float | Floats:
    """Weighted quantile loss as GluonTS and GIFT-Eval define it: sum(losses) / sum(|truth|).

    losses: the mean pinball loss of each value over the levels, shaped like the truth. NaN where all values are 0.
    """
    return _ratio(losses, np.abs(truth), np.isfinite(truth) & np.isfinite(losses), parts)


def seasonal_error(past: Floats, season: int) -> Floats:
    """(N,) mean absolute difference of (N, T) values one season apart; one step apart where the past is too short."""
    lag = season if past.shape[1] > season else 1
    away = np.abs(past[:, lag:] - past[:, :-lag])
    known = np.isfinite(away)
    return np.where(known.any(1), np.where(known, away, 0).sum(1) / np.maximum(known.sum(1), 1), np.nan)


def mase(truth: Floats, median: Floats, scale: Floats, parts: Parts = None) -> float | Floats:
    """Mean absolute error in units of the seasonal error `scale`, shaped like the truth; no error where it has none."""
    return _mean(np.abs(truth - median) / np.where(scale > 0, scale, np.nan), parts)


def coverage(truth: Floats, low: Floats, high: Floats, parts: Parts = None) -> float | Floats:
    """Share of values inside [low, high]."""
    inside = np.where(np.isfinite(truth) & np.isfinite(low), (truth >= low) & (truth <= high), np.nan)
    return _mean(inside, parts)


def points_of_limit(truth: Floats, median: Floats, limit: Floats, parts: Parts = None) -> float | Floats:
    """Mean absolute error in percentage points of the limit, shaped like the truth or broadcast to it."""
    return _mean(100 * np.abs(truth - median) / np.where(limit > 0, limit, np.nan), parts)


def _mean(values: Floats, parts: Parts) -> float | Floats:
    return _ratio(values, np.ones_like(values), np.isfinite(values), parts)


def _ratio(over: Floats, under: Floats, known: NDArray[np.bool_], parts: Parts) -> float | Floats:
    """Sum of what is known of `over` by that of `under`, NaN where the latter is 0."""
    over, under = over[known], under[known]
    if parts is None:
        return float(over.sum() / total) if (total := under.sum()) > 0 else float("nan")
    above, total = (np.bincount(parts[known], values, parts.max() + 1) for values in (over, under))
    shares: Floats = np.divide(above, total, out=np.full(len(total), np.nan), where=total > 0)
    return shares
