"""What a push forecasts: a model looks back weeks, and in weeks many series end."""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import nbformat
import numpy as np
import pytest
import requests
from ruamel.yaml import YAML

from tests.learn.conftest import series_of
from tests.servers import free_port, running_pushgateway
from tests.stages.conftest import QUICK, ROOT
from tsf.cli import commands
from tsf.errors import BusyError, EmptyError, ModelError, NoSuchSeriesError, ParamsError, SinkError, SourceError
from tsf.flow.notebooks import only_run
from tsf.flow.progress import failed_cell, failed_sentence
from tsf.flow.tasks import read_text, set_values, write_params
from tsf.io.artifacts import WEIGHTS
from tsf.io.registry import promote, resolve, rollback, versions
from tsf.io.textfile import ALL_TASKS
from tsf.project import TaskPaths
from tsf.server import worker
from tsf.stages import predict as module
from tsf.stages.audit import QUANTILE
from tsf.stages.evaluate import evaluate
from tsf.stages.fetch import fetch
from tsf.stages.predict import _present, _rows_with, predict_task
from tsf.stages.push import push
from tsf.stages.rules import write_rules
from tsf.stages.train import plan, train

CONTEXT = 24


def test_a_series_that_ended_before_the_context_is_left_out_and_one_that_fell_silent_is_not() -> None:
    values = np.ones((3, 700))
    values[0, -CONTEXT:] = np.nan
    values[1, -CONTEXT + 1 :] = np.nan
    assert _present(series_of(values), CONTEXT, "up").labels["user"].tolist() == ["user1", "user2"]


def test_with_nothing_left_the_sentence_names_the_query_and_the_cure() -> None:
    values = np.ones((2, 700))
    values[:, -CONTEXT:] = np.nan
    with pytest.raises(EmptyError, match=r"up: no series has a sample in the last 24 h; see whether its exporter"):
        _present(series_of(values), CONTEXT, "up")


COLUMNS = {"group": np.array(["a", "a", "b"], object), "user": np.array(["x", "y", ""], object)}


@pytest.mark.parametrize(
    ("wanted", "rows"),
    [
        ({}, [True, True, True]),
        ({"group": "a"}, [True, True, False]),
        ({"group": "a", "user": "y"}, [False, True, False]),
        ({"user": ""}, [False, False, True]),
        ({"absent": "", "group": "b"}, [False, False, True]),
    ],
)
def test_labels_choose_the_series_that_have_all_of_them(wanted: dict[str, str], rows: list[bool]) -> None:
    assert _rows_with(COLUMNS, wanted).tolist() == rows


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ({"user": "nobody"}, "no series has the user 'nobody'; see the values"),
        ({"group": "b", "user": "x"}, "no series has the group 'b' and the user 'x'"),
        ({"groups": "a"}, "no series has a label 'groups'; they have group, user"),
        ({'user"} or vector(1) #': "x"}, "no series has a label 'user\"} or vector"),
    ],
)
def test_labels_that_no_series_has_are_told(wanted: dict[str, str], words: str) -> None:
    with pytest.raises(NoSuchSeriesError, match=re.escape(words)):
        _rows_with(COLUMNS, wanted)


@pytest.mark.models
def test_a_part_that_is_shown_is_what_would_be_forecast_alone(two_models: TaskPaths) -> None:
    whole = predict_task("a", two_models.root)
    labels = {"node": str(whole.context.labels["node"][0])}
    part, alone = whole.part(2, labels), predict_task("a", two_models.root, steps=2, labels=labels)
    assert part.summary == alone.summary
    told = replace(part, ended=1).summary
    assert told.startswith("1 of 1 series was forecast")
    assert told.endswith("; 1 other ended long before and is left out.")
    assert part.most_urgent(20).to_csv() == alone.most_urgent(20).to_csv()
    for refused in (lambda: whole.part(99, {}), lambda: predict_task("a", two_models.root, steps=99)):
        with pytest.raises(ParamsError, match="99 steps were asked for; the model learnt 1 to 12"):
            refused()


@pytest.fixture
def two_models(tmp_path: Path) -> TaskPaths:
    """The project of a task on the demo fleet whose older model is the champion and whose newer one the challenger."""
    task = {
        "fetch": {"metric_query": "cpu_usage_percent", "limit": 100, "history": "15d"},
        "train": QUICK | {"epochs": 1, "dimensions": ["node"]},
        "evaluate": {"stride": "12h"},
        "push": {"horizons": ["2h", "6h"]},
    }
    with (tmp_path / "params.yaml").open("w") as file:
        YAML().dump({"demo": {"groups": 2}, "tasks": {"a": task}}, file)
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    fetch("a", tmp_path)
    for seed in (0, 1):
        set_values(tmp_path, {"tasks.a.train.seed": seed})
        train(plan("a", tmp_path), tmp_path)
        evaluate("a", tmp_path)
    paths = TaskPaths(tmp_path, "a")
    promote(paths, resolve(paths).name, "challenger")
    rollback(paths)
    return paths


@pytest.mark.models
def test_a_challenger_forecasts_in_shadow_and_is_compared_with_the_champion(
    two_models: TaskPaths, caplog: pytest.LogCaptureFixture
) -> None:
    root = two_models.root
    first = push("a", root)
    assert first.duel
    assert "nothing yet that both" in first.duel.summary
    told = "".join(path.read_text() for path in two_models.textfile.iterdir())
    challenger, champion = (
        next(one.version for one in versions(two_models) if alias in one.aliases)
        for alias in ("challenger", "champion")
    )
    assert champion in told
    assert challenger not in told
    set_values(root, {"snapshot.until": "2026-11-01T06:00:00Z"})
    second = push("a", root)
    assert second.duel
    assert second.duel.table.index.tolist() == ["2 h, champion", "2 h, challenger", "6 h, champion", "6 h, challenger"]
    mine, other = (second.duel.shared[model] for model in ("champion", "challenger"))
    assert mine["time"].tolist() == other["time"].tolist()
    assert mine["error"].tolist() != other["error"].tolist()
    assert "the challenger, in shadow, was" in second.duel.summary
    (two_models.registry / "a" / challenger / WEIGHTS).write_bytes(b"")
    with caplog.at_level(logging.WARNING):
        assert push("a", root).duel is None
    assert "The challenger of task a gave no forecast" in caplog.text
    promote(two_models, champion, "challenger")
    assert push("a", root).duel is None
    assert not [*two_models.pushed.glob("shadow-*")]


@pytest.mark.models
def test_a_register_of_owners_that_cannot_be_read_is_told_and_the_forecast_is_pushed_all_the_same(
    two_models: TaskPaths, caplog: pytest.LogCaptureFixture
) -> None:
    set_values(two_models.root, {"tasks.a.alert.owners": "people.csv"})
    with caplog.at_level(logging.WARNING):
        pushed = push("a", two_models.root)
    assert "people.csv" in pushed.receipt["owners"]
    assert "The owner of the task is named instead." in caplog.text
    told = "".join(path.read_text() for path in two_models.textfile.iterdir())
    assert "\ntsf_forecast{" in told
    assert "tsf_owner_info" not in told
    set_values(two_models.root, {"tasks.a.alert.owners": ""})
    assert "owners" not in push("a", two_models.root).receipt


@pytest.mark.models
def test_the_same_model_forecasts_the_same_samples_once(two_models: TaskPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    root, calls, predict = two_models.root, [], module.predict
    monkeypatch.setattr(module, "predict", lambda *a, **k: calls.append(k) or predict(*a, **k))
    monkeypatch.setattr(worker, "_forecasts", {})

    def ask(steps: int | None = None, labels: Mapping[str, str] = MappingProxyType({})) -> bytes:
        return worker.predict(root, "a", steps, "champion", labels, 100)

    first = ask()
    assert ask() == first
    assert len(calls) == 1
    moves: list[dict[str, Any]] = [
        {"snapshot.until": "2026-11-01T01:00:00Z"},  # a new sample
        {"tasks.a.alert.line": 0.5},
        {"tasks.a.alert.confidence": 0.9},
    ]
    for number, move in enumerate(moves, 2):
        set_values(root, move)
        assert ask() != first
        assert len(calls) == number
    ask(steps=2)
    node = json.loads(first)["predictions"][0]["labels"]["node"]
    ask(labels={"node": node})
    promote(two_models, resolve(two_models, "challenger").name, "champion")
    ask()
    assert len(calls) == 7
    size = next(iter(worker._forecasts.values())).quantiles.nbytes
    monkeypatch.setattr(worker, "KEPT_BYTES", 3 * size)
    monkeypatch.setattr(worker, "LEAST_BYTES", 0)
    ask()
    assert 1 <= len(worker._forecasts) < 7
    assert sum(one.quantiles.nbytes for one in worker._forecasts.values()) <= 3 * size
    monkeypatch.setattr(worker, "LEAST_BYTES", 2 * size)
    ask()
    assert len(worker._forecasts) == 1
    assert len(calls) == 7
    monkeypatch.setattr(worker, "KEPT_BYTES", 0)
    ask()
    assert not worker._forecasts


@pytest.mark.models
@pytest.mark.servers
def test_a_push_at_each_tick_goes_on_whatever_happens_until_it_is_told_to_end(
    two_models: TaskPaths, tmp_path: Path
) -> None:
    root = two_models.root
    with running_pushgateway(tmp_path / "gateway") as gateway, (tmp_path / "said").open("w+") as log:
        set_values(root, {"prometheus.pushgateway_url": gateway.url, "prometheus.timeout": 1})
        command = [sys.executable, "-m", "tsf.cli", "push", "--every", "1s"]
        environ = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "COLUMNS": "300", "NO_COLOR": "1"}
        ticking = subprocess.Popen(command, cwd=root, env=environ, stdout=log, stderr=log)

        def said() -> str:
            return (tmp_path / "said").read_text()

        def wait(seen: Callable[[], bool]) -> None:
            end = time.monotonic() + 120
            while not seen():
                assert ticking.poll() is None, said()
                assert time.monotonic() < end, said()
                time.sleep(0.1)

        def served() -> str:
            return requests.get(f"{gateway.url}/metrics", timeout=30).text

        def issued() -> float:
            found = re.search(r"^tsf_forecast_issued_timestamp_seconds\{.*\} (\S+)$", served(), re.MULTILINE)
            return float(found[1]) if found else 0.0

        try:
            wait(lambda: issued() > 0)
            first = issued()
            wait(lambda: issued() > first)
            assert "\ntsf_forecast{" in served()
            assert json.loads((two_models.pushed / "receipt.json").read_text())["sent_to"].startswith(gateway.url)
            assert re.search(r"Z a: \d+ series in [\d.]+ s to http", said())
            with only_run(two_models.notebook("push").with_suffix(".running.lock"), "a run", 30):
                wait(lambda: "a: left to the run that is pushing it" in said())
            text = read_text(root)
            (root / "params.yaml").write_text("tasks: [")
            wait(lambda: "error: params.yaml" in said())
            write_params(root, text)
            set_values(root, {"prometheus.pushgateway_url": f"http://127.0.0.1:{free_port()}"})
            wait(lambda: "nothing listens there (connection refused); start the Pushgateway" in said())
            set_values(root, {"prometheus.pushgateway_url": gateway.url})
            last = issued()
            wait(lambda: issued() > last)
            assert "skipped." in said()  # the three tries of a gateway that is away took longer than a tick
            ticking.terminate()
            assert ticking.wait(60) == 0
        finally:
            ticking.kill()
        assert "Traceback" not in said()
    assert not two_models.report("push").exists()  # neither papermill
    assert not (root / ".dvc").exists()  # nor DVC


@pytest.mark.models
def test_a_tick_that_fails_is_a_failed_stage_until_one_does_not(
    two_models: TaskPaths, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root, failed = two_models.root, two_models.failed_notebook("push")

    def tick(fault: Exception | None = None) -> str:
        with monkeypatch.context() as other:
            if fault:
                other.setattr("tsf.stages.push.push", lambda *_, **__: (_ for _ in ()).throw(fault))
            commands._tick(root, ["a"], lambda: False)
        return capsys.readouterr().err

    def told() -> list[str]:
        return re.findall(r'^tsf_stage_failed\{task="a",stage="push"\} \d', textfile.read_text(), re.MULTILINE)

    tick()
    textfile = root / "textfile" / f"{ALL_TASKS}.prom"
    assert not textfile.exists()
    memory = "CUDA out of memory.\nTried to allocate 2 GiB"
    assert "error: a: RuntimeError: CUDA out of memory. Tried to allocate 2 GiB\n" in tick(RuntimeError(memory))
    assert told() == ['tsf_stage_failed{task="a",stage="push"} 1']
    assert "error: a: x: it is gone" in tick(SourceError("it is gone", where="x", cure="look for it"))
    assert failed_sentence(failed, "push@a") == "push@a: x: it is gone; look for it."
    assert failed_cell(failed) == 0
    nbformat.validate(nbformat.read(failed, 4))
    textfile.unlink()
    tick(SinkError("nothing listens there", where="x", cure="start it"))
    assert failed.exists()
    assert not textfile.exists()  # it would be told where nothing listens
    tick()
    assert not failed.exists()
    assert told() == []


@pytest.mark.models
def test_a_prediction_is_not_written_back_beside_a_push(two_models: TaskPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(two_models.root)
    written, lock = two_models.pushed / "receipt.json", two_models.notebook("push").with_suffix(".running.lock")
    lock.parent.mkdir(parents=True)
    with (
        only_run(lock, "a push"),
        pytest.raises(BusyError, match="push@a: it is running already"),
    ):
        commands.predict(task=["a"])
    assert not written.exists()
    commands.predict(task=["a"])
    assert written.exists()


def test_a_tick_without_a_unit_is_refused() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tsf.cli", "push", "--every", "5"], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    assert "error: --every: '5' is not a duration" in done.stderr


@pytest.mark.models
def test_until_a_training_has_passed_a_shorter_champion_pushes_and_alerts_on_what_it_has_learnt(
    two_models: TaskPaths,
) -> None:
    root = two_models.root
    set_values(root, {"tasks.a.train.prediction_steps": 24, "tasks.a.push.horizons": ["2h", "24h"]})
    pushed = push("a", root)
    assert pushed.chances(3).columns.tolist() == ["2 h"]
    told = "".join(path.read_text() for path in two_models.textfile.iterdir())
    assert 'horizon="2h"' in told
    assert 'horizon="24h"' not in told
    for rules in (two_models.rules.read_text(), write_rules("a", root).read_text()):
        assert 'tsf_breach_probability_ratio{task="a",horizon="2h"}' in rules.replace(", ", ",")
        assert 'horizon="24h"' not in rules
    set_values(root, {"tasks.a.push.horizons": ["24h"]})
    with pytest.raises(ModelError, match=r"covers none of push\.horizons; train the task again, or ask for 1d"):
        push("a", root)


@pytest.mark.models
def test_until_a_training_has_passed_only_quantiles_that_the_champion_has_learnt_are_pushed(
    two_models: TaskPaths,
) -> None:
    root = two_models.root
    wide = [0.001, 0.1, 0.5, 0.9, 0.999]
    set_values(root, {"tasks.a.train.quantiles": wide, "tasks.a.push.quantiles": [0.001, 0.1, 0.5, 0.9]})
    assert {*push("a", root).audit.issued.labels[QUANTILE]} == {"0.1", "0.5", "0.9"}
    told = "".join(path.read_text() for path in two_models.textfile.iterdir())
    for text in (told, two_models.rules.read_text(), write_rules("a", root).read_text()):
        assert 'quantile="0.1"' in text
        assert 'quantile="0.001"' not in text
    set_values(root, {"tasks.a.push.quantiles": [0.001]})
    with pytest.raises(ModelError, match=r"covers none of push\.quantiles; train the task again"):
        push("a", root)


@pytest.mark.models
def test_a_map_of_owners_that_knows_no_series_is_told_in_log_and_receipt(
    two_models: TaskPaths, caplog: pytest.LogCaptureFixture
) -> None:
    root = two_models.root
    (root / "owners.csv").write_text("usr,owner\nann,ann\n")
    set_values(root, {"tasks.a.alert.owners": "owners.csv"})
    with caplog.at_level(logging.WARNING):
        pushed = push("a", root)
    told = pushed.receipt["owners"]
    assert told.startswith("alert.owners: none of its 1 rows, by usr, speaks about a series; name labels of")
    assert f"{told} The owner of the task is named instead." in caplog.text
    (root / "owners.csv").write_text(f"node,owner\n{pushed.context.labels['node'][0]},ann\n")
    assert "owners" not in push("a", root).receipt


@pytest.mark.models
def test_when_nothing_is_left_of_what_was_pushed_before_the_audit_begins_anew(two_models: TaskPaths) -> None:
    root = two_models.root
    push("a", root)
    set_values(root, {"tasks.a.push.horizons": ["3h", "5h"], "snapshot.until": "2026-11-01T06:00:00Z"})
    for _ in range(2):
        assert "No forecast of this task is old enough" in push("a", root).audit.summary
