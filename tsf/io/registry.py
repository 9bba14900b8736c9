"""Every model version of every task, kept for ever, and the aliases that say which one is in use."""

from __future__ import annotations

import re
import shutil
import uuid
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from tsf.errors import FlowError, ModelError
from tsf.io.artifacts import CARD, WEIGHTS, read_card, read_model
from tsf.io.files import locked, read_json, replacing, write_json
from tsf.params import TASK_NAME, AlertParams, PushParams
from tsf.project import TaskPaths

__all__ = ["ALIASES", "NOTEBOOK", "ModelVersion", "alert_in_force", "aliased", "champion_metrics", "chosen_alert",
           "promote", "push_in_force", "register", "resolve", "rollback", "versions"]  # fmt: skip

ALIASES = ("champion", "challenger")
NOTEBOOK = "train.ipynb"  # the executed one that made the model, beside its weights
NAME = re.compile(r"model_\d{8}_\d{6}\Z")
VERSION = re.compile(r"[0-9a-f]{12}\Z")


@dataclass(frozen=True)
class ModelVersion:
    """One version of a task's model: its name for people, the aliases that point at it, its folder and card.

    A version whose card is damaged has neither name nor card.
    """

    version: str
    name: str
    aliases: tuple[str, ...]
    folder: Path
    card: Mapping[str, Any]


def register(paths: TaskPaths, name: str) -> str:
    """Copy the task's model into the registry, with the executed notebook that trained it, and return its version.

    name: model_YYYYMMDD_HHMMSS, in UTC; no other version of the task may have it. A version that is already there
    keeps its name. A notebook that does not name the version tells of another model and is left out. Raises ModelError
    for a damaged model and for a bad or taken name.
    """
    folder = _task_folder(paths)
    if not NAME.match(name):
        raise ModelError(f"{name!r} is not a model's name", cure="use model_YYYYMMDD_HHMMSS")
    version = str(read_model(paths.model)[1]["version"])
    if _is_whole(folder / version):
        return version
    if taken := [one.version for one in versions(paths) if one.name == name and one.version != version]:
        raise ModelError(
            f"the name {name} belongs to version {taken[0]} of task {paths.task}", cure="use another second"
        )
    part = folder / f".{version}.{uuid.uuid4().hex[:8]}.tmp"
    try:
        part.mkdir(parents=True)
        with replacing(part / WEIGHTS, ModelError) as file:
            file.write((paths.model / WEIGHTS).read_bytes())
        write_json({**read_card(paths.model), "name": name}, part / CARD)
        notebook = paths.notebook("train")
        if notebook.is_file() and version.encode() in (executed := notebook.read_bytes()):
            with replacing(part / NOTEBOOK, ModelError) as file:
                file.write(executed)
        shutil.rmtree(folder / version, ignore_errors=True)  # only a damaged one is still there
        part.rename(folder / version)
    except OSError as fault:
        cure = "free the disk or mend the permissions"
        raise ModelError(f"it cannot be written ({fault.strerror})", where=str(folder), cure=cure) from None
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return version


def versions(paths: TaskPaths) -> list[ModelVersion]:
    """All versions of the task's model, the oldest name first; none for a task without models."""
    folder = _task_folder(paths)
    names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    aliases = _aliases(folder)
    found = [_version(folder / version, aliases) for version in filter(VERSION.match, names)]
    return sorted(found, key=lambda one: (one.name, one.version))


def aliased(paths: TaskPaths, alias: str = "champion") -> ModelVersion | None:
    """The version that `alias` points at, None where there is none; of all cards only its own is read.

    Raises ModelError for a damaged list of aliases.
    """
    folder = _task_folder(paths)
    aliases = _aliases(folder)
    version = aliases.get(alias, "")
    return _version(folder / version, aliases) if VERSION.match(version) and (folder / version).exists() else None


def resolve(paths: TaskPaths, reference: str = "champion") -> Path:
    """The folder of the model that `reference` means: an alias, a name, a version or the start of just one version.

    Raises ModelError that lists what there is.
    """
    if reference in ALIASES and (pointed := aliased(paths, reference)):
        return pointed.folder
    known = versions(paths)
    exact = [one for one in known if reference and reference in (*one.aliases, one.name, one.version)]
    found = exact or [one for one in known if reference and one.version.startswith(reference)]
    if len(found) == 1:
        return found[0].folder
    where = f"task {paths.task}"
    if not known:
        raise ModelError("it has no model in the registry", where=where, cure=f"run `tsf evaluate --task {paths.task}`")
    listing = ", ".join(f"{one.version} ({', '.join(filter(None, (*one.aliases, one.name)))})" for one in known)
    what = f"{len(found)} versions start with {reference!r}" if found else f"there is no model {reference!r}"
    raise ModelError(what, where=where, cure=f"choose from {listing}")


def promote(paths: TaskPaths, version: str, alias: str = "champion") -> None:
    """Let `alias` point at `version` from now on; nothing is written where it does already.

    version: whatever `resolve` takes. Raises ModelError for an unknown alias or version.
    """
    folder = _task_folder(paths)
    target = resolve(paths, version).name
    with _moving(folder):
        if _stack(folder, alias)[-1:] != [target]:
            _append(folder, {"act": "promote", "alias": alias, "version": target})


def rollback(paths: TaskPaths, alias: str = "champion") -> str:
    """Let `alias` point where it pointed before, and return that version; again, and it goes one further back.

    Raises ModelError where there is nothing before.
    """
    folder = _task_folder(paths)
    with _moving(folder):
        stack = _stack(folder, alias)
        if len(stack) < 2:
            state = f"points at {stack[0]}, and nothing lies before it" if stack else "points at nothing"
            raise ModelError(f"{alias} of task {paths.task} {state}", cure="promote a version by its name")
        _append(folder, {"act": "rollback", "alias": alias, "version": stack[-2]})
    return stack[-2]


def champion_metrics(paths: TaskPaths) -> dict[str, Any]:
    """What the last evaluation of the champion measured, {} before the first. Raises FlowError for a damaged file."""
    champion = _stack(_task_folder(paths), "champion")[-1:]
    path = paths.kept_evaluation(champion[0]) if champion else None
    return read_json(path) if path and path.exists() else {}


def alert_in_force(paths: TaskPaths, alert: AlertParams, chosen: Mapping[str, Any] | None = None) -> AlertParams:
    """`alert` with the probability, hold and gate that the replay of the champion chose, as the rule file has them.

    They belong to that model's chances, so they go back with it when it is rolled back. With a fixed policy, or before
    the first evaluation, they are those of params.yaml. chosen: those of another model, as `chosen_alert` has them.
    Raises FlowError where the file of the evaluation is damaged.
    """
    if alert.policy == "fixed":
        return alert
    return alert.model_copy(update=dict(_chosen(champion_metrics(paths)) if chosen is None else chosen))


def chosen_alert(paths: TaskPaths, version: str) -> dict[str, Any]:
    """The probability, hold and gate that the replay of a version chose, by these names; {} before its evaluation.

    Raises FlowError where the file of the evaluation is damaged.
    """
    path = paths.kept_evaluation(version)
    return _chosen(read_json(path)) if path.exists() else {}


def _chosen(metrics: Mapping[str, Any]) -> dict[str, Any]:
    chosen, names = metrics.get("alarms", {}), {"threshold": "probability", "hold_steps": "hold", "gate": "gate"}
    return {key: chosen[name] for name, key in names.items() if name in chosen}


def push_in_force(paths: TaskPaths, push: PushParams) -> PushParams:
    """`push` with the horizons and quantiles that the champion has learnt to forecast; all without a champion.

    After prediction_steps or train.quantiles were widened the model in use has fewer until a training has passed.
    """
    champion = aliased(paths)
    if champion is None or not champion.card:
        return push
    spec = champion.card["spec"]
    kept = push.covered(spec["params"]["prediction_steps"] * spec["step_seconds"], spec["params"]["quantiles"])
    learnt = {"horizons": kept.horizons or push.horizons, "quantiles": kept.quantiles or push.quantiles}
    return push.model_copy(update=learnt)


def _task_folder(paths: TaskPaths) -> Path:
    if not TASK_NAME.match(paths.task):  # names come from outside: no path may leave the registry
        raise ModelError(f"{paths.task!r} is not the name of a task", cure="use a-z, 0-9 and _")
    return paths.registry / paths.task


def _is_whole(folder: Path) -> bool:
    try:
        read_model(folder)
    except ModelError:
        return False
    return True


def _version(folder: Path, aliases: Mapping[str, str]) -> ModelVersion:
    try:
        card = read_card(folder)
    except ModelError:
        card = {}
    pointing = tuple(alias for alias in ALIASES if aliases.get(alias) == folder.name)
    return ModelVersion(folder.name, str(card.get("name", "")), pointing, folder, card)


def _history(folder: Path) -> list[dict[str, str]]:
    """Every move of an alias, the oldest first."""
    path = folder / "aliases.json"
    if not path.exists():
        return []
    try:
        history: list[dict[str, str]] = read_json(path)["history"]
        if not all(isinstance(version, str) for stack in _stacks(history).values() for version in stack):
            raise TypeError
    except (FlowError, KeyError, TypeError, AttributeError, IndexError):
        raise ModelError("it is damaged", where=str(path), cure="restore it, or delete it and promote again") from None
    return history


def _stack(folder: Path, alias: str) -> list[str]:
    """The versions that `alias` pointed at, without those rolled back; the present one last."""
    if alias not in ALIASES:
        raise ModelError(f"there is no alias {alias!r}", cure=f"choose from {', '.join(ALIASES)}")
    return _stacks(_history(folder)).get(alias, [])


def _aliases(folder: Path) -> dict[str, str]:
    """The version that each alias points at."""
    return {alias: stack[-1] for alias, stack in _stacks(_history(folder)).items() if stack}


def _stacks(history: list[dict[str, str]]) -> dict[str, list[str]]:
    stacks: dict[str, list[str]] = {}
    for move in history:
        stack = stacks.setdefault(move["alias"], [])
        if move["act"] == "rollback":
            stack.pop()
        else:
            stack.append(move["version"])
    return stacks


def _moving(folder: Path) -> AbstractContextManager[None]:
    """Keep others from moving an alias until the end; where the task has no folder there is nothing to move."""
    return locked(folder / ".aliases.lock", ModelError) if folder.is_dir() else nullcontext()


def _append(folder: Path, move: dict[str, str]) -> None:
    moment = datetime.now(timezone.utc).isoformat(timespec="seconds")
    write_json({"history": [*_history(folder), {**move, "at": moment}]}, folder / "aliases.json")
