"""One stage in several processes on this machine: torchrun starts them, torch.distributed joins them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import distributed

from tsf.errors import FlowError

__all__ = ["joined", "launch"]

RAISED = re.compile(r"(\[rank\d+\]: ?)?[\w.]*(Error|Exception)\b")  # the last line of a traceback


def launch(module: str, task: str, processes: int, root: Path) -> None:
    """Run `python -m module task` in `processes` processes and show what they print. Raises FlowError if one fails."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}",
               "-m", module, task, str(os.getpid())]  # fmt: skip
    said = []
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
