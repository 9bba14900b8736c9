"""The same hours of earlier weeks: what they say, what they may read, and how much of it a forecast takes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tests.learn.conftest import series_of, small_params, weekly_pattern
from tsf.learn import Model, fit, predict, rolling_forecasts
from tsf.learn.metrics import pinball
from tsf.learn.weeks import LEAST, averaged, fit_share, week_quantiles
from tsf.learn.windows import Windows
from tsf.series import SeriesSet

WEEK = 168
LEVELS = (0.1, 0.5, 0.9)


def told(model: Model, share: float) -> Model:
    """The same model, of whose forecasts the weeks have this share."""
    return replace(model, calibration=replace(model.calibration, week_share=share))


@pytest.fixture(scope="module")
def weekly() -> SeriesSet:
    """Six series, fourteen weeks."""
    return series_of(weekly_pattern(6, 14))


@pytest.fixture(scope="module")
def model(weekly: SeriesSet) -> Model:
    """Learnt from the first twelve weeks, with a context of two days."""
    return fit(weekly.between(0, 12 * WEEK), small_params(breach_samples=2))


@given(arrays(float, (8, 3), elements=st.one_of(st.floats(-1e6, 1e6), st.just(np.nan))))
def test_quantiles_of_the_weeks_are_those_of_numpy_where_enough_are_known(weeks):
    found = week_quantiles(torch.from_numpy(weeks)[None], LEVELS)[0].numpy()
    for hour, quantiles in zip(weeks.T, found, strict=True):
        known = hour[np.isfinite(hour)]
        if len(known) < LEAST:
            assert np.isnan(quantiles).all()
        else:
            assert quantiles == pytest.approx(np.quantile(known, LEVELS, method="weibull"), rel=1e-9, abs=1e-6)


@pytest.mark.parametrize("horizon", [12, 400])
def test_the_weeks_end_with_the_origin_whatever_the_horizon(weekly, horizon):
    params = small_params(sequence_length=48, prediction_steps=horizon, breach_samples=2)
    rows, origins = torch.arange(6), torch.full((6,), 9 * WEEK)
    later = weekly.values.copy()
    later[:, 9 * WEEK + 1 :] = 1e9
    said = []
    for values in (weekly.values, later):
        windows = Windows.of(series_of(values), params, {}, (), torch.device("cpu"))
        said.append(windows.weeks(rows, origins, windows.gather(rows, origins)[1], WEEK))
    for one, other in zip(*said, strict=True):
        assert one.isfinite().all()
        assert torch.equal(one, other)


def test_the_weeks_are_those_before_the_steps_ahead_and_their_maxima_are_runs(weekly):
    params = small_params(prediction_steps=200, breach_samples=3, quantiles=LEVELS)
    windows = Windows.of(weekly, params, {}, (), torch.device("cpu"))
    row, origin = torch.tensor([4]), torch.tensor([9 * WEEK + 5])
    scale = windows.gather(row, origin)[1]
    steps, peaks = (scale.unscaled(part)[0].numpy() for part in windows.weeks(row, origin, scale, WEEK))
    ahead = np.arange(-2, 200)
    within = np.where(ahead > 0, ahead % WEEK, ahead)
    weeks = np.stack([weekly.values[4, 9 * WEEK + 6 - back * WEEK + within] for back in range(1, 9)])
    assert steps == pytest.approx(np.quantile(weeks[:, 2:], LEVELS, axis=0, method="weibull").T)
    runs = np.minimum.reduce([weeks[:, lag : lag + 200] for lag in range(3)])
    assert peaks == pytest.approx(np.quantile(np.maximum.accumulate(runs, axis=1), LEVELS, axis=0, method="weibull").T)


def test_the_smallest_share_that_gains_nearly_all_is_taken():
    assert fit_share(lambda share: (share - 0.8) ** 2) == 0.55  # 90 % of 0.64 are gained from 0.547 on
    assert fit_share(lambda share: share) == 0
    assert fit_share(lambda share: 1.0) == 0


def test_an_average_keeps_the_network_where_the_weeks_are_unknown():
    quantiles = torch.arange(6.0).reshape(1, 2, 3)
    weeks = torch.tensor([[[10.0, 10.0, 10.0], [torch.nan] * 3]])
    assert averaged(quantiles, weeks, 0.25)[0].tolist() == [[2.5, 3.25, 4.0], [3.0, 4.0, 5.0]]


@pytest.mark.models
def test_what_goes_by_the_week_is_forecast_better_with_the_weeks_than_without(model, weekly):
    assert model.calibration.week_share > 0.3
    past, ahead = weekly.between(0, 13 * WEEK), weekly.values[:, 13 * WEEK : 13 * WEEK + 12]
    levels = np.array(model.params.quantiles)
    loss, alone = (
        np.nanmean(pinball(ahead, predict(one, past).quantiles, levels)) for one in (model, told(model, 0.0))
    )
    assert loss < 0.7 * alone


@pytest.mark.models
def test_a_random_walk_takes_nothing_from_its_weeks():
    walk = 1e4 + np.random.default_rng(0).normal(0, 1, (8, 10 * WEEK)).cumsum(1)
    model = fit(series_of(walk), small_params(epochs=1))
    assert model.calibration.week_share == 0
    assert model.reads == model.looks_back == 48


@pytest.mark.models
def test_a_forecast_reads_eight_weeks_and_no_more(model, weekly):
    assert model.looks_back == model.reads == 8 * WEEK
    recent = weekly.between(weekly.n_steps - 8 * WEEK, weekly.n_steps)
    assert np.array_equal(predict(model, recent).quantiles, predict(model, weekly).quantiles)


@pytest.mark.models
def test_many_origins_at_once_read_the_weeks_that_each_reads_alone(model, weekly):
    origins = [3 * WEEK, 6 * WEEK, 6 * WEEK + 1, 13 * WEEK]  # too few weeks, some of them, all
    for origin, forecast in zip(origins, rolling_forecasts(model, weekly, origins), strict=True):
        alone = predict(model, weekly.between(0, origin + 1))
        np.testing.assert_allclose(forecast.quantiles, alone.quantiles, rtol=1e-5)


@pytest.mark.models
def test_a_series_that_is_younger_than_four_weeks_is_forecast_by_the_network_alone(model, weekly):
    young = weekly.between(weekly.n_steps - 3 * WEEK, weekly.n_steps)
    assert np.array_equal(predict(model, young).quantiles, predict(told(model, 0.0), young).quantiles)
