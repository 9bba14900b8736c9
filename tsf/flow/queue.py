"""The queue of runs: what waits, runs and ran, kept on disk so that no restart of a server loses it.

pending -> running -> completed | failed | cancelled; pending -> cancelled, or superseded by a newer run of its task.
"""

from __future__ import annotations

import hashlib
import sqlite3
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tsf.errors import FlowError
from tsf.flow.store import opened
from tsf.params import TaskParams, read_params
from tsf.project import Stage

__all__ = [
    "ACTIVE",
    "Run",
    "RunState",
    "cancel",
    "claim",
    "count_runs",
    "enqueue",
    "finish",
    "latest_runs",
    "list_runs",
    "read_run",
    "recover",
    "retry",
    "settings_hash",
]

RunState = Literal["pending", "running", "completed", "failed", "cancelled", "superseded"]
ACTIVE = ("pending", "running")
MAX_ATTEMPTS = 3  # a run whose runner dies with it each time, of too little memory say, must end at some time
PLACED = """SELECT runs.*, CASE WHEN state = 'pending' THEN
    (SELECT COUNT(*) FROM runs AS other WHERE other.state = 'pending' AND other.id <= runs.id)
    END AS position FROM runs"""


@dataclass(frozen=True)
class Run:
    """One run of a task's pipeline. Times are Unix seconds; `position` counts from 1 and only while it waits.

    settings: hash of the task's part of params.yaml when the run began.
    """

    id: int
    task: str
    stage: Stage
    alone: bool
    force: bool
    state: RunState
    queued_at: float
    started_at: float | None
    ended_at: float | None
    attempts: int
    cancelling: bool
    error: str
    settings: str
    position: int | None


def enqueue(root: Path, task: str, stage: Stage = "push", *, alone: bool = False, force: bool = False) -> Run:
    """Queue a run of `task` up to `stage`, in place of one that waits already. Raises ParamsError for no such task."""
    read_params(root).task(task)
    now = time.time()
    with opened(root) as store:
        store.execute(
            "UPDATE runs SET state = 'superseded', ended_at = ? WHERE task = ? AND state = 'pending'", (now, task)
        )
        added = store.execute(
            "INSERT INTO runs (task, stage, alone, force, state, queued_at) VALUES (?, ?, ?, ?, 'pending', ?)",
            (task, stage, alone, force, now),
        )
        return _one(store, int(added.lastrowid or 0))


def retry(root: Path, task: str) -> Run:
    """Queue the last run of `task` once more. Raises FlowError where there is none, or where it has not ended."""
    last = next(iter(list_runs(root, task, limit=1)), None)
    if last is None:
        raise FlowError(f"task {task!r} was never run from here", cure="run it")
    if last.state in ACTIVE:
        raise FlowError(f"task {task!r} is {last.state} already", cure="wait for it or cancel it first")
    return enqueue(root, task, last.stage, alone=last.alone, force=last.force)


def cancel(root: Path, task: str) -> Run:
    """Take `task` out of the queue and ask its runner to stop it; returns the newest run that this touched.

    Raises FlowError where nothing of it waits or runs.
    """
    with opened(root) as store:
        found = store.execute(
            "SELECT id FROM runs WHERE task = ? AND state IN ('pending', 'running') ORDER BY id DESC", (task,)
        ).fetchall()
        if not found:
            raise FlowError(f"task {task!r} neither waits nor runs", cure="there is nothing to cancel")
        store.execute(
            "UPDATE runs SET state = 'cancelled', ended_at = ? WHERE task = ? AND state = 'pending'",
            (time.time(), task),
        )
        store.execute("UPDATE runs SET cancelling = 1 WHERE task = ? AND state = 'running'", (task,))
        return _one(store, found[0]["id"])


def claim(root: Path) -> Run | None:
    """The run that has waited longest, running from now on; None where none waits. Only the runner calls this."""
    with opened(root) as store:
        row = store.execute("SELECT id, task FROM runs WHERE state = 'pending' ORDER BY id LIMIT 1").fetchone()
        if row is None:
            return None
        tasks = read_params(root).tasks
        settings = settings_hash(tasks[row["task"]]) if row["task"] in tasks else ""
        store.execute(
            "UPDATE runs SET state = 'running', started_at = ?, attempts = attempts + 1, settings = ? WHERE id = ?",
            (time.time(), settings, row["id"]),
        )
        return _one(store, row["id"])


def finish(root: Path, run: int, state: RunState, error: str = "") -> None:
    """Say how a run ended."""
    with opened(root) as store:
        store.execute(
            "UPDATE runs SET state = ?, ended_at = ?, error = ? WHERE id = ?", (state, time.time(), error, run)
        )


def recover(root: Path) -> None:
    """Queue again what a runner that died has left; DVC does not repeat what was done. Only a new runner calls this."""
    with opened(root) as store:
        now = time.time()
        store.execute(
            "UPDATE runs SET state = 'cancelled', ended_at = ? WHERE state = 'running' AND cancelling", (now,)
        )
        store.execute(
            "UPDATE runs SET state = 'failed', ended_at = ?, error = ? WHERE state = 'running' AND attempts >= ?",
            (now, f"its process died {MAX_ATTEMPTS} times; most often that is too little memory.", MAX_ATTEMPTS),
        )
        store.execute("UPDATE runs SET state = 'pending', started_at = NULL WHERE state = 'running'")


def read_run(root: Path, run: int) -> Run:
    """One run. Raises FlowError where there is none of that number."""
    with opened(root) as store:
        return _one(store, run)


def list_runs(
    root: Path, task: str | None = None, state: RunState | None = None, *, offset: int = 0, limit: int = -1
) -> list[Run]:
    """Runs of a task (of all), in a state (in any), the newest first."""
    where, values = _where(task, state)
    with opened(root) as store:
        return _runs(store.execute(f"{PLACED}{where} ORDER BY id DESC LIMIT ? OFFSET ?", (*values, limit, offset)))


def latest_runs(root: Path) -> dict[str, Run]:
    """The run of each task that goes on, else its newest."""
    with opened(root) as store:
        newest = (
            "(SELECT COALESCE(MAX(CASE WHEN state = 'running' THEN id END), MAX(id)) FROM runs"
            " WHERE state != 'superseded' GROUP BY task)"
        )
        return {run.task: run for run in _runs(store.execute(f"{PLACED} WHERE id IN {newest}"))}


def count_runs(root: Path, task: str | None = None, state: RunState | None = None) -> dict[str, int]:
    """How many runs there are, by state."""
    where, values = _where(task, state)
    with opened(root) as store:
        rows = store.execute(f"SELECT state, COUNT(*) FROM runs{where} GROUP BY state", values)  # noqa: S608 - see _where
        return {row[0]: row[1] for row in rows}


def settings_hash(task: TaskParams) -> str:
    """What tells whether a task's settings are those of a run."""
    told = task.model_dump_json(exclude={"owner"}, exclude_defaults=True)  # a setting that is new later changes nothing
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def _where(task: str | None, state: RunState | None) -> tuple[str, list[str]]:
    """A clause made of fixed words; what comes from outside goes in as a parameter."""
    given = {"task": task, "state": state}
    clauses = [f"{name} = ?" for name, value in given.items() if value is not None]
    return f" WHERE {' AND '.join(clauses)}" if clauses else "", [
        value for value in given.values() if value is not None
    ]


def _one(store: sqlite3.Connection, run: int) -> Run:
    found = _runs(store.execute(f"{PLACED} WHERE id = ?", (run,)))
    if not found:
        raise FlowError(f"there is no run {run}", cure="list the runs to see which there are")
    return found[0]


def _runs(rows: Iterable[sqlite3.Row]) -> list[Run]:
    flags = ("alone", "force", "cancelling")
    values = [dict(row) for row in rows]
    return [Run(**value | {key: bool(value[key]) for key in flags}) for value in values]
