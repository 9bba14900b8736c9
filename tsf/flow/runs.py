"""Runs of the pipeline: DVC started with the right interpreter, without analytics, and its outcome told plainly."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from tsf.errors import FlowError
from tsf.flow.index import write_index
from tsf.flow.tasks import read_text, set_values
from tsf.params import Params, read_params
from tsf.project import STAGES, Stage, TaskPaths

__all__ = ["move_snapshot", "reproduce"]

WATCHED = ("fetch", "train", "evaluate", "push", "alert")  # the sections of a task that are parameters in dvc.yaml
# What DVC advises after each chain, which is not about what was asked for.
HINTS = ("To track the changes", "To enable auto staging", "git add ", "dvc config core.autostage", "Use `dvc push`")


def reproduce(
    root: Path, tasks: Iterable[str] = (), stage: Stage = "push", *, force: bool = False, alone: bool = False
) -> None:
    """Run `stage` and all it depends on for `tasks` (every task by default); a task that fails stops no other.

    Tasks share nothing, so each core runs one, in a DVC process of its own that waits for the others' locks.
    force: run even where nothing changed. alone: run this stage only, on what the stages before it left.
    The index of reports is renewed in any case. Raises FlowError that names the stages which failed.
    """
    params = read_params(root)  # a mistake in params.yaml is told in our words, before DVC meets it
    sys.stdout.write(_complete(root, params))
    names = [name for name in tasks or params.tasks if params.task(name)]
    if not names:
        raise FlowError("params.yaml has no tasks", cure="add one: tsf tasks add NAME --preset storage")
    stages = [stage] if alone else STAGES[: STAGES.index(stage) + 1]
    options = ["--force"] * force + ["--single-item"]
    # Each chain is named stage by stage: DVC would lock what they share, the notebooks, against one another.
    _run_dvc(root, "", ["notebooks"])
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        chains = ([*options, *(f"{one}@{name}" for one in stages)] for name in names)
        failed = list(pool.map(partial(_run_dvc, root), names, chains))
    if not any(failed) and not alone:
        _forget_failures(root, names, stages)
    write_index(root)
    if any(failed):
        raise FlowError(_failures(root, names, stages), cure="mend it and run the same command again; the rest is done")


def _complete(root: Path, params: Params) -> str:
    """Write what DVC wants to see in params.yaml, though it may be left out, at its default; returns the diff."""
    written = YAML(typ="safe").load(read_text(root)) or {}
    edits: dict[str, Any] = {name: {} for name in ("prometheus", "demo") if written.get(name) is None}
    if "until" not in (written.get("snapshot") or {}):
        edits["snapshot.until"] = params.snapshot.until
    for name, task in (written.get("tasks") or {}).items():
        edits |= {f"tasks.{name}.{part}": {} for part in WATCHED if task.get(part) is None}
    return set_values(root, edits) if edits else ""


def _run_dvc(root: Path, name: str, arguments: list[str]) -> int:
    """`dvc repro` with `arguments`, each line of its output told with the `name` of the task; its exit status."""
    command = [sys.executable, "-m", "tsf.flow.parent", "--wait-for-lock", "repro", *arguments]
    with subprocess.Popen(
        command, cwd=root, env=dvc_environment(), stdout=subprocess.PIPE, text=True, errors="replace"
    ) as process:
        for line in process.stdout or ():
            if name and line.strip() and not line.lstrip().startswith(HINTS):
                sys.stdout.write(f"{name}: {line}")
                sys.stdout.flush()
    return process.returncode


def dvc_environment() -> dict[str, str]:
    """Our environment with this interpreter's folder first in PATH: `python` in dvc.yaml means the same one."""
    folder = str(Path(sys.executable).parent)
    path = folder + os.pathsep + os.environ.get("PATH", "")
    return {**os.environ, "PATH": path, "DVC_NO_ANALYTICS": "1", "PYTHONUNBUFFERED": "1"}


def move_snapshot(root: Path, now: datetime | None = None) -> str:
    """Set snapshot.until to `now` (the present moment), rounded down to a minute; returns the diff of params.yaml."""
    moment = (now or datetime.now(timezone.utc)).astimezone(timezone.utc).replace(second=0, microsecond=0)
    return set_values(root, {"snapshot.until": moment.strftime("%Y-%m-%dT%H:%M:%SZ")})


def _forget_failures(root: Path, tasks: Iterable[str], stages: Iterable[Stage]) -> None:
    """A mistake taken back makes DVC run nothing again: what failed then is no longer so."""
    for task, stage in product(tasks, stages):
        TaskPaths(root, task).failed_notebook(stage).unlink(missing_ok=True)


def _failures(root: Path, tasks: Sequence[str], stages: Sequence[Stage]) -> str:
    failed = [
        f"{stage}@{task}" for task in tasks for stage in stages if TaskPaths(root, task).failed_notebook(stage).exists()
    ]
    return f"{', '.join(failed)} failed" if failed else "dvc repro failed, see above"
