"""A fitted breach head: it knows what comes once a week, which no context holds, and reads no more than it says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.learn.conftest import series_of, small_params
from tsf.learn import Model, breach, breach_fit, fit, fit_breach, predict, rolling_forecasts
from tsf.learn.places import judged_steps
from tsf.series import SeriesSet

pytestmark = pytest.mark.models
WEEK = 168
CONTEXT = 48


@pytest.fixture(scope="module")
def weekly() -> SeriesSet:
    """Thirty users, twelve weeks: once a week, each at an hour of its own, something is written for six hours."""
    random = np.random.default_rng(0)
    level = random.uniform(50, 90, (30, 1))
    values = level + random.normal(0, 0.5, (30, 12 * WEEK))
    burst = (np.arange(12 * WEEK) - random.integers(0, WEEK, (30, 1))) % WEEK < 6
    return series_of(values + 20 * burst, limit=np.repeat(level + 15, 12 * WEEK, 1))


@pytest.fixture(scope="module")
def model(weekly: SeriesSet) -> Model:
    """Learnt from the first ten weeks."""
    older = weekly.between(0, 10 * WEEK)
    found = fit(older, small_params(sequence_length=CONTEXT))
    alone = replace(found, calibration=replace(found.calibration, week_share=0.0))  # the head is what is asked here
    return fit_breach(alone, older)


def test_the_head_learns_of_windows_before_a_breach_and_is_measured_on_those_that_judged(
    model: Model, weekly: SeriesSet
) -> None:
    total, horizon, lines = 8 * WEEK, model.params.prediction_steps, np.array(breach_fit.LINES)
    judged = total - judged_steps(total, horizon, 3_600)  # the first step that judged
    origins = np.unique(np.linspace(CONTEXT - 1, total - horizon - 1, 96).astype(int))
    assert ((origins < judged) & (origins + horizon >= judged)).any()
    below = weekly.values[:, origins, None] < lines * weekly.limit[:, origins, None]
    head = fit_breach(model, weekly.between(0, total)).breach
    assert head.windows == below.sum()
    assert head.measured[:, 2].sum() == below[:, origins + horizon >= judged].sum()
    independent = head.events / len(lines)  # the lines of an origin tell the same
    assert head.belief[-1] == pytest.approx(breach.BELIEF_EVENTS / (breach.BELIEF_EVENTS + independent))


def test_a_burst_of_every_week_is_told_from_a_quiet_half_day(model: Model, weekly: SeriesSet) -> None:
    origins = range(10 * WEEK, 12 * WEEK - 12, 5)
    over = weekly.values >= weekly.limit
    said, came = [], []
    for origin, forecast in zip(origins, rolling_forecasts(model, weekly, origins), strict=True):
        quiet = ~over[:, origin]
        assert forecast.p_breach is not None
        said.append(forecast.p_breach[quiet, -1])
        came.append(over[quiet, origin + 1 : origin + 13].any(1))
    chance, event = np.concatenate(said), np.concatenate(came)
    brier = ((chance - event) ** 2).mean()
    assert brier < 0.3 * event.mean() * (1 - event.mean())


def test_a_forecast_reads_the_steps_that_the_model_looks_back_and_no_more(model: Model, weekly: SeriesSet) -> None:
    assert model.looks_back == 4 * WEEK + 1
    recent = weekly.between(weekly.n_steps - model.looks_back, weekly.n_steps)
    one, other = predict(model, recent), predict(model, weekly)
    np.testing.assert_array_equal(one.quantiles, other.quantiles)
    np.testing.assert_array_equal(one.p_breach, other.p_breach)
    assert replace(model, breach=None).looks_back == CONTEXT


def test_many_origins_at_once_say_what_each_says_alone(model: Model, weekly: SeriesSet) -> None:
    origins = [5 * WEEK, 5 * WEEK + 1, 11 * WEEK]
    for origin, forecast in zip(origins, rolling_forecasts(model, weekly, origins), strict=True):
        alone = predict(model, weekly.between(0, origin + 1))
        np.testing.assert_allclose(forecast.p_breach, alone.p_breach, rtol=1e-5)


def test_a_context_alone_is_enough_for_a_forecast(model: Model, weekly: SeriesSet) -> None:
    newest = predict(model, weekly.between(weekly.n_steps - CONTEXT, weekly.n_steps))
    assert np.isfinite(newest.p_breach).all()
    np.testing.assert_array_equal(newest.quantiles, predict(model, weekly).quantiles)
