"""Experiments: a copy of the project as it stands is tried, and the project itself is left alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.flow.test_tasks import SHIPPED
from tsf.errors import FlowError
from tsf.flow.experiments import run_experiment

STAGES = """stages:
  evaluate:
    foreach: [cpu]
    do:
      cmd: cp params.yaml tried.yaml
      params: [tasks.cpu.train]
      outs: [tried.yaml: {cache: false}]
"""


def ran(folder: Path, *command: str) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project in a folder of a git repository, whose settings alone say who commits."""
    for name in ("HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    top = tmp_path / "repository"
    folder = top / "ops" / "tsf"
    folder.mkdir(parents=True)
    ran(top, "git", "init", "-q")
    ran(top, "git", "config", "user.name", "Ann")
    ran(top, "git", "config", "user.email", "ann@example.com")
    (folder / "params.yaml").write_text(SHIPPED)
    (folder / "dvc.yaml").write_text(STAGES)
    (folder / ".gitignore").write_text(".tsf/\n")
    ran(folder, sys.executable, "-m", "dvc", "init", "--quiet", "--subdir")
    ran(top, "git", "add", "--all")
    ran(top, "git", "commit", "-qm", "begin")
    return folder


def test_a_project_that_is_a_folder_of_its_repository_gets_its_experiment(root: Path) -> None:
    assert run_experiment(root, "cpu", {"hidden_dim": 6}, "tune-cpu") == "tune-cpu"
    assert (root / "params.yaml").read_text() == SHIPPED
    [ref] = ran(root, "git", "for-each-ref", "--format=%(refname)", "refs/exps/*/*/tune-cpu").split()
    assert "hidden_dim: 6" in ran(root, "git", "show", f"{ref}:ops/tsf/tried.yaml")
    assert ran(root, "git", "show", "-s", "--format=%an", ref).strip() == "Ann"


@pytest.mark.parametrize("absolute", [True, False])
def test_nothing_that_is_tried_is_written_through_a_link(root: Path, absolute: bool) -> None:
    shared = (root / "params.yaml").rename(root.parents[1] / "shared.yaml")
    (root / "params.yaml").symlink_to(shared if absolute else "../../shared.yaml")
    ran(root, "git", "commit", "-qam", "link")
    run_experiment(root, "cpu", {"hidden_dim": 6}, "tune-cpu")
    assert shared.read_text() == SHIPPED
    [ref] = ran(root, "git", "for-each-ref", "--format=%(refname)", "refs/exps/*/*/tune-cpu").split()
    assert "hidden_dim: 6" in ran(root, "git", "show", f"{ref}:ops/tsf/tried.yaml")


def test_where_git_knows_nobody_an_experiment_is_kept_all_the_same(root: Path) -> None:
    for key in ("user.name", "user.email"):
        ran(root, "git", "config", "--unset", key)
    assert run_experiment(root, "cpu", {"hidden_dim": 6}, "tune-cpu") == "tune-cpu"
    assert ran(root, "git", "for-each-ref", "refs/exps/*/*/tune-cpu")


def test_without_git_there_is_one_sentence(root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FlowError, match=r"^tune-cpu: git cannot be started \(.*\); install it\.$"):
        run_experiment(root, "cpu", {"hidden_dim": 6}, "tune-cpu")
