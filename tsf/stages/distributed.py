"""Several processes on this machine: torchrun starts those of one training, others each take a GPU of their own."""

from __future__ import annotations

import fcntl
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

import torch
from torch import distributed

from tsf.errors import FlowError

__all__ = ["free_gpu", "gpu_names", "joined", "launch"]

RAISED = re.compile(r"(\[rank\d+\]: ?)?[\w.]*(Error|Exception)\b")  # the last line of a traceback


def launch(module: str, task: str, processes: int, root: Path) -> None:
    """Run `python -m module task` in `processes` processes and show what they print. Raises FlowError if one fails."""
    said = []
    with tempfile.TemporaryDirectory() as logs:  # torchrun leaves one of its own behind otherwise
        # By its address: where the name of the machine is known to nobody, the processes would not find each other.
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}",
                   "--local-addr=127.0.0.1", f"--log-dir={logs}", "-m", module, task, str(os.getpid())]  # fmt: skip
        with subprocess.Popen(
            command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
        ) as running:
            for line in running.stdout or ():
                said.append(line.rstrip())
                if line.startswith(("epoch ", "training ", "batch_size ", "out of memory")):
                    print(line, end="", flush=True)  # noqa: T201 - the notebook's log
    if running.returncode:
        faults = [line.removeprefix("error: ").rstrip(".") for line in said if line.startswith("error: ")]
        raised = [line for line in said if RAISED.match(line) and "ChildFailedError" not in line]
        what = (faults or raised or ["no message"])[0]
        raise FlowError(
            f"{processes} processes could not train together: {what}", where=f"tasks.{task}.train.processes"
        )


@contextmanager
def joined(device: str) -> Iterator[int]:
    """Join the processes that torchrun started and give the rank; each has a GPU of its own unless `device` is cpu.

    Raises FlowError where there are GPUs, but fewer than processes.
    """
    cuda = device != "cpu" and torch.cuda.is_available()
    if cuda:
        rank, gpus = distributed.get_node_local_rank(), torch.cuda.device_count()
        if rank >= gpus:
            raise FlowError(f"there are {gpus} GPUs", where="train.processes", cure="have no more processes than that")
        torch.cuda.set_device(rank)
    distributed.init_process_group("nccl" if cuda else "gloo")
    _end_with(int(sys.argv[2]))
    try:
        yield distributed.get_rank()
    finally:
        distributed.destroy_process_group()


def gpu_names(device: str) -> list[str]:
    """What tells each GPU that a training on `device` may use from all others of the machine, in torch's order."""
    if device == "cpu" or not torch.cuda.is_available():
        return []
    return [str(torch.cuda.get_device_properties(place).uuid) for place in range(torch.cuda.device_count())]


@contextmanager
def free_gpu(names: Sequence[str], say: Callable[[str], None], folder: Path | None = None) -> Iterator[int]:
    """Hold the first of these GPUs that no other training holds, say which, and give its place; -1 for no choice.

    Where all are held it is the first. Each GPU has a lock file in `folder`, by default the machine's for temporary
    files, as experiments run in folders of their own; the kernel lets go of it when the process ends.
    """
    if len(names) < 2:
        yield -1
        return
    for place, name in enumerate(names):
        if file := _locked((folder or Path(tempfile.gettempdir())) / f"tsf-gpu-{name}.lock"):
            with file:
                say(f"training takes GPU {place} of {len(names)}")
                yield place
            return
    say(f"training shares GPU 0, as others hold all {len(names)}")
    yield 0


def _locked(path: Path) -> TextIO | None:
    """The file, locked until it is closed; None where another process holds it, or may alone open it."""
    try:
        with suppress(FileExistsError):  # only where there is none: Linux lets nobody create what is another user's
            made = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_EXCL)
            os.fchmod(made, 0o644)  # whatever the umask: others lock what they can read
            os.close(made)
        file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK))
    except OSError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return None
    return file


def _end_with(process: int) -> None:
    """End this process when the one that wanted it has been killed; torchrun then ends the others."""

    def watch() -> None:
        while True:
            try:
                os.kill(process, 0)
            except ProcessLookupError:
                os._exit(1)
            time.sleep(1)

    threading.Thread(target=watch, daemon=True).start()
