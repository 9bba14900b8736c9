from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.learn.conftest import MODEL_TYPES, daily_waves, series_of, small_params
from tsf.errors import ModelError
from tsf.kinds import AlertLine
from tsf.learn import fit, fit_breach, predict
from tsf.learn.forecast import BATCH, rolling_forecasts

pytestmark = pytest.mark.models


def test_a_forecast_has_the_shape_levels_and_times_that_were_asked(any_model, limited_series):
    forecast = predict(any_model, limited_series)
    assert forecast.quantiles.shape == (12, 12, 13)
    assert forecast.levels.tolist() == list(any_model.params.quantiles)
    assert forecast.origin_seconds == limited_series.times[-1]
    assert np.isfinite(forecast.quantiles).all()
    assert (np.diff(forecast.quantiles, axis=2) >= 0).all()
    assert not any(forecast.abstained)


def test_two_predictions_agree_bit_for_bit(any_model, limited_series):
    first, second = (predict(any_model, limited_series) for _ in range(2))
    assert np.array_equal(first.quantiles, second.quantiles)
    assert np.array_equal(first.p_breach, second.p_breach)


def test_a_series_alone_gets_the_forecast_it_gets_among_others(any_model, limited_series):
    alone = predict(any_model, limited_series.take([3])).quantiles
    assert alone == pytest.approx(predict(any_model, limited_series).quantiles[3:4], rel=1e-5)


@given(rows=st.lists(st.integers(0, 11), min_size=1, unique=True), steps=st.integers(1, 12), line=st.floats(0.7, 1.1))
@settings(deadline=None, max_examples=20)
def test_a_part_of_a_forecast_is_the_forecast_of_a_part(small_model, limited_series, rows, steps, line):
    part = predict(small_model, limited_series, line=line).part(rows, steps)
    alone = predict(small_model, limited_series.take(rows), line=line, horizon=steps)
    assert part.labels["user"].tolist() == alone.labels["user"].tolist()
    assert part.times.tolist() == alone.times.tolist()
    assert part.quantiles == pytest.approx(alone.quantiles, rel=1e-5)
    assert part.p_breach == pytest.approx(alone.p_breach, abs=1e-4)
    sure = (np.abs(alone.p_breach - 0.5) > 1e-4).all(1)  # else a digit of no account moves the time by a step
    assert part.limit_time[sure].tolist() == alone.limit_time[sure].tolist()
    assert part.abstained.tolist() == alone.abstained.tolist()


def test_only_the_context_is_read(any_model, limited_series):
    recent = limited_series.between(limited_series.n_steps - 48, limited_series.n_steps)
    assert np.array_equal(predict(any_model, recent).quantiles, predict(any_model, limited_series).quantiles)


def test_breach_probability_never_falls_and_fits_the_limit_time(any_model, limited_series):
    levels = np.linspace(60, 110, 12)[:, None] * np.ones((1, limited_series.n_steps))
    forecast = predict(any_model, replace(limited_series, limit=levels))
    assert (np.diff(forecast.p_breach, axis=1) >= 0).all()
    assert ((forecast.p_breach >= 0) & (forecast.p_breach <= 1)).all()
    there = limited_series.values[:, -1] >= levels[:, -1]
    assert 0 < there.sum() < len(there)
    for full, chance, when in zip(there, forecast.p_breach, forecast.limit_time, strict=True):
        likely = np.flatnonzero(chance >= 0.5)
        later = forecast.times[likely[0]] if len(likely) else np.inf
        assert when == (forecast.origin_seconds if full else later)


def test_a_series_at_its_limit_is_there_at_its_newest_sample_whatever_comes(small_model, limited_series):
    values, limit = limited_series.values.copy(), np.full(limited_series.values.shape, 1e4)
    values[0, -2:] = 9_900, np.nan  # the newest sample is missing
    limit[1, -3:] = np.nan
    values[2] = np.nan
    values[2, -20] = 1e5  # too old for a forecast
    forecast = predict(small_model, replace(limited_series, values=values, limit=limit), line=0.98, confidence=0.999)
    assert forecast.limit_time[0] == limited_series.times[-1]
    assert np.isinf(forecast.limit_time[1])
    assert np.isnan(forecast.limit_time[2])


def test_a_far_limit_is_not_reached_and_a_passed_one_is(any_model, limited_series):
    far = predict(any_model, limited_series, line=20.0)
    assert (far.p_breach < 0.01).all()
    assert np.isinf(far.limit_time).all()
    passed = predict(any_model, limited_series, line=0.01)
    assert (passed.p_breach > 0.99).all()
    assert (passed.limit_time == limited_series.times[-1]).all()


def test_what_must_be_left_of_a_limit_counts_as_a_lower_limit_of_that_series(any_model, limited_series):
    asked = replace(limited_series, limit=np.linspace(60, 200, 12)[:, None] * np.ones((1, limited_series.n_steps)))
    found = predict(any_model, asked, line=AlertLine(0.9, 15.0)).p_breach
    shares = np.minimum(0.9, 1 - 15 / asked.limit[:, -1])
    assert len(set(shares)) > 3
    for row, share in enumerate(shares):
        alone = predict(any_model, asked, line=float(share)).p_breach[row]
        assert found[row] == pytest.approx(alone, abs=1e-6)


def test_a_limit_of_which_all_must_be_left_is_reached_from_the_start(any_model, limited_series):
    forecast = predict(any_model, limited_series, line=AlertLine(0.98, 1e9))
    assert (forecast.p_breach > 0.98).all()
    assert (forecast.limit_time == limited_series.times[-1]).all()


def test_without_a_limit_there_is_no_breach_output(small_model, limited_series):
    forecast = predict(small_model, replace(limited_series, limit=None))
    assert forecast.p_breach is None
    assert forecast.limit_time is None
    assert np.isfinite(forecast.quantiles).all()


def test_one_series_without_a_limit_has_none_among_others(small_model, limited_series):
    limit = limited_series.limit.copy()
    limit[4] = np.nan
    forecast = predict(small_model, replace(limited_series, limit=limit))
    assert np.isnan(forecast.p_breach[4]).all()
    assert np.isnan(forecast.limit_time[4])
    assert np.isfinite(forecast.p_breach[5]).all()


def test_the_last_known_limit_holds_through_a_gap(small_model, limited_series):
    limit = limited_series.limit.copy()
    limit[:, -5:] = np.nan
    assert np.array_equal(
        predict(small_model, replace(limited_series, limit=limit)).p_breach,
        predict(small_model, limited_series).p_breach,
    )


def test_unseen_labels_get_a_forecast(any_model, limited_series):
    strangers = replace(limited_series, labels={"user": np.array([f"new{i}" for i in range(12)], object)})
    assert np.isfinite(predict(any_model, strangers).quantiles).all()
    nameless = replace(limited_series.take([0]), labels={})
    assert np.isfinite(predict(any_model, nameless).quantiles).all()


def test_a_short_a_stale_and_an_empty_context_abstain_with_the_reason(any_model, limited_series):
    values = limited_series.values.copy()
    values[0, -48:] = np.nan
    values[1, -48:-2] = np.nan
    values[2, -10:] = np.nan
    forecast = predict(any_model, replace(limited_series, values=values))
    assert forecast.abstained[:4].tolist() == [
        "no sample (in the last 48 steps)",
        f"too few samples ({np.isfinite(values[1, -48:]).sum()} in the last 48 steps, 6 are needed)",
        "too old (the newest sample is 10 steps old, 6 are allowed)",
        "",
    ]
    assert np.isnan(forecast.quantiles[:3]).all()
    assert np.isnan(forecast.p_breach[:3]).all()
    assert np.isfinite(forecast.quantiles[3:]).all()


def test_another_step_than_the_model_learnt_is_refused(small_model):
    with pytest.raises(ModelError, match="step of 300 s"):
        predict(small_model, series_of(daily_waves(2), step_seconds=300))


def test_more_steps_than_the_model_learnt_are_refused(small_model, limited_series):
    with pytest.raises(ModelError, match="13 steps are asked"):
        predict(small_model, limited_series, horizon=13)
    assert predict(small_model, limited_series, horizon=3).quantiles.shape[1] == 3


@pytest.mark.parametrize("model_type", MODEL_TYPES)
@pytest.mark.parametrize("level", [1e-9, 1.0, 1e18])
def test_levels_from_1e_minus_9_to_1e18_are_forecast_alike(model_type, level):
    series = series_of(daily_waves(6) * level)
    forecast = predict(fit(series, small_params(model_type=model_type, epochs=2)), series)
    median = forecast.at(0.5) / level
    assert (median > 20).all()
    assert (median < 120).all()


@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_hard_series_get_finite_increasing_quantiles_inside_the_bounds(model_type):
    random = np.random.default_rng(4)
    rows = [
        np.full(480, 42.0), np.zeros(480), np.where(random.random(480) < 0.03, 1e6, 0.0),
        np.clip(random.normal(99, 3, 480), 0, 100), np.where(np.arange(480) < 400, 1.0, 1e12),
        np.where(np.arange(480) < 440, np.nan, 50.0), np.full(480, np.nan),
    ]  # fmt: skip
    series = series_of(np.array(rows))
    forecast = predict(fit(series, small_params(model_type=model_type, epochs=2, bounds=(0.0, 100.0))), series)
    assert forecast.abstained.tolist() == [""] * 6 + ["no sample (in the last 48 steps)"]
    answers = forecast.quantiles[:6]
    assert np.isfinite(answers).all()
    assert (np.diff(answers, axis=2) >= 0).all()
    assert (answers >= 0).all()
    assert (answers <= 100).all()
    assert forecast.at(0.5)[0] == pytest.approx(42, abs=0.1)
    assert forecast.at(0.5)[1] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_covariates_are_read_and_a_missing_one_is_masked(model_type):
    values = daily_waves()
    series = series_of(values, covariates={"throughput": np.roll(values, 1, axis=1)})
    model = fit(series, small_params(model_type=model_type, epochs=2))
    plain = predict(model, series).quantiles
    assert np.isfinite(plain).all()
    changed = predict(model, replace(series, covariates={"throughput": 90 - series.covariates["throughput"]})).quantiles
    assert not np.array_equal(plain, changed)
    assert np.isfinite(predict(model, replace(series, covariates={})).quantiles).all()


def test_more_series_than_a_batch_come_out_in_order(small_model, limited_series):
    n = BATCH + 3
    rows = np.arange(n) % limited_series.n_series
    labels = {"user": np.array([f"many{row}" for row in range(n)], object)}
    recent = limited_series.between(limited_series.n_steps - 48, limited_series.n_steps)
    many = replace(recent, labels=labels, values=recent.values[rows], limit=recent.limit[rows])
    found = predict(small_model, many).quantiles
    assert found[-1] == pytest.approx(found[(n - 1) % 12], rel=1e-5)
    assert not np.allclose(found[0], found[1])


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**31), scale=st.floats(1e-6, 1e9), gaps=st.floats(0, 0.6))
@example(seed=13388650, scale=1.0, gaps=0.5)  # quantiles that are cut at one edge differed in the last bit
def test_any_context_gives_increasing_finite_quantiles_or_a_reason(small_model, seed, scale, gaps):
    random = np.random.default_rng(seed)
    values = scale * random.standard_t(2, (4, 60)).cumsum(1)
    values[random.random(values.shape) < gaps] = np.nan
    forecast = predict(small_model, series_of(values, limit=np.full(values.shape, scale)))
    answered = forecast.abstained == ""
    assert np.isfinite(forecast.quantiles[answered]).all()
    assert np.isnan(forecast.quantiles[~answered]).all()


def test_a_forecast_on_another_device_leaves_the_model_where_it_was(small_model, limited_series, monkeypatch):
    monkeypatch.setattr("tsf.learn.inference.pick_device", lambda _: torch.device("meta"))
    with pytest.raises(NotImplementedError):  # nothing can be read back from this device
        predict(small_model, limited_series)
    assert {weight.device.type for weight in small_model.network.parameters()} == {"cpu"}


def test_an_origin_says_the_same_alone_and_after_early_ones(limited_series):
    model = fit_breach(fit(limited_series, small_params(epochs=1)), limited_series)
    assert model.breach is not None
    together = [*rolling_forecasts(model, limited_series, [10, 20, 60, 300])]
    for said, origin in zip(together, (10, 20, 60, 300), strict=True):
        alone = predict(model, limited_series.between(0, origin + 1))
        assert said.quantiles == pytest.approx(alone.quantiles, nan_ok=True)
        assert said.p_breach == pytest.approx(alone.p_breach, nan_ok=True)
