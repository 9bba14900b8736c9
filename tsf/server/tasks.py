"""Tasks: read, added, changed and removed in params.yaml, with what became of them."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from hashlib import sha256
from operator import itemgetter
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tsf.errors import FlowError, ParamsError, SinkError
from tsf.flow.keys import dotted_edits, flat
from tsf.flow.progress import failed_sentence, read_progress
from tsf.flow.queue import ACTIVE, Run, cancel, count_runs, enqueue, latest_runs, list_runs, settings_hash
from tsf.flow.runner import start_runner
from tsf.flow.tasks import add_task as with_task
from tsf.flow.tasks import edit_params, editing, loaded, params_diff, read_text, retire_task, write_params
from tsf.io.files import read_json
from tsf.io.pushgateway import retire
from tsf.io.registry import aliased
from tsf.io.runs import send_runs
from tsf.kinds import horizon_text
from tsf.params import Params, TaskParams, TrainParams, effective, read_params
from tsf.project import STAGES, TaskPaths
from tsf.server import worker
from tsf.server.answers import Answer, ConflictError, json_answer, or_none, page_of, time_text
from tsf.server.noise import noise_of
from tsf.server.runs import failure_of, run_entry
from tsf.server.service import Service
from tsf.server.users import tasks_of
from tsf.server.views import by_urgency, look, urgency_of

__all__ = [
    "add_task",
    "delete_task",
    "edit_task",
    "list_tasks",
    "list_tasks_of_user",
    "plan_task",
    "read_task",
    "task_states",
]

CANCEL_SECONDS = 30.0


def list_tasks(service: Service, offset: int, limit: int, state: str | None) -> Answer:
    """Tasks, the most urgent first."""
    return _list(service, list(read_params(service.root).tasks), offset, limit, state)


def list_tasks_of_user(service: Service, username: str, offset: int, limit: int) -> Answer:
    """Tasks of one owner; nobody's are none."""
    return _list(service, tasks_of(read_params(service.root), username), offset, limit, None)


def read_task(service: Service, task_id: str) -> Answer:
    """All about one task."""
    root, params = service.root, read_params(service.root)
    task = service.task(task_id)
    entry = _entry(service, params, task_id, latest_runs(root).get(task_id))
    entry["config"] = flat(task.model_dump(mode="json"))
    entry["set"] = sorted(flat(loaded(read_text(root))["tasks"][task_id]))  # what params.yaml itself says
    entry["etag"] = _etag(task)
    entry["runs"] = [run_entry(service, run) for run in list_runs(root, task_id, limit=10)]
    return json_answer(entry)


def add_task(service: Service, body: dict[str, Any]) -> Answer:
    """Write a new task and queue its first run."""
    root, name = service.root, body["name"]
    with editing(root):
        if name in read_params(root).tasks:
            raise ConflictError(
                f"there is a task {name!r} already", where="name", cure="choose another name, or edit that task"
            )
        old = read_text(root)
        diff = write_params(root, _with_new(old, body), old)
    return _saved(service, name, diff, body.get("queue", True))


def edit_task(service: Service, task_id: str, body: dict[str, Any]) -> Answer:
    """Change a task; comments of params.yaml stay."""
    root = service.root
    with editing(root):
        task = service.task(task_id)
        if body.get("etag", _etag(task)) != _etag(task):
            raise ConflictError("somebody else has changed this task since", where=task_id, cure="read it again")
        old = read_text(root)
        new = _with_edits(old, task_id, body)
        if body.get("dry_run"):
            diff = params_diff(old, new)
            return json_answer({"id": task_id, "state": None, "diff": diff, "run": None, "retired": None})
        diff = write_params(root, new, old)
    return _saved(service, task_id, diff, body.get("queue", False))


def delete_task(service: Service, task_id: str) -> Answer:
    """Cancel, take back, remove; in this order, so that a fault on the way leaves a task that can be deleted again."""
    root, params = service.root, read_params(service.root)
    service.task(task_id)
    if any(run.state in ACTIVE for run in list_runs(root, task_id)):
        cancel(root, task_id)
        start_runner(root)  # without one, nobody would see that it is to stop
        _wait_until_stopped(root, task_id)
    server = effective(params.prometheus, os.environ)
    diff = retire_task(root, task_id, lambda: retire(server, TaskPaths(root, task_id).textfile, task_id))
    with suppress(SinkError):  # the next run tells it too
        send_runs(root, server, read_params(root).tasks)
    return json_answer({"id": task_id, "state": None, "diff": diff, "run": None, "retired": server.pushgateway_url})


def plan_task(service: Service, body: dict[str, Any]) -> Answer:
    """What a task would read, write and cost; one that is there already is taken as edited."""
    root, name = service.root, body["name"]
    old = read_text(root)
    new = _with_edits(old, name, body) if name in read_params(root).tasks else _with_new(old, body)
    return Answer(service.compute(worker.plan, loaded(new), name, params_diff(old, new)))


def _list(service: Service, names: Iterable[str], offset: int, limit: int, state: str | None) -> Answer:
    params, runs = read_params(service.root), latest_runs(service.root)
    entries = [_entry(service, params, name, runs.get(name)) for name in names]
    entries = sorted((entry for entry in entries if state in (None, entry["state"])), key=itemgetter("name"))
    entries = [entries[at] for at in by_urgency([entry["urgency"] or {} for entry in entries])]
    counts = count_runs(service.root)
    queue = {"pending": counts.get("pending", 0), "running": counts.get("running", 0), "busy": _busy(service.root)}
    return json_answer(page_of(entries, offset, limit, queue=queue))


def _busy(root: Path) -> str:
    """Why what runs does not get on, "" where it does."""
    found = (read_progress(root, run) for run in list_runs(root, state="running"))
    return next((progress.waiting for progress in found if progress and progress.waiting), "")


def _entry(service: Service, params: Params, name: str, run: Run | None) -> dict[str, Any]:
    """A task as lists show it."""
    root, task = service.root, params.tasks[name]
    paths = TaskPaths(root, name)
    reports = {stage: _changed(paths.report(stage)) for stage in STAGES}
    outlook = or_none(lambda: look(root, params, name))
    champion = or_none(lambda: aliased(paths))
    links = {"self": f"/tasks/{name}", "series": f"/tasks/{name}/series", "chart": f"/tasks/{name}/chart"}
    links |= {"models": f"/models/task/{name}"}
    links |= {f"report_{stage}": f"/reports/{name}/{stage}" for stage, moment in reports.items() if moment}
    return {
        "id": name,
        "name": name,
        "user": task.owner,
        "preset": task.preset,
        "metric_query": task.fetch.metric_query,
        "limit": task.fetch.limit,
        "model_type": task.train.model_type,
        "step_seconds": task.fetch.step,
        "horizon": horizon_text(task.train.prediction_steps * task.fetch.step),
        "state": (state := _state(paths, task, run)),
        "error": _error(paths, run) if state == "failed" else "",
        "urgency": outlook and urgency_of(outlook),
        "noise": noise_of(task, paths, outlook.teams if outlook else 1, service.alarms().get(name)),
        "last_run": time_text(max((moment for moment in reports.values() if moment), default=None)),
        "last_push": time_text(_changed(paths.pushed / "receipt.json")),
        **failure_of(service, name),
        "run": run_entry(service, run) if run else None,
        "model": champion and champion.version,
        "metrics": or_none(lambda: read_json(paths.evaluation / "metrics.json")),
        "links": links,
    }


def _state(paths: TaskPaths, task: TaskParams, run: Run | None) -> str:
    """By the queue, or by what lies there where somebody ran it by hand since."""
    pushed = _changed(paths.pushed / "receipt.json")
    if run and run.state in ACTIVE:
        return run.state
    if any(paths.failed_notebook(stage).exists() for stage in STAGES):
        return "failed"
    if run and run.state != "completed" and (run.ended_at or 0) > (pushed or 0):
        return run.state
    if pushed and _settings_changed(paths, task, run, pushed):
        return "stale"
    return "completed" if pushed else "new"


def _error(paths: TaskPaths, run: Run | None) -> str:
    """Why the task failed: as the queue's run says, or the notebook of a stage that failed since, run by hand."""
    ended = run.ended_at or 0.0 if run and run.state == "failed" else 0.0
    failed = ((stage, paths.failed_notebook(stage)) for stage in STAGES)
    said = (failed_sentence(path, f"{stage}@{paths.task}") for stage, path in failed if (_changed(path) or 0) > ended)
    return next(filter(None, said), run.error if run and ended else "")


def _settings_changed(paths: TaskPaths, task: TaskParams, run: Run | None, pushed: float) -> bool:
    """Whether the task asks for another model than the one in use, or for what its last whole run did not know."""
    champion = or_none(lambda: aliased(paths))
    if champion and champion.card and _other_model(champion.card["spec"]["params"], task.train):
        return True
    if run is None or run.state != "completed" or run.alone or (run.ended_at or 0) < pushed:
        return False  # it says nothing of the whole task, or somebody has pushed by hand since
    return run.settings != settings_hash(task)


def _other_model(made_with: Mapping[str, Any], asked: TrainParams) -> bool:
    """Whether a model was made with other settings; those that did not exist then had today's defaults."""
    try:
        return TrainParams.model_validate(made_with) != asked
    except ValidationError:
        return True


def task_states(root: Path, params: Params) -> dict[str, str]:
    """The state of every task."""
    runs = latest_runs(root)
    return {name: _state(TaskPaths(root, name), task, runs.get(name)) for name, task in params.tasks.items()}


def _saved(service: Service, name: str, diff: str, queue: bool) -> Answer:
    run = enqueue(service.root, name) if queue else None
    if run:
        start_runner(service.root)
    entry = run_entry(service, run) if run else None
    return json_answer({"id": name, "state": run.state if run else None, "diff": diff, "run": entry, "retired": None})


def _with_new(text: str, body: dict[str, Any]) -> str:
    values = _values(body)
    if body.get("preset", "custom") == "custom" and "fetch.metric_query" not in values:
        raise ParamsError("the task has no query", where="metric_query", cure="write PromQL, or choose a preset")
    values.pop("owner", None)
    return with_task(text, body["name"], body.get("preset", "custom"), body.get("user", ""), values)


def _with_edits(text: str, name: str, body: dict[str, Any]) -> str:
    return edit_params(text, {f"tasks.{name}.{key}": value for key, value in _values(body).items()})


def _values(body: dict[str, Any]) -> dict[str, Any]:
    """What a body says of a task, by the full keys of params.yaml."""
    short = {"metric_query": "fetch.metric_query", "limit": "fetch.limit", "user": "owner"}
    return {key: body[name] for name, key in short.items() if name in body} | dotted_edits(body.get("config", {}))


def _wait_until_stopped(root: Path, name: str) -> None:
    end = time.monotonic() + CANCEL_SECONDS
    while any(run.state in ACTIVE for run in list_runs(root, name)):
        if time.monotonic() > end:
            raise FlowError(f"task {name!r} does not stop", cure="try again in a minute")
        time.sleep(0.2)


def _etag(task: TaskParams) -> str:
    return sha256(task.model_dump_json().encode()).hexdigest()[:16]


def _changed(path: Path) -> float | None:
    try:
        return path.stat().st_mtime
    except OSError:
        return None
