"""Train: learn from all but the held-out data, and keep the weights with a card that says how they came about."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from tsf.errors import TsfError
from tsf.io.artifacts import read_series
from tsf.io.checkpoint import read_checkpoint, write_checkpoint
from tsf.io.registry import aliased
from tsf.kinds import count_text, figure_text, share_text, span_text
from tsf.learn import Checkpoint, Epoch, Model, device_name, fit, fit_breach, parameter_count
from tsf.learn.places import least_history
from tsf.learn.weeks import WEEKS
from tsf.learn.windows import KNEE, count_outliers
from tsf.params import TaskParams, read_params
from tsf.presets import model_warning
from tsf.project import TaskPaths, find_root
from tsf.series import SeriesSet
from tsf.stages.distributed import free_gpu, gpu_names, joined, launch
from tsf.stages.models import git_commit, load_model, save_model

BETWEEN_CHECKPOINTS_SECONDS = 2.0  # quick epochs must not wait for the disk

__all__ = ["Plan", "Trained", "main", "plan", "print_epoch", "train", "training_part"]


@dataclass(frozen=True)
class Plan:
    """What a training will work on, known before it starts."""

    name: str
    task: TaskParams
    series: SeriesSet
    parameters: int

    @property
    def memory(self) -> int:
        """Bytes that lie on the device throughout: values, limit, covariates in float64, and seven of each weight."""
        tables = 1 + (self.series.limit is not None) + len(self.series.covariates)
        steps = self.series.n_steps + self.task.train.sequence_length
        return 8 * tables * self.series.n_series * steps + 7 * 4 * self.parameters

    @property
    def warning(self) -> str:
        """Why this kind of model is the wrong one for these data, "" where it is not."""
        return model_warning(self.task.train, self.series.values.size)

    @property
    def table(self) -> pd.DataFrame:
        """The settings that matter, with what they mean for these data."""
        train, step = self.task.train, self.series.step_seconds
        size, known = self.series.values.size, int(np.isfinite(self.series.values).sum())
        rows = {
            "model": f"{train.model_type}, {self.parameters:,} weights ({4 * self.parameters / 2**20:.1f} MiB)",
            "memory": f"{self.memory / 2**20:,.0f} MiB for data, weights and optimiser; a step takes more",
            "computed on": device_name(train.device),
            "series": f"{self.series.n_series:,}",
            "training data": f"{self.series.n_steps:,} steps of {span_text(step)}",
            "needs": f"at least {least_history(train):,} of these steps",
            "held out": f"the newest {span_text(train.holdout)}",
            "looks back": f"{train.sequence_length:,} steps ({span_text(train.sequence_length * step)})",
            "looks ahead": f"{train.prediction_steps:,} steps ({span_text(train.prediction_steps * step)})",
            "scale": "asinh at a tenth of the mean of what it looks back on, then centred and divided by the spread",
            "gaps": f"{size - known:,} of {size:,} samples are missing, and seen as such; none is filled in",
            "outliers": f"{count_outliers(self.series.values):,} samples beyond {KNEE:g} spreads are compressed",
            "learns from": ", ".join(name for name in train.dimensions if name in self.series.labels) or "values alone",
            "night": f"{train.night.start} to {train.night.end}, {train.time_zone}",
        }
        low, high = train.edges
        if outside := int(((self.series.values < low) | (self.series.values > high)).sum()):
            rows["bounds"] = (
                f"{count_text(outside, 'sample lies', 'samples lie')} outside of train.bounds {low:g} to {high:g}, "
                "where no forecast goes: widen them if such values are right"
            )
        rows |= {"mind": self.warning} if self.warning else {}
        return pd.DataFrame({"value": [*rows.values()]}, index=[*rows]).rename_axis("setting")


@dataclass(frozen=True)
class Trained:
    """A model with the story of its training."""

    model: Model
    version: str
    seconds: float

    @property
    def epochs(self) -> pd.DataFrame:
        """A row per epoch: losses, learning rate, seconds, and whether it was the best so far."""
        return epochs_frame(asdict(epoch) for epoch in self.model.history)

    @property
    def summary(self) -> str:
        """One sentence for the report."""
        best = max((epoch.number for epoch in self.model.history if epoch.best), default=0)
        kept = f"epoch {best} was best on the newest training data" if best else "no epoch was better than the start"
        calibration, share = self.model.calibration, self.model.calibration.week_share
        inside = calibration.interval[1] - calibration.interval[0]
        part = figure_text(share, ".0%")
        weeks = f" The same hours of the last {WEEKS} weeks make up {part} of its forecasts." if share else ""
        epochs = count_text(len(self.model.history), "epoch", "epochs")
        return (
            f"{epochs} in {self.seconds:.0f} s; {kept}, which is what is kept, as version "
            f"{self.version}. There the {share_text(inside)} interval held "
            f"{figure_text(calibration.coverage, '.1%')} of {calibration.n:,} values.{weeks}"
        )


def plan(name: str, root: Path | None = None) -> Plan:
    """What training task `name` would mean. Raises TsfError where its data or settings do not fit."""
    root = root or find_root()
    task = read_params(root).task(name)
    series = training_part(read_series(TaskPaths(root, name).series), task)
    return Plan(name, task, series, parameter_count(task.train, series))


def train(planned: Plan, root: Path | None = None, progress: Callable[[Epoch], None] | None = None) -> Trained:
    """Train and write the model; raises TsfError and then leaves the last model in place.

    A training that was killed goes on where it was cut off. With `train.processes` above 1 so many train together, and
    print their progress in place of calling `progress`.
    """
    root = root or find_root()
    started = time.perf_counter()
    if planned.warning:
        print_line(f"mind: {planned.warning}")
    print_line(f"{planned.task.train.model_type} with {planned.parameters:,} weights")
    if planned.task.train.processes == 1:
        with free_gpu(gpu_names(planned.task.train.device), print_line) as place, torch.cuda.device(place):
            return _train_here(planned, root, progress)
    launch("tsf.stages.train", planned.name, planned.task.train.processes, root)
    model, card = load_model(TaskPaths(root, planned.name).model)
    return Trained(model, card["version"], time.perf_counter() - started)


def _train_here(planned: Plan, root: Path, progress: Callable[[Epoch], None] | None, *, writes: bool = True) -> Trained:
    """Train in this process; where several train together only one `writes`."""
    started = time.perf_counter()
    params, paths = planned.task.train, TaskPaths(root, planned.name)
    saved = read_checkpoint(paths.checkpoint)
    model = fit(
        planned.series,
        params,
        progress=progress,
        start=_champion(paths) if params.start == "champion" else None,
        resume=Checkpoint(*saved) if saved else None,
        keep=_keeper(paths.checkpoint) if writes else None,
        say=print_line,
    )
    if not writes:
        return Trained(model, "", time.perf_counter() - started)
    model = fit_breach(model, planned.series)
    seconds = time.perf_counter() - started
    card: dict[str, Any] = {
        "task": planned.name,
        "data_hash": planned.series.data_hash,
        "trained_until": int(planned.series.times[-1]),
        "n_series": planned.series.n_series,
        "parameters": planned.parameters,
        "commit": git_commit(root),
        "seconds": round(seconds, 3),
    }
    version = save_model(model, paths.model, card)
    paths.checkpoint.unlink(missing_ok=True)
    return Trained(model, version, seconds)


def _champion(paths: TaskPaths) -> Model | None:
    """The model in use; None, with a word, where there is none yet."""
    champion = aliased(paths)
    if champion is None:
        print_line("training starts afresh: the task has no champion yet")
        return None
    return load_model(champion.folder)[0]


def _keeper(path: Path) -> Callable[[Checkpoint], None]:
    """Write a checkpoint now and then."""
    written = -BETWEEN_CHECKPOINTS_SECONDS

    def keep(point: Checkpoint) -> None:
        nonlocal written
        if time.monotonic() - written >= BETWEEN_CHECKPOINTS_SECONDS:
            write_checkpoint(point.tensors, point.facts, path)
            written = time.monotonic()

    return keep


def main(name: str) -> int:
    """Train task `name` as one of several processes that torchrun has started; 0, or 1 after a sentence on stderr."""
    try:
        root = find_root()
        planned = plan(name, root)
        with joined(planned.task.train.device) as rank:
            _train_here(planned, root, print_epoch, writes=rank == 0)
    except TsfError as fault:
        sys.stderr.write(f"error: {fault}\n")
        return 1
    return 0


def training_part(series: SeriesSet, task: TaskParams) -> SeriesSet:
    """All of `series` but the newest `train.holdout`."""
    return series.between(0, series.n_steps - task.train.holdout // series.step_seconds)


def epochs_frame(history: Any) -> pd.DataFrame:
    """Epochs as a frame with the column `epoch`."""
    return pd.DataFrame(history).rename(columns={"number": "epoch"}).drop(columns="of")


def print_epoch(epoch: Epoch) -> None:
    """Show one line of progress, with the time that is left at most."""
    left = epoch.seconds * (epoch.of - epoch.number)
    mark = " *" if epoch.best else ""
    print_line(
        f"epoch {epoch.number}/{epoch.of}  train {epoch.train_loss:.4f}  validation {epoch.validation_loss:.4f}  "
        f"rate {epoch.learning_rate:.2e}  at most {left:.0f} s left{mark}"
    )


def print_line(text: str) -> None:
    """Add a line to the notebook's log, which the command line shows while it grows."""
    print(text, flush=True)  # noqa: T201 - a notebook's output is what it prints


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
