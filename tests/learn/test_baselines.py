import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.learn.conftest import START, daily_waves, series_of
from tests.servers import OpenMetric, left_open, openmetrics
from tsf.learn import default_baselines, last_value, predict_linear, seasonal_naive

LEVELS = (0.1, 0.5, 0.9)


def linear(values, step_seconds, window_seconds, steps, *, left_open=False):
    """(N,) what predict_linear says so many steps ahead of (N, T) values."""
    forecaster = predict_linear(window_seconds, LEVELS, left_open=left_open)
    return forecaster(series_of(values, step_seconds=step_seconds), steps).at(0.5)[:, -1]


def test_last_value_repeats_the_newest_sample_and_widens():
    forecast = last_value(LEVELS)(series_of(np.array([[1.0, 3.0, 2.0, np.nan]])), 3)
    assert forecast.at(0.5).tolist() == [[2.0, 2.0, 2.0]]
    widths = (forecast.at(0.9) - forecast.at(0.1))[0]
    assert widths == pytest.approx(widths[0] * np.sqrt([1, 2, 3]))


def test_seasonal_naive_repeats_the_newest_known_value_of_each_phase():
    past = series_of(np.array([[1.0, 2.0, 3.0, 4.0, np.nan, 6.0, 7.0]]))
    assert seasonal_naive(3, LEVELS)(past, 5).at(0.5).tolist() == [[2.0, 6.0, 7.0, 2.0, 6.0]]


def test_predict_linear_goes_through_a_straight_line():
    past = series_of(5.0 + 2.0 * np.arange(30.0)[None])
    forecast = predict_linear(43_200, LEVELS)(past, 4)
    assert forecast.at(0.5)[0] == pytest.approx(63 + 2 * np.arange(1, 5))


def test_predict_linear_of_a_constant_is_the_constant_and_of_one_sample_nothing():
    found = linear(np.array([[7.1] * 5, [np.nan, np.nan, np.nan, np.nan, 1.0]]), 60, 240, 10)
    assert found[0] == 7.1
    assert np.isnan(found[1])


def test_a_left_open_window_holds_one_sample_less():
    values = np.array([[100.0, 1.0, 2.0, 3.0]])
    assert linear(values, 60, 180, 1, left_open=True) == pytest.approx(4.0)
    assert linear(values, 60, 180, 1)[0] < 0


@settings(max_examples=50, deadline=None)
@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6), st.integers(0, 2**31))
def test_predict_linear_moves_with_the_data(shift, factor, seed):
    values = np.random.default_rng(seed).normal(0, 1, (3, 13))
    plain = linear(values, 60, 720, 60)
    moved = linear(values * factor + shift, 60, 720, 60)
    assert moved == pytest.approx(plain * factor + shift, rel=1e-6, abs=1e-6 * factor)


@pytest.mark.servers
def test_predict_linear_agrees_with_prometheus_to_1e_9(prometheus_server):
    """Prometheus 2 closes the window on both sides, Prometheus 3 leaves it open on the left."""
    random, step, total = np.random.default_rng(3), 300, 200
    rows = [random.normal(1e9, 1e7, total).cumsum(), np.full(total, 3.7), random.exponential(1, total) * 1e-9]
    rows += [np.where(random.random(total) < 0.3, np.nan, random.normal(50, 5, total).cumsum()) for _ in range(5)]
    rows += [np.where(np.arange(total) == total - 1, 5.0, np.nan), 1e15 + 1e3 * random.random(total)]
    values = np.array(rows)
    times = START + step * np.arange(total)
    series = [
        OpenMetric("used", {"row": str(row)}, times[np.isfinite(line)].tolist(), line[np.isfinite(line)].tolist())
        for row, line in enumerate(values)
    ]
    server = prometheus_server(samples=openmetrics(*series))
    for window, ahead in [("12h", 21_600), ("6h", 43_200), ("35m", 300)]:
        seconds = {"12h": 43_200, "6h": 21_600, "35m": 2_100}[window]
        answer = server.query(f"predict_linear(used[{window}], {ahead})", time=float(times[-1]))
        theirs = np.full(len(values), np.nan)
        for one in answer:
            theirs[int(one["metric"]["row"])] = float(one["value"][1])
        ours = linear(values, step, seconds, ahead // step, left_open=left_open())
        assert (np.isnan(ours) == np.isnan(theirs)).all()
        both = ~np.isnan(ours)
        assert ours[both] == pytest.approx(theirs[both], rel=1e-9)


def test_every_baseline_abstains_from_a_series_without_samples():
    values = np.concatenate([daily_waves(2), np.full((1, 480), np.nan)])
    past = series_of(values)
    for name, forecaster in default_baselines(3_600, 480, LEVELS).items():
        forecast = forecaster(past, 24)
        assert forecast.abstained.tolist() == ["", "", "too few samples"], name
        assert np.isnan(forecast.quantiles[2]).all()
        assert np.isfinite(forecast.quantiles[:2]).all()


def test_the_rivals_of_a_model_keep_to_the_bounds_that_it_keeps_to():
    random = np.random.default_rng(2)
    past = series_of(np.concatenate([random.uniform(0, 3, (2, 480)), random.uniform(97, 100, (2, 480))]))
    free, bound = (default_baselines(3_600, 480, LEVELS, *bounds) for bounds in ([], [(0.0, 100.0)]))
    for name, forecaster in bound.items():
        wide = free[name](past, 48).quantiles
        assert wide.min() < 0, name
        assert wide.max() > 100, name
        assert np.array_equal(forecaster(past, 48).quantiles, wide.clip(0, 100)), name


def test_the_rivals_of_hourly_data_are_last_value_day_week_and_predict_linear():
    assert list(default_baselines(3_600, 1_440, LEVELS)) == [
        "last_value", "seasonal_naive_day", "seasonal_naive_week", "predict_linear_12h",
    ]  # fmt: skip
    assert list(default_baselines(86_400, 60, LEVELS)) == ["last_value", "seasonal_naive_week", "predict_linear_288h"]


def test_a_step_that_does_not_divide_the_day_has_seasonal_rivals_too():
    assert list(default_baselines(57, 20_000, LEVELS)) == ["last_value", "seasonal_naive_day", "predict_linear_12h"]
    assert "seasonal_naive_week" in default_baselines(3_000, 1_000, LEVELS)


def test_the_interval_of_predict_linear_covers_what_it_promises_on_noisy_lines():
    random = np.random.default_rng(5)
    lines = random.normal(0, 1, (2_000, 1)) * np.arange(60) + random.normal(0, 3, (2_000, 60))
    forecast = predict_linear(48 * 3_600, LEVELS)(series_of(lines[:, :59]), 1)
    inside = (forecast.at(0.1)[:, 0] <= lines[:, 59]) & (lines[:, 59] <= forecast.at(0.9)[:, 0])
    assert math.isclose(inside.mean(), 0.8, abs_tol=0.04)
