"""The commit that a model carries is that of the code."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tsf.stages.models import git_commit


def git(root: Path, *arguments: str) -> str:
    command = ["git", "-C", root, "-c", "user.name=t", "-c", "user.email=t@t", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A repository with code, parameters and a lock of DVC."""
    for name in ("code.py", "params.yaml", "dvc.lock"):
        (tmp_path / name).write_text("old")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-qm", "start")
    return tmp_path


def test_a_scheduled_run_leaves_the_commit_clean_and_changed_code_does_not(project: Path) -> None:
    commit = git(project, "rev-parse", "HEAD")[:12]
    (project / "params.yaml").write_text("snapshot moved")
    (project / "dvc.lock").write_text("renewed")
    (project / "reports").mkdir()
    (project / "reports" / "page.html").write_text("made")
    assert git_commit(project) == commit
    (project / "code.py").write_text("new")
    assert git_commit(project) == f"{commit}-dirty"


def test_outside_git_there_is_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert git_commit(tmp_path) == ""
    git(tmp_path, "init", "-q")
    assert git_commit(tmp_path) == ""  # a repository without a commit
