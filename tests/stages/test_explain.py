"""Why a forecast is what it is, for one series that a person names."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient
from ruamel.yaml import YAML

from tests.learn.conftest import series_of
from tests.stages.conftest import QUICK, ROOT
from tsf import plots
from tsf.errors import HistoryError, ParamsError
from tsf.learn.explain import Explanation
from tsf.project import TaskPaths
from tsf.stages import explain
from tsf.stages.evaluate import evaluate
from tsf.stages.explain import Reasons, explain_task
from tsf.stages.fetch import fetch
from tsf.stages.predict import predict_task
from tsf.stages.train import plan, train


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project of a task on the demo fleet with a champion."""
    folder = tmp_path_factory.mktemp("explained")
    task = {
        "fetch": {"metric_query": "storage_used_bytes", "limit": "storage_quota_bytes", "history": "15d"},
        "train": QUICK | {"epochs": 1, "dimensions": ["group", "user"]},
        "evaluate": {"stride": "12h"},
        "push": {"horizons": ["6h"]},
    }
    with (folder / "params.yaml").open("w") as file:
        YAML().dump({"demo": {"groups": 2, "users_per_group": 2}, "tasks": {"a": task}}, file)
    (folder / "dvc.yaml").write_text("stages: {}\n")
    fetch("a", folder)
    train(plan("a", folder), folder)
    evaluate("a", folder)
    return folder


def test_what_moves_the_median_most_stands_first_in_the_unit_of_the_metric() -> None:
    past = np.array([[1.0, 3.0], [0.0, 2.0**30]])
    explanation = Explanation(past, np.array([36.0, 1.5, 0.0]), {"limit": np.array([2.0, np.nan])})
    reasons = Reasons(series_of(np.array([[2.0, 4.0], [0.0, 0.0]])), explanation, "bytes")
    table = reasons.heaviest(2)
    assert table.index.tolist() == ["user0", "user0", "user1", "user1"]
    assert table["without"].tolist() == [
        "the newest 1 h 30 min",
        "limit",
        "the newest 1 h 30 min",
        "what lay 36 h to 1 h 30 min back",
    ]
    assert table["median moves by"].tolist()[1:3] == ["2 B", "1 GiB"]
    shares = reasons.past_shares()
    assert shares.columns.tolist() == ["on average", "user0", "user1"]
    assert shares["user0"].tolist() == [1 / 3, 1.0]
    assert shares["user1"].isna().all()  # nothing can be a share of zero
    nothing = Reasons(series_of(np.zeros((2, 2))), explanation, "bytes")
    assert nothing.past_shares().isna().all(axis=None)
    assert set(nothing.shares["moves by"]) == {"–"}
    alone = Reasons(reasons.series.take([0]), Explanation(past[:1], explanation.hours, {}), "bytes")
    assert alone.past_shares().columns.tolist() == ["user0"]


@pytest.mark.models
def test_one_series_is_explained_as_it_is_forecast_and_nothing_is_written(root: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    predicted = predict_task("a", root)
    most_urgent = explain_task("a", root)
    assert most_urgent.row == predicted.urgent_rows[0]
    row = predicted.urgent_rows[-1]
    labels = {name: column[row] for name, column in predicted.context.labels.items()}
    found = explain_task("a", root, labels=labels)
    assert found.row == 0  # of those with the labels
    np.testing.assert_allclose(found.predicted.forecast.quantiles[0], predicted.forecast.quantiles[row], rtol=1e-6)
    assert {name: column[0] for name, column in found.reasons.series.labels.items()} == labels
    assert np.isfinite(found.reasons.explanation.past).all()
    assert {"calendar", "limit", "label group", "label user"} <= found.reasons.explanation.inputs.keys()
    assert found.reasons.heaviest(1)["median moves by"].iloc[0] in found.summary
    assert "B elsewhere on average" in found.summary
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before


@pytest.mark.models
def test_labels_that_several_series_have_are_refused_with_two_to_choose_from(root: Path) -> None:
    count = predict_task("a", root).context.n_series
    told = rf'{count} series have \{{absent=""\}}; name one of them, such as \{{.*user=".*\}} or \{{.*user=".*\}}\.'
    with pytest.raises(ParamsError, match=told):
        explain_task("a", root, labels={"absent": ""})


@pytest.mark.models
def test_the_most_urgent_series_with_a_forecast_is_explained_if_there_is_one(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predicted = predict_task("a", root)
    reasons = np.full(predicted.context.n_series, "too few samples", object)
    last = predicted.urgent_rows[-1]
    monkeypatch.setattr(explain, "predict_task", lambda *_, **__: predicted)
    reasons[last] = ""
    predicted.forecast.__dict__["abstained"] = reasons
    assert explain_task("a", root).row == last
    reasons[last] = "too old"
    with pytest.raises(
        HistoryError, match=r"has no forecast that could be explained \(too few samples\); choose another"
    ):
        explain_task("a", root)


@pytest.mark.models
def test_the_push_notebook_says_why_for_the_most_urgent_and_computes_no_others(
    root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(root, tmp_path / "project", symlinks=True))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    notebook = nbformat.read(ROOT / "notebooks/push.ipynb", as_version=4)
    notebook.cells[1].source = 'task = "a"'
    notebook.cells.append(nbformat.v4.new_code_cell("print(pushed.why.series.n_series, 'of', pushed.context.n_series)"))
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": folder}}).execute()
    shown = str(notebook.cells)
    assert "What the most urgent forecasts rest on" in shown
    assert "of the past, as a share of the series" in shown
    assert notebook.cells[-1].outputs[0].text.startswith("3 of ")
    assert (TaskPaths(folder, "a").pushed / "receipt.json").exists()


@pytest.mark.models
def test_the_figure_is_that_of_the_evaluation(root: Path, tmp_path: Path) -> None:
    drawn = plots.plot_past(explain_task("a", root).reasons.past_shares())
    drawn.savefig(tmp_path / "past.png")
    assert "weighs most" in drawn.get_suptitle()
