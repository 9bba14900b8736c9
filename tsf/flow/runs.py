"""Runs of the pipeline: DVC started with the right interpreter, without analytics, and its outcome told plainly."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any

from tsf.errors import BusyError, FlowError
from tsf.flow.index import write_index
from tsf.flow.tasks import loaded, read_text, set_values
from tsf.kinds import stamp_text
from tsf.params import Params, read_params
from tsf.project import STAGES, Stage, TaskPaths

__all__ = ["move_snapshot", "reproduce"]

WATCHED = ("fetch", "train", "evaluate", "push", "alert")  # the sections of a task that are parameters in dvc.yaml
HELD = "is busy, it is being blocked by"  # DVC's words, with the advice to remove the locks of a run that goes on
BUSY = re.compile(f"{HELD}|it is running already")
PID = re.compile(r"\(PID (\d+)\)")
# What DVC advises after each chain, which is not about what was asked for.
HINTS = ("To track the changes", "To enable auto staging", "git add ", "dvc config core.autostage", "Use `dvc push`")


@dataclass(frozen=True)
class Outcome:
    """How the stages of a task ended: DVC's exit status, which of them failed if one did, and why they are `busy`."""

    task: str
    status: int
    failed: Stage | None = None
    busy: str = ""


def reproduce(
    root: Path, tasks: Iterable[str] = (), stage: Stage = "push", *, force: bool = False, alone: bool = False
) -> None:
    """Run `stage` and all it depends on for `tasks` (every task by default); a task that fails stops no other.

    Tasks share nothing, so each core runs one, in a DVC process of its own that waits for the others' locks.
    force: run even where nothing changed. alone: run this stage only, on what the stages before it left.
    The index of reports is renewed in any case. Raises FlowError that names the stages which failed, BusyError where
    none did, but another process works on the same files.
    """
    params = read_params(root)  # a mistake in params.yaml is told in our words, before DVC meets it
    sys.stdout.write(_complete(root, params))
    names = [name for name in tasks or params.tasks if params.task(name)]
    if not names:
        raise FlowError("params.yaml has no tasks", cure="add one: tsf tasks add NAME --preset storage")
    stages = [stage] if alone else STAGES[: STAGES.index(stage) + 1]
    _clear_rwlock(root)
    # Each chain is named stage by stage: DVC would lock what they share, the notebooks, against one another.
    status, said = _run_dvc(root, "", ["notebooks"])
    if status and not BUSY.search(said):  # where a training reads them, they are as they should be
        outcomes = [Outcome(name, status) for name in names]
    else:
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            outcomes = list(pool.map(lambda name: _run_chain(root, name, stages, ["--force"] * force), names))
    write_index(root)
    if failed := [one for one in outcomes if one.status and not one.busy]:
        raise FlowError(_failures(failed), cure="mend it and run the same command again; the rest is done")
    if busy := [f"{one.task} is busy: {one.busy}" for one in outcomes if one.busy]:
        cure = "the next push catches up" if stage == "push" else "wait for it or stop it, then run this again"
        raise BusyError(", ".join(busy), cure=cure)


def _complete(root: Path, params: Params) -> str:
    """Write what DVC wants to see in params.yaml, though it may be left out, at its default; returns the diff."""
    written = loaded(read_text(root)) or {}
    edits: dict[str, Any] = {name: {} for name in ("prometheus", "demo") if written.get(name) is None}
    if "until" not in (written.get("snapshot") or {}):
        edits["snapshot.until"] = params.snapshot.until
    for name, task in (written.get("tasks") or {}).items():
        edits |= {f"tasks.{name}.{part}": {} for part in WATCHED if task.get(part) is None}
    return set_values(root, edits) if edits else ""


def _clear_rwlock(root: Path) -> None:
    """Remove DVC's table of the files in use where a full disk has cut it: it locks nothing, but no DVC would run."""
    table = root / ".dvc" / "tmp" / "rwlock"
    if _is_json(table):
        return
    from dvc.config import Config
    from dvc.lock import LockError, make_lock
    from dvc.rwlock import RWLOCK_LOCK

    links = Config(str(root / ".dvc"))["core"].get("hardlink_lock", False)
    guard = make_lock(str(table.with_name(RWLOCK_LOCK)), tmp_dir=str(table.parent), hardlink_lock=links)
    with suppress(LockError), guard:  # DVC holds it, too, while it writes the table
        if not _is_json(table):
            table.unlink()


def _is_json(path: Path) -> bool:
    """Whether it can be read as JSON, or not at all, of which DVC says more."""
    try:
        json.loads(path.read_bytes())
    except ValueError:
        return False
    except OSError:
        pass
    return True


def _run_chain(root: Path, task: str, stages: Sequence[Stage], options: Sequence[str]) -> Outcome:
    """Run the stages of one task, and forget the failures of those that are in order now, be it that DVC skips them.

    A mistake taken back makes DVC run nothing again. What a run that is stopped or busy did not reach stays as it was.
    """
    paths = TaskPaths(root, task)
    before = {stage: _written(paths.failed_notebook(stage)) for stage in stages}
    status, said = _run_dvc(root, task, [*options, "--single-item", *(f"{stage}@{task}" for stage in stages)])
    anew = [one for one in stages if _written(paths.failed_notebook(one)) not in (0, before[one])]
    failed = anew[0] if status and anew else None
    if status and not failed and BUSY.search(said):
        holder = PID.search(said)
        return Outcome(task, status, busy=f"process {holder[1]} runs it" if holder else "another process runs it")
    passed = stages if not status else stages[: stages.index(failed)] if failed else ()
    for stage in passed:
        if _written(paths.failed_notebook(stage)) == before[stage]:  # else somebody else's run has failed since
            paths.failed_notebook(stage).unlink(missing_ok=True)
    return Outcome(task, status, failed)


def _written(path: Path) -> int:
    """When the file was last written, in ns; 0 where there is none."""
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def _run_dvc(root: Path, name: str, arguments: list[str]) -> tuple[int, str]:
    """`dvc repro` with `arguments`, each line of its output told with the `name` of the task; status and stderr."""
    command = [sys.executable, "-m", "tsf.flow.parent", "--wait-for-lock", "repro", *arguments]
    heard: list[str] = []
    with subprocess.Popen(
        command,
        cwd=root,
        env=dvc_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    ) as process:
        listener = Thread(target=_listen, args=(process.stderr, heard))
        listener.start()
        for line in process.stdout or ():
            if name and line.strip() and not line.lstrip().startswith(HINTS):
                sys.stdout.write(f"{name}: {line}")
                sys.stdout.flush()
        listener.join()
    return process.returncode, "".join(heard)


def _listen(said: Iterable[str], heard: list[str]) -> None:
    """Pass on what DVC says on stderr, but not its last words where another process holds its files."""
    held = False
    for line in said:
        heard.append(line)
        held = held or HELD in line
        if not held:
            sys.stderr.write(line)
            sys.stderr.flush()


def dvc_environment() -> dict[str, str]:
    """Our environment with this interpreter's folder first in PATH: `python` in dvc.yaml means the same one."""
    folder = str(Path(sys.executable).parent)
    path = folder + os.pathsep + os.environ.get("PATH", "")
    return {**os.environ, "PATH": path, "DVC_NO_ANALYTICS": "1", "PYTHONUNBUFFERED": "1"}


def move_snapshot(root: Path) -> str:
    """Set snapshot.until to this moment, rounded down to a minute; returns the diff of params.yaml."""
    return set_values(root, {"snapshot.until": stamp_text(time.time() // 60 * 60)})


def _failures(outcomes: Iterable[Outcome]) -> str:
    """Which stages failed, and of which tasks DVC did before it came to one."""
    stages = [f"{one.failed}@{one.task}" for one in outcomes if one.failed]
    others = [one.task for one in outcomes if not one.failed]
    parts = [f"{', '.join(stages)} failed"] * bool(stages)
    parts += [f"dvc repro failed for {', '.join(others)}, see above"] * bool(others)
    return " and ".join(parts)
