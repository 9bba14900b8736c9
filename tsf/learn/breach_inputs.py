"""What the breach head reads of a series up to an origin: how the line was met before, and how near it is.

Beside the context, these are the same hours of the weeks before: what writes once a week, as a snapshot of data on
Tuesday evenings, is hardly seen in a context and always in those hours.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tsf.learn.features import week_steps
from tsf.series import Floats, carried

__all__ = [
    "FEATURES",
    "Past",
    "anchors",
    "breach_features",
    "known_values",
    "logit",
    "looked_back",
    "met_by",
    "past_of",
    "season_steps",
]

Bools = NDArray[np.bool_]
FEATURES = (
    "network", "walk", "often", "often_lately", "same_phase", "same_wait", "same_level", "brownian",
    "line", "gap", "gap_day", "gap_horizon", "mean_gap", "restless", "wait", "never", "move", "time_over",
    "same_week", "most_of_weeks", "mean_of_weeks",
)  # fmt: skip
ANCHORS = 3
WEEKS = 4  # whose same hours are read
HALF_NORMAL = np.sqrt(np.pi / 2)  # standard deviation of a normal step over its mean size
SURE = 7.0  # logits beyond this are cut: nothing is more certain than 0.1 %


class Past(NamedTuple):
    """N series up to an origin each, in the metric's unit, NaN where unknown.

    values: (N, L) the context. weeks: (N, 4, 1 + H) the value one to four weeks before the origin, and the H after it.
    """

    values: Floats
    weeks: Floats

    def take(self, rows: NDArray[np.generic]) -> Past:
        """These of the series."""
        return Past(self.values[rows], self.weeks[rows])


def past_of(
    values: Floats, rows: NDArray[np.int64], origins: NDArray[np.int64], length: int, horizon: int, step_seconds: int
) -> Past:
    """The past of B windows (row, origin) in (S, T) values; contexts are shorter where the first begins too early."""
    short = min(length, int(origins.min(initial=length - 1)) + 1)
    contexts = np.lib.stride_tricks.sliding_window_view(values, short, axis=1)
    back = week_steps(step_seconds) * np.arange(1, WEEKS + 1)
    place = origins[:, None, None] - back[:, None] + np.arange(1 + horizon)
    known = (place >= 0) & (place <= origins[:, None, None])  # a horizon of more than a week has not come yet
    weeks = np.where(known, values[rows[:, None, None], np.where(known, place, 0)], np.nan)
    return Past(contexts[rows, origins + 1 - short], weeks)


def looked_back(step_seconds: int) -> int:
    """Steps up to an origin, with it, that `past_of` looks at beside the context."""
    return WEEKS * week_steps(step_seconds) + 1


def anchors(horizon: int) -> NDArray[np.int64]:
    """Steps ahead (1 … H) at which the correction is computed, the last one H."""
    return np.unique(np.round(np.geomspace(max(1, horizon / 8), horizon, min(ANCHORS, horizon))).astype(np.int64))


def breach_features(
    chance: Floats,
    past: Past,
    threshold: Floats,
    steps: NDArray[np.int64],
    season: int,
    samples: int,
    line: Floats | float = 1.0,
) -> Floats:
    """(N, A, F) features; chance: (N, A) the network's at `steps` ahead. The rest as in `corrected`.

    Shares of windows are those that began below the line and are over by the origin, with a prior of a few windows. Of
    the weeks counts how far the values rose within the steps, against what is left to the line now.
    """
    n, length = past.values.shape
    limit = np.where(threshold > 0, threshold, np.nan)
    share = np.clip(past.values / limit[:, None], -3, 3)
    weeks = past.weeks / limit[:, None, None]
    filled = known_values(share)
    hit = _runs(np.where(np.isfinite(share), share >= 1, False), samples)
    index = np.arange(length)
    since = index - np.maximum.accumulate(np.where(hit, index, -length), axis=1)
    below, wait, gap = filled < 1, since[:, -1:], 1 - filled[:, -1:]
    alike_wait = (np.abs(since - wait) <= np.maximum(1, 0.1 * wait)) & below
    alike_level = (np.abs(filled - filled[:, -1:]) <= 0.1 * np.maximum(gap, 0.05)) & below
    day = filled[:, -min(season, length) :]
    moves = np.diff(filled, axis=1)
    mean, spread = moves.mean(1), moves.std(1) + 1e-6
    stride = HALF_NORMAL * np.abs(moves).mean(1) + 1e-9  # unlike `spread`, one great jump hardly moves it
    counts = np.concatenate([np.zeros((n, 1)), np.cumsum(hit, axis=1)], axis=1)
    columns = []
    for number, ahead in enumerate(steps.tolist()):
        within = min(ahead, length - 1)  # what a short context holds of such a horizon
        met = counts[:, within + 1 :] > counts[:, 1:-within]  # (N, L - within), after each step but the last
        start = slice(0, length - within)
        often = _often(met, below[:, start], 5.0)
        lately = _often(met[:, -2 * season :], below[:, start][:, -2 * season :], 2.0)
        back = length - 1 - season * np.arange(1, length // season + 1)
        back = back[(back >= 0) & (back < length - within)]
        past_turns = _often(met[:, back], below[:, back], 1.0, often) if len(back) else often
        rises = np.fmax.reduce(weeks[:, :, 1 : ahead + 1], axis=2) - weeks[:, :, 0]  # (N, 4)
        known = np.isfinite(rises)
        count = known.sum(1).clip(min=1)
        most = np.where(known, rises, -np.inf).max(1)
        drift, reach = mean * ahead, spread * np.sqrt(ahead)
        columns.append(np.stack([
            logit(chance[:, number]), logit(_walk(gap[:, 0], stride * np.sqrt(ahead), samples)),
            logit(often), logit(lately), logit(past_turns),
            logit(_often(met, alike_wait[:, start], 2.0, often)), logit(_often(met, alike_level[:, start], 2.0, often)),
            np.clip((drift - gap[:, 0]) / reach, -8, 8),
            np.full(n, line), gap[:, 0], 1 - day.max(1), 1 - filled[:, -within:].max(1), 1 - day.mean(1),
            np.log(day.std(1) + 1e-3), np.log1p(np.minimum(wait[:, 0], length) / season), ~hit.any(1),
            filled[:, -1] - filled[:, -1 - min(max(ahead // 4, 1), length - 1)], hit.mean(1),
            logit(_often(np.where(known, rises, 0) >= gap, known, 1.0, often)),
            np.where(known.any(1), most, 0) - gap[:, 0], np.where(known, rises, 0).sum(1) / count - gap[:, 0],
        ], axis=1))  # fmt: skip
    return np.asarray(np.nan_to_num(np.stack(columns, axis=1)))


def season_steps(step_seconds: int) -> int:
    """Steps of a day, or of a week where the step is a day or more."""
    return max(1, round((86_400 if step_seconds <= 43_200 else 604_800) / step_seconds))


def logit(chance: Floats) -> Floats:
    """Log odds, cut at +-SURE."""
    edge = 1 / (1 + np.exp(SURE))
    held = np.clip(chance, edge, 1 - edge)
    return np.asarray(np.log(held / (1 - held)))


def _walk(gap: Floats, reach: Floats, samples: int) -> Floats:
    """(N,) chance that a walk without drift, with this standard deviation at its end, meets a line `gap` above.

    First passage of a Brownian motion by the reflection principle: 2 (1 - Phi(gap / reach)). For each further one of
    the `samples` in a row that a breach needs, half of them are still above.
    """
    strides = np.clip(gap / reach, 0, 30) / math.sqrt(2)
    return 0.5 ** (samples - 1) * np.array([math.erfc(stride) for stride in strides.tolist()])


def _often(met: Bools, counts: Bools, prior: float, expected: Floats | float = 0.02) -> Floats:
    """(N,) share of the windows that count which met the line, with `prior` windows of the `expected` share."""
    return np.asarray(((met & counts).sum(1) + prior * expected) / (counts.sum(1) + prior))


def met_by(ahead: Floats, threshold: Floats, samples: int, horizon: int) -> Bools:
    """(N, H) whether `samples` values in a row reached the (N,) threshold by each of the last `horizon` steps.

    ahead: (N, S) the values of these steps, and of up to `samples` - 1 before them.
    """
    over = np.where(np.isfinite(ahead), ahead >= threshold[:, None], False)
    return np.asarray(np.maximum.accumulate(_runs(over, samples)[:, -horizon:], axis=1))


def _runs(over: Bools, samples: int) -> Bools:
    """(N, L) whether the last `samples` steps are all over."""
    hit = over.copy()
    for back in range(1, samples):
        hit[:, back:] &= over[:, :-back]
        hit[:, :back] = False
    return hit


def known_values(values: Floats) -> Floats:
    """(N, L) gaps filled by the value before, those at the start by the first one."""
    seen = np.isfinite(values)
    if seen.all():
        return values
    filled, first = carried(values), np.take_along_axis(values, seen.argmax(1)[:, None], axis=1)
    return np.nan_to_num(np.where(np.isnan(filled), first, filled))
