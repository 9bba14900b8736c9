"""How far a run is: read from its log and from the notebook that papermill saves after every cell."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tsf import errors
from tsf.errors import FlowError
from tsf.flow.queue import Run
from tsf.flow.store import state_folder
from tsf.project import STAGES, Stage, TaskPaths
from tsf.words import Words

__all__ = [
    "WAITING",
    "Progress",
    "error_in",
    "failed_cell",
    "failed_sentence",
    "failure",
    "log_path",
    "progress_of",
    "read_log",
    "read_progress",
]

STAGE = re.compile(r"(Running stage|Stage) '(\w+)@\w+'(.*)")
EPOCH = re.compile(r"epoch (\d+)/(\d+)  train ([\d.]+|nan)  validation ([\d.]+|nan) .* at most (\d+) s left")
ERRORS = (  # a stage's own sentence, else DVC's, else that of the run
    re.compile(r"^(?:\w+: )?error: (?!dvc repro failed)(.*)$", re.MULTILINE),
    re.compile(r"^(?:\w+: )?ERROR: (.*)$", re.MULTILINE),
    re.compile(r"^error: (.*)$", re.MULTILINE),
)
WAITING = "waiting for another dvc command that works on the same files"
TAIL_BYTES = 200_000  # a log may be long; what a run does now stands at its end


@dataclass(frozen=True)
class Progress:
    """Where a run is; None where it is not known or does not apply. Losses are those of the last epoch."""

    stages: int
    stages_done: int = 0
    stage: Stage | None = None
    cell: int | None = None
    cells: int | None = None
    epoch: int | None = None
    epochs: int | None = None
    train_loss: float | None = None
    validation_loss: float | None = None
    seconds_left: float | None = None
    waiting: str = ""

    def sentence(self, words: Words = str) -> str:
        """All of it, in words."""
        if self.waiting:
            return words(self.waiting)
        stage, number = self.stage or words("starting"), min(self.stages_done + 1, self.stages)
        parts = [words("{stage} ({number} of {stages})").format(stage=stage, number=number, stages=self.stages)]
        parts += [words("cell {cell} of {cells}").format(cell=self.cell, cells=self.cells)] if self.cell else []
        if self.epoch:
            parts += [words("epoch {epoch} of {epochs}").format(epoch=self.epoch, epochs=self.epochs)]
            parts += [words("loss {loss:.4f}").format(loss=self.validation_loss)]
            parts += [words("at most {seconds:.0f} s left").format(seconds=self.seconds_left)]
        return words(", ").join(parts)


def log_path(root: Path, run: int) -> Path:
    """What the run has said."""
    return state_folder(root) / "logs" / f"{run}.log"


def read_log(root: Path, run: int, offset: int = 0, size: int = TAIL_BYTES) -> tuple[str, int]:
    """At most `size` bytes of a run's log from byte `offset` on, and where to go on; negative counts from the end."""
    try:
        with log_path(root, run).open("rb") as file:
            end = file.seek(0, 2)
            start = min(offset, end) if offset >= 0 else max(0, end + offset)
            file.seek(start)
            content = file.read(size)
    except FileNotFoundError:
        return "", 0
    whole = content[: content.rfind(b"\n") + 1] or content  # a character cut in two would be read twice as nonsense
    return whole.decode("utf-8", "replace"), start + len(whole)


def progress_of(log: str, run: Run) -> Progress:
    """What the log of a run says."""
    stages = (run.stage,) if run.alone else STAGES[: STAGES.index(run.stage) + 1]
    progress = Progress(stages=len(stages))
    for line in log.splitlines():
        if line == WAITING:
            progress = Progress(len(stages), stage=None, waiting=WAITING)
        elif (match := STAGE.search(line)) and match[2] in STAGES:
            done = stages.index(match[2]) if match[2] in stages else 0
            skipped = match[1] == "Stage"
            progress = Progress(len(stages), done + skipped, None if skipped else STAGES[STAGES.index(match[2])])
        elif match := EPOCH.search(line):
            progress = replace(
                progress,
                epoch=int(match[1]),
                epochs=int(match[2]),
                train_loss=float(match[3]),
                validation_loss=float(match[4]),
                seconds_left=float(match[5]),
            )
    return progress


def read_progress(root: Path, run: Run) -> Progress | None:
    """How far a running run is; None for any other."""
    if run.state != "running":
        return None
    progress = progress_of(read_log(root, run.id, -TAIL_BYTES)[0], run)
    if progress.stage is None:
        return progress
    cells = _cells(TaskPaths(root, run.task).running_notebook(progress.stage))
    done = [_status(cell) != "pending" for cell in cells]
    return replace(progress, cell=max(1, sum(done)), cells=len(cells)) if cells else progress


def error_in(log: str) -> str:
    """The first sentence with which a stage failed, without `error:`; "" where there is none."""
    return next((match[1] for pattern in ERRORS if (match := pattern.search(log))), "")


def failed_cell(notebook: Path) -> int | None:
    """The index of the cell that failed in an executed notebook, None where none says so."""
    for index, cell in enumerate(_cells(notebook, only_code=False)):
        if _status(cell) == "failed" or any(out.get("output_type") == "error" for out in cell.get("outputs", ())):
            return index
    return None


def failure(kind: str, message: str, cell: int | None, where: str, notebook: Path) -> FlowError:
    """What an error of class `kind` in a cell means: a user's own mistake as it was put, else where it can be seen."""
    if kind in errors.__all__:
        return FlowError(message.removesuffix("."), where=where)
    first = message.splitlines()[0] if message else "no message"
    return FlowError(f"cell {cell} failed with {kind}: {first}", where=where, cure=f"open {notebook} to see why")


def failed_sentence(notebook: Path, where: str) -> str:
    """The sentence of the error in an executed notebook, "" where it holds none; where: stage and task."""
    for cell in _cells(notebook):
        for out in cell.get("outputs", ()):
            if out.get("output_type") == "error":
                kind, message = str(out.get("ename", "")), str(out.get("evalue", ""))
                return str(failure(kind, message, cell.get("execution_count"), where, notebook))
    return ""


def _status(cell: Mapping[str, Any]) -> str:
    return str(cell.get("metadata", {}).get("papermill", {}).get("status", "pending"))


def _cells(notebook: Path, *, only_code: bool = True) -> list[dict[str, Any]]:
    """The cells of a notebook that may be in the middle of being written: then it has none."""
    try:
        cells = json.loads(notebook.read_bytes())["cells"]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    return [cell for cell in cells if cell["cell_type"] == "code" or not only_code]
