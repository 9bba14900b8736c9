"""Around DVC: what params.yaml leaves out, which servers the environment names, and the index of reports."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from tests.pipeline.conftest import ROOT, make_project
from tsf.errors import BusyError, FlowError
from tsf.flow import runs, strip
from tsf.flow.index import write_index
from tsf.flow.tasks import read_text
from tsf.params import OVERRIDES, read_params
from tsf.project import Stage, TaskPaths

TASKS = "tasks:\n  a:\n    fetch: {metric_query: up}\n  b:\n    fetch: {metric_query: up}\n"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of two tasks that says nothing else."""
    (tmp_path / "params.yaml").write_text(f"# mine\n{TASKS}")
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_what_may_be_left_out_is_written_before_dvc_misses_it(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "_run_dvc", lambda *_: (0, ""))
    before = read_params(root)
    runs.reproduce(root)
    assert read_params(root) == before
    text = read_text(root)
    assert text.startswith("# mine\n")
    assert "evaluate: {}" in text
    assert "until: '2026-11-01T00:00:00Z'" in text.replace('"', "'")
    runs.reproduce(root)
    assert read_text(root) == text


def failed_pages(root: Path) -> set[str]:
    """The stages whose failed notebook lies there."""
    return {f"{path.name.split('.')[0]}@{path.parent.name}" for path in root.glob("reports/*/*.failed.ipynb")}


def fail(root: Path, task: str, stage: Stage) -> None:
    """Leave what a stage leaves that fails."""
    failed = TaskPaths(root, task).failed_notebook(stage)
    failed.parent.mkdir(parents=True, exist_ok=True)
    failed.unlink(missing_ok=True)
    failed.write_text("")


def test_a_run_names_its_own_failures_only(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def dvc(root: Path, task: str, _: object) -> tuple[int, str]:
        if task == "a":
            fail(root, "a", "push")
        return int(task == "a"), ""

    monkeypatch.setattr(runs, "_run_dvc", dvc)
    pairs: list[tuple[str, Stage]] = [("a", "push"), ("a", "train"), ("b", "train")]
    for task, stage in pairs:
        fail(root, task, stage)
    with pytest.raises(FlowError, match=r"^push@a failed"):
        runs.reproduce(root, ["a"], "push", alone=True)
    assert failed_pages(root) == {"push@a", "train@a", "train@b"}  # the others were not asked for


def test_a_failure_that_was_taken_back_is_forgotten_though_another_task_fails(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dvc(root: Path, task: str, _: object) -> tuple[int, str]:
        if task == "a":
            fail(root, "a", "train")
        return int(task == "a"), ""

    monkeypatch.setattr(runs, "_run_dvc", dvc)
    pairs: list[tuple[str, Stage]] = [("a", "fetch"), ("a", "push"), ("b", "train")]
    for task, stage in pairs:
        fail(root, task, stage)
    with pytest.raises(FlowError, match=r"^train@a failed;"):
        runs.reproduce(root)
    assert failed_pages(root) == {"train@a", "push@a"}  # nobody knows of the push, which was not reached


@pytest.mark.parametrize(
    ("said", "kind", "told"),
    [
        ("", FlowError, "^dvc repro failed for a, see above; mend it"),
        ("x is busy, it is being blocked by:\n  (PID 7): dvc\n", BusyError, "^a is busy: process 7 runs it; the next"),
        ("error: push@a: it is running already; wait.\n", BusyError, "^a is busy: another process runs it; the next"),
    ],
)  # fmt: skip
def test_a_run_that_was_stopped_or_is_busy_forgets_no_failure(
    said: str, kind: type[FlowError], told: str, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "_run_dvc", lambda *_: (1, said))
    fail(root, "a", "train")
    with pytest.raises(kind, match=told):
        runs.reproduce(root, ["a"])
    assert failed_pages(root) == {"train@a"}


def test_a_run_beside_another_says_who_is_busy_and_never_to_remove_the_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    project = make_project(tmp_path, ("storage", "cpu"))
    monkeypatch.chdir(project.root)
    monkeypatch.setenv("PYTHONPATH", str(project.root))
    strip.main()
    me = {"pid": os.getpid(), "cmd": "dvc repro"}
    lock = project.root / ".dvc/tmp/rwlock"
    lock.parent.mkdir()
    stripped, data = str(project.root / "notebooks/.stripped"), str(project.root / "data/cpu")
    lock.write_text(json.dumps({"read": {stripped: [me]}, "write": {data: me}}))
    with pytest.raises(BusyError, match=f"^cpu is busy: process {os.getpid()} runs it; wait for it or stop it"):
        runs.reproduce(project.root, stage="fetch")
    assert TaskPaths(project.root, "storage").series.exists()
    assert capsys.readouterr().err == ""


def test_a_notebook_that_a_merge_left_in_two_is_told_in_one_sentence_before_any_task_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    project = make_project(tmp_path, ("cpu",))
    monkeypatch.setenv("PYTHONPATH", str(project.root))
    notebook = project.root / "notebooks/push.ipynb"
    notebook.write_text(f"<<<<<<< HEAD\n{notebook.read_text()}")
    with pytest.raises(FlowError, match=r"^dvc repro failed for cpu, see above"):
        runs.reproduce(project.root)
    said = capfd.readouterr().err
    assert f"error: {notebook}: it is no notebook (Expecting value" in said
    assert "Traceback" not in said
    assert "fetch" not in said


@pytest.mark.parametrize("left", [b"", b'{"write": {"/p/data/cpu": {"pi'])
def test_locks_that_a_full_disk_has_cut_stop_no_later_run(
    left: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make_project(tmp_path, ("cpu",))
    monkeypatch.setenv("PYTHONPATH", str(project.root))
    lock = project.root / ".dvc/tmp/rwlock"
    lock.parent.mkdir()
    lock.write_bytes(left)
    runs.reproduce(project.root, stage="fetch")
    assert TaskPaths(project.root, "cpu").series.exists()


def test_locks_that_dvc_is_writing_are_left_alone(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dvc.lock import make_lock

    monkeypatch.setattr(runs, "_run_dvc", lambda *_: (0, ""))
    lock = root / ".dvc/tmp/rwlock"
    lock.parent.mkdir(parents=True)
    lock.write_bytes(b"{")
    with make_lock(str(lock.with_name("rwlock.lock")), tmp_dir=str(lock.parent)):
        runs.reproduce(root)
        assert lock.read_bytes() == b"{"
        lock.write_bytes(b"{}")
    runs.reproduce(root)
    assert lock.read_bytes() == b"{}"


def test_another_server_in_the_environment_is_another_file_without_its_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make_project(tmp_path, ("cpu",))
    monkeypatch.chdir(project.root)
    found = []
    for address in ("", "http://one:9090", "http://ann:s3cr3t@two:9090"):
        monkeypatch.setenv("PROMETHEUS_URL", address)
        strip.main()
        found.append((project.root / "notebooks/.stripped/environment.json").read_text())
    assert len({*found}) == 3
    assert json.loads(found[0]) == {"PROMETHEUS_URL": "", "PUSHGATEWAY_URL": ""}
    assert "s3cr3t" not in found[2]
    assert {*strip.ADDRESSES} == {*OVERRIDES}


def test_what_is_written_for_dvc_is_what_dvc_watches() -> None:
    watched = re.findall(r"- tasks\.\$\{key\}\.(\w+)", (ROOT / "dvc.yaml").read_text())
    assert {*watched} == {*runs.WATCHED}


def test_the_index_lists_the_soonest_first_then_the_likeliest(root: Path) -> None:
    known = {"a": [("later", 7200.0, 0.9), ("calm", None, 0.1)], "b": [("soon", 3600.0, 0.3), ("likely", None, 0.8)]}
    for task, rows in known.items():
        urgent = [
            {"series": name, "used": "1 %", "left": 1.0, "p_breach": chance, "seconds_left": left, "expected": "-"}
            for name, left, chance in rows
        ]
        path = TaskPaths(root, task).pushed / "receipt.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps({"most_urgent": urgent}))
    page = write_index(root).read_text()
    assert re.findall("(soon|later|likely|calm)</th>", page) == ["soon", "later", "likely", "calm"]


def test_a_series_that_stands_still_has_no_mase_and_spoils_no_page(root: Path) -> None:
    metrics = {"model_type": "lstm", "wql": 0.0, "mase": None, "coverage_80": 1.0, "best_baseline": "last_value",
               "wql_best_baseline": 0.0}  # fmt: skip
    path = TaskPaths(root, "a").evaluation / "metrics.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(metrics))
    page = write_index(root).read_text()
    assert "<td>–</td><td>100.0 %</td>" in page
    assert "Would the alarms have helped?" not in page  # a task without a limit has none


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"passed": True, "answer": "yes, within the budget"}, "yes, within the budget"),
        ({"passed": True}, "yes"),  # an evaluation of before
        ({"passed": False}, "keep it"),
    ],
)
def test_the_index_says_what_the_alarms_would_have_done(root: Path, answer: dict[str, object], said: str) -> None:
    alarms = {"breaches": 9, "met": 7, "false": 1, "met_production": 8, "false_production": 70, "met_best_rule": 6,
              "false_best_rule": 4, "best_rule": "static <95 %", **answer}  # fmt: skip
    metrics = {"model_type": "lstm", "wql": 0.1, "mase": 0.5, "coverage_80": 0.8, "best_baseline": "last_value",
               "wql_best_baseline": 0.2, "alarms": alarms}  # fmt: skip
    path = TaskPaths(root, "a").evaluation / "metrics.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(metrics))
    row = next(
        line for line in write_index(root).read_text().splitlines() if "evaluate.html" in line and "<td>9" in line
    )
    cells = re.findall(r"<td[^>]*>([^<]*)", row)
    assert cells == ["9", "7", "1", "8", "70", "static &lt;95 %", "6", "4", said]


def test_the_index_says_of_each_task_which_series_are_nearest_and_at_which_moment(root: Path) -> None:
    for task, origin, chance in (("a", "2026-11-07T08:30:00Z", 0.9), ("b", "2026-11-03T00:00:00Z", 0.1)):
        urgent = {"series": f"series of {task}", "used": "97 %", "p_breach": chance, "expected": "1 h"}
        path = TaskPaths(root, task).pushed / "receipt.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps({"origin": origin, "most_urgent": [urgent] * 20}))
    page = write_index(root).read_text()
    assert "2 tasks read from" in page
    assert "Runs read data up to 2026-11-01 00:00 UTC" in page
    rows = [line for line in page.splitlines() if ">series of " in line]
    assert ["series of a" in row for row in rows] == [True] * 6 + [False] * 6
    assert all("2026-11-07 08:30 UTC" in row for row in rows[:6])
    assert all("2026-11-03 00:00 UTC" in row for row in rows[6:])


def test_the_index_names_the_server_that_was_asked(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "the demo fleet" in write_index(root).read_text()
    monkeypatch.setenv("PROMETHEUS_URL", "http://prometheus.example:9090")
    assert "http://prometheus.example:9090" in write_index(root).read_text()


def test_the_index_repeats_no_address_that_holds_a_password(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROMETHEUS_URL", "http://tsf:hunter2@prometheus.example:9090")
    page = write_index(root).read_text()
    assert "an address in PROMETHEUS_URL that cannot be used" in page
    assert "hunter2" not in page
