"""Models: every version with its aliases, card and lineage; promoted and rolled back."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from tsf.errors import FlowError, ModelError
from tsf.io.artifacts import read_card
from tsf.io.files import read_json
from tsf.io.registry import NOTEBOOK, ModelVersion, promote, rollback, versions
from tsf.params import read_params
from tsf.project import TaskPaths
from tsf.server.answers import Answer, ConflictError, NotFoundError, json_answer, or_none, page_of, time_text
from tsf.server.service import Service
from tsf.server.users import tasks_of

__all__ = [
    "list_models",
    "list_models_of_task",
    "list_models_of_user",
    "promote_model",
    "read_model",
    "rollback_model",
]


def list_models(service: Service, offset: int, limit: int, stage: str | None) -> Answer:
    """Models of all tasks."""
    return _list(service, list(read_params(service.root).tasks), offset, limit, stage)


def list_models_of_user(service: Service, username: str, offset: int, limit: int, stage: str | None) -> Answer:
    """Models of somebody's tasks."""
    return _list(service, tasks_of(read_params(service.root), username), offset, limit, stage)


def list_models_of_task(service: Service, task_id: str, offset: int, limit: int) -> Answer:
    """Models of one task."""
    service.task(task_id)
    return _page(_entries(service, {task_id: versions(TaskPaths(service.root, task_id))}, None), offset, limit)


def read_model(service: Service, model_id: str) -> Answer:
    """The card of one model."""
    return _card(service, *_find(service, model_id))


def promote_model(service: Service, model_id: str, body: dict[str, Any]) -> Answer:
    """Let an alias point at a model."""
    task, model = _find(service, model_id)
    promote(TaskPaths(service.root, task), model.version, body.get("alias", "champion"))
    return _card(service, *_find(service, f"{task}:{model.version}"))


def rollback_model(service: Service, task_id: str, body: dict[str, Any]) -> Answer:
    """Let an alias point where it pointed before."""
    service.task(task_id)
    try:
        version = rollback(TaskPaths(service.root, task_id), body.get("alias", "champion"))
    except ModelError as fault:
        raise ConflictError(fault.what, where=task_id, cure=fault.cure) from None
    return _card(service, *_find(service, f"{task_id}:{version}"))


def _find(service: Service, model_id: str) -> tuple[str, ModelVersion]:
    """The task and the version that an id means. Raises NotFoundError, or ConflictError where it could be two."""
    task, _, version = model_id.rpartition(":")
    names = read_params(service.root).tasks
    asked = {name: _known(service, name) for name in names if task in ("", name)}
    found = [(name, one) for name, (known, _) in asked.items() for one in known if version in (one.version, one.name)]
    damaged = [fault for _, fault in asked.values() if fault]
    if damaged and not found:
        raise damaged[0]
    if not found:
        raise NotFoundError(f"there is no model {model_id!r}", where="model_id", cure="list the models: GET /models")
    if len(found) > 1:
        both = " or ".join(f"{name}:{one.version}" for name, one in found)
        raise ConflictError(f"{len(found)} tasks have a model {model_id!r}", where="model_id", cure=f"write {both}")
    return found[0]


def _list(service: Service, tasks: Iterable[str], offset: int, limit: int, stage: str | None) -> Answer:
    """Models of some tasks; one whose list of aliases is damaged is named in `faults`, and hides no other."""
    asked = {task: _known(service, task) for task in tasks}
    faults = [{"task": task, "message": str(fault)} for task, (_, fault) in asked.items() if fault]
    entries = _entries(service, {task: known for task, (known, _) in asked.items()}, stage)
    return _page(entries, offset, limit, faults=faults)


def _known(service: Service, task: str) -> tuple[list[ModelVersion], ModelError | None]:
    """The versions of a task; where its list of aliases is damaged none, and why."""
    try:
        return versions(TaskPaths(service.root, task)), None
    except ModelError as fault:
        return [], fault


def _page(entries: list[dict[str, Any]], offset: int, limit: int, **others: Any) -> Answer:
    entries.sort(key=lambda entry: "champion" not in entry["aliases"])  # else as they are: the newest first
    return json_answer(page_of(entries, offset, limit, **others))


def _entries(service: Service, known: Mapping[str, list[ModelVersion]], stage: str | None) -> list[dict[str, Any]]:
    """The versions of each task that have the alias `stage`, or all, the newest first."""
    return [
        _entry(service, task, one)
        for task, found in known.items()
        for one in reversed(found)
        if stage is None or stage in one.aliases
    ]


def _entry(service: Service, task: str, model: ModelVersion) -> dict[str, Any]:
    card, spec = model.card, model.card.get("spec", {})
    return {
        "id": model.version,
        "version": model.version,
        "name": model.name,
        "task": task,
        "user": read_params(service.root).tasks[task].owner,
        "aliases": list(model.aliases),
        "stage": model.aliases[0] if model.aliases else "",
        "created_at": _created(model.name),
        "trained_until": time_text(card.get("trained_until")),
        "data_hash": card.get("data_hash", ""),
        "commit": card.get("commit", ""),
        "model_type": spec.get("params", {}).get("model_type", ""),
        "parameters": card.get("parameters"),
        "n_series": card.get("n_series"),
        "seconds": card.get("seconds"),
        "metrics": _evaluated(TaskPaths(service.root, task).kept_evaluation(model.version)) or None,
        "damaged": not card,
    }


def _card(service: Service, task: str, model: ModelVersion) -> Answer:
    paths, spec = TaskPaths(service.root, task), model.card.get("spec", {})
    entry = _entry(service, task, model)
    notebook, newest = model.folder / NOTEBOOK, or_none(lambda: read_card(paths.model)["version"])
    return json_answer(
        {
            **entry,
            "params": spec.get("params", {}),
            "history": list(model.card.get("history", [])),
            "calibration": spec.get("calibration"),
            "lineage": {
                "data_hash": entry["data_hash"],
                "commit": entry["commit"],
                "trained_until": entry["trained_until"],
                "notebook": service.shown_path(notebook) if notebook.is_file() else None,
                # The page on disk tells of the model that was trained last.
                "report": f"/reports/{task}/train" if newest == model.version else None,
            },
            "history_of_aliases": _moves(model.folder.parent / "aliases.json"),
        }
    )


def _created(name: str) -> str | None:
    if not re.fullmatch(r"model_\d{8}_\d{6}", name):
        return None
    moment = datetime.strptime(name, "model_%Y%m%d_%H%M%S").replace(tzinfo=timezone.utc)
    return time_text(moment.timestamp())


def _evaluated(path: Path) -> dict[str, Any]:
    """The metrics of an evaluation, empty where there are none."""
    try:
        metrics: dict[str, Any] = read_json(path)
    except FlowError:
        return {}
    return metrics


def _moves(path: Path) -> list[dict[str, str]]:
    try:
        moves: list[dict[str, str]] = read_json(path)["history"]
    except (FlowError, KeyError, TypeError):
        return []
    return moves
