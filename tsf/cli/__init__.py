"""The command line."""

from tsf.cli.commands import app, main

__all__ = ["app", "main"]
