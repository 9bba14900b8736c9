import numpy as np
import pytest

from tests.learn.conftest import MODEL_TYPES, daily_waves, series_of, small_params, weekly_pattern
from tsf.learn import fit, predict
from tsf.learn.explain import _inputs, _median, explain

pytestmark = pytest.mark.models


def test_what_is_taken_apart_is_the_forecast_of_the_model(small_model, limited_series):
    median = _median(small_model, _inputs(small_model, limited_series))
    assert median == pytest.approx(predict(small_model, limited_series).at(0.5), rel=1e-6)


def test_what_is_derived_from_the_metric_is_the_same_wherever_a_model_computes(limited_series):
    model = fit(limited_series, small_params(epochs=1, derived=("burst", "rate")))
    expected = predict(model, limited_series).at(0.5)
    assert _median(model, _inputs(model, limited_series)) == pytest.approx(expected, rel=1e-6)
    plain = fit(limited_series, small_params(epochs=1))
    assert not np.allclose(expected, predict(plain, limited_series).at(0.5), rtol=1e-6)


@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_each_part_of_the_past_and_each_input_is_named_with_its_weight(model_type):
    values = daily_waves()
    series = series_of(values, limit=np.full(values.shape, 95.0), covariates={"io": np.roll(values, 1, 1)})
    found = explain(fit(series, small_params(model_type=model_type, epochs=2)), series)
    assert found.past.shape == (12, 24)
    assert found.hours.tolist() == list(range(48, -1, -2))
    assert [*found.inputs] == ["calendar", "limit", "io", "label user"]
    assert all((moved >= 0).all() and moved.any() for moved in (found.past, *found.inputs.values()))


def test_of_a_random_walk_the_newest_samples_weigh_most():
    walk = 1e4 + np.random.default_rng(0).normal(0, 1, (12, 480)).cumsum(1)
    series = series_of(walk)
    found = explain(fit(series, small_params(epochs=2)), series)
    assert found.past.mean(0).argmax() == 23


def test_earlier_weeks_have_a_weight_of_their_own_where_the_model_reads_them():
    series = series_of(weekly_pattern(4, 12))
    model = fit(series, small_params(epochs=1))
    found = explain(model, series)
    assert [*found.inputs] == ["calendar", "earlier weeks", "label user"]
    assert found.past.shape == (4, 24)
    assert found.hours[0] == 48
    assert (found.inputs["earlier weeks"] > 0).all()
    assert _median(model, _inputs(model, series)) == pytest.approx(predict(model, series).at(0.5), rel=1e-6)


def test_a_series_without_samples_has_no_reasons_and_a_short_one_has(small_model, limited_series):
    values = limited_series.values[:3].copy()
    values[1, -48:] = np.nan
    found = explain(small_model, series_of(values[:, -40:], limit=np.full((3, 40), 95.0)))
    assert np.isnan(found.past[1]).all()
    assert np.isfinite(found.past[[0, 2]]).all()
