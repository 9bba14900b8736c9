"""What an operation hands back, and the faults that only a server has."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from tsf.errors import ParamsError, TsfError
from tsf.io.files import json_text
from tsf.kinds import stamp_text

__all__ = [
    "Answer",
    "BusyError",
    "ConflictError",
    "NoProjectError",
    "NotFoundError",
    "json_answer",
    "or_none",
    "page_of",
    "time_text",
]


T = TypeVar("T")


class NotFoundError(TsfError):
    """What a path names is not there."""


class ConflictError(TsfError):
    """What is asked does not fit what is there."""


class BusyError(TsfError):
    """The server itself cannot do it now."""


class NoProjectError(ParamsError):
    """The server runs outside of a project."""


@dataclass(frozen=True)
class Answer:
    """Bytes that are ready to be sent."""

    content: bytes
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


def json_answer(value: Any) -> Answer:
    """`value` as JSON; NaN and infinities become null."""
    return Answer(json_text(value))


def page_of(items: Sequence[Any], offset: int, limit: int, **others: Any) -> dict[str, Any]:
    """A part of a list, and how long all of it is."""
    return {"items": items[offset : offset + limit], "total": len(items), **others}


def or_none(read: Callable[[], T]) -> T | None:
    """What is not there yet, or is damaged, is shown as not there; the run that left it so has said why."""
    try:
        return read()
    except TsfError:
        return None


def time_text(seconds: float | None) -> str | None:
    """Unix seconds as 2026-11-01T00:00:00Z; null for none, NaN and infinities."""
    if seconds is None or not abs(seconds) < 253_402_300_800:
        return None
    return stamp_text(seconds)
