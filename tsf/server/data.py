"""Forecasts, series and queries: what a chart, a table or a form asks for."""

from __future__ import annotations

import csv
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tsf.errors import ModelError, ParamsError, SeriesError, SourceError, TsfError
from tsf.flow.keys import flat, task_keys
from tsf.io.files import read_json
from tsf.io.quality import Quality, measure_quality
from tsf.io.registry import resolve, versions
from tsf.io.source import fetch_from_source
from tsf.params import FetchParams, Params, read_params
from tsf.presets import PRESETS
from tsf.project import TaskPaths
from tsf.promql import check_query as check_metric
from tsf.promql import selectors
from tsf.series import SeriesSet, label_column
from tsf.server import worker
from tsf.server.answers import Answer, NotFoundError, json_answer, or_none, page_of, time_text
from tsf.server.service import Service
from tsf.server.users import tasks_of
from tsf.server.views import by_urgency, chart_of, look, series_entries, series_rows

__all__ = [
    "check_query",
    "explain_forecast",
    "list_presets",
    "list_series",
    "list_task_series",
    "predict",
    "read_chart",
    "read_evaluation",
    "read_params_schema",
    "read_user_metrics",
]


def list_task_series(service: Service, task_id: str, offset: int, limit: int) -> Answer:
    """Series of one task, the most urgent first."""
    service.task(task_id)
    outlook = look(service.root, read_params(service.root), task_id)
    origin = time_text(outlook.forecast.origin_seconds) if outlook.forecast else None
    return json_answer({"items": series_rows(outlook, offset, limit), "total": len(outlook.labels), "origin": origin})


def list_series(service: Service, offset: int, limit: int) -> Answer:
    """Series of all tasks, the most urgent first."""
    params = read_params(service.root)
    looks = [outlook for name in params.tasks if (outlook := or_none(partial(look, service.root, params, name)))]
    rows = [row for outlook in looks for row in series_rows(outlook, 0, offset + limit)]
    order = by_urgency(rows)[offset : offset + limit]
    total = sum(len(outlook.labels) for outlook in looks)
    return json_answer({"items": [rows[at] for at in order], "total": total})


def read_chart(service: Service, task_id: str, row: int | None, hours: int) -> Answer:
    """One series as it was and will be."""
    service.task(task_id)
    return json_answer(chart_of(look(service.root, read_params(service.root), task_id), row, hours))


def read_evaluation(service: Service, task_id: str) -> Answer:
    """What the last evaluation left for DVC."""
    service.task(task_id)
    folder = TaskPaths(service.root, task_id).evaluation
    if not (folder / "metrics.json").exists():
        raise SeriesError(f"task {task_id!r} was never evaluated", where=task_id, cure="run it")
    return json_answer(
        {
            "metrics": read_json(folder / "metrics.json"),
            "by_horizon": _table(folder / "by_horizon.csv"),
            "training": _table(folder / "training.csv"),
        }
    )


def predict(service: Service, body: dict[str, Any]) -> Answer:
    """A forecast from the newest samples."""
    root, user = service.root, body.get("user")
    params = read_params(root)
    name = _task_for(params, body)
    model = body.get("model", "champion")
    _check_model(root, name, model)
    labels = dict(body.get("labels", {}))
    if user not in (None, params.tasks[name].owner) and labels.setdefault("user", user) != user:
        raise ParamsError(f"{user!r} and {labels['user']!r} are asked for", where="labels.user", cure="name one")
    steps, limit = body.get("prediction_steps"), int(body.get("limit", 100))  # a whole number of JSON may be 4.0
    steps = None if steps is None else int(steps)
    return Answer(service.compute(worker.predict, root, name, steps, model, labels, limit))


def explain_forecast(service: Service, body: dict[str, Any]) -> Answer:
    """What the forecast of one series from the newest samples rests on."""
    task, model = body["task"], body.get("model", "champion")
    service.task(task)
    _check_model(service.root, task, model)
    return Answer(service.compute(worker.explain, service.root, task, body.get("labels", {}), model))


def _check_model(root: Path, task: str, reference: str) -> None:
    """Raise NotFoundError for a model that is not there; where there is none at all, the worker says it."""
    paths = TaskPaths(root, task)
    try:
        resolve(paths, reference)
    except ModelError as fault:
        if versions(paths):
            raise NotFoundError(fault.what, where="model", cure=fault.cure) from None


def read_user_metrics(service: Service, user: str, hours: int, offset: int, limit: int) -> Answer:
    """Newest samples of somebody's tasks, else of the series that carry the name in their label `user`."""
    params = read_params(service.root)
    owned = tasks_of(params, user)
    asked: list[tuple[str, str | None]] = [(name, None) for name in owned] or [
        (name, user)
        for name in params.tasks
        if (outlook := or_none(partial(look, service.root, params, name)))
        and any(labels.get("user") == user for labels in outlook.labels)
    ]
    if not asked:
        what = f"nobody called {user!r} owns a task, and no series that was fetched has that label `user`"
        raise NotFoundError(what, where="user", cure="see GET /users for the owners")
    tasks = [_newest(params, name, label, hours, offset, limit) for name, label in asked]
    if all(task["error"] for task in tasks):
        raise SourceError(tasks[0]["error"].rstrip("."), cure="see GET /health")
    return json_answer({"user": user, "hours": hours, "tasks": tasks})


def check_query(service: Service, body: dict[str, Any]) -> Answer:
    """Whether a query can be used, by the parser and, if asked, by the server."""
    query = body["query"]
    nothing: dict[str, Any] = {"series": None, "labels": {}}
    try:
        if body.get("kind", "metric") == "metric":
            check_metric(query, "query")
        else:
            selectors(query)
    except ParamsError as fault:
        return json_answer({"ok": False, "message": str(fault), **nothing})
    if not body.get("ask"):
        return json_answer({"ok": True, "message": "This is PromQL.", **nothing})
    params = read_params(service.root)
    try:
        fetch = FetchParams(metric_query=query) if body.get("kind", "metric") == "metric" else _as_limit(query)
        found, _ = fetch_from_source(params, fetch, history_seconds=24 * fetch.step)
    except TsfError as fault:
        return json_answer({"ok": False, "message": str(fault), **nothing})
    counts = {name: len(set(column.tolist()) - {""}) for name, column in found.labels.items()}
    message = f"{found.n_series:,} series in the last day."
    return json_answer({"ok": True, "message": message, "series": found.n_series, "labels": counts})


def list_presets(service: Service) -> Answer:
    """Presets with their settings by dotted key."""
    _ = service
    entries = []
    for name, preset in PRESETS.items():
        config = flat(preset.block)
        query, limit = config.pop("fetch.metric_query", ""), config.pop("fetch.limit", None)
        entries.append({"name": name, "reason": preset.reason, "metric_query": query, "limit": limit, "config": config})
    return json_answer(entries)


def read_params_schema(service: Service) -> Answer:
    """The schema of params.yaml, and a task's keys one by one."""
    _ = service
    return json_answer({"schema": Params.model_json_schema(), "keys": [asdict(key) for key in task_keys()]})


def _task_for(params: Params, body: dict[str, Any]) -> str:
    """The task that a prediction is about. Raises ParamsError or NotFoundError."""
    if name := body.get("task"):
        if name not in params.tasks:
            raise NotFoundError(f"there is no task {name!r}", where="task", cure="list the tasks: GET /tasks")
        return str(name)
    query, user = " ".join(body.get("metric_query", "").split()), body.get("user")
    if not query:
        raise ParamsError("neither metric_query nor task is given", where="body", cure="say what to forecast")
    found = [name for name, task in params.tasks.items() if " ".join(task.fetch.metric_query.split()) == query]
    if not found:
        check_metric(query, "metric_query")
        what = f"no task forecasts {query!r}"
        raise NotFoundError(what, where="metric_query", cure="add one, POST /tasks, and let it run")
    own = [name for name in found if params.tasks[name].owner == user]
    return (own or found)[0]


def _newest(params: Params, name: str, user: str | None, hours: int, offset: int, limit: int) -> dict[str, Any]:
    """The newest samples of a task with a gap report; what is wrong stands in `error`."""
    fetch = params.tasks[name].fetch
    entry: dict[str, Any] = {"task": name, "metric_query": fetch.metric_query, "times": [], "series": [], "total": 0}
    try:
        found, quality = fetch_from_source(params, fetch, history_seconds=max(hours * 3600, fetch.step))
    except SourceError as fault:
        return entry | {"quality": {}, "error": str(fault)}
    users = label_column(found.labels, "user")
    rows = [row for row in range(found.n_series) if user in (None, users[row])]
    page = page_of(rows, offset, limit)
    return entry | {
        "times": found.times,
        "series": series_entries(found, page["items"]),
        "total": page["total"],
        "quality": asdict(quality if user is None else _quality_of(found.take(rows), quality)) if rows else {},
        "error": "",
    }


def _quality_of(part: SeriesSet, whole: Quality) -> Quality:
    """The gap report of some series; what only the source knows, samples that were no number, is told of all.

    A limit of 0 or less counts as none here: its series has only unknown ones by now.
    """
    without = 0 if part.limit is None else int(np.isnan(part.limit).all(axis=1).sum())
    return measure_quality(
        part,
        nan_samples=whole.nan_samples,
        infinite_samples=whole.infinite_samples,
        without_limit=without,
        warnings=whole.warnings,
    )


def _as_limit(query: str) -> FetchParams:
    """A query that is only looked at: a limit may be a size called …_total, which no metric may."""
    return FetchParams.model_construct(metric_query=query, limit=None, covariates={}, step=3600, history=86_400)


def _table(path: Path) -> list[dict[str, Any]]:
    """A CSV of numbers as rows; what is no number stays text."""
    with path.open(encoding="utf-8", newline="") as file:
        return [{key: _cell(text) for key, text in row.items()} for row in csv.DictReader(file)]


def _cell(text: str) -> Any:
    if text in ("True", "False"):
        return text == "True"
    try:
        return float(text)
    except ValueError:
        return text
