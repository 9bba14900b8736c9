"""What the doctor says of one thing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tsf.errors import TsfError

__all__ = ["Finding", "failed"]


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: `fail` stops the work, `warn` lessens it; both come with their cure."""

    name: str
    state: Literal["ok", "warn", "fail"]
    detail: str
    cure: str = ""


def failed(name: str, fault: TsfError) -> Finding:
    """What is wrong, as the error has it."""
    return Finding(name, "fail", f"{fault.where}: {fault.what}" if fault.where else fault.what, fault.cure)
