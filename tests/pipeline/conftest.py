"""Small projects, made as a user makes one: a clone of this repository with fewer series and a quick model."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tsf.flow.tasks import edit_params, remove_task

ROOT = Path(__file__).parents[2]
PARTS = ("params.yaml", "dvc.yaml", ".dvcignore", ".dvc/config", ".gitignore", "notebooks", "tsf")
QUICK = {"epochs": 2, "hidden_dim": 8, "sequence_length": 24, "prediction_steps": 6, "holdout": "3d", "members": 1}


@dataclass(frozen=True)
class Project:
    """A project folder and its command line."""

    root: Path

    def tsf(self, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """`tsf` as a shell would run it."""
        return self.run("-m", "tsf.cli", *arguments, **environ)

    def dvc(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`dvc` as a shell would run it with the environment activated."""
        return self.run("-m", "dvc", *arguments)

    def run(self, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """Python with `arguments` in this project."""
        command = [sys.executable, *arguments]
        return subprocess.run(
            command, cwd=self.root, env=self.environment | environ, capture_output=True, text=True, timeout=600
        )

    @property
    def environment(self) -> dict[str, str]:
        """Wide lines, the project's own code, and the interpreter of the tests."""
        path = str(Path(sys.executable).parent) + os.pathsep + os.environ["PATH"]
        return os.environ | {"PATH": path, "PYTHONPATH": str(self.root), "COLUMNS": "200", "NO_COLOR": "1"}

    def edit(self, **values: object) -> None:
        """Set keys of params.yaml, with __ for the dots."""
        path = self.root / "params.yaml"
        edits = {key.replace("__", "."): value for key, value in values.items()}
        path.write_text(edit_params(path.read_text(), edits))


def make_project(folder: Path, tasks: tuple[str, ...]) -> Project:
    """A git and DVC project with these of the shipped tasks, small enough for a test."""
    for name in PARTS:
        source, target = ROOT / name, folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(
                source, target, ignore=shutil.ignore_patterns("__pycache__", ".stripped", ".ipynb_checkpoints")
            )
        else:
            shutil.copy(source, target)
    text = (folder / "params.yaml").read_text()
    for name in ("storage", "gpu", "network", "cpu"):
        if name not in tasks:
            text = remove_task(text, name)
    edits: dict[str, object] = {"demo.groups": 3, "demo.users_per_group": 3}
    for name in tasks:
        edits |= {f"tasks.{name}.train.{key}": value for key, value in QUICK.items()}
        edits |= {f"tasks.{name}.fetch.history": "15d", f"tasks.{name}.push.horizons": ["1h", "6h"]}
    (folder / "params.yaml").write_text(edit_params(text, edits))
    for command in (
        ["init", "-q"],
        ["config", "user.name", "t"],  # DVC's own commands for experiments want it
        ["config", "user.email", "t@t"],
        ["add", "-A"],
        ["commit", "-qm", "start"],
    ):
        subprocess.run(["git", *command], cwd=folder, check=True)
    return Project(folder)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Two tasks of the demo fleet, run once from fetch to push."""
    made = make_project(tmp_path_factory.mktemp("project"), ("storage", "cpu"))
    done = made.tsf("demo")
    assert done.returncode == 0, done.stderr + done.stdout
    assert "reports/index.html" in done.stdout
    assert "git add" not in done.stdout  # DVC's advice is not about what was asked for
    return made
