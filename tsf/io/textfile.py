"""Metrics as a file that node_exporter's textfile collector reads."""

from __future__ import annotations

from pathlib import Path

from tsf.errors import SinkError
from tsf.io.files import replacing
from tsf.params import TASK_NAME

__all__ = ["delete_textfile", "write_textfile"]


ALL_TASKS = "tsf-runs"  # no task can be called so: their names have no hyphen


def write_textfile(body: bytes, folder: Path, task: str | None) -> Path:
    """Put `body` in the place of `folder`/<task>.prom at once, so that no scrape ever reads half of it.

    task: None for what is said of all tasks together. Raises SinkError if the disk refuses.
    """
    path = _path(folder, task)
    with replacing(path, SinkError) as file:
        file.write(body)
    return path


def delete_textfile(folder: Path, task: str | None) -> None:
    """Retire what was written for `task`, None as above; nothing happens where there is nothing."""
    path = _path(folder, task)
    try:
        path.unlink(missing_ok=True)
    except OSError as fault:
        raise SinkError(f"it cannot be deleted ({fault.strerror})", where=str(path), cure="mend the rights") from None


def _path(folder: Path, task: str | None) -> Path:
    if task is None:
        return folder / f"{ALL_TASKS}.prom"
    if not TASK_NAME.match(task):
        raise SinkError(f"{task!r} is not the name of a task", cure="use a-z, 0-9 and _")
    return folder / f"{task}.prom"
