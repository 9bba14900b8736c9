"""The chance of a breach: what the network says of the running maximum, weighed with how the line was met before.

At a few anchors of the horizon boosted trees read the network's chance and what the past tells: how often windows like
the one to come met the line, how far away it is, how restless the series is, what the same hours brought in the weeks
before. The correction, interpolated between the anchors, moves the network's chance. It is fitted on windows before
every origin that it is used at. The fewer breaches they hold, the more a mix of the network and a random walk is
believed instead: with little history, as of a few file systems over some months, a walk ranks the series better than
anything learnt can.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tsf.learn.breach_inputs import SURE, Past, anchors, breach_features, logit

__all__ = ["BreachHead", "corrected", "fit_head", "reliability"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
DEPTH, TREES, RATE = 3, 100, 0.06  # of the boosted trees: shallow ones, as windows overlap and are alike
LEAF_WINDOWS = 20  # independent windows that a leaf rests on, at the least
SHRINKAGE = 50.0  # pull of a leaf to zero
BELIEF_EVENTS = 60.0  # so many independent breaches weigh as much as what is believed beforehand
NETWORK_SHARE = 1 / 3  # of that belief; the walk, which needs no learning, has the rest
BINS = 10


@dataclass(frozen=True, eq=False)
class BreachHead:
    """R trees at each of A anchors, as heaps: split i leads to 2 i + 1, or to 2 i + 2 where the feature is above.

    feature, threshold: (A, R, 7) of the splits. leaves: (A, R, 8) log odds. constant: (A,) log odds. belief: (A,) share
    of what is believed beforehand; constant and leaves are already weighed with the rest.
    measured: (10, 3) by tenth of the chance: mean chance said, share that came, number of windows; on windows newer
    than all that the trees behind it learnt from. windows, events: how many the head learnt from.
    """

    feature: NDArray[np.int64]
    threshold: Floats
    leaves: Floats
    constant: Floats
    belief: Floats
    measured: Floats
    windows: int
    events: int


def corrected(
    chance: Floats, past: Past, threshold: Floats, season: int, samples: int, head: BreachHead, line: Floats | float
) -> Floats:
    """(N, H) chance of the network -> (N, H) chance, never falling along H; NaN stays.

    threshold: (N,) what must be reached; where it is 0, all is reached, and the chance stays. line: the share of the
    limit that it is, (N,) or one for all. season: steps of a day (or of what repeats).
    """
    steps = anchors(chance.shape[1])
    features = breach_features(chance[:, steps - 1], past, threshold, steps, season, samples, line)
    moves = _odds(features, head) - features[..., 0]  # (N, A)
    ahead = np.arange(1, chance.shape[1] + 1)
    place = np.clip(np.searchsorted(steps, ahead), 1, max(len(steps) - 1, 1))
    left, right = np.minimum(place - 1, len(steps) - 1), np.minimum(place, len(steps) - 1)
    width = np.maximum(steps[right] - steps[left], 1)
    share = np.clip((ahead - steps[left]) / width, 0, 1)
    moved = logit(chance) + moves[:, left] * (1 - share) + moves[:, right] * share
    # Lowered to what is said of later steps, which rests on more breaches: raising those would say too much of all.
    rising = np.minimum.accumulate(logistic(moved)[:, ::-1], axis=1)[:, ::-1]
    return np.asarray(np.where(np.isnan(chance) | (threshold <= 0)[:, None], chance, rising))


def fit_head(features: Floats, events: Bools, newest: Bools, worth: float) -> BreachHead | None:
    """Learn from M windows: features (M, A, F) and whether the line was met within each anchor (M, A).

    newest: (M,) windows that the network did not learn from: what trees of the others say of them is measured.
    worth: what a window counts for, as they overlap: 1 where they are independent. None where there are too few events.
    Gradient boosting with histograms: https://scikit-learn.org/stable/modules/ensemble.html, Friedman (2001).
    """
    older = ~newest
    if events[older, -1].sum() < 10 or older.sum() < 100:
        return None
    last = features.shape[1] - 1
    judge = _boosted(features[older, last:], events[older, last:], worth)
    measured = reliability(logistic(_odds(features[newest, last:], judge))[:, 0], events[newest, last])
    return replace(_boosted(features, events, worth), measured=measured)


def _boosted(features: Floats, events: Bools, worth: float) -> BreachHead:
    """A head that nothing was measured of."""
    anchors = [_trees(features[:, anchor], events[:, anchor], worth) for anchor in range(features.shape[1])]
    feature, threshold, leaves, constant, belief = (np.array(part) for part in zip(*anchors, strict=True))
    nothing = np.full((BINS, 3), np.nan)
    return BreachHead(feature, threshold, leaves, constant, belief, nothing, len(features), int(events[:, -1].sum()))


def _trees(features: Floats, events: Bools, worth: float) -> tuple[NDArray[np.int64], Floats, Floats, float, float]:
    """feature, threshold, leaves, constant and belief of one anchor from (M, F) features and (M,) events."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    belief = BELIEF_EVENTS / (BELIEF_EVENTS + worth * float(events.sum()))
    feature = np.zeros((TREES, 2**DEPTH - 1), np.int64)
    threshold, leaves = np.full(feature.shape, np.inf), np.zeros((TREES, 2**DEPTH))
    base = float(events.mean())
    if not 0 < base < 1:
        return feature, threshold, leaves, (1 - belief) * float(logit(np.array(base))), belief
    boosted = HistGradientBoostingClassifier(
        max_iter=TREES,
        learning_rate=RATE,
        max_depth=DEPTH,
        max_leaf_nodes=2**DEPTH,
        min_samples_leaf=int(LEAF_WINDOWS / worth),
        l2_regularization=SHRINKAGE,
        early_stopping=False,
        random_state=0,
    ).fit(features, events)
    # The trees as arrays, for safetensors and numpy: a pickle would run whatever it holds.
    for tree, [predictor] in enumerate(boosted._predictors):
        _fill(predictor.nodes, 0, 0, feature[tree], threshold[tree], leaves[tree])
    return feature, threshold, (1 - belief) * leaves, (1 - belief) * float(boosted._baseline_prediction[0, 0]), belief


def _fill(
    nodes: NDArray[np.void], node: int, place: int, feature: NDArray[np.int64], threshold: Floats, leaves: Floats
) -> None:
    """Write scikit-learn's `node` and all below it to the heap; a leaf above the last level stands to its left."""
    if nodes["is_leaf"][node]:
        while place < len(feature):
            place = 2 * place + 1
        leaves[place - len(feature)] = nodes["value"][node]
        return
    feature[place], threshold[place] = nodes["feature_idx"][node], nodes["num_threshold"][node]
    for child, side in (("left", 1), ("right", 2)):
        _fill(nodes, int(nodes[child][node]), 2 * place + side, feature, threshold, leaves)


def _odds(features: Floats, head: BreachHead) -> Floats:
    """(N, A) log odds of (N, A, F) features."""
    tree = np.arange(head.feature.shape[1])
    found = []
    for anchor, (feature, threshold, leaves) in enumerate(zip(head.feature, head.threshold, head.leaves, strict=True)):
        known = features[:, anchor]
        place = np.zeros((len(known), len(tree)), np.int64)
        for _ in range(DEPTH):
            above = np.take_along_axis(known, feature[tree, place], axis=1) > threshold[tree, place]
            place = 2 * place + 1 + above
        believed = NETWORK_SHARE * known[:, 0] + (1 - NETWORK_SHARE) * known[:, 1]
        learnt = head.constant[anchor] + leaves[tree, place - feature.shape[1]].sum(1)
        found.append(learnt + head.belief[anchor] * believed)
    return np.stack(found, axis=1)


def reliability(chance: Floats, came: NDArray[np.generic]) -> Floats:
    """(10, 3) per tenth of the chance: mean chance, share that came, count; NaN means where there is none."""
    tenth = np.clip((chance * BINS).astype(int), 0, BINS - 1)
    count = np.bincount(tenth, minlength=BINS).astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        means = [np.bincount(tenth, weights=part, minlength=BINS) / count for part in (chance, came.astype(np.float64))]
    return np.stack([*means, count], axis=1)


def logistic(odds: Floats) -> Floats:
    """The chance of log odds, cut at +-SURE."""
    return np.asarray(1 / (1 + np.exp(-np.clip(odds, -SURE, SURE))))
