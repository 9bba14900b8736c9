"""The chance of a breach: what the network says of the running maximum, weighed with how the line was met before.

At a few anchors of the horizon a logistic regression reads the network's chance and what the context tells: how often
windows like the one to come met the line, how far away it is, how restless the series is. Its correction, interpolated
between the anchors, moves the network's chance. It is fitted on windows before every origin that it is used at. Before
it has seen any, it believes the network and a random walk equally: with little history, as of a few file systems over
some months, a walk ranks the series better than a network can.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

__all__ = [
    "FEATURES",
    "BreachHead",
    "anchors",
    "breach_features",
    "corrected",
    "fit_head",
    "reliability",
    "season_steps",
]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
FEATURES = (
    "network", "walk", "often", "often_lately", "same_phase", "same_wait", "same_level", "brownian",
    "gap", "gap_day", "gap_horizon", "mean_gap", "restless", "wait", "never", "move", "time_over",
)  # fmt: skip
ANCHORS = 4
RIDGE = 400.0  # pull to what is believed beforehand: windows overlap, and come from an older time than what is asked
HALF_NORMAL = np.sqrt(np.pi / 2)  # standard deviation of a normal step over its mean size
SURE = 7.0  # logits beyond this are cut: nothing is more certain than 0.1 %
BINS = 10


@dataclass(frozen=True, eq=False)
class BreachHead:
    """weights: (A, 1 + F) of the constant and the scaled features at each anchor; centre, scale: (F,).

    measured: (10, 3) by tenth of the chance: mean chance said, share that came, number of windows; on windows that
    the weights did not learn from. windows, events: how many it learnt from.
    """

    weights: Floats
    centre: Floats
    scale: Floats
    measured: Floats
    windows: int
    events: int


def anchors(horizon: int) -> NDArray[np.int64]:
    """Steps ahead (1 … H) at which the correction is computed, the last one H."""
    return np.unique(np.round(np.geomspace(max(1, horizon / 8), horizon, min(ANCHORS, horizon))).astype(np.int64))


def corrected(chance: Floats, values: Floats, threshold: Floats, season: int, samples: int, head: BreachHead) -> Floats:
    """(N, H) chance of the network -> (N, H) chance, never falling along H; NaN stays.

    values: (N, L) the context; threshold: (N,) what must be reached; season: steps of a day (or of what repeats).
    """
    steps = anchors(chance.shape[1])
    features = breach_features(chance[:, steps - 1], values, threshold, steps, season, samples)
    scaled = (features - head.centre) / head.scale
    moves = head.weights[:, 0] + np.einsum("naf,af->na", scaled, head.weights[:, 1:]) - features[..., 0]  # (N, A)
    ahead = np.arange(1, chance.shape[1] + 1)
    place = np.clip(np.searchsorted(steps, ahead), 1, max(len(steps) - 1, 1))
    left, right = np.minimum(place - 1, len(steps) - 1), np.minimum(place, len(steps) - 1)
    width = np.maximum(steps[right] - steps[left], 1)
    share = np.clip((ahead - steps[left]) / width, 0, 1)
    moved = logit(chance) + moves[:, left] * (1 - share) + moves[:, right] * share
    return np.asarray(np.where(np.isnan(chance), np.nan, np.maximum.accumulate(logistic(moved), axis=1)))


def breach_features(
    chance: Floats, values: Floats, threshold: Floats, steps: NDArray[np.int64], season: int, samples: int
) -> Floats:
    """(N, A, F) features; chance: (N, A) the network's at `steps` ahead. The rest as in `corrected`.

    Shares of windows are those that began below the line and are over by the origin, with a prior of a few windows.
    """
    n, length = values.shape
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.clip(values / np.where(threshold > 0, threshold, np.nan)[:, None], -3, 3)
    filled = _carried(share)
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
        ahead = min(ahead, length - 1)
        met = counts[:, ahead + 1 :] > counts[:, 1:-ahead]  # (N, L - ahead), after each step but the last
        start = slice(0, length - ahead)
        often = _often(met, below[:, start], 5.0)
        lately = _often(met[:, -2 * season :], below[:, start][:, -2 * season :], 2.0)
        back = length - 1 - season * np.arange(1, length // season + 1)
        back = back[(back >= 0) & (back < length - ahead)]
        past_turns = _often(met[:, back], below[:, back], 1.0, often) if len(back) else often
        drift, reach = mean * ahead, spread * np.sqrt(ahead)
        columns.append(np.stack([
            logit(chance[:, number]), logit(_walk(gap[:, 0], stride * np.sqrt(ahead))),
            logit(often), logit(lately), logit(past_turns),
            logit(_often(met, alike_wait[:, start], 2.0, often)), logit(_often(met, alike_level[:, start], 2.0, often)),
            np.clip((drift - gap[:, 0]) / reach, -8, 8),
            gap[:, 0], 1 - day.max(1), 1 - filled[:, -min(ahead, length) :].max(1), 1 - day.mean(1),
            np.log(day.std(1) + 1e-3), np.log1p(np.minimum(wait[:, 0], length) / season), ~hit.any(1),
            filled[:, -1] - filled[:, -1 - min(max(ahead // 4, 1), length - 1)], hit.mean(1),
        ], axis=1))  # fmt: skip
    return np.asarray(np.nan_to_num(np.stack(columns, axis=1)))


def season_steps(step_seconds: int) -> int:
    """Steps of a day, or of a week where the step is a day or more."""
    return max(1, round((86_400 if step_seconds <= 43_200 else 604_800) / step_seconds))


def fit_head(
    features: Floats, events: Bools, newest: Bools, rows: NDArray[np.int64], worth: float
) -> BreachHead | None:
    """Learn from M windows: features (M, A, F) and whether the line was met within each anchor (M, A).

    newest: (M,) windows that the network did not learn from: on them slope and constant are fitted once more, and the
    chance is measured, by cross-fitting over series, which `rows` (M,) names. worth: what a window counts for, as they
    overlap: 1 where they are independent. None where there are too few events.
    """
    older = ~newest
    if events[older, -1].sum() < 10 or older.sum() < 100:
        return None
    centre, scale = features[older].mean((0, 1)), features[older].std((0, 1)) + 1e-3
    scaled = np.clip((features - centre) / scale, -6, 6)
    trust = np.zeros(len(centre) + 1)
    trust[0], trust[1:3] = centre[:2].mean(), scale[:2] / 2  # the mean of the logits of network and walk
    weights = np.stack([
        _logistic_weights(_with_constant(scaled[older, a]), events[older, a], trust, RIDGE / worth)
        for a in range(features.shape[1])
    ])  # fmt: skip
    said = weights[:, 0] + np.einsum("maf,af->ma", scaled, weights[:, 1:])
    halves = [newest & (rows % 2 == part) for part in (0, 1)]
    judged, came = [], []
    for learns, judges in (halves, halves[::-1]):
        slope = _second_look(said[learns], events[learns], worth)
        judged.append(logistic(slope[0] + slope[1] * said[judges])[:, -1])
        came.append(events[judges, -1])
    slope = _second_look(said[newest], events[newest], worth)
    weights = slope[1] * weights
    weights[:, 0] += slope[0]
    measured = reliability(np.concatenate(judged), np.concatenate(came))
    return BreachHead(weights, centre, scale, measured, len(features), int(events[:, -1].sum()))


def reliability(chance: Floats, came: NDArray[np.generic]) -> Floats:
    """(10, 3) per tenth of the chance: mean chance, share that came, count; NaN means where there is none."""
    tenth = np.clip((chance * BINS).astype(int), 0, BINS - 1)
    count = np.bincount(tenth, minlength=BINS).astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        means = [np.bincount(tenth, weights=part, minlength=BINS) / count for part in (chance, came.astype(np.float64))]
    return np.stack([*means, count], axis=1)


def logit(chance: Floats) -> Floats:
    """Log odds, cut at +-SURE."""
    edge = 1 / (1 + np.exp(SURE))
    held = np.clip(chance, edge, 1 - edge)
    return np.asarray(np.log(held / (1 - held)))


def logistic(odds: Floats) -> Floats:
    """The chance of log odds, cut at +-SURE."""
    return np.asarray(1 / (1 + np.exp(-np.clip(odds, -SURE, SURE))))


def _second_look(said: Floats, events: Bools, worth: float) -> Floats:
    """(2,) constant and slope that fit (M, A) log odds to what came, held to (0, 1) by a prior."""
    table = _with_constant(said.reshape(-1, 1))
    return _logistic_weights(table, events.reshape(-1), np.array([0.0, 1.0]), 10.0 * said.shape[1] / worth)


def _logistic_weights(table: Floats, events: Bools, prior: Floats, ridge: float) -> Floats:
    """Weights of least penalised log loss by Newton's method; the penalty pulls to `prior`."""
    weights, wanted = prior.copy(), events.astype(np.float64)

    def loss(tried: Floats) -> float:
        odds = table @ tried
        return float((np.logaddexp(0.0, odds) - wanted * odds).sum() + ridge / 2 * ((tried - prior) ** 2).sum())

    for _ in range(50):
        chance = logistic(table @ weights)
        slope = table.T @ (chance - wanted) + ridge * (weights - prior)
        bend = (table * (chance * (1 - chance) + 1e-9)[:, None]).T @ table + ridge * np.eye(len(weights))
        step, size, before = np.linalg.solve(bend, slope), 1.0, loss(weights)
        while size > 1e-6 and loss(weights - size * step) > before:  # far from the best weights a whole step overshoots
            size /= 2
        weights = weights - size * step
        if size * np.abs(step).max() < 1e-6:
            break
    return weights


def _with_constant(table: Floats) -> Floats:
    return np.concatenate([np.ones((len(table), 1)), table], axis=1)


def _walk(gap: Floats, reach: Floats) -> Floats:
    """(N,) chance that a walk without drift, with this standard deviation at its end, meets a line `gap` above.

    First passage of a Brownian motion by the reflection principle: 2 (1 - Phi(gap / reach)).
    """
    return torch.erfc(torch.from_numpy(np.clip(gap / reach, 0, 30) / np.sqrt(2))).numpy()


def _often(met: Bools, counts: Bools, prior: float, expected: Floats | float = 0.02) -> Floats:
    """(N,) share of the windows that count which met the line, with `prior` windows of the `expected` share."""
    return np.asarray(((met & counts).sum(1) + prior * expected) / (counts.sum(1) + prior))


def _runs(over: Bools, samples: int) -> Bools:
    """(N, L) whether the last `samples` steps are all over."""
    hit = over.copy()
    for back in range(1, samples):
        hit[:, back:] &= over[:, :-back]
        hit[:, :back] = False
    return hit


def _carried(values: Floats) -> Floats:
    """(N, L) gaps filled by the value before, those at the start by the first one."""
    seen = np.isfinite(values)
    index = np.maximum.accumulate(np.where(seen, np.arange(values.shape[1]), 0), axis=1)
    index = np.maximum(index, seen.argmax(1)[:, None])
    return np.nan_to_num(np.take_along_axis(values, index, axis=1))
