"""One stage of one task: a papermill run of its notebook, and the report that a person reads.

DVC runs it as `python -m tsf.flow.notebooks STAGE TASK`.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile, gettempdir
from typing import IO, TYPE_CHECKING, Any

from tsf.errors import BusyError, FlowError, ParamsError, TsfError
from tsf.flow.index import write_index
from tsf.flow.parent import end_self, end_with_parent
from tsf.flow.progress import failure
from tsf.flow.strip import strip
from tsf.io.files import replacing
from tsf.params import read_params
from tsf.project import STAGES, Stage, TaskPaths, find_root

if TYPE_CHECKING:
    from jupyter_client.manager import AsyncKernelManager

__all__ = ["export_report", "main", "only_run", "only_stage", "run_stage", "write_failure"]

TICK_SECONDS = 600  # of patience with a tick of `tsf push --every`, which may wait for its servers
CELL_TIMEOUT_SECONDS = 24 * 3600  # a kernel that hangs must not hold the pipeline for ever


def run_stage(stage: Stage, task: str, root: Path) -> Path:
    """Execute the notebook of `stage` for `task`, write its report and return the report's path.

    On failure the notebook is kept up to the failing cell as <stage>.failed.ipynb, the last good notebook and report
    stay, and a FlowError says what went wrong in one sentence.
    """
    import papermill
    from traitlets.config import Config

    read_params(root).task(task)  # a name that is no task must not become a path
    paths = TaskPaths(root, task)
    source = root / "notebooks" / ".stripped" / f"{stage}.ipynb"
    if not source.is_file():
        raise FlowError(f"{source} does not exist", cure="run `dvc repro notebooks`")
    running = paths.running_notebook(stage)
    with (
        only_stage(paths, stage, TICK_SECONDS if stage == "push" else 0),
        TemporaryDirectory(dir=_socket_parent()) as sockets,
        TemporaryFile() as heard,
    ):
        for left in paths.output(stage).glob(".*.tmp"):  # by a run that was killed: DVC would keep it as data
            left.unlink()
        # Sockets in a folder of our own: no port that another user could reach, no name that another kernel could have.
        kernel = {"transport": "ipc", "ip": str(Path(sockets) / "kernel")}
        try:
            papermill.execute_notebook(
                source,
                running,
                parameters={"task": task},
                kernel_name="python3",
                cwd=root,
                progress_bar=False,
                execution_timeout=CELL_TIMEOUT_SECONDS,
                config=Config({"KernelManager": kernel}),
                kernel_manager_class=_managed_with_stderr(heard),
                stdout_file=sys.stdout,
            )
        except Exception as fault:
            if not running.is_file():  # it could not even be begun
                raise _unwritable(running, fault) from None
            failed = running.replace(paths.failed_notebook(stage))
            raise _failure(fault, f"{stage}@{task}", failed, heard) from None
        report = export_report(running, paths.report(stage))
        running.replace(paths.notebook(stage))
        paths.failed_notebook(stage).unlink(missing_ok=True)
        write_index(root)
    return report


def write_failure(path: Path, source: str, fault: Exception) -> None:
    """Keep at `path` what failed outside of a notebook as one would have it: a cell of `source` with its error."""
    error = {"output_type": "error", "ename": type(fault).__name__, "evalue": str(fault), "traceback": [str(fault)]}
    cell = {"cell_type": "code", "id": "a", "metadata": {}, "source": source, "execution_count": 1, "outputs": [error]}
    with replacing(path) as file:
        file.write(json.dumps({**strip({"cells": []}), "cells": [cell]}, indent=1).encode())


def _failure(fault: Exception, where: str, notebook: Path, heard: IO[bytes]) -> FlowError:
    """What ended a notebook: an error in a cell, or the kernel itself, whose last words in `heard` are passed on."""
    from papermill.exceptions import PapermillExecutionError

    if isinstance(fault, PapermillExecutionError):
        return failure(fault.ename, fault.evalue, fault.exec_count, where, notebook)
    heard.seek(0)
    sys.stderr.write(heard.read().decode(errors="replace"))  # a kernel that dies says why there, and only there
    cure = f"open {notebook}; a kernel that died has most often run out of memory"
    if isinstance(fault, OSError) and fault.errno == errno.ENOSPC:
        cure = "free the disk, then run it again; what was made before is as it was"
    return FlowError(f"{type(fault).__name__}: {str(fault).splitlines()[0]}", where=where, cure=cure)


def export_report(notebook: Path, report: Path) -> Path:
    """Turn an executed notebook into one HTML page that needs nothing else: no network, no script."""
    import nbformat
    from nbconvert import HTMLExporter
    from traitlets.config import Config

    exporter = HTMLExporter(
        config=Config({"TemplateExporter": {"extra_template_basedirs": [str(Path(__file__).parent)]}}),
        template_name="report",
    )
    title = f"{report.parent.name}: {report.stem}"
    body, _ = exporter.from_notebook_node(nbformat.read(notebook, 4), resources={"metadata": {"name": title}})
    with replacing(report) as file:
        file.write(body.encode())
    return report


def main(arguments: list[str]) -> int:
    """Run one stage from the command line; 0, or 1 after one sentence on stderr."""
    try:
        if len(arguments) != 2 or arguments[0] not in STAGES:
            raise ParamsError(f"{' '.join(arguments)!r} is no stage and task", cure=f"write one of {', '.join(STAGES)}")
        end_with_parent(end_self)  # and with it its kernel, when DVC is killed
        # Threads of torch that wait for each other by spinning take the cores from all else: on two busy cores a
        # training took ten times its processor time.
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        report = run_stage(arguments[0], arguments[1], find_root())
    except TsfError as fault:
        print(f"error: {fault}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    print(report.relative_to(find_root()))
    return 0


def _managed_with_stderr(file: IO[bytes]) -> type[AsyncKernelManager]:
    """A manager whose kernel writes its own stderr, which is not the cells', to `file`.

    A kernel that is told to end may still log a traceback of its sockets (pyzmq's "Socket operation on non-socket"):
    beside the one sentence about a user's mistake it would read as the fault.
    """
    from jupyter_client.manager import AsyncKernelManager

    class Manager(AsyncKernelManager):
        # Ignored: AsyncKernelManager's own method is a coroutine, too, against the annotation of the class below it.
        async def start_kernel(self, **options: Any) -> None:  # type: ignore[override]
            await super().start_kernel(**options, stderr=file)

    return Manager


def _socket_parent() -> str:
    """The folder for temporary files; /tmp where its path is too long for a socket, whose own has 107 bytes at most."""
    usual = gettempdir()
    return usual if len(os.fsencode(usual)) <= 80 else "/tmp"  # noqa: S108 - a folder of our own is made in it


def _unwritable(path: Path, fault: Exception) -> FlowError:
    what = f"it cannot be written ({getattr(fault, 'strerror', None) or type(fault).__name__})"
    return FlowError(what, where=str(path), cure="make it this user's own, or free the disk")


def only_stage(paths: TaskPaths, stage: Stage, patience_seconds: float = 0.0) -> AbstractContextManager[None]:
    """`only_run` of a stage of a task, be it by its notebook or, as a push by `tsf`, without."""
    lock = paths.running_notebook(stage).with_suffix(".lock")
    return only_run(lock, f"{stage}@{paths.task}", patience_seconds)


@contextmanager
def only_run(path: Path, name: str, patience_seconds: float = 0.0) -> Iterator[None]:
    """Let no two processes do the same at once: the lock `path`, in a folder that is made, goes with who holds it.

    Raises BusyError where another still holds it after `patience_seconds`.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("w")
    except OSError as fault:
        raise _unwritable(path, fault) from None
    with file:
        end = time.monotonic() + patience_seconds
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= end:
                    cure = "wait for it or stop it first"
                    raise BusyError("it is running already", where=name, cure=cure) from None
                time.sleep(0.1)
        yield


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
