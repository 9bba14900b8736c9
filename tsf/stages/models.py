"""Models on disk: the one place that joins the learner's arrays and spec to the weights file and the card."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tsf.io.artifacts import read_model, write_model
from tsf.learn.model import Model, build_model, model_state

__all__ = ["git_commit", "load_model", "save_model"]


def save_model(model: Model, folder: Path, card: Mapping[str, Any]) -> str:
    """Write weights and card to `folder` and return the version; `card` must hold the `data_hash`.

    Training's history has clock times in it, so it stays outside the spec, which the version is a hash of.
    """
    tensors, spec = model_state(model)
    history = spec.pop("history")
    return write_model(folder, tensors, {**card, "spec": spec, "history": history})


def load_model(folder: Path) -> tuple[Model, dict[str, Any]]:
    """(model, card) as save_model wrote them. Raises ModelError for a missing or damaged model."""
    tensors, card = read_model(folder)
    return build_model(tensors, {**card["spec"], "history": card["history"]}), card


def git_commit(root: Path) -> str:
    """The commit of the project's code, with `-dirty` where code differs from it; "" outside git.

    params.yaml and dvc.lock do not count: each scheduled run moves them, and what they say is in the card.
    """
    commit = _git(root, "rev-parse", "--short=12", "HEAD")
    if commit is None:
        return ""
    changed = _git(root, "status", "--porcelain", "--untracked-files=no", "--", ".", ":!params.yaml", ":!dvc.lock")
    return commit + "-dirty" * bool(changed)


def _git(root: Path, *arguments: str) -> str | None:
    """What git answers; None where there is no git, no repository or no commit."""
    command = ["git", "-C", str(root), *arguments]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() if answer.returncode == 0 else None
