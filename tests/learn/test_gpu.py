"""What only a machine with a GPU can show; elsewhere all of it is skipped."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.learn.conftest import MODEL_TYPES, daily_waves, series_of, small_params
from tests.learn.test_course import cut_after, weights
from tsf.learn import fit, fit_breach, predict, train
from tsf.learn.course import largest_batch
from tsf.learn.explain import explain
from tsf.learn.graphed import Graphed

pytestmark = [
    pytest.mark.models,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device"),
]
CUDA = torch.device("cuda")


def losses(model):
    return [epoch.validation_loss for epoch in model.history]


@pytest.fixture
def little_memory():
    """Hold this process to so many bytes of the GPU's memory."""
    whole = torch.cuda.mem_get_info(CUDA)[1]

    def hold(size):
        torch.cuda.empty_cache()
        torch.cuda.set_per_process_memory_fraction(size / whole)

    yield hold
    torch.cuda.set_per_process_memory_fraction(1.0)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_every_kind_learns_on_a_gpu_what_it_learns_on_the_cpu(model_type, precision, limited_series):
    params = small_params(model_type=model_type, epochs=8, num_layers=2)
    here = fit(limited_series, params)
    there = fit(limited_series, params.model_copy(update={"device": "cuda", "precision": precision}))
    assert losses(there)[-1] == pytest.approx(losses(here)[-1], rel=0.1)
    assert losses(there)[-1] < losses(there)[0]


@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_a_recorded_step_is_the_step_itself(model_type, limited_series, monkeypatch):
    params = small_params(model_type=model_type, epochs=4, device="cuda", dropout=0.2, level_shifts=0.3)
    recorded = fit(limited_series, params)
    monkeypatch.setattr(train, "Graphed", lambda work, _: work)
    plain = fit(limited_series, params)
    assert losses(recorded) == pytest.approx(losses(plain), rel=1e-3)
    assert (weights(recorded) - weights(plain)).norm() < 0.01 * weights(plain).norm()


def test_what_is_replayed_reads_what_is_there_now_and_draws_anew():
    place = torch.zeros(3, device=CUDA)
    doubled, drawn = Graphed(lambda: 2 * place, CUDA), Graphed(lambda size: torch.rand(size, device=CUDA), CUDA)
    found, numbers = [], []
    for number in range(5):
        place.fill_(number)
        found.append(doubled())
        numbers += [*drawn(2).tolist(), *drawn(3).tolist()]
    assert [answer.tolist() for answer in found] == [[2.0 * number] * 3 for number in range(5)]
    assert len(set(numbers)) == 25


def test_a_training_on_a_gpu_that_was_cut_off_goes_on_as_if_nothing_had_happened(limited_series):
    params = small_params(epochs=4, dropout=0.2, device="cuda")
    whole = fit(limited_series, params)
    again = fit(limited_series, params, resume=cut_after(2, limited_series, params))
    assert losses(again) == pytest.approx(losses(whole), rel=1e-3)


def test_a_gpu_without_the_memory_halves_the_batch_once_and_says_so(limited_series, little_memory):
    params = small_params(epochs=2, hidden_dim=256, batch_size=32_768, windows_per_epoch=131_072, device="cuda")
    series = series_of(daily_waves(200), limit=np.full((200, 480), 95.0))
    torch.cuda.reset_peak_memory_stats(CUDA)
    assert {epoch.batch_size for epoch in fit(series, params).history} == {32_768}
    little_memory(0.8 * torch.cuda.max_memory_allocated(CUDA))
    said = []
    model = fit(series, params, say=said.append)
    assert said == ["out of memory: batch_size halved from 32768 to 16384, the number of steps stays"]
    assert {epoch.batch_size for epoch in model.history} == {16_384}


def test_an_automatic_batch_fits_into_half_of_the_free_memory():
    free = torch.cuda.mem_get_info(CUDA)[0]

    def step(size, of):
        return torch.empty(int(size * of), dtype=torch.uint8, device=CUDA)

    assert largest_batch(10**6, CUDA, lambda size: step(size, 1_024)) == 2_048
    assert largest_batch(10**6, CUDA, lambda size: step(size, free / 300)) == 128


def test_a_forecast_on_a_gpu_is_that_of_the_cpu(limited_series, small_model):
    model = fit_breach(small_model, limited_series)
    there = replace(model, spec=replace(model.spec, params=small_params(device="auto")))
    ours, theirs = predict(model, limited_series), predict(there, limited_series)
    assert theirs.quantiles == pytest.approx(ours.quantiles, rel=1e-4)
    assert theirs.p_breach == pytest.approx(ours.p_breach, abs=1e-3)


def test_a_model_of_a_gpu_lies_and_is_explained_on_the_cpu(limited_series):
    model = fit(limited_series, small_params(epochs=1, device="cuda"))
    assert {weight.device.type for weight in model.network.parameters()} == {"cpu"}
    predict(model, limited_series)
    assert np.isfinite(explain(model, limited_series).past).all()
