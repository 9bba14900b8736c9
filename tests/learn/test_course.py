"""Training that is cut off, short of memory, begun from another model, or shared by two processes."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.learn.conftest import MODEL_TYPES, small_params
from tsf.errors import ModelError
from tsf.learn import Checkpoint, fit, model_state, predict, train
from tsf.learn.course import epoch_seed, largest_batch

pytestmark = pytest.mark.models
ROOT = Path(__file__).parents[2]


class CutError(Exception):
    """A kill, as training sees it."""


def weights(model):
    return torch.cat([weight.detach().flatten() for weight in model.network.parameters()])


def cut_after(epochs, series, params):
    """The checkpoint of a training that was cut off after so many epochs."""
    kept: list[Checkpoint] = []

    def keep(point):
        kept.append(point)
        if len(kept) == epochs:
            raise CutError

    with pytest.raises(CutError):
        fit(series, params, keep=keep)
    return kept[-1]


@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_a_training_that_was_cut_off_goes_on_as_if_nothing_had_happened(model_type, limited_series):
    params = small_params(model_type=model_type, epochs=4, dropout=0.2)
    whole, said = fit(limited_series, params), []
    again = fit(limited_series, params, resume=cut_after(2, limited_series, params), say=said.append)
    (tensors, _), (others, _) = model_state(whole), model_state(again)
    assert all(np.array_equal(tensors[name], others[name]) for name in tensors)
    assert [epoch.validation_loss for epoch in again.history] == [epoch.validation_loss for epoch in whole.history]
    assert said == ["training goes on after epoch 2, where it was cut off"]


def test_a_training_cut_off_after_its_last_epoch_trains_no_further(limited_series):
    params = small_params(epochs=60, early_stopping_patience=1, learning_rate=0.05)
    whole = fit(limited_series, params)
    assert len(whole.history) < 60
    again = fit(limited_series, params, resume=cut_after(len(whole.history), limited_series, params))
    assert len(again.history) == len(whole.history)
    assert torch.equal(weights(whole), weights(again))


def test_a_checkpoint_of_other_data_or_parameters_is_passed_over(limited_series):
    params = small_params(epochs=2)
    point, told = cut_after(1, limited_series, params), []
    fit(limited_series, small_params(epochs=2, seed=3), resume=point, progress=told.append)
    fit(limited_series.take(range(6)), params, resume=point, progress=told.append)
    assert [epoch.number for epoch in told] == [1, 2, 1, 2]


def test_a_checkpoint_of_a_network_that_is_built_otherwise_is_passed_over(limited_series, monkeypatch):
    params = small_params(epochs=2)
    point, told = cut_after(1, limited_series, params), []
    monkeypatch.setattr("tsf.learn.model.seasons_of", lambda *_: (12,))
    fit(limited_series, params, resume=point, progress=told.append)
    assert [epoch.number for epoch in told] == [1, 2]


def too_small_for(batch, monkeypatch):
    """A memory that does not hold a step of more windows than `batch`."""
    step = train._step

    def limited(network, lesson, asked):
        if asked > batch:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return step(network, lesson, asked)

    monkeypatch.setattr(train, "_step", limited)


def test_out_of_memory_halves_the_batch_once_and_says_so(limited_series, monkeypatch):
    too_small_for(32, monkeypatch)
    said = []
    model = fit(limited_series, small_params(epochs=2), say=said.append)
    assert said == ["out of memory: batch_size halved from 64 to 32, the number of steps stays"]
    assert [epoch.batch_size for epoch in model.history] == [32, 32]
    monkeypatch.undo()
    too_small_for(31, monkeypatch)
    with pytest.raises(ModelError, match="does not hold a step of 32 windows; lower batch_size"):
        fit(limited_series, small_params(epochs=1))


def test_another_fault_of_a_step_is_not_taken_for_a_lack_of_memory(limited_series, monkeypatch):
    def broken(*_):
        raise RuntimeError("shapes do not fit")

    monkeypatch.setattr(train, "_step", broken)
    with pytest.raises(RuntimeError, match="shapes do not fit"):
        fit(limited_series, small_params(epochs=1))


def test_an_automatic_batch_leaves_an_epoch_enough_steps_and_is_told(limited_series):
    cpu, said = torch.device("cpu"), []
    assert [largest_batch(windows, cpu, lambda _: None) for windows in (10, 100, 2_048, 10**6)] == [1, 2, 64, 64]
    model = fit(limited_series, small_params(batch_size=0, epochs=1), say=said.append)
    assert model.history[0].batch_size == 16
    assert said == ["batch_size 0 means 16 windows in a step here"]


def test_a_training_from_a_model_begins_where_that_one_was(limited_series, small_model):
    params = small_params(epochs=1, learning_rate=1e-9)
    warm, cold = (fit(limited_series, params, start=start) for start in (small_model, None))
    assert warm.history[0].validation_loss == pytest.approx(
        min(e.validation_loss for e in small_model.history), rel=1e-3
    )
    assert warm.history[0].validation_loss < cold.history[0].validation_loss


def test_labels_are_matched_by_value_where_a_training_starts_from_a_model(limited_series, small_model):
    fewer = limited_series.take([7, 3])
    said = []
    warm = fit(fewer, small_params(epochs=1, learning_rate=1e-12), start=small_model, say=said.append)
    assert said == ["training starts from a model"]
    expected = predict(small_model, fewer).at(0.5)
    assert predict(warm, fewer).at(0.5) == pytest.approx(expected, rel=1e-3)


def test_a_model_of_another_shape_is_no_start_and_that_is_said(limited_series, small_model):
    said = []
    model = fit(limited_series, small_params(epochs=1, hidden_dim=8), start=small_model, say=said.append)
    assert said[0].startswith("training starts afresh, for the given model is another: its network has another shape")
    assert torch.equal(weights(model), weights(fit(limited_series, small_params(epochs=1, hidden_dim=8))))
    said.clear()
    fit(limited_series, small_params(epochs=1, dimensions=()), start=small_model, say=said.append)
    assert "it knows the labels user" in said[0]


@pytest.mark.parametrize(
    ("parts", "what"),
    [
        pytest.param({"limit": None}, "limited is False there and True here", id="limit"),
        pytest.param({"covariates": {"io": np.ones((12, 480))}}, "covariates is ('io',) there and () here", id="io"),
    ],
)
def test_a_model_of_other_inputs_is_no_start_and_that_is_said(limited_series, parts, what):
    said, other = [], fit(replace(limited_series, **parts), small_params(epochs=1))
    fit(limited_series, small_params(epochs=1), start=other, say=said.append)
    assert said[0].endswith(f"is another: {what}")


def test_a_model_of_other_quantiles_is_no_start_and_that_is_said(limited_series, small_model):
    said = []
    fit(limited_series, small_params(epochs=1, quantiles=(0.1, 0.3, 0.5, 0.7, 0.9)), start=small_model, say=said.append)
    assert said[0].endswith("is another: its quantiles are others")


def test_a_model_of_as_many_other_derived_inputs_is_no_start_and_that_is_said(limited_series):
    said, other = [], fit(limited_series, small_params(epochs=1, derived=("rate",)))
    fit(limited_series, small_params(epochs=1, derived=("burst",)), start=other, say=said.append)
    assert said[0].endswith("is another: it derives rate from the metric")


@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_half_precision_learns_about_the_same(model_type, limited_series):
    full, half = (
        fit(limited_series, small_params(model_type=model_type, epochs=3, precision=name))
        for name in ("float32", "bfloat16")
    )
    assert not torch.equal(weights(full), weights(half))
    assert half.history[-1].validation_loss == pytest.approx(full.history[-1].validation_loss, rel=0.05)


HALF = """
from tests.learn.conftest import daily_waves, series_of, small_params
from tsf.learn import fit
fit(series_of(daily_waves(6)), small_params(epochs=1, precision="bfloat16"))
"""


def test_half_precision_learns_without_avx_512():
    """oneDNN is told to do as on an older processor, which it asks about once in a process."""
    environment = os.environ | {"ONEDNN_MAX_CPU_ISA": "AVX2"}
    done = subprocess.run([sys.executable, "-c", HALF], env=environment, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_every_epoch_seed_and_process_draws_anew(monkeypatch):
    found = set()
    for rank in range(3):
        monkeypatch.setattr("tsf.learn.ranks.rank", lambda rank=rank: rank)
        found |= {epoch_seed(seed, number) for seed in range(5) for number in range(5)}
    assert len(found) == 75


WORKER = """
import hashlib, sys
import torch
from torch import distributed
from tests.learn.conftest import daily_waves, series_of, small_params
from tsf.learn import fit, model_state
distributed.init_process_group("gloo")
told = []
model = fit(series_of(daily_waves(6)), small_params(epochs=2), progress=told.append, keep=told.append)
digest = hashlib.sha256(b"".join(array.tobytes() for array in model_state(model)[0].values())).hexdigest()
sys.stdout.write(f"rank {distributed.get_rank()} of {distributed.get_world_size()}: {len(told)} {digest}\\n")
distributed.destroy_process_group()
"""


def test_two_processes_train_one_model_and_one_of_them_speaks(tmp_path):
    (tmp_path / "worker.py").write_text(WORKER)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2",
               "--local-addr=127.0.0.1", f"--log-dir={tmp_path / 'logs'}"]  # fmt: skip
    done = subprocess.run(
        [*command, str(tmp_path / "worker.py")], capture_output=True, text=True, timeout=300, cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said = dict(line.split(": ") for line in done.stdout.splitlines() if line.startswith("rank "))
    (one, first), (two, second) = (said[f"rank {rank} of 2"].split() for rank in (0, 1))
    assert first == second
    assert (one, two) == ("4", "0")
