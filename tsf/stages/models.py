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
    """The commit of the project, with `-dirty` where files differ from it; "" outside git."""
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return answer.stdout.strip() if answer.returncode == 0 else ""
