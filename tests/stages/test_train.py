"""The train stage: cut off and gone on, by several processes, from the champion."""

import time
from dataclasses import replace

import numpy as np
import pytest

from tests.stages.conftest import Folder
from tsf.errors import FlowError
from tsf.io.artifacts import read_card, write_series
from tsf.io.checkpoint import read_checkpoint, write_checkpoint
from tsf.io.registry import promote, register
from tsf.learn import Model
from tsf.learn.places import least_history
from tsf.params import read_params
from tsf.series import SeriesSet
from tsf.stages.distributed import launch
from tsf.stages.train import Trained, plan, train

pytestmark = pytest.mark.models
TRAIN = "from tsf.stages.train import *; print(train(plan('a'), progress=print_epoch).version)"


def version_of(folder: Folder) -> str:
    return str(read_card(folder.paths.model)["version"])


def test_the_report_says_what_earlier_weeks_make_up_of_a_forecast(small_model: Model) -> None:
    weekly = replace(small_model, calibration=replace(small_model.calibration, week_share=0.35))
    assert "weeks" not in Trained(small_model, "1", 1.0).summary
    assert Trained(weekly, "1", 1.0).summary.endswith(
        "The same hours of the last 8 weeks make up 35 % of its forecasts."
    )


def test_the_report_names_what_computes(folder: Folder) -> None:
    folder.set(device="cpu")
    assert plan("a", folder.root).table.loc["computed on", "value"] == "the CPU"


def test_a_killed_training_goes_on_to_the_same_model(folder: Folder) -> None:
    folder.set(epochs=30, early_stopping_patience=30, windows_per_epoch=2_048, hidden_dim=32)
    with folder.start(TRAIN) as running:
        deadline = time.monotonic() + 120
        while not folder.paths.checkpoint.exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        running.kill()
    assert not folder.paths.model.exists()
    with folder.start(TRAIN) as running:
        said, _ = running.communicate()
    assert "training goes on after epoch" in said
    assert "epoch 1/30 " not in said
    assert not folder.paths.checkpoint.exists()
    first = version_of(folder)
    with folder.start(TRAIN) as running:
        said, _ = running.communicate()
    assert "epoch 1/30 " in said
    assert version_of(folder) == first


def test_two_processes_train_one_model_and_leave_it_with_its_card(folder: Folder, capfd: pytest.CaptureFixture) -> None:
    folder.set(processes=2)
    trained = train(plan("a", folder.root), folder.root)
    assert trained.version == version_of(folder)
    assert capfd.readouterr().out.count("epoch 1/3 ") == 1
    assert len(trained.model.history) == 3


def test_the_fault_of_one_of_several_processes_is_one_sentence(folder: Folder) -> None:
    folder.set(processes=2)
    planned = plan("a", folder.root)
    folder.paths.series.unlink()
    with pytest.raises(FlowError, match=r"2 processes could not train together: .*there is no such file"):
        train(planned, folder.root)


def test_a_training_starts_from_the_champion_where_there_is_one(folder: Folder, capsys: pytest.CaptureFixture) -> None:
    train(plan("a", folder.root), folder.root)
    folder.set(start="champion", epochs=1)
    train(plan("a", folder.root), folder.root)
    assert "the task has no champion yet" in capsys.readouterr().out
    promote(folder.paths, register(folder.paths, "model_20260101_000000"))
    train(plan("a", folder.root), folder.root)
    assert "training starts from a model" in capsys.readouterr().out


def test_a_checkpoint_survives_its_file_and_a_damaged_one_is_none(tmp_path) -> None:
    path, tensors = tmp_path / "work" / "a.safetensors", {"flat": np.arange(3, dtype=np.float32), "count": np.ones(())}
    assert read_checkpoint(path) is None
    write_checkpoint(tensors, {"best_loss": 0.1, "history": []}, path)
    found, facts = read_checkpoint(path)
    assert facts == {"best_loss": 0.1, "history": []}
    assert {name: array.tobytes() for name, array in found.items()} == {k: v.tobytes() for k, v in tensors.items()}
    path.write_bytes(path.read_bytes()[:-4])
    assert read_checkpoint(path) is None


def test_a_transformer_on_few_samples_is_warned_of_and_its_size_is_shown_before_training(
    folder: Folder, capsys: pytest.CaptureFixture
) -> None:
    assert plan("a", folder.root).warning == ""
    folder.set(model_type="transformer")
    planned = plan("a", folder.root)
    assert "pays above 1,000,000 samples or 1,000 steps of context; here are 4,896 samples" in planned.warning
    assert planned.table.loc["mind", "value"] == planned.warning
    train(planned, folder.root)
    said = f"mind: {planned.warning}\ntransformer with {planned.parameters:,} weights\n"
    assert capsys.readouterr().out.startswith(said)
    assert planned.memory == 8 * 2 * 12 * (408 + 48) + 28 * planned.parameters


def test_a_fault_that_nobody_foresaw_is_named_and_not_torchruns_own(tmp_path, monkeypatch) -> None:
    (tmp_path / "broken.py").write_text("raise ZeroDivisionError('the cause')")
    (temporary := tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(FlowError, match="2 processes could not train together: ZeroDivisionError: the cause"):
        launch("broken", "a", 2, tmp_path)
    assert list(temporary.iterdir()) == []  # it leaves nothing behind


def test_the_plan_counts_gaps_and_what_lies_far_out_and_says_how_much_it_needs(
    folder: Folder, limited_series: SeriesSet
) -> None:
    waves = 50 + 10 * np.sin(np.arange(limited_series.n_steps) / 4)
    values = np.repeat(waves[None], limited_series.n_series, axis=0)
    values[0, 5:9] = np.nan
    values[1, 7:9] = 5_000.0
    write_series(replace(limited_series, values=values), folder.paths.series)
    table = plan("a", folder.root).table["value"]
    assert table["gaps"].startswith("4 of ")
    assert table["outliers"].startswith("2 samples beyond 4 spreads")
    need = least_history(read_params(folder.root).task("a").train)
    assert table["needs"] == f"at least {need} of these steps"
    assert "bounds" not in table
    write_series(replace(limited_series, values=-values, limit=None), folder.paths.series)
    planned = plan("a", folder.root)
    told = planned.table["value"]["bounds"]
    assert told.startswith(f"{planned.series.values.size - 4:,} samples lie outside of train.bounds 0 to inf, where no")
