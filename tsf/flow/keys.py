"""The keys of a task, one by one: what a form shows of each, and what a short name such as `epochs` means."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from tsf.errors import ParamsError
from tsf.params import TaskParams

__all__ = ["Key", "dotted_edits", "flat", "task_keys"]

UNITS = {
    "train.sequence_length": "steps",
    "train.prediction_steps": "steps",
    "train.epochs": "epochs",
    "train.early_stopping_patience": "epochs",
    "train.batch_size": "windows",
    "train.windows_per_epoch": "windows",
    "train.hidden_dim": "units",
    "train.d_model": "units",
    "train.num_layers": "layers",
    "train.nhead": "heads",
    "train.members": "networks",
    "train.breach_samples": "samples",
    "train.dropout": "share",
    "push.max_series": "series",
    "alert.line": "share of the limit",
    "alert.probability": "probability",
}


@dataclass(frozen=True)
class Key:
    """A key of a task: its dotted name, what it takes, its default and why one would change it."""

    key: str
    type: str
    unit: str
    default: Any
    choices: tuple[str, ...] | None
    minimum: float | None
    maximum: float | None
    description: str


@cache
def task_keys() -> tuple[Key, ...]:
    """Every key of a task in the order of params.py."""
    schema = TaskParams.model_json_schema()
    return tuple(_keys(schema, schema["$defs"], ""))


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Sections as dotted keys; a mapping that is a value itself (covariates) stays one."""
    found: dict[str, Any] = {}
    leaves = {key.key for key in task_keys()}
    for name, value in values.items():
        path = f"{prefix}{name}"
        found |= flat(value, f"{path}.") if isinstance(value, Mapping) and path not in leaves else {path: value}
    return found


def dotted_edits(config: Mapping[str, Any]) -> dict[str, Any]:
    """`config` with full keys: `train.epochs`, `{"train": {"epochs": …}}` and plain `epochs` mean the same.

    Raises ParamsError for a name that no key has, or that two have.
    """
    edits: dict[str, Any] = {}
    whole = {key.key.rpartition(".")[2]: key.key for key in task_keys() if key.type == "mapping"}
    for name, value in flat({whole.get(name, name): value for name, value in config.items()}).items():
        matches = [key.key for key in task_keys() if name in (key.key, key.key.rpartition(".")[2])]
        if len(matches) != 1:
            what = f"{' and '.join(matches)} are both called {name}" if matches else "there is no such key"
            raise ParamsError(what, where=f"config {name}", cure="write its full name, such as train.epochs")
        edits[matches[0]] = value
    return edits


def _keys(schema: Mapping[str, Any], definitions: Mapping[str, Any], prefix: str) -> Iterator[Key]:
    for name, entry in schema["properties"].items():
        entry = _resolved(entry, definitions)
        if "properties" in entry:
            yield from _keys(entry, definitions, f"{prefix}{name}.")
            continue
        path = f"{prefix}{name}"
        kinds = [_resolved(kind, definitions) for kind in entry.get("anyOf", [entry])]
        yield Key(
            key=path,
            type=" or ".join(dict.fromkeys(filter(None, map(_type, kinds)))),
            unit=UNITS.get(path, ""),
            default=entry.get("default"),
            choices=tuple(entry["enum"]) if "enum" in entry else None,
            minimum=entry.get("minimum", entry.get("exclusiveMinimum")),
            maximum=entry.get("maximum", entry.get("exclusiveMaximum")),
            description=entry.get("description", ""),
        )


def _resolved(entry: Mapping[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
    name = entry.get("$ref", "").rpartition("/")[2]
    return {**definitions[name], **entry} if name else dict(entry)


def _type(kind: Mapping[str, Any]) -> str:
    if "enum" in kind:
        return "choice"
    if kind.get("title") in ("duration", "PromQL", "size", "time of day", "time zone", "label"):
        return str(kind["title"])
    names = {"string": "text", "array": "list", "object": "mapping", "null": "", "integer": "integer"}
    return names.get(kind.get("type", ""), "number")
