"""Conformal calibration: quantiles are stretched around the median until they hold what they promise."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from tsf.learn.metrics import pinball
from tsf.learn.model import Calibration
from tsf.learn.weeks import averaged, fit_share

__all__ = ["calibrate", "stretched"]

Floats = NDArray[np.float64]
PARTS = 4  # of the horizon, each with its own factors
NARROWEST, WIDEST = 0.25, 4.0
PRIOR_WINDOWS = 10  # as many windows vote for "leave it as it is"


def calibrate(
    steps: Floats,
    step_targets: Floats,
    peaks: Floats,
    peak_targets: Floats,
    weeks: Floats,
    *,
    levels: tuple[float, ...],
    rows: NDArray[np.int64],
) -> Calibration:
    """Fit the factors on M windows: scaled quantiles (M, H, Q) and targets (M, H), NaN where unknown.

    weeks: (M, H, Q) the quantiles of the same hours of earlier weeks, whose share in the forecast is fitted, too.
    Both this and coverage are measured by cross-fitting: half of the series, by the (M,) number `rows` of each
    window's, judges the factors of the other half and the other way round; the windows of one series alone, in the
    order of time, by halves of that. Windows of one series are too alike to judge each other.
    """
    low, high = _interval(levels)
    fair = np.empty_like(steps)
    number = np.unique(rows, return_inverse=True)[1]
    first = number % 2 == 0 if number.any() else np.arange(len(rows)) < len(rows) // 2
    for part, other in ((first, ~first), (~first, first)):
        fair[part] = stretched(steps[part], _factors(steps[other], step_targets[other], levels), levels)

    def with_weeks(share: float) -> Floats:
        return averaged(torch.from_numpy(fair), torch.from_numpy(weeks), share).numpy()

    share = fit_share(lambda share: float(np.nanmean(pinball(step_targets, with_weeks(share), np.array(levels)))))
    said, known = with_weeks(share), np.isfinite(step_targets)
    hits = ((said[..., low] <= step_targets) & (step_targets <= said[..., high]))[known]
    return Calibration(
        steps=_factors(steps, step_targets, levels),
        peaks=_factors(peaks, peak_targets, levels),
        interval=(levels[low], levels[high]),
        coverage=float(hits.mean()) if len(hits) else float("nan"),
        n=len(hits),
        week_share=share,
    )


def stretched(quantiles: Floats, factors: Floats, levels: tuple[float, ...]) -> Floats:
    """(M, H, Q) quantiles moved away from the median by the (K, Q) factors of their part of the horizon."""
    median = quantiles[..., levels.index(0.5), None]
    moved = median + factors[_parts(quantiles.shape[1])] * (quantiles - median)
    return np.sort(moved, axis=2)


def _parts(horizon: int) -> NDArray[np.int64]:
    return np.arange(horizon) * min(PARTS, horizon) // horizon


def _factors(quantiles: Floats, targets: Floats, levels: tuple[float, ...]) -> Floats:
    """(K, Q): the quantile at each level of the ratio (target - median) / (quantile - median)."""
    middle, parts = levels.index(0.5), _parts(targets.shape[1])
    factors = np.ones((parts[-1] + 1, len(levels)))
    trust = len(targets) / (len(targets) + PRIOR_WINDOWS)
    away = targets - quantiles[..., middle]
    for column, level in enumerate(levels):
        reach = quantiles[..., column] - quantiles[..., middle]
        ratio = np.where(np.abs(reach) > 1e-9, away / np.where(np.abs(reach) > 1e-9, reach, 1.0), np.nan)
        for part in range(len(factors) if column != middle else 0):
            known = ratio[:, parts == part]
            known = known[np.isfinite(known)]
            if len(known):
                found = np.clip(np.quantile(known, max(level, 1 - level)), NARROWEST, WIDEST)
                factors[part, column] = found**trust
    return factors


def _interval(levels: tuple[float, ...]) -> tuple[int, int]:
    """Places of the levels closest to 0.1 and 0.9."""
    places = [int(np.argmin(np.abs(np.array(levels) - wanted))) for wanted in (0.1, 0.9)]
    return places[0], places[1]
