"""The one runner of a project's queue: a process of its own, so that no server that ends takes a training along.

Whoever queues a run starts it (`start_runner`); it works off what waits and ends. `python -m tsf.flow.runner ROOT`.
"""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, TextIO

from tsf.errors import TsfError
from tsf.flow.progress import WAITING, error_in, log_path, read_log
from tsf.flow.queue import Run, claim, count_runs, finish, list_runs, read_run, recover
from tsf.flow.runs import dvc_environment
from tsf.flow.store import state_folder

__all__ = ["main", "runner_is_alive", "start_runner"]

POLL_SECONDS = 0.3
BUSY_SECONDS = 5.0
PATIENCE_SECONDS = 10.0  # between asking a run to stop and making it
KEPT_LOGS = 200
PRIVATE = ("JUPYTER_TOKEN", "JPY_API_TOKEN", "JUPYTERHUB_API_TOKEN")  # no run needs the keys of the server


def start_runner(root: Path) -> None:
    """See that what waits is worked off: starts a runner unless one is at work or nothing is to be done."""
    counts = count_runs(root)
    if (not counts.get("pending") and not counts.get("running")) or runner_is_alive(root):
        return
    with (state_folder(root) / "runner.log").open("ab") as log:
        environ = {name: value for name, value in dvc_environment().items() if name not in PRIVATE}
        runner = _started([sys.executable, "-m", "tsf.flow.runner", str(root)], root, environ, log)
    # It may outlive us; until then somebody must take note of its end, or it would stay in the table of processes.
    threading.Thread(target=runner.wait, daemon=True).start()


def runner_is_alive(root: Path) -> bool:
    """Whether a runner works off the queue of this project."""
    with (state_folder(root) / "runner.lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def main(root: Path) -> None:
    """Work off the queue and return; at once where another runner does it."""
    while True:
        with _only_runner(root) as alone:
            if not alone:
                return
            recover(root)
            while run := claim(root):
                _work_off(root, run)
            _forget_old_logs(root)
        # A run queued between the last look and the end of the lock has seen us at work and started no other runner.
        if not count_runs(root).get("pending"):
            return


def _work_off(root: Path, run: Run) -> None:
    """Run it, again and again while somebody else's dvc command holds its files, and say how it ended."""
    while True:
        start = read_log(root, run.id, -1)[1]
        status = _run_once(root, run)
        if read_run(root, run.id).cancelling:
            finish(root, run.id, "cancelled")
            return
        if status == 0:
            finish(root, run.id, "completed")
            return
        if status != os.EX_TEMPFAIL:
            said = read_log(root, run.id, start, 10_000_000)[0]
            finish(root, run.id, "failed", error_in(said) or f"it ended with status {status}; its log says more.")
            return
        with log_path(root, run.id).open("a") as log:
            log.write(f"{WAITING}\n")
        _rest(root, run)


def _run_once(root: Path, run: Run) -> int:
    """The exit status of one go, in a process group of its own, that is stopped when the run is cancelled."""
    # By name, as no face may be imported here: it tells Prometheus how the stages fared, as one from the shell does.
    flags = ["--force"] * run.force + ["--alone"] * run.alone
    command = [sys.executable, "-m", "tsf.cli.runs", run.stage, run.task, *flags]
    with log_path(root, run.id).open("ab") as log:
        child = _started(command, root, dvc_environment(), log)
        while child.poll() is None:
            time.sleep(POLL_SECONDS)
            if read_run(root, run.id).cancelling:
                _stop(child)
    return int(child.returncode)


def _started(command: list[str], root: Path, environ: dict[str, str], log: BinaryIO) -> subprocess.Popen[bytes]:
    """A process in a group of its own that hears nothing and says all to `log`."""
    return subprocess.Popen(
        command, cwd=root, env=environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
    )


def _rest(root: Path, run: Run) -> None:
    """Wait before the next go, less long where the run is cancelled."""
    end = time.monotonic() + BUSY_SECONDS
    while time.monotonic() < end and not read_run(root, run.id).cancelling:
        time.sleep(POLL_SECONDS)


def _stop(child: subprocess.Popen[bytes]) -> None:
    """End the whole process group: first asked, then made."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(child.pid, number)
        with suppress(subprocess.TimeoutExpired):
            child.wait(PATIENCE_SECONDS)
            break
    with suppress(ProcessLookupError):  # DVC ends before the stage that it started
        os.killpg(child.pid, signal.SIGKILL)


@contextmanager
def _only_runner(root: Path) -> Iterator[bool]:
    with (state_folder(root) / "runner.lock").open("a") as file:
        # Who only looks whether a runner is there holds the lock for a moment.
        yield any(_locked(file) for _ in range(10))


def _locked(file: TextIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        time.sleep(0.05)
        return False
    return True


def _forget_old_logs(root: Path) -> None:
    kept = {f"{run.id}.log" for run in list_runs(root, limit=KEPT_LOGS)}
    for path in (state_folder(root) / "logs").glob("*.log"):
        if path.name not in kept:
            path.unlink(missing_ok=True)


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]))
    except TsfError as fault:
        sys.stderr.write(f"error: {fault}\n")
        sys.exit(1)
