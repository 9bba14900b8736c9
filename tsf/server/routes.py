"""Every operation of the contract by its name; loaded with the first request, so that Jupyter starts at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tsf.server import data, models, rules, runs, system, tasks, users

__all__ = ["FUNCTIONS"]

FUNCTIONS: dict[str, Callable[..., Any]] = {
    name: getattr(module, name)
    for module in (data, models, rules, runs, system, tasks, users)
    for name in module.__all__
}
