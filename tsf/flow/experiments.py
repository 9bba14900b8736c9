"""DVC experiments: parameters tried beside the workspace, to be compared and applied by DVC's own commands."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tsf.errors import FlowError
from tsf.flow.runs import dvc_environment
from tsf.flow.tasks import edit_params, read_text, set_values, write_params
from tsf.params import read_params

__all__ = ["run_experiment"]


def run_experiment(root: Path, task: str, values: Mapping[str, Any], name: str) -> str:
    """Train and evaluate `task` with these keys of its `train` section in a folder of DVC's own; gives the name.

    The workspace, its champion and params.yaml stay as they are. `dvc exp show` compares the experiment with what there
    is, `dvc exp apply NAME` takes it over. An older experiment of this name is replaced. Raises FlowError.
    """
    before = read_params(root).task(task).train.model_dump(mode="json")
    old = read_text(root)
    new = edit_params(old, {f"tasks.{task}.train.{key}": value for key, value in values.items()})
    # Not `--set-param`: it drops the quotes that keep snapshot.until a text. DVC takes the workspace along instead.
    write_params(root, new, old)
    try:
        _dvc(root, "remove", name)  # where there is none it says so, and nothing else
        done = _dvc(root, "run", "--temp", "--name", name, f"evaluate@{task}")
    finally:
        if read_text(root) == new:
            write_params(root, old, new)
        else:  # somebody else has edited it meanwhile, as `tsf run --now` does: only what was tried is taken back
            set_values(root, {f"tasks.{task}.train.{key}": before[key] for key in values})
    if done.returncode:
        fault = next((line for line in done.stderr.splitlines() if line.startswith(("ERROR", "error"))), "see dvc exp")
        raise FlowError(
            f"the experiment failed ({fault.removeprefix('ERROR: ').rstrip('.')})",
            where=f"dvc exp run evaluate@{task}",
            cure="commit the project in git and run `tsf evaluate` first",
        )
    return name


def _dvc(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "dvc", "exp", *arguments]
    return subprocess.run(command, cwd=root, env=dvc_environment(), capture_output=True, text=True)
