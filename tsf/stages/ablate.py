"""Ablate: train without each input and measure on later data what it was worth."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from tsf.io.artifacts import read_series
from tsf.kinds import figure_text
from tsf.learn.search import cross_validate, without_each
from tsf.params import TrainParams, read_params
from tsf.project import TaskPaths, find_root
from tsf.series import SeriesSet
from tsf.stages.train import training_part

__all__ = ["Ablated", "ablate"]


@dataclass(frozen=True)
class Ablated:
    """What the inputs of a task are worth.

    wql: mean loss over the folds, `all inputs` first, then without each. again: the loss with all inputs once more,
    from another seed: what is not farther from the first than this says nothing.
    """

    wql: pd.Series
    again: float
    seconds: float

    @property
    def table(self) -> pd.DataFrame:
        """A row per input, the most useful first: the loss without it, the change, and what follows."""
        whole, without = self.wql.iloc[0], self.wql.iloc[1:].sort_values(ascending=False)
        change = without / whole - 1
        verdict = np.where(change.abs() <= self.noise, "no difference", np.where(change > 0, "helps", "harms"))
        return pd.DataFrame({"WQL without": without, "change": change, "verdict": verdict}).rename_axis("input")

    @property
    def noise(self) -> float:
        """By which share another seed changes the loss."""
        return abs(self.again / float(self.wql.iloc[0]) - 1)

    @property
    def summary(self) -> str:
        """One sentence: which inputs pay?"""
        table = self.table
        kept = ", ".join(table.index[table["verdict"] == "helps"]) or "none"
        return (
            f"WQL {self.wql.iloc[0]:.5f} with all inputs, in {self.seconds:.0f} s; another seed changes it by "
            f"{figure_text(self.noise, '.1%')}. Inputs whose loss is felt beyond that: {kept}."
        )


def ablate(
    name: str, root: Path | None = None, *, folds: int = 3, progress: Callable[[str], None] | None = None
) -> Ablated:
    """Cross-validate task `name` with all its inputs and without each; writes nothing, the held-out data stay unseen.

    Trains `folds` models per input, twice as many with all. progress: called with a sentence after each input. Raises
    TsfError where there is too little history.
    """
    root = root or find_root()
    task = read_params(root).task(name)
    series = training_part(read_series(TaskPaths(root, name).series), task)
    params, started = task.train, time.monotonic()
    other = params.model_copy(update={"seed": params.seed + 1})
    cases = {"all inputs": (series, params), "all inputs, another seed": (series, other)}
    losses: dict[str, float] = {}
    for case, (data, settings) in (cases | dict(without_each(series, params))).items():
        losses[case] = _loss(data, settings, folds)
        if progress:
            progress(f"{case if case in cases else f'without {case}'}: WQL {losses[case]:.5f}")
    again = losses.pop("all inputs, another seed")
    return Ablated(pd.Series(losses), again, time.monotonic() - started)


def _loss(series: SeriesSet, params: TrainParams, folds: int) -> float:
    return float(np.mean([*cross_validate(series, params, folds)]))
