"""The breach head: it believes network and walk until breaches say otherwise, and never looks ahead."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.ensemble import HistGradientBoostingClassifier

from tsf.learn import breach
from tsf.learn.breach import corrected, fit_head, logistic, reliability
from tsf.learn.breach_inputs import FEATURES, Past, anchors, breach_features, looked_back, past_of

FEATURE_COUNT = len(FEATURES)
RNG = np.random.default_rng(0)


def windows(m: int, overconfident: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features of which only the network's and the walk's count, their log odds too large by a factor."""
    rng = np.random.default_rng(1)
    odds = rng.normal(-1, 1.5, (m, 2))
    features = rng.normal(0, 1, (m, 2, FEATURE_COUNT))
    features[..., :2] = (overconfident * odds)[..., None]
    events = rng.random((m, 2)) < logistic(odds)
    return features, events, np.arange(m) % 4 == 0


def test_overconfident_chances_are_brought_back_to_what_came() -> None:
    features, events, newest = windows(8000, 2.5)
    head = fit_head(features, events, newest, 1.0)
    assert head is not None
    counted = head.measured[head.measured[:, 2] > 30]
    assert np.abs(counted[:, 0] - counted[:, 1]).max() < 0.12
    assert head.measured[:, 2].sum() == newest.sum()


def agreement(m: int, worth: float, place: int) -> float:
    """Correlation of the head's log odds with feature `place`; network and walk say the opposite of each other."""
    features, events, newest = windows(m, 1.0)
    features[..., 1] = -features[..., 0]
    head = fit_head(features, events, newest, worth)
    assert head is not None
    asked, _, _ = windows(1000, 1.0)
    asked[..., 1] = RNG.normal(-1, 1.5, asked.shape[:2])  # now they are apart
    return float(np.corrcoef(breach._odds(asked, head)[:, 0], asked[:, 0, place])[0, 1])


def test_with_few_breaches_the_walk_counts_more_than_what_these_windows_say() -> None:
    assert agreement(300, 0.1, 1) > agreement(300, 0.1, 0)


def test_of_hardly_any_independent_breach_nothing_is_believed_but_network_and_walk() -> None:
    features, events, newest = windows(2000, 1.0)
    head = fit_head(features, events, newest, 1e-4)
    assert head is not None
    believed = breach.NETWORK_SHARE * features[..., 0] + (1 - breach.NETWORK_SHARE) * features[..., 1]
    np.testing.assert_allclose(breach._odds(features, head), believed, rtol=0.01, atol=0.01)


def test_many_breaches_tell_the_network_from_a_wrong_walk() -> None:
    assert agreement(40_000, 1.0, 0) > 0.8


@pytest.mark.parametrize("worth", [1.0, 0.05])
def test_the_trees_as_arrays_say_what_scikit_learn_says(worth: float) -> None:
    features, events, _ = windows(3000, 2.0)
    feature, threshold, leaves, constant, belief = breach._trees(features[:, 0], events[:, 0], worth)
    fitted = HistGradientBoostingClassifier(
        max_iter=breach.TREES,
        learning_rate=breach.RATE,
        max_depth=breach.DEPTH,
        max_leaf_nodes=2**breach.DEPTH,
        min_samples_leaf=int(breach.LEAF_WINDOWS / worth),
        l2_regularization=breach.SHRINKAGE,
        early_stopping=False,
        random_state=0,
    ).fit(features[:, 0], events[:, 0])
    head = breach.BreachHead(
        *(np.array([part]) for part in (feature, threshold, leaves, constant, 0.0)), np.zeros((10, 3)), 3000, 1
    )
    found = breach._odds(features[:, :1], head)[:, 0]
    np.testing.assert_allclose(found, (1 - belief) * fitted.decision_function(features[:, 0]), atol=1e-9)


def test_too_few_events_leave_the_network_alone() -> None:
    features, events, newest = windows(2000, 1.0)
    assert fit_head(features, events & False, newest, 1.0) is None


def test_the_corrected_chance_never_falls_along_the_horizon_and_keeps_unknowns() -> None:
    features, events, newest = windows(4000, 2.0)
    head = fit_head(features[:, [0, 0, 1]], events[:, [0, 0, 1]], newest, 1.0)
    assert head is not None
    chance = np.sort(RNG.random((5, 24)), axis=1)
    chance[4] = np.nan
    past = Past(RNG.random((5, 72)), RNG.random((5, 4, 25)))
    found = corrected(chance, past, np.ones(5), 24, 1, head, 1.0)
    assert (np.diff(found[:4], axis=1) >= 0).all()
    assert ((found[:4] > 0) & (found[:4] < 1)).all()
    assert np.isnan(found[4]).all()


@pytest.mark.parametrize("horizon", [1, 2, 5, 24, 72])
def test_anchors_increase_and_end_at_the_horizon(horizon: int) -> None:
    steps = anchors(horizon)
    assert (np.diff(steps) > 0).all()
    assert steps[0] >= 1
    assert steps[-1] == horizon


def test_features_are_finite_whatever_the_context_lacks() -> None:
    values = RNG.random((4, 50))
    values[0] = np.nan
    values[1, 10:] = np.nan
    weeks = RNG.random((4, 4, 61))
    weeks[1], weeks[0, 2:], weeks[2, :, 0] = np.nan, np.nan, np.nan
    threshold = np.array([1.0, 0.5, np.nan, 0.0])
    found = breach_features(np.full((4, 3), 0.2), Past(values, weeks), threshold, np.array([1, 6, 60]), 24, 2, 0.9)
    assert found.shape == (4, 3, FEATURE_COUNT)
    assert np.isfinite(found).all()


HOURS = 5 * 168
WEEKLY = np.tile(np.where(np.arange(168) == 100, 0.3, 0.0), 5)[None] + 0.5  # a burst of an hour, once a week


def weekly_features(values: np.ndarray, origin: int) -> dict[str, float]:
    """The features of the weeks for the 24 hours after `origin`, by name; the line is 0.7."""
    past = past_of(values, np.array([0]), np.array([origin]), 72, 24, 3_600)
    found = breach_features(np.full((1, 1), 0.1), past, np.array([0.7]), np.array([24]), 24, 1)[0, 0]
    return {name: float(value) for name, value in zip(FEATURES, found, strict=True) if "week" in name}


def test_a_burst_of_every_week_is_expected_in_its_hours_and_in_no_others() -> None:
    before, after = (weekly_features(WEEKLY, 4 * 168 + hour) for hour in (90, 110))
    assert logistic(np.array(before["same_week"])) > 0.7
    assert logistic(np.array(after["same_week"])) < 0.1
    assert before["mean_of_weeks"] == pytest.approx(0.8 / 0.7 - 1)
    assert after["most_of_weeks"] == pytest.approx(0.5 / 0.7 - 1)


def test_a_week_that_nobody_measured_says_nothing() -> None:
    gone = WEEKLY.copy()
    gone[:, 168 : 3 * 168] = np.nan
    assert weekly_features(gone, 4 * 168 + 90)["mean_of_weeks"] == pytest.approx(0.8 / 0.7 - 1)


@given(
    st.integers(0, HOURS - 1),
    st.integers(2, 300),
    st.integers(1, 400),  # more than two weeks, in hours
)
def test_a_past_holds_nothing_of_the_future(origin: int, length: int, horizon: int) -> None:
    known = RNG.random((2, HOURS))
    hidden = np.where(np.arange(HOURS) > origin, np.nan, known)
    rows, origins = np.array([0, 1]), np.array([origin, origin])
    for whole, cut in zip(*(past_of(v, rows, origins, length, horizon, 3_600) for v in (known, hidden)), strict=True):
        np.testing.assert_array_equal(whole, cut)


def test_a_past_is_the_same_from_the_steps_that_a_forecast_reads() -> None:
    known = RNG.random((2, HOURS))
    reads = looked_back(3_600)
    rows = np.array([0, 1])
    for origin in (HOURS - 1, HOURS - 50):
        part = known[:, origin + 1 - reads : origin + 1]
        whole = past_of(known, rows, np.array([origin] * 2), 72, 24, 3_600)
        cut = past_of(part, rows, np.array([reads - 1] * 2), 72, 24, 3_600)
        for one, other in zip(whole, cut, strict=True):
            np.testing.assert_array_equal(one, other)


def test_reliability_counts_by_tenths() -> None:
    table = reliability(np.array([0.05, 0.05, 0.95, 1.0]), np.array([0, 1, 1, 1]))
    assert table[0].tolist() == [0.05, 0.5, 2.0]
    assert table[9, 1:].tolist() == [1.0, 2.0]
    assert np.isnan(table[5, 0])


def test_the_walk_and_the_weeks_see_the_whole_horizon_where_the_context_is_shorter() -> None:
    random, steps = np.random.default_rng(0), np.array([9, 25, 72])
    values = 0.5 + 0.01 * random.normal(0, 1, (1, 24)).cumsum(1)
    weeks = np.tile(np.linspace(0, 0.3, 73), (1, 4, 1))
    found = breach_features(np.full((1, 3), 0.1), Past(values, weeks), np.full(1, 0.6), steps, 24, 1)
    columns = {name: found[0, :, place] for place, name in enumerate(FEATURES)}
    assert (np.diff(columns["walk"]) > 0).all()
    assert np.diff(columns["most_of_weeks"]) == pytest.approx([0.5 * 16 / 72, 0.5 * 47 / 72])
