"""Without torch: what `tsf push --onnx` needs is the file, params.yaml and the packages of deploy/edge.txt."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import distribution, packages_distributions
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from ruamel.yaml import YAML

from tests.learn.conftest import series_of
from tests.stages.conftest import QUICK, ROOT
from tsf.cli import commands
from tsf.errors import ModelError, ParamsError
from tsf.flow.tasks import add_task, read_text, set_values, write_params
from tsf.io.artifacts import read_forecast, write_json
from tsf.io.registry import promote, register, resolve
from tsf.learn import Exported, Model, predict
from tsf.params import read_params
from tsf.project import TaskPaths
from tsf.stages.explain import reasons_of
from tsf.stages.export import export_task
from tsf.stages.fetch import fetch
from tsf.stages.models import load_exported, load_model
from tsf.stages.predict import predict_task
from tsf.stages.push import push
from tsf.stages.train import plan, train

pytestmark = pytest.mark.models
EDGE = [line for line in (ROOT / "deploy/edge.txt").read_text().splitlines() if not line.startswith("#")]
WITHOUT = """
import sys

class Without:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ABSENT:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Without())
before = {*sys.modules}
from tsf.cli import main
try:
    main()
finally:
    print(*{name.partition(".")[0] for name in {*sys.modules} - before})
"""


def with_all_they_need(names: list[str]) -> set[str]:
    """The distributions that pip installs for these."""
    found: set[str] = set()
    waiting = [canonicalize_name(name) for name in names]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            needs = (Requirement(text) for text in distribution(name).requires or ())
            waiting += [
                canonicalize_name(need.name) for need in needs if not need.marker or need.marker.evaluate({"extra": ""})
            ]
    return found


OWNERS = {top: {canonicalize_name(name) for name in names} for top, names in packages_distributions().items()}
ABSENT = {top for top, owners in OWNERS.items() if not owners & with_all_they_need(EDGE)} - {"tsf"}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project of a task whose champion was pushed by torch, and exported as a.onnx."""
    root = tmp_path_factory.mktemp("trained")
    task = {
        "fetch": {"metric_query": "storage_used_bytes", "limit": "storage_quota_bytes", "history": "40d"},
        "train": {**QUICK, "epochs": 1, "members": 1, "dimensions": ["group"], "time_zone": "Europe/Berlin"},
        "push": {"horizons": ["2h", "6h"], "totals": ["group"]},
    }
    with (root / "params.yaml").open("w") as file:
        YAML().dump({"demo": {"groups": 3, "users_per_group": 3}, "tasks": {"a": task}}, file)
    (root / "dvc.yaml").write_text("stages: {}\n")
    fetch("a", root)
    train(plan("a", root), root)
    paths = TaskPaths(root, "a")
    version = register(paths.registry, "a", paths.model, "model_20261101_000000")
    promote(paths.registry, "a", version)
    write_json({"alarms": {"threshold": 0.35, "hold_steps": 2, "gate": 0.6}}, paths.kept_evaluation(version))
    push("a", root)
    export_task("a", root / "a.onnx", root)
    return root


@pytest.fixture(scope="module")
def both(trained: Path) -> tuple[Model, Exported]:
    """The champion, and what was exported of it."""
    return load_model(resolve(trained / "registry", "a"))[0], load_exported(trained / "a.onnx")[0]


@pytest.fixture
def edge(trained: Path, tmp_path: Path) -> TaskPaths:
    """All that is carried to a machine without torch."""
    for name in ("params.yaml", "dvc.yaml", "a.onnx"):
        shutil.copy(trained / name, tmp_path)
    return TaskPaths(tmp_path, "a")


def without_torch(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`tsf` where nothing is installed but the packages of deploy/edge.txt."""
    environ = os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "300", "NO_COLOR": "1"}
    command = [sys.executable, "-c", f"ABSENT = {ABSENT!r}{WITHOUT}", *arguments]
    return subprocess.run(command, cwd=root, env=environ, capture_output=True, text=True, timeout=300)


def samples(paths: TaskPaths) -> dict[str, float]:
    """What was written for Prometheus, but when."""
    lines = (paths.textfile / "a.prom").read_text().splitlines()
    told = dict(line.rsplit(" ", 1) for line in lines if not line.startswith(("#", "tsf_forecast_issued")))
    return {name: float(value) for name, value in told.items()}


def test_a_push_without_torch_says_what_the_push_with_torch_says(trained: Path, edge: TaskPaths) -> None:
    done = without_torch(edge.root, "push", "--task", "a", "--onnx", "a.onnx")
    assert done.returncode == 0, done.stderr
    assert re.match(r"\S+Z a: \d+ series in [\d.]+ s to textfile/a.prom\n", done.stdout)
    loaded = set(done.stdout.splitlines()[-1].split())
    assert {"torch", "sklearn", "matplotlib", "dvc", "papermill"} <= ABSENT
    assert not loaded & ABSENT
    unused = {name for name in EDGE if not any(canonicalize_name(name) in OWNERS.get(top, ()) for top in loaded)}
    assert unused <= {"tzdata"}  # which is data
    with_torch = TaskPaths(trained, "a")
    assert {"{" in name for name in samples(edge)} == {True}
    assert samples(edge) == pytest.approx(samples(with_torch), rel=1e-5, abs=1e-6)
    assert edge.rules.read_text() == with_torch.rules.read_text()
    here, there = (read_forecast(paths.pushed / "forecast.parquet") for paths in (edge, with_torch))
    assert here.p_breach == pytest.approx(there.p_breach, rel=1e-5, abs=1e-6)
    size = np.maximum(np.abs(there.quantiles), np.abs(there.at(0.5))[..., None])  # the lowest of a series are near 0
    assert (np.abs(here.quantiles - there.quantiles) <= 1e-5 * size).all()
    assert (here.model_version, here.data_hash) == (there.model_version, there.data_hash)


@given(
    seed=st.integers(0, 99), scale=st.sampled_from([1e-3, 1.0, 1e12]), gaps=st.floats(0, 0.9), steps=st.integers(2, 900)
)
@settings(deadline=None, max_examples=30)
def test_any_series_get_the_forecast_of_the_model(
    both: tuple[Model, Exported], seed: int, scale: float, gaps: float, steps: int
) -> None:
    random = np.random.default_rng(seed)
    values = scale * (50 + random.normal(0, 1, (3, steps)).cumsum(axis=1))
    values[random.random(values.shape) < gaps] = np.nan
    series = series_of(values, limit=np.nanmax(values, initial=scale) * random.uniform(0.9, 1.3, (3, 1)) + 0 * values)
    one, other = (predict(model, series) for model in both)
    assert one.abstained.tolist() == other.abstained.tolist()
    assert one.quantiles == pytest.approx(other.quantiles, rel=1e-4, abs=1e-4 * scale, nan_ok=True)
    # More than a rounding where it takes a feature to the other side of a tree's split.
    assert one.p_breach == pytest.approx(other.p_breach, abs=0.02, nan_ok=True)


def test_the_alert_is_that_of_the_replay_of_the_model_and_there_are_no_explanations(edge: TaskPaths) -> None:
    pushed = push("a", edge.root, onnx=edge.root / "a.onnx")
    assert (pushed.alert.probability, pushed.alert.hold, pushed.alert.gate) == (0.35, 2, 0.6)
    assert "0.35" in edge.rules.read_text()
    assert pushed.why is None
    with pytest.raises(ModelError, match="an exported model cannot be explained; explain the one that it was made of"):
        reasons_of(pushed, [0])
    set_values(edge.root, {"tasks.a.alert.policy": "fixed"})
    assert push("a", edge.root, onnx=edge.root / "a.onnx").alert == read_params(edge.root).task("a").alert


def test_each_tick_reads_the_file_anew(edge: TaskPaths, capsys: pytest.CaptureFixture[str]) -> None:
    file = edge.root / "a.onnx"
    whole = file.read_bytes()
    for content, told in ((whole[: len(whole) // 2], "error: a: "), (whole, "to textfile/a.prom")):
        file.write_bytes(content)
        commands._tick(edge.root, ["a"], lambda: False, file)
        said = capsys.readouterr()
        assert told in said.out + said.err


def with_metadata(file: Path, changes: Mapping[str, str | None]) -> None:
    """Change the metadata of an ONNX file; None takes an entry away."""
    model = onnx.load(file)
    kept = {one.key: one.value for one in model.metadata_props} | changes
    onnx.helper.set_model_props(model, {key: value for key, value in kept.items() if value is not None})
    onnx.save(model, file)


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        ({"tsf": None}, "it is an ONNX file, but not one of tsf; write it with `tsf export`."),
        ({"tsf_model": None}, "another version of tsf wrote it, .*; export it again with `tsf export`."),
        ({"tsf_model": "{"}, "another version of tsf wrote it"),
        ({"tsf_model": "[]"}, "another version of tsf wrote it"),
        ({"tsf_model": '{"spec": {"params": {"epoch": 1}}, "breach": null}'}, "another version of tsf wrote it"),
    ],
)
def test_a_file_without_all_that_a_push_needs_is_refused_in_a_sentence(
    edge: TaskPaths, metadata: dict[str, str | None], words: str
) -> None:
    with_metadata(edge.root / "a.onnx", metadata)
    with pytest.raises(ModelError, match=rf"a\.onnx: {words}"):
        predict_task("a", edge.root, onnx=edge.root / "a.onnx")


def test_a_model_that_was_exported_without_a_task_is_no_model_to_push_by(edge: TaskPaths) -> None:
    [told] = [one.value for one in onnx.load(edge.root / "a.onnx").metadata_props if one.key == "tsf_model"]
    with_metadata(edge.root / "a.onnx", {"tsf_model": json.dumps(json.loads(told) | {"card": {}})})
    with pytest.raises(ModelError, match="it does not say of which task its model is; write it with `tsf export`"):
        predict_task("a", edge.root, onnx=edge.root / "a.onnx")


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("step", "2h", "its model learnt a step of 1h, the task has a step of 2h; export the model of this task"),
        (
            "metric_query",
            "active_users",
            "its model learnt the query storage_used_bytes, the task has the query",
        ),
    ],
)
def test_a_task_that_the_model_was_not_made_for_is_refused_in_a_sentence(
    edge: TaskPaths, key: str, value: str, words: str
) -> None:
    set_values(edge.root, {f"tasks.a.fetch.{key}": value})
    with pytest.raises(ModelError, match=rf"a\.onnx: {words}"):
        predict_task("a", edge.root, onnx=edge.root / "a.onnx")


@pytest.mark.parametrize(
    ("name", "words"),
    [("b.onnx", "it cannot be read"), ("params.yaml", "onnxruntime cannot read it"), (".", "it cannot be read")],
)
def test_a_file_that_is_none_or_not_there_is_refused_in_a_sentence(edge: TaskPaths, name: str, words: str) -> None:
    with pytest.raises(ModelError, match=rf"{words} .*; write it with `tsf export`\."):
        predict_task("a", edge.root, onnx=edge.root / name)


def test_what_is_not_installed_is_named(edge: TaskPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    refused = without_torch(edge.root, "export", "--task", "a", "--onnx", "b.onnx")
    assert refused.returncode == 1
    cure = "install all of tsf, or push by a file: tsf push --onnx FILE"
    assert refused.stderr == f"error: torch is not installed; {cure}.\n"
    code = "import sys; sys.modules['dvc'] = None; from tsf.flow.parent import main; sys.exit(main(['repro']))"
    refused = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (refused.returncode, refused.stderr) == (1, f"error: DVC is not installed; {cure}.\n")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ModelError, match=r"the package onnxruntime is not installed; pip install onnxruntime\."):
        predict_task("a", edge.root, onnx=edge.root / "a.onnx")


def test_a_file_is_of_one_task(edge: TaskPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(edge.root)
    text = read_text(edge.root)
    write_params(edge.root, add_task(text, "b", "custom", "", {"fetch.metric_query": "active_users"}), text)
    with pytest.raises(ParamsError, match=r"--onnx: 2 tasks cannot share a\.onnx; name the one of its model by --task"):
        commands.push(onnx=Path("a.onnx"))


def test_all_that_is_installed_has_a_version_that_was_tested() -> None:
    pinned = {
        canonicalize_name(name) for name in re.findall(r"(?m)^([\w.-]+)==", (ROOT / "constraints.txt").read_text())
    }
    assert with_all_they_need(EDGE) <= pinned
    assert "--constraint constraints.txt --requirement deploy/edge.txt" in (ROOT / "deploy/edge.Dockerfile").read_text()
