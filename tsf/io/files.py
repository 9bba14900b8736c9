"""Files that are whole at any moment: written beside the old one, then put in its place; locks; and JSON in them."""

from __future__ import annotations

import fcntl
import json
import math
import os
import stat
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from tsf.errors import FlowError, TsfError

__all__ = ["json_text", "locked", "one_line", "read_json", "replacing", "write_json"]


@contextmanager
def replacing(path: Path, error: type[TsfError] = FlowError) -> Iterator[BinaryIO]:
    """A file to write whose content takes the place of `path` at once at the end; until then `path` stays as it was.

    A process killed at any moment leaves the old file, and at worst a hidden `.<name>.<random>.tmp` beside it.
    Who may read and write an old file may do so with the new one. Raises `error` if the disk refuses.
    """
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("xb") as file:
            if path.exists():
                os.fchmod(file.fileno(), stat.S_IMODE(path.stat().st_mode))
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        _sync_folder(path.parent)
    except OSError as fault:
        what = f"it cannot be written ({fault.strerror or fault})"
        raise error(what, where=str(path), cure="free the disk or mend the permissions") from None
    finally:
        with suppress(OSError):
            part.unlink()


@contextmanager
def locked(path: Path, error: type[TsfError] = FlowError) -> Iterator[None]:
    """Keep all others who ask for the lock `path` waiting, in this process and in others, until the end.

    The lock goes with the process that holds it; its folder is made. Raises `error` if the disk refuses.
    """
    try:
        path.parent.mkdir(exist_ok=True)
        file = path.open("w")
        fcntl.flock(file, fcntl.LOCK_EX)
    except OSError as fault:
        what = f"it cannot be locked ({fault.strerror or fault})"
        raise error(what, where=str(path), cure="free the disk or mend the permissions") from None
    with file:
        yield


def write_json(value: Any, path: Path) -> None:
    """Write `value` as json_text has it: equal content gives equal bytes."""
    with replacing(path) as file:
        file.write(json_text(value, indent=2) + b"\n")


def read_json(path: Path) -> Any:
    """Read a JSON file. Raises FlowError if it is missing or broken."""
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        raise FlowError("there is no such file", where=str(path), cure="run the stage that writes it") from None
    except (OSError, ValueError, RecursionError) as fault:  # the last: endless nesting
        cure = "run the stage that writes it again"
        raise FlowError(f"it cannot be read as JSON ({one_line(fault)})", where=str(path), cure=cure) from None


def json_text(value: Any, indent: int | None = None) -> bytes:
    """`value` as JSON with sorted keys, numpy's types and paths included; NaN and infinities become null."""
    text = json.dumps(_plain(value), indent=indent, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8", "backslashreplace")  # a lone surrogate becomes \udc80, which is what JSON calls it


_JSON = frozenset({str, int, bool, type(None)})


def _plain(value: Any) -> Any:
    """`value` in the types that JSON has; what is most of an answer is told by its type alone, which is quick."""
    kind = type(value)
    if kind in _JSON or (kind is float and math.isfinite(value)):
        return value
    if kind is dict or isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, np.generic | np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value


def one_line(fault: Exception) -> str:
    """What `fault` says, short and without a full stop, to stand inside a sentence."""
    return " ".join(str(fault).split()).rstrip(".")[:200] or type(fault).__name__


def _sync_folder(folder: Path) -> None:
    """Make a rename in `folder` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
