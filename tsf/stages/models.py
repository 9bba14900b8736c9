"""Models on disk: the one place that joins the learner's arrays and spec to the weights file and the card."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tsf import learn
from tsf.errors import ModelError
from tsf.io.artifacts import read_model, write_model

if TYPE_CHECKING:
    from tsf.learn import Exported, Model

__all__ = ["git_commit", "load_exported", "load_model", "save_model"]

CARD = {"name", "version", "data_hash", "commit", "query", "chosen"}  # of an exported model


def save_model(model: Model, folder: Path, card: Mapping[str, Any]) -> str:
    """Write weights and card to `folder` and return the version; `card` must hold the `data_hash`.

    Training's history has clock times in it, so it stays outside the spec, which the version is a hash of.
    """
    tensors, spec = learn.model_state(model)
    history = spec.pop("history")
    return write_model(folder, tensors, {**card, "spec": spec, "history": history})


def load_model(folder: Path) -> tuple[Model, dict[str, Any]]:
    """(model, card) as save_model wrote them. Raises ModelError for a missing or damaged model."""
    tensors, card = read_model(folder)
    return learn.build_model(tensors, {**card["spec"], "history": card["history"]}), card


def load_exported(file: Path) -> tuple[Exported, dict[str, Any]]:
    """(model, card) as export_task wrote them. Raises ModelError where the file is none of these, or is not there."""
    try:
        onnx = file.read_bytes()
    except OSError as fault:
        cure = "write it with `tsf export`"
        raise ModelError(f"it cannot be read ({fault.strerror})", where=str(file), cure=cure) from None
    model, card = learn.read_exported(onnx, str(file))
    if not card.keys() >= CARD:
        raise ModelError(
            "it does not say of which task its model is", where=str(file), cure="write it with `tsf export`"
        )
    return model, dict(card)


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
