"""Processes that end with the one that started them: an orphan would write into the next run's files.

`python -m tsf.flow.parent ARGUMENTS` is dvc with these arguments that does.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import psutil

__all__ = ["end_self", "end_with_parent", "main"]

PATIENCE = 40  # half seconds


def end_with_parent(end: Callable[[], object], every_seconds: float = 0.5) -> None:
    """From now on call `end` once the parent of this process is gone."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(every_seconds)
        end()

    threading.Thread(target=watch, daemon=True).start()


def end_self() -> None:
    """End this process as its parent's `kill` would have."""
    os.kill(os.getpid(), signal.SIGTERM)


def end_children_first() -> None:
    """End what this process has started, so that it ends of itself and lets go of its locks; else end it after a while.

    DVC forgets its own locks only so, and its next run would wait for a process that is gone.
    """
    for _ in range(PATIENCE):
        for child in psutil.Process().children():
            with suppress(psutil.NoSuchProcess):
                child.terminate()
        time.sleep(0.5)
    end_self()


def main(arguments: list[str]) -> int:
    """Run dvc here."""
    end_with_parent(end_children_first)
    try:
        from dvc.cli import main as dvc
    except ModuleNotFoundError:
        sys.stderr.write("error: DVC is not installed; install all of tsf, or push by a file: tsf push --onnx FILE.\n")
        return 1
    return int(dvc(arguments))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
