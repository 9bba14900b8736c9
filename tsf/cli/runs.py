"""Runs of the pipeline as the command line and the queue start them: at the end Prometheus may know which stages fail.

The queue runs one as `python -m tsf.cli.runs STAGE TASK [--force] [--alone]`.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterable
from pathlib import Path

from tsf.cli.terminal import warn
from tsf.errors import BusyError, FlowError, TsfError
from tsf.params import effective, read_params
from tsf.project import STAGES, Stage, find_root

__all__ = ["main", "run_stages", "tell_runs"]


def run_stages(root: Path, tasks: Iterable[str], stage: Stage, *, force: bool = False, alone: bool = False) -> None:
    """`reproduce`, and tell_runs however it ended. Raises FlowError."""
    from tsf.flow.runs import reproduce

    try:
        reproduce(root, tasks, stage, force=force, alone=alone)
    finally:
        tell_runs(root)


def tell_runs(root: Path) -> None:
    """Let Prometheus know which stages fail; where it cannot be told, its alert on old forecasts will."""
    from tsf.io.runs import send_runs

    params = read_params(root)
    try:
        send_runs(root, effective(params.prometheus, os.environ), params.tasks)
    except TsfError as fault:
        warn(f"warning: {fault}", "yellow")


def main(arguments: list[str]) -> int:
    """Run a task up to a stage for the queue; 0, or after one sentence on stderr 1, or EX_TEMPFAIL if it is busy."""
    from tsf.flow.parent import end_with_parent

    names = [argument for argument in arguments if not argument.startswith("--")]
    try:
        if len(names) != 2 or names[0] not in STAGES:
            raise FlowError(f"{' '.join(arguments)!r} is no stage and task", cure=f"write one of {', '.join(STAGES)}")
        # With DVC and all that it started, when the runner is killed: the next runner starts it again.
        end_with_parent(lambda: os.killpg(os.getpgrp(), signal.SIGKILL))
        stage = STAGES[STAGES.index(names[0])]
        run_stages(find_root(), [names[1]], stage, force="--force" in arguments, alone="--alone" in arguments)
    except TsfError as fault:
        sys.stderr.write(f"error: {fault}\n")
        return os.EX_TEMPFAIL if isinstance(fault, BusyError) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
