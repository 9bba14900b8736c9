"""The queue and its runner: order, cancelling, and what is left after a kill, with real processes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import requests

from tests.pipeline.conftest import Project, make_project
from tests.servers import running_pushgateway
from tsf.errors import FlowError, ParamsError
from tsf.flow.progress import WAITING, Progress, error_in, failed_cell, progress_of, read_log
from tsf.flow.queue import (
    ACTIVE,
    MAX_ATTEMPTS,
    Run,
    cancel,
    claim,
    count_runs,
    enqueue,
    finish,
    latest_runs,
    list_runs,
    read_run,
    recover,
    retry,
)
from tsf.flow.runner import PRIVATE, runner_is_alive, start_runner
from tsf.flow.store import opened
from tsf.flow.tasks import set_values

LOG = """storage: 'notebooks' didn't change, skipping
storage: Stage 'fetch@storage' didn't change, skipping
storage: Running stage 'train@storage':
storage: > exec python -m tsf.flow.notebooks train storage
storage: epoch 1/40  train 0.9000  validation 0.8000  rate 2.00e-03  at most 78 s left *
storage: epoch 2/40  train 0.7000  validation 0.6000  rate 2.00e-03  at most 76 s left *
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """As little of a project as the queue needs."""
    text = (Path(__file__).parents[2] / "params.yaml").read_text()
    (tmp_path / "params.yaml").write_text(text)
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    return tmp_path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return make_project(tmp_path_factory.mktemp("queued"), ("storage", "cpu"))


@pytest.fixture
def project(made: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A project whose runs find its own tsf, and that leaves no process behind."""
    copy = Path(shutil.copytree(made.root, tmp_path / "project", symlinks=True))
    monkeypatch.setenv("PYTHONPATH", str(copy))
    yield copy
    for process in processes(copy):
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


def processes(folder: Path) -> list[int]:
    """Processes that work in `folder`."""
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdigit() and (entry / "cwd").readlink() == folder and int(entry.name) != os.getpid():
                found.append(int(entry.name))
    return found


def wait_for(what: Callable[[], bool], seconds: float = 90) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.1)


def state(root: Path, run: Run) -> str:
    return read_run(root, run.id).state


def test_runs_are_worked_off_in_the_order_in_which_they_were_queued(root: Path) -> None:
    queued = [enqueue(root, task) for task in ("storage", "gpu", "cpu")]
    assert [run.position for run in queued] == [1, 2, 3]
    assert [claim(root).task for _ in queued] == ["storage", "gpu", "cpu"]  # type: ignore[union-attr]
    assert claim(root) is None


def test_a_newer_run_of_a_task_takes_the_place_of_one_that_waits_not_of_one_that_runs(root: Path) -> None:
    first = enqueue(root, "storage")
    second = enqueue(root, "storage", "train")
    assert state(root, first) == "superseded"
    claim(root)
    third = enqueue(root, "storage")
    assert [state(root, run) for run in (second, third)] == ["running", "pending"]
    assert latest_runs(root)["storage"].id == second.id  # what goes on is what people look for
    finish(root, second.id, "completed")
    assert latest_runs(root)["storage"].id == third.id


def test_only_a_task_that_there_is_can_be_queued_and_cancelled(root: Path) -> None:
    with pytest.raises(ParamsError, match="no task 'nothing'"):
        enqueue(root, "nothing")
    with pytest.raises(FlowError, match="neither waits nor runs"):
        cancel(root, "storage")
    with pytest.raises(FlowError, match="never run"):
        retry(root, "storage")


def test_a_retry_repeats_the_last_run_once_it_has_ended(root: Path) -> None:
    run = enqueue(root, "storage", "train", force=True)
    with pytest.raises(FlowError, match="is pending already"):
        retry(root, "storage")
    claim(root)
    finish(root, run.id, "failed", "it broke.")
    again = retry(root, "storage")
    assert (again.stage, again.force, again.state, again.error) == ("train", True, "pending", "")


def test_what_a_dead_runner_left_waits_again_but_not_for_ever(root: Path) -> None:
    run, other = enqueue(root, "storage"), enqueue(root, "cpu")
    for attempt in range(1, MAX_ATTEMPTS + 1):
        assert claim(root).attempts == attempt  # type: ignore[union-attr]
        recover(root)
    assert state(root, run) == "failed"
    assert "died" in read_run(root, run.id).error
    claim(root)
    cancel(root, "cpu")
    recover(root)
    assert state(root, other) == "cancelled"


def test_a_database_of_a_newer_tsf_or_a_broken_one_is_told(root: Path) -> None:
    enqueue(root, "storage")
    with opened(root) as store:
        store.execute("PRAGMA user_version = 99")
    with pytest.raises(FlowError, match="version 99"):
        list_runs(root)
    (root / ".tsf/state.sqlite").write_bytes(b"no database" * 1000)
    with pytest.raises(FlowError, match="cannot be used"):
        list_runs(root)


def test_a_transaction_that_fails_leaves_nothing(root: Path) -> None:
    enqueue(root, "storage")

    def fail() -> None:
        with opened(root) as store:
            store.execute("DELETE FROM runs")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert len(list_runs(root)) == 1


def test_the_log_says_stage_epoch_loss_and_time(root: Path) -> None:
    run = enqueue(root, "storage")
    assert progress_of("", run) == Progress(stages=4)
    assert progress_of(LOG, run) == Progress(4, 1, "train", None, None, 2, 40, 0.7, 0.6, 76.0)
    assert "epoch 2 of 40" in progress_of(LOG, run).sentence()
    assert "at most 76 s left" in progress_of(LOG, run).sentence()
    alone = enqueue(root, "storage", alone=True)
    assert progress_of("storage: Running stage 'push@storage':\n", alone) == Progress(1, 0, "push")


def test_the_first_sentence_of_a_failure_is_found() -> None:
    said = "storage: error: fetch@storage: nothing is there; mend it.\nERROR: failed to reproduce\nerror: dvc failed.\n"
    assert error_in(said) == "fetch@storage: nothing is there; mend it."
    dvc = "ERROR: failed to reproduce 'fetch@cpu': the disk is full\nerror: dvc repro failed, see above; mend it.\n"
    assert error_in(dvc) == "failed to reproduce 'fetch@cpu': the disk is full"
    assert error_in("all is well\n") == ""


def test_a_log_is_read_on_from_where_it_was_left(root: Path) -> None:
    run = enqueue(root, "storage")
    assert read_log(root, run.id) == ("", 0)
    path = root / ".tsf/logs" / f"{run.id}.log"
    path.write_bytes("one\nzwölf".encode()[:-1])
    text, offset = read_log(root, run.id)
    assert (text, offset) == ("one\n", 4)
    path.write_bytes("one\nzwölf\n".encode())
    assert read_log(root, run.id, offset)[0] == "zwölf\n"
    assert read_log(root, run.id, 10_000) == ("", len("one\nzwölf\n".encode()))


def test_an_unreadable_notebook_has_no_failed_cell(tmp_path: Path) -> None:
    assert failed_cell(tmp_path / "none.ipynb") is None
    (tmp_path / "half.ipynb").write_text('{"cells": [')
    assert failed_cell(tmp_path / "half.ipynb") is None


def test_no_runner_is_started_where_nothing_waits(root: Path) -> None:
    start_runner(root)
    assert not runner_is_alive(root)


def test_one_runner_works_off_the_queue_and_a_failure_stops_no_other(project: Path) -> None:
    wrong = project / "params.yaml"
    wrong.write_text(wrong.read_text().replace("metric_query: storage_used_bytes", "metric_query: no_such_metric"))
    failing, good = enqueue(project, "storage", "fetch"), enqueue(project, "cpu", "fetch")
    for _ in range(3):  # as three servers and panels would
        start_runner(project)
    wait_for(lambda: not any(count_runs(project).get(one) for one in ACTIVE))
    assert (state(project, failing), state(project, good)) == ("failed", "completed")
    assert "no_such_metric" in read_run(project, failing.id).error
    assert (project / "data/cpu/series.parquet").exists()
    notebook = project / "reports/storage/fetch.failed.ipynb"
    assert failed_cell(notebook) is not None
    assert read_run(project, good.id).attempts == 1
    assert "Warning" not in read_log(project, good.id)[0]
    wait_for(lambda: not runner_is_alive(project))


def test_prometheus_knows_whether_the_stages_of_a_queued_run_failed(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def told() -> set[str]:
        lines = requests.get(f"{gateway.url}/metrics", timeout=30).text.splitlines()
        return {line.rpartition("} ")[2] for line in lines if 'stage="fetch",task="cpu"' in line and "_failed{" in line}

    def run() -> str:
        queued = enqueue(project, "cpu", "fetch")
        start_runner(project)
        wait_for(lambda: state(project, queued) not in ACTIVE)
        return state(project, queued)

    with running_pushgateway(tmp_path / "gateway") as gateway:
        monkeypatch.setenv("PUSHGATEWAY_URL", gateway.url)
        set_values(project, {"tasks.cpu.fetch.metric_query": "no_such_metric"})
        assert (run(), told()) == ("failed", {"1"})
        set_values(
            project, {"tasks.cpu.fetch.metric_query": "cpu_usage_percent", "snapshot.until": "2026-10-31T00:00:00Z"}
        )
        assert (run(), told()) == ("completed", {"0"})


def test_a_run_is_cancelled_with_all_its_processes_and_a_killed_runner_starts_anew(project: Path) -> None:
    """The server that queued the run is gone by then: a runner belongs to nobody."""
    code = "import sys; from pathlib import Path; from tsf.flow import queue, runner; r = Path(sys.argv[1])\n"
    code += "queue.enqueue(r, 'cpu', 'fetch'); runner.start_runner(r)"
    subprocess.run([sys.executable, "-c", code, str(project)], cwd=project, check=True, timeout=60)
    [run] = list_runs(project)
    wait_for(lambda: len(processes(project)) >= 3)  # runner, run and DVC
    killed = next(process for process in processes(project) if b"tsf.flow.runner" in arguments(process))
    os.kill(killed, signal.SIGKILL)
    wait_for(lambda: not processes(project))
    assert state(project, run) == "running"
    assert not runner_is_alive(project)
    start_runner(project)
    wait_for(lambda: read_run(project, run.id).attempts == 2 and len(processes(project)) >= 3)
    assert state(project, run) == "running"
    cancel(project, "cpu")
    wait_for(lambda: state(project, run) == "cancelled")
    wait_for(lambda: not processes(project))


def test_no_process_of_a_run_has_the_keys_of_the_server(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PRIVATE:
        monkeypatch.setenv(name, "hunter2")
    enqueue(project, "cpu", "fetch")
    start_runner(project)
    wait_for(lambda: len(processes(project)) >= 3)  # runner, run and DVC
    found = [told for process in processes(project) if (told := environment(process))]
    assert found
    assert all(b"PYTHONPATH=" in told and b"hunter2" not in told for told in found)


def test_a_run_waits_for_the_dvc_command_of_somebody_else(project: Path) -> None:
    from dvc.rwlock import RWLOCK_FILE

    lock = project / ".dvc/tmp" / RWLOCK_FILE
    lock.parent.mkdir(exist_ok=True)
    held = {"read": {}, "write": {str(project / "data/cpu"): {"pid": os.getpid(), "cmd": "dvc repro"}}}
    lock.write_text(json.dumps(held))
    run = enqueue(project, "cpu", "fetch")
    start_runner(project)
    wait_for(lambda: WAITING in read_log(project, run.id)[0])
    assert progress_of(read_log(project, run.id)[0], run).waiting == WAITING
    assert state(project, run) == "running"
    lock.unlink()
    wait_for(lambda: state(project, run) != "running")
    assert state(project, run) == "completed"


def arguments(process: int) -> bytes:
    return told_of(process, "cmdline")


def environment(process: int) -> bytes:
    return told_of(process, "environ")


def told_of(process: int, what: str) -> bytes:
    with suppress(OSError):
        return Path(f"/proc/{process}/{what}").read_bytes()
    return b""
