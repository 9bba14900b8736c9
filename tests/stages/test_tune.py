"""The search for parameters, with a tiny budget."""

import os
from collections.abc import Iterator
from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient

from tests.learn.conftest import daily_waves, series_of, small_params
from tests.stages.conftest import Folder
from tsf.errors import HistoryError, ModelError, ParamsError
from tsf.io.artifacts import read_series
from tsf.learn.search import cross_validate, longest_context
from tsf.params import TrainParams, read_params
from tsf.stages.train import training_part
from tsf.stages.tune import tune

pytestmark = pytest.mark.models
ROOT = Path(__file__).parents[2]


def test_the_first_trial_is_the_present_parameters_and_the_best_is_never_worse(folder: Folder) -> None:
    before, said = (folder.root / "params.yaml").read_text(), []
    tuned = tune("a", folder.root, trials=4, folds=2, progress=said.append)
    first = tuned.trials.iloc[0]
    assert (first["hidden_dim"], first["sequence_length"], first["dropout"]) == (16, 48, 0.2)
    assert len(tuned.trials) == len(said) == 4
    assert tuned.gain >= 0
    assert bool(tuned.values) == (tuned.gain > 0)
    TrainParams.model_validate(small_params().model_dump(mode="json") | tuned.values)
    assert (folder.root / "params.yaml").read_text() == before


def test_a_search_ends_with_its_time_but_judges_the_present_parameters(folder: Folder) -> None:
    folder.set(epochs=200, early_stopping_patience=200)
    tuned = tune("a", folder.root, minutes=0.001, trials=50, folds=1)
    assert len(tuned.trials) < 50
    assert np.isfinite(tuned.trials["wql"].iloc[0])


@pytest.mark.parametrize("asked", [{"minutes": 0}, {"minutes": "abc"}, {"trials": 0}, {"folds": -1}])
def test_a_search_of_nothing_is_one_sentence(folder: Folder, asked: dict) -> None:
    (key, value) = next(iter(asked.items()))
    with pytest.raises(ParamsError, match=f"{key}: {value!r} is no number above 0"):
        tune("a", folder.root, **asked)


def test_the_same_seed_searches_the_same_way(folder: Folder) -> None:
    one, two = (tune("a", folder.root, trials=3, folds=1).trials.drop(columns="seconds") for _ in range(2))
    assert one.equals(two)


def test_a_fold_is_judged_on_steps_that_its_model_has_not_seen(limited_series, monkeypatch) -> None:
    seen, judged = [], []
    import tsf.learn.search as search

    fit, backtest = search.fit, search.backtest
    monkeypatch.setattr(search, "fit", lambda series, *a, **k: seen.append(series.n_steps) or fit(series, *a, **k))
    monkeypatch.setattr(
        search, "backtest", lambda said, series, origins, *a, **k: judged.append((min(origins), series.n_steps))
        or backtest(said, series, origins, *a, **k),
    )  # fmt: skip
    losses = list(cross_validate(limited_series, small_params(epochs=1), 3))
    assert len(losses) == 3
    assert seen == [336, 384, 432]
    assert judged == [(335, 384), (383, 432), (431, 480)]


def test_too_many_folds_are_refused_with_the_steps_that_they_need(limited_series) -> None:
    with pytest.raises(HistoryError, match=r"10 folds of 48 steps and 30 .* are 510 steps, and the history has 480"):
        next(cross_validate(limited_series, small_params(), 10))
    assert longest_context(480, 12, 3) == 480 - 3 * 48 - 24


def test_the_notebook_runs_and_says_what_it_found(folder: Folder, monkeypatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    notebook = nbformat.read(ROOT / "notebooks/tune.ipynb", as_version=4)
    notebook.cells[1].source = 'task, minutes, trials, folds = "a", 1.0, 2, 1'
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": folder.root}}).execute()
    shown = str(notebook.cells)
    assert "a: parameters that were tried" in shown
    assert "All trials, the best first" in shown


def test_present_parameters_are_judged_as_they_are_and_odd_sizes_are_no_trouble(folder: Folder) -> None:
    folder.set(learning_rate=0.0123456, dropout=0.6, hidden_dim=50, nhead=4, epochs=1)
    tuned = tune("a", folder.root, trials=6, folds=1, model_types=["attention"])
    first = tuned.trials.iloc[0]
    assert (first["dropout"], first["hidden_dim"], first["model_type"]) == (0.6, 50, "lstm")
    task = read_params(folder.root).task("a")
    alone = next(cross_validate(training_part(read_series(folder.paths.series), task), task.train, 1))
    assert first["wql"] == alone
    assert len(tuned.trials) == 6


def test_a_trial_that_diverges_is_cut_short_and_the_search_goes_on(folder: Folder, monkeypatch) -> None:
    calls = []

    def judged(*_: object) -> Iterator[float]:
        calls.append(1)
        if len(calls) == 2:
            raise ModelError("training diverged in epoch 1")
        yield float(len(calls))

    monkeypatch.setattr("tsf.stages.tune.cross_validate", judged)
    tuned = tune("a", folder.root, trials=3, folds=1)
    assert tuned.trials["wql"].isna().tolist() == [False, True, False]
    assert tuned.values == {}
    assert tuned.summary.endswith("none is better than the present parameters.")


def test_a_fold_of_zeros_is_refused_with_a_reason() -> None:
    values = daily_waves()
    values[:, -48:] = 0
    with pytest.raises(HistoryError, match="fold 1 of 1 cannot be judged: in its 48 steps nothing but zeros"):
        next(cross_validate(series_of(values), small_params(epochs=1), 1))


def test_a_trial_that_is_pruned_after_a_fold_is_not_among_those_that_ended(folder: Folder, monkeypatch) -> None:
    easy, hard = iter(range(99)), [0.95, 3.05]  # the first fold is the easier one: its loss is no mean of both

    def judged(*_: object) -> Iterator[float]:
        behind = 0.02 * next(easy)
        yield hard[0] + behind
        yield hard[1] + behind

    monkeypatch.setattr("tsf.stages.tune.cross_validate", judged)
    said: list[str] = []
    tuned = tune("a", folder.root, trials=6, folds=2, progress=said.append)
    assert tuned.trials["folds"].tolist()[-1] == 1
    assert tuned.trials["wql"].isna().tolist() == (tuned.trials["folds"] == 1).tolist()
    assert tuned.gain == 0
    assert "cut short" in said[-1]
