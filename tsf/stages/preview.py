"""Preview: what a task would read, write and cost, before it is saved; a look at its newest data, nothing is kept."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch

from tsf.errors import HistoryError, SeriesError
from tsf.io.exposition import output_cardinality
from tsf.io.source import fetch_from_source, source_name
from tsf.kinds import span_text
from tsf.learn import Epoch, fit, parameter_count
from tsf.learn.course import largest_batch
from tsf.params import Params, TaskParams, TrainParams
from tsf.plots import pick_rows
from tsf.presets import model_warning
from tsf.series import SeriesSet
from tsf.stages.totals import label_totals
from tsf.words import Words

__all__ = ["Preview", "preview_task"]

LEAST_SECONDS = 7 * 86_400  # a week shows what days and weekends look like
FEW, MORE = 2, 8  # batches in the epochs that are timed: their difference is what a batch costs


@dataclass(frozen=True)
class Preview:
    """A look at the newest data of a task and what the whole of it will be.

    series: the newest part of the history. samples: of the whole history, those of limit and covariates not counted.
    parameters: weights of the network. minutes: of training, on this machine, if every epoch is run; None where it
    could not be timed, for the reason that stands in `basis`. warning: why the kind of model is the wrong one, or "".
    """

    series: SeriesSet
    quality: dict[str, Any]
    rows: list[int]
    samples: int
    output_series: int
    parameters: int
    minutes: float | None
    basis: str
    source: str
    warning: str

    @property
    def label_values(self) -> dict[str, int]:
        """How many values each label has: what could be a dimension."""
        return {name: len(set(column.tolist()) - {""}) for name, column in self.series.labels.items()}


def preview_task(params: Params, task: TaskParams, words: Words = str) -> Preview:
    """Read the newest samples of `task`, build its network and time a few steps of its training.

    Raises TsfError in the words of the source, or of the network where it cannot be built.
    """
    train, step = task.train, task.fetch.step
    span = max(LEAST_SECONDS, (train.sequence_length + 8 * train.prediction_steps) * step)
    series, quality = fetch_from_source(params, task.fetch, history_seconds=min(span, task.fetch.history))
    minutes, basis = _minutes(series, task, words)
    samples = series.n_series * (task.fetch.history // step)
    totals, _ = label_totals(series, task.push.totals)
    return Preview(
        series=series,
        quality=asdict(quality),
        rows=pick_rows(series),
        samples=samples,
        output_series=output_cardinality(series.n_series, task.push, series.limit is not None, len(totals)),
        parameters=parameter_count(train, series),
        minutes=minutes,
        basis=basis,
        source=words(source_name(params)),
        warning=model_warning(train, samples, words),
    )


def _minutes(series: SeriesSet, task: TaskParams, words: Words) -> tuple[float | None, str]:
    """How long the training will take, and how that was found."""
    train = task.train
    if not train.batch_size:  # automatic; a GPU may take larger ones
        chosen = largest_batch(train.windows_per_epoch, torch.device("cpu"), lambda _: None)
        train = train.model_copy(update={"batch_size": chosen})
    try:
        few, more = (_epoch_seconds(series, train, batches) for batches in (FEW, MORE))
    except (HistoryError, SeriesError) as fault:
        return None, words("it could not be timed: {fault}").format(fault=fault)
    batch = max(0.0, more - few) / (MORE - FEW)
    windows = min(train.windows_per_epoch, series.n_series * (task.fetch.history - train.holdout) // task.fetch.step)
    per_epoch = max(1, windows // train.batch_size)
    seconds = train.epochs * (max(0.0, few - FEW * batch) + per_epoch * batch)
    basis = words(
        "{batches} batches of {size:,} windows took {seconds:.2g} s here; {epochs:,} epochs of {per_epoch:,} batches "
        "are expected, without the start of the stages; the data read for it are the newest {span}"
    ).format(
        batches=MORE,
        size=train.batch_size,
        seconds=more,
        epochs=train.epochs,
        per_epoch=per_epoch,
        span=span_text(series.n_steps * series.step_seconds, words),
    )
    return seconds / 60, basis


def _epoch_seconds(series: SeriesSet, train: TrainParams, batches: int) -> float:
    """Seconds of one epoch of so many batches; an epoch before it warms up what is slow only once."""
    seen: list[Epoch] = []
    short = train.model_copy(
        update={"epochs": 2, "windows_per_epoch": batches * train.batch_size, "early_stopping_patience": 2}
    )
    fit(series, short, progress=seen.append)
    return seen[-1].seconds
