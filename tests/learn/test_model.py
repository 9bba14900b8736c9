import json

import numpy as np
import pytest
import torch

from tests.learn.conftest import MODEL_TYPES, series_of, small_params
from tsf.errors import HistoryError, ModelError
from tsf.learn import (
    build_model,
    default_baselines,
    fit,
    model_forecaster,
    model_state,
    parameter_count,
    predict,
    rolling_origins,
)
from tsf.learn.backtest import backtest
from tsf.learn.model import build_network, build_spec
from tsf.learn.train import _level_shifts
from tsf.learn.windows import Windows

pytestmark = pytest.mark.models


@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_a_model_survives_its_state_bit_for_bit(model_type, limited_series):
    model = fit(limited_series, small_params(model_type=model_type, epochs=1))
    tensors, spec = model_state(model)
    again = build_model(tensors, json.loads(json.dumps(spec)))
    before, after = predict(model, limited_series), predict(again, limited_series)
    assert np.array_equal(before.quantiles, after.quantiles)
    assert np.array_equal(before.p_breach, after.p_breach)
    assert again.spec == model.spec
    assert again.history == model.history
    assert again.coverage == model.coverage


@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_parameters_are_counted_before_training(model_type, limited_series):
    params = small_params(model_type=model_type)
    network = build_network(build_spec(limited_series, params))
    assert parameter_count(params, limited_series) == sum(weight.numel() for weight in network.parameters())


def test_a_wider_model_has_more_parameters(limited_series):
    assert parameter_count(small_params(hidden_dim=64), limited_series) > parameter_count(
        small_params(hidden_dim=16), limited_series
    )


@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_the_same_seed_gives_the_same_weights_and_another_one_others(model_type, limited_series):
    def weights(seed: int) -> torch.Tensor:
        torch.rand(3)  # the state of the global generator must not matter
        model = fit(limited_series, small_params(model_type=model_type, epochs=1, seed=seed))
        return torch.cat([weight.flatten() for weight in model.network.parameters()])

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


def test_training_leaves_the_global_generator_alone(limited_series):
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    fit(limited_series, small_params(epochs=1))
    assert torch.equal(torch.rand(1), expected)


def test_members_differ_and_their_forecasts_are_averaged(limited_series):
    model = fit(limited_series, small_params(members=2, epochs=1))
    first, second = model.network.members
    assert not torch.equal(first.past.weight, second.past.weight)
    windows = Windows.of(limited_series, model.params, model.spec.vocabularies, (), torch.device("cpu"))
    window, _ = windows.gather(torch.arange(3), torch.full((3,), 100))
    with torch.no_grad():
        both, one, two = (network(window)[0] for network in (model.network, first, second))
    assert torch.allclose(both, (one + two) / 2)
    assert not torch.allclose(one, two)


def test_progress_is_told_every_epoch_and_the_best_one_is_kept(limited_series):
    told = []
    model = fit(limited_series, small_params(epochs=4), progress=told.append)
    assert tuple(told) == model.history
    assert [epoch.number for epoch in told] == [1, 2, 3, 4]
    best = min(told, key=lambda epoch: epoch.validation_loss)
    assert [epoch for epoch in told if epoch.best][-1] == best
    assert all(epoch.of == 4 and epoch.seconds > 0 and epoch.learning_rate >= 0 for epoch in told)


def test_training_stops_when_validation_no_longer_improves():
    noise = series_of(np.random.default_rng(0).normal(0, 1, (4, 300)))
    model = fit(noise, small_params(epochs=200, early_stopping_patience=2, learning_rate=0.05, bounds=(None, None)))
    assert len(model.history) < 200
    assert not any(epoch.best for epoch in model.history[-2:])


@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_training_learns_the_wave_better_than_any_baseline_knows_it(model_type, limited_series):
    model = fit(limited_series.between(0, 408), small_params(model_type=model_type, epochs=8))
    forecasters = {"model": model_forecaster(model)} | default_baselines(3_600, 408, (0.1, 0.5, 0.9))
    table = backtest(forecasters, limited_series, rolling_origins(480, 72, 12, 12), 12, (0.1, 0.5, 0.9)).table
    assert table["wql"].idxmin() == "model"
    assert table["mase"].idxmin() == "model"


def test_too_short_a_history_is_refused_with_the_steps_it_needs():
    with pytest.raises(HistoryError, match=r"20 steps, training needs at least 30"):
        fit(series_of(np.ones((2, 20))), small_params())


def test_series_without_samples_are_refused():
    with pytest.raises(HistoryError, match="no series has"):
        fit(series_of(np.full((2, 200), np.nan)), small_params())


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_missing_gpu_is_said(limited_series):
    with pytest.raises(ModelError, match="no CUDA device"):
        fit(limited_series, small_params(device="cuda"))


def test_weights_of_another_model_are_refused(small_model, limited_series):
    tensors, spec = model_state(small_model)
    with pytest.raises(ModelError, match="do not belong together"):
        build_model(tensors, spec | {"params": spec["params"] | {"hidden_dim": 8}})
    with pytest.raises(ModelError, match="do not belong together"):
        build_model({}, spec)


def test_a_level_shift_multiplies_all_before_one_step():
    factors = _level_shifts(400, 48, 0.5, torch.device("cpu"))
    changed = [row for row in factors.tolist() if set(row) != {1.0}]
    assert 120 < len(changed) < 280
    for row in changed:
        older = row.index(1.0) if 1.0 in row else len(row)
        assert len(set(row[:older])) == 1
        assert set(row[older:]) <= {1.0}
    assert (_level_shifts(10, 48, 0.0, torch.device("cpu")) == 1).all()
