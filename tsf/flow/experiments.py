"""DVC experiments: parameters tried beside the workspace, to be compared and applied by DVC's own commands."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tsf.errors import FlowError
from tsf.flow.notebooks import only_run
from tsf.flow.runs import dvc_environment
from tsf.flow.store import state_folder
from tsf.flow.tasks import edit_params, read_text, write_params
from tsf.params import read_params

__all__ = ["run_experiment"]


def run_experiment(root: Path, task: str, values: Mapping[str, Any], name: str) -> str:
    """Train and evaluate `task` with these keys of its `train` section in a copy of the project; gives the name.

    Nothing is written in the workspace, so that no kill can leave in it what was tried. `dvc exp show` compares the
    experiment with what there is, `dvc exp apply NAME` takes it over; an older one of this name is replaced.
    Raises FlowError.
    """
    read_params(root).task(task)
    tried = edit_params(read_text(root), {f"tasks.{task}.train.{key}": value for key, value in values.items()})
    with _copy_of(root, name) as copy:
        # Not `--set-param`: it drops the quotes that keep snapshot.until a text. DVC takes the workspace along instead.
        write_params(copy, tried)
        _dvc(copy, name, "exp", "run", "--temp", "--name", name, f"evaluate@{task}")
        made = _refs(copy, name)
        if not made:
            cure = "see `dvc exp run`; a shallow clone of the project needs `git fetch --unshallow`"
            raise FlowError("DVC ended without an experiment", where=name, cure=cure)
        ref = made[0]
        _run(root, name, "git", "fetch", "--quiet", _top(copy, name), f"+{ref}:{ref}")
        for old in {*_refs(root, name)} - {ref}:  # upon an older commit
            _run(root, name, "git", "update-ref", "-d", old)
    return name


@contextmanager
def _copy_of(root: Path, name: str) -> Iterator[Path]:
    """The project as it stands, in a clone that shares its objects and its DVC cache; no two of a name at once."""
    parent = state_folder(root) / "experiments"
    parent.mkdir(exist_ok=True)
    with only_run(parent / f"{name}.lock", name):
        for left in parent.glob(f"{name}.*/"):  # by one that was killed; its last processes may still write there
            shutil.rmtree(left, ignore_errors=True)
        with TemporaryDirectory(prefix=f"{name}.", dir=parent, ignore_cleanup_errors=True) as made:
            folder = Path(made)
            _run(root, name, "git", "clone", "--quiet", "--shared", _top(root, name), made)
            # DVC commits: by whom may stand in this repository's own settings, or nowhere on a fresh machine.
            for key, nobody in {"user.name": "tsf", "user.email": "tsf@localhost"}.items():
                value = _run(root, name, "git", "config", "--default", nobody, key).strip()
                _run(folder, name, "git", "config", key, value)
            changed = folder / ".git" / "changed.patch"
            _run(root, name, "git", "diff-index", "--binary", f"--output={changed}", "HEAD")
            if changed.stat().st_size:
                _run(folder, name, "git", "apply", "--whitespace=nowarn", str(changed))
            copy = folder / _run(root, name, "git", "rev-parse", "--show-prefix").strip()
            (copy / "params.yaml").unlink()  # it may be a link, which leads out of the copy
            shutil.copyfile(root / "params.yaml", copy / "params.yaml")
            if (root / "dvc.lock").exists():  # git may not know it yet, and DVC takes along only what git knows
                shutil.copy(root / "dvc.lock", copy)
                _run(copy, name, "git", "add", "--force", "dvc.lock")
            _dvc(copy, name, "cache", "dir", "--local", _dvc(root, name, "cache", "dir").strip())
            yield copy


def _top(folder: Path, name: str) -> str:
    """The repository that the folder lies in, which may be a folder of it."""
    return _run(folder, name, "git", "rev-parse", "--show-toplevel").strip()


def _refs(folder: Path, name: str) -> list[str]:
    """The experiments of this name, at most one upon each commit."""
    return _run(folder, name, "git", "for-each-ref", "--format=%(refname)", f"refs/exps/*/*/{name}").split()


def _dvc(folder: Path, name: str, *arguments: str) -> str:
    """What dvc prints; it ends with this process."""
    return _run(folder, name, sys.executable, "-m", "tsf.flow.parent", *arguments)


def _run(folder: Path, name: str, *command: str) -> str:
    """What a command of the experiment `name` prints."""
    try:
        done = subprocess.run(
            command, cwd=folder, env=dvc_environment(), capture_output=True, text=True, errors="replace"
        )
    except OSError as missing:
        raise FlowError(f"{command[0]} cannot be started ({missing})", where=name, cure="install it") from None
    if done.returncode:
        said = done.stderr.splitlines() or ["no reason is given"]
        fault = next((line for line in said if line.lower().startswith(("error: ", "fatal: "))), said[-1])
        what = fault.partition(": ")[2] or fault
        cure = "commit the project in git and run `tsf evaluate` first"
        raise FlowError(f"the experiment failed ({what.rstrip('.')})", where=name, cure=cure)
    return done.stdout
