"""The Jupyter Server extension: tasks, runs, models and forecasts of a project by REST, below /tsf/api."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Any

__all__ = ["__version__"]

try:
    __version__ = version("tsf")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0"


def _jupyter_server_extension_points() -> list[dict[str, Any]]:
    from tsf.server.extension import Extension

    return [{"module": "tsf.server", "app": Extension}]
