"""The command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tsf.lazy import loader

if TYPE_CHECKING:
    from tsf.cli.commands import app as app
    from tsf.cli.commands import main as main

# Loaded on first use: else `python -m tsf.cli.runs`, which is how the queue starts a run, would begin with a warning.
_PLACES = {"app": "tsf.cli.commands", "main": "tsf.cli.commands"}
__all__ = sorted(_PLACES)
__getattr__ = loader(__name__, _PLACES)
