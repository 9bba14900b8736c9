"""Edits of params.yaml: comments stay, and the whole is checked before a byte of the old file is touched."""

from __future__ import annotations

import difflib
import os
import re
from codecs import BOM_UTF8
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq

from tsf.errors import ChangedError, ParamsError
from tsf.io.files import locked, replacing
from tsf.params import parse_params
from tsf.presets import preset_block
from tsf.project import TaskPaths

__all__ = [
    "add_task",
    "edit_params",
    "editing",
    "left_behind",
    "loaded",
    "params_diff",
    "read_text",
    "remove_task",
    "retire_task",
    "set_values",
    "write_params",
]


LISTS_OF_DVC = re.compile(r"^( *)[^\s#-].*:.*\n\1- ", re.MULTILINE)  # not indented, as `dvc exp apply` leaves them


def edit_params(text: str, edits: Mapping[str, Any]) -> str:
    """`text` of params.yaml with the dotted keys of `edits` set; every comment and every other line stays as it is.

    A key that is not there yet is added to the end of its section. Raises ParamsError if the result is not valid, and
    where another task would change, too, because both share a block by an anchor of YAML.
    """
    yaml, document = _opened(text)
    for path, value in edits.items():
        *sections, key = path.split(".")
        node = document
        for section in sections:
            if not isinstance(node.get(section), Mapping):
                node[section] = CommentedMap()
            node = node[section]
        node[key] = _as_yaml(value)
    new = _checked(yaml, document)
    before, after = ((loaded(one) or {}).get("tasks") or {} for one in (text, new))
    named = {path.split(".")[1] for path in edits if path.startswith("tasks.")}
    if shared := [name for name in before if name not in named and before[name] != after[name]]:
        what = f"an anchor of YAML gives the same block to {', '.join(shared)}, which would change, too"
        cure = "write the block out in each task, or edit params.yaml by hand"
        raise ParamsError(what, where=f"params.yaml {next(iter(edits))}", cure=cure)
    return new


def set_values(root: Path, edits: Mapping[str, Any]) -> str:
    """Edit `root`/params.yaml and return the unified diff, empty where nothing changed. Raises ParamsError."""
    with editing(root):
        old = read_text(root)
        return write_params(root, edit_params(old, edits), old)


def add_task(text: str, name: str, preset: str, owner: str = "", values: Mapping[str, Any] | None = None) -> str:
    """`text` with a task made from a preset, then `values` (dotted keys within the task) set. Raises ParamsError."""
    yaml, document = _opened(text)
    if name in (document.get("tasks") or {}):
        raise ParamsError(f"task {name!r} exists already", where="tasks", cure="choose another name or edit that task")
    block = preset_block(preset, owner)
    for path, value in (values or {}).items():
        *sections, key = path.split(".")
        node = block
        for section in sections:
            node = node.setdefault(section, {})
        node[key] = value
    if not isinstance(document.get("tasks"), Mapping):
        document["tasks"] = CommentedMap()
    document["tasks"][name] = _as_yaml(block)
    return _checked(yaml, document)


def remove_task(text: str, name: str) -> str:
    """`text` without the task. Raises ParamsError where there is none of that name."""
    yaml, document = _opened(text)
    tasks = document.get("tasks") or {}
    if name not in tasks:
        raise ParamsError(f"there is no task {name!r}", where="tasks", cure=f"choose from {', '.join(tasks) or 'none'}")
    del tasks[name]
    if not tasks:
        document["tasks"] = CommentedMap()
        document["tasks"].fa.set_flow_style()
    return _checked(yaml, document)


def retire_task(root: Path, name: str, take_back: Callable[[], None]) -> str:
    """Let `take_back` delete what the task pushed, then its alert rules and its block of params.yaml; returns the diff.

    In this order, so that a fault on the way leaves a task that can be retired again. Models and reports stay. One that
    is left_behind has no block any more, and no diff.
    Raises ParamsError, and whatever take_back does.
    """
    paths, left = TaskPaths(root, name), name in left_behind(root)
    if not left:
        remove_task(read_text(root), name)
    if not os.access(root, os.W_OK):
        raise ParamsError(f"{root} cannot be written", where="params.yaml", cure="mend the permissions")
    take_back()  # which may take a while, so that nobody is kept from editing meanwhile
    # With the receipt DVC would take a task added anew for pushed; the rules would miss its forecast for ever.
    for path in (paths.pushed / "receipt.json", paths.rules, paths.rule_tests):
        path.unlink(missing_ok=True)
    if left:
        return ""
    with editing(root):
        text = read_text(root)
        return write_params(root, remove_task(text, name), text)


def left_behind(root: Path) -> list[str]:
    """The tasks that have pushed and were not retired, though params.yaml has them no more, as after a renaming."""
    there = (loaded(read_text(root)) or {}).get("tasks") or {}
    receipts = root.glob("pushed/*/receipt.json")
    return sorted(path.parent.name for path in receipts if path.parent.name not in there)


def write_params(root: Path, new: str, old: str | None = None) -> str:
    """Write params.yaml in one atomic step and return the unified diff. Raises ParamsError if it is no longer `old`.

    A byte order mark, line ends of Windows and a symbolic link stay.
    """
    path = (root / "params.yaml").resolve()
    current = read_text(root)
    if old is not None and current != old:
        raise ChangedError("it changed while it was being edited", where="params.yaml", cure="look at it and try again")
    if new != current:
        there = path.read_bytes()
        text = new.replace("\n", "\r\n") if b"\r\n" in there else new
        with replacing(path, ParamsError) as file:
            file.write(text.encode("utf-8-sig" if there.startswith(BOM_UTF8) else "utf-8"))
    return params_diff(current, new)


@contextmanager
def editing(root: Path) -> Iterator[None]:
    """Keep all others who ask from editing params.yaml, in this process and in others, until the end.

    Raises ParamsError where the folder cannot be written.
    """
    with locked(root / ".tsf" / "params.lock", ParamsError):
        yield


def params_diff(old: str, new: str) -> str:
    """The unified diff of two texts of params.yaml, empty where they are the same."""
    return "".join(difflib.unified_diff(old.splitlines(True), new.splitlines(True), "params.yaml", "params.yaml (new)"))


def read_text(root: Path) -> str:
    """params.yaml as it stands. Raises ParamsError where there is none."""
    path = root / "params.yaml"
    if not path.is_file():
        raise ParamsError(f"{path} does not exist", cure="run tsf in the project's folder")
    return path.read_text(encoding="utf-8-sig")


def loaded(text: str) -> Any:
    """What YAML says, in plain values."""
    return YAML(typ="safe").load(text)


def _opened(text: str) -> tuple[YAML, Any]:
    """What writes params.yaml as it was read, and the document that `text` holds: none yet in a file of comments.

    Raises ParamsError for anything else that holds no keys: it must not be written over.
    """
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 4096
    dash = 0 if LISTS_OF_DVC.search(text) else 2
    yaml.indent(mapping=2, sequence=2 + dash, offset=dash)
    document = yaml.load(text)
    if document is None:
        document = CommentedMap()
    elif not isinstance(document, Mapping):
        cure = "write sections such as `tasks:`, one per line"
        raise ParamsError(f"{document!r} stands where sections should", where="params.yaml", cure=cure)
    return yaml, document


def _checked(yaml: YAML, document: Any) -> str:
    stream = StringIO()
    yaml.dump(document, stream)
    parse_params(loaded(stream.getvalue()))
    return stream.getvalue()


def _as_yaml(value: Any) -> Any:
    """Plain values as they would be written by hand: sections as blocks, lists on one line."""
    if isinstance(value, Mapping):
        block = CommentedMap((key, _as_yaml(inner)) for key, inner in value.items())
        if not block:
            block.fa.set_flow_style()
        return block
    if isinstance(value, (list, tuple)):
        line = CommentedSeq(value)
        line.fa.set_flow_style()
        return line
    return value
