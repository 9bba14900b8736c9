"""A project folder with the data of one task, small enough to train in a second."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.learn.conftest import limited_series, small_model, small_params
from tsf.io.artifacts import write_series
from tsf.project import TaskPaths
from tsf.series import SeriesSet

ROOT = Path(__file__).parents[2]
QUICK = small_params().model_dump(mode="json", exclude_unset=True) | {"holdout": "3d"}

__all__ = ["limited_series", "small_model"]


@dataclass(frozen=True)
class Folder:
    """A project of one task called `a`."""

    root: Path

    @property
    def paths(self) -> TaskPaths:
        return TaskPaths(self.root, "a")

    def set(self, **train: object) -> None:
        """Write params.yaml with these keys of the train section."""
        task = {
            "fetch": {"metric_query": "used_bytes", "limit": 95, "history": "20d"},
            "train": QUICK | train,
            "evaluate": {"stride": "12h"},
            "push": {"horizons": ["6h"]},
        }
        with (self.root / "params.yaml").open("w") as file:
            YAML().dump({"tasks": {"a": task}}, file)

    def start(self, code: str) -> subprocess.Popen[str]:
        """Python with `code` in this folder."""
        environ = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        return subprocess.Popen(
            [sys.executable, "-c", code], cwd=self.root, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True,
        )  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path, limited_series: SeriesSet) -> Folder:
    made = Folder(tmp_path)
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    made.set()
    write_series(limited_series, made.paths.series)
    return made
