"""Runs: queued, cancelled, repeated, watched."""

from __future__ import annotations

import time
from dataclasses import asdict
from functools import lru_cache
from typing import Any

from tsf.doctor.machine import gpu_memory_bytes
from tsf.errors import FlowError
from tsf.flow.progress import failed_cell, read_log, read_progress
from tsf.flow.queue import ACTIVE, Run, cancel, count_runs, enqueue, list_runs, read_run, retry
from tsf.flow.runner import start_runner
from tsf.flow.runs import move_snapshot
from tsf.project import STAGES, TaskPaths
from tsf.server.answers import Answer, NotFoundError, json_answer, time_text
from tsf.server.service import Service

__all__ = [
    "cancel_task",
    "list_all_runs",
    "list_task_runs",
    "read_run_log",
    "retry_task",
    "run_entry",
    "run_task",
]

NO_FAILURE = {"failed_notebook": None, "failed_cell": None}


def run_task(service: Service, task_id: str, body: dict[str, Any]) -> Answer:
    """Queue a run."""
    service.task(task_id)
    if body.get("now"):
        move_snapshot(service.root)
    options = {"alone": body.get("alone", False), "force": body.get("force", False)}
    return _queued(service, enqueue(service.root, task_id, body.get("stage", "push"), **options))


def cancel_task(service: Service, task_id: str) -> Answer:
    """Cancel what waits and what runs."""
    service.task(task_id)
    return _queued(service, cancel(service.root, task_id))


def retry_task(service: Service, task_id: str) -> Answer:
    """Queue the last run once more."""
    service.task(task_id)
    return _queued(service, retry(service.root, task_id))


def list_task_runs(service: Service, task_id: str, offset: int, limit: int) -> Answer:
    """Runs of one task."""
    service.task(task_id)
    return _listed(service, task_id, None, offset, limit)


def list_all_runs(service: Service, offset: int, limit: int, state: Any) -> Answer:
    """Runs of all tasks, those of removed ones too."""
    return _listed(service, None, state, offset, limit)


def read_run_log(service: Service, run_id: int, offset: int) -> Answer:
    """What a run has said from a byte on."""
    try:
        found = read_run(service.root, run_id)
    except FlowError as fault:
        raise NotFoundError(fault.what, where="run_id", cure="list the runs: GET /runs") from None
    text, next_offset = read_log(service.root, run_id, offset)
    return json_answer({"text": text, "next_offset": next_offset, "ended": found.state not in ACTIVE})


def run_entry(service: Service, run: Run) -> dict[str, Any]:
    """A run as the contract has it."""
    progress = read_progress(service.root, run)
    failed = failure_of(service, run.task) if run.state == "failed" else NO_FAILURE
    return {
        "id": run.id,
        "task": run.task,
        "stage": run.stage,
        "alone": run.alone,
        "force": run.force,
        "state": run.state,
        "position": run.position,
        "queued_at": time_text(run.queued_at),
        "started_at": time_text(run.started_at),
        "ended_at": time_text(run.ended_at),
        "attempts": run.attempts,
        "cancelling": run.cancelling and run.state == "running",
        "error": run.error,
        "progress": asdict(progress) | {"gpu_memory_bytes": _gpu_memory(int(time.time()) // 5)} if progress else None,
        **failed,
        "links": {"log": f"/runs/{run.id}/log", "task": f"/tasks/{run.task}"},
    }


def failure_of(service: Service, task: str) -> dict[str, Any]:
    """The notebook of the stage that failed, and its cell; a later run of the task takes it away."""
    paths = TaskPaths(service.root, task)
    for stage in STAGES:
        path = paths.failed_notebook(stage)
        if path.exists():
            return {"failed_notebook": service.shown_path(path), "failed_cell": failed_cell(path)}
    return NO_FAILURE


@lru_cache(1)
def _gpu_memory(_moment: int) -> int | None:
    """Bytes in use on this machine's GPUs, None where it has none; asked at most every five seconds."""
    return gpu_memory_bytes()


def _queued(service: Service, run: Run) -> Answer:
    start_runner(service.root)
    return json_answer(run_entry(service, run))


def _listed(service: Service, task: str | None, state: Any, offset: int, limit: int) -> Answer:
    runs = list_runs(service.root, task, state, offset=offset, limit=limit)
    total = sum(count_runs(service.root, task, state).values())
    return json_answer({"items": [run_entry(service, run) for run in runs], "total": total})
