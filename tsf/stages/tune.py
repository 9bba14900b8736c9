"""Tune: look for parameters that forecast better, within a time, by rolling-origin cross-validation."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from pydantic import ValidationError

from tsf.errors import ModelError, ParamsError
from tsf.io.artifacts import read_series
from tsf.kinds import count_text, figure_text
from tsf.learn import Epoch
from tsf.learn.search import cross_validate, longest_context
from tsf.params import ModelType, TrainParams, read_params
from tsf.project import TaskPaths, find_root
from tsf.series import SeriesSet
from tsf.stages.train import training_part

if TYPE_CHECKING:
    import optuna

__all__ = ["Tuned", "tune"]

WARM_UP_TRIALS = 3  # that are never pruned


@dataclass(frozen=True)
class Tuned:
    """What a search found. trials: a row per trial; `wql` is the mean over its folds, NaN where it was cut short."""

    values: dict[str, Any]
    trials: pd.DataFrame
    seconds: float

    @property
    def gain(self) -> float:
        """By which share the best WQL is lower than that of the present parameters, which are the first trial."""
        return float(1 - self.trials["wql"].min() / self.trials["wql"].iloc[0])

    @property
    def summary(self) -> str:
        """One sentence: is it worth a change?"""
        done = int(self.trials["wql"].notna().sum())
        words = f"{count_text(len(self.trials), 'trial', 'trials')} in {self.seconds:.0f} s, {done} of them to the end"
        if not self.values:
            return f"{words}; none is better than the present parameters."
        found = _named(self.values)
        return f"{words}; the loss in cross-validation is {figure_text(self.gain, '.1%')} lower with {found}."


def tune(
    name: str,
    root: Path | None = None,
    *,
    minutes: float = 10.0,
    trials: int | None = None,
    folds: int = 3,
    model_types: Sequence[ModelType] = (),
    progress: Callable[[str], None] | None = None,
) -> Tuned:
    """Search for better `train` parameters of task `name`; writes nothing. The held-out data stay unseen.

    minutes: the whole search takes no longer, but for the epoch that runs then. trials: how many at the most. folds: of
    the cross-validation; a trial that is behind the median of the others after a fold is cut short. model_types: kinds
    of network to try, the task's own by default. progress: called with a sentence after each trial. The first trial is
    the present parameters, which always run to the end. Raises TsfError, ParamsError where optuna is missing.
    """
    try:
        import optuna
    except ImportError:
        cure = "pip install 'tsf[tune]'"
        raise ParamsError("the package optuna is not installed", where="tsf tune", cure=cure) from None
    _check_above_zero(minutes=minutes, trials=1 if trials is None else trials, folds=folds)
    root = root or find_root()
    task = read_params(root).task(name)
    series = training_part(read_series(TaskPaths(root, name).series), task)
    present = task.train
    started = time.monotonic()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(
        sampler=optuna.samplers.TPESampler(seed=present.seed, n_startup_trials=5),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=WARM_UP_TRIALS),
    )
    space = search_space(series, present, folds, model_types)
    study.enqueue_trial({key: getattr(present, key) for key in space})

    def hurry(_: Epoch) -> None:
        if study.trials[0].state.is_finished() and time.monotonic() - started > 60 * minutes:
            raise optuna.TrialPruned

    def objective(trial: optuna.Trial) -> float:
        drawn = {key: _draw(trial, key, choice) for key, choice in space.items()}
        if not trial.number:
            return _reported(trial, cross_validate(series, present, folds, hurry))
        try:
            return _reported(trial, cross_validate(series, _params(present, drawn), folds, hurry))
        except (ModelError, ValidationError):  # it diverges, does not fit into memory, or its sizes do not go together
            raise optuna.TrialPruned from None

    def told(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
        if progress:
            loss = "cut short" if np.isnan(_loss(trial)) else f"WQL {trial.value:.5f}"
            progress(f"trial {trial.number}: {loss}, {_named(trial.params)}; best {study.best_value:.5f}")

    study.optimize(objective, n_trials=trials, timeout=60 * minutes, callbacks=[told])
    best = {key: _short(value) for key, value in study.best_trial.params.items()} if study.best_trial.number else {}
    values = {key: value for key, value in best.items() if value != getattr(present, key)}
    return Tuned(values, _frame(study), time.monotonic() - started)


def _check_above_zero(**numbers: object) -> None:
    """A notebook takes any parameter, and a search of nothing has no best trial. Raises ParamsError."""
    for name, value in numbers.items():
        if not (isinstance(value, int | float) and value > 0):
            raise ParamsError(f"{value!r} is no number above 0", where=name, cure="write one, such as 3")


def search_space(
    series: SeriesSet, present: TrainParams, folds: int, model_types: Sequence[ModelType]
) -> dict[str, tuple[Any, ...]]:
    """Key -> what it may be: (lowest, highest) of floats on a logarithmic scale or not, else the choices."""
    longest = longest_context(series.n_steps, present.prediction_steps, folds)
    length = present.sequence_length
    contexts = sorted({length, *(n for n in (length // 2, 2 * length) if 2 <= n <= longest)})
    types = tuple(dict.fromkeys([present.model_type, *model_types]))
    width = "d_model" if present.model_type == "transformer" else "hidden_dim"
    heads = present.nhead if {"transformer", "attention"} & {*types} else 1
    space: dict[str, tuple[Any, ...]] = {
        "learning_rate": (min(3e-4, present.learning_rate), max(1e-2, present.learning_rate)),
        "dropout": (0.0, max(0.5, present.dropout)),
        width: tuple(sorted({*(max(size - size % heads, heads) for size in (32, 64, 128)), getattr(present, width)})),
        "num_layers": tuple(sorted({1, 2, 3, present.num_layers})),
        "sequence_length": tuple(contexts),
    }
    return space | ({"model_type": types} if len(types) > 1 else {})


def _reported(trial: optuna.Trial, losses: Iterator[float]) -> float:
    """The mean of the losses, each told to the search, which may cut short every trial but the first."""
    from optuna import TrialPruned

    told: list[float] = []
    for fold, loss in enumerate(losses):
        told.append(loss)
        trial.report(float(np.mean(told)), fold)
        if trial.number and trial.should_prune():
            raise TrialPruned
    return float(np.mean(told))


def _draw(trial: optuna.Trial, key: str, choice: tuple[Any, ...]) -> Any:
    if key in ("learning_rate", "dropout"):
        return _short(trial.suggest_float(key, *choice, log=key == "learning_rate"))
    return trial.suggest_categorical(key, choice)


def _short(value: Any) -> Any:
    """As a person would write it: more digits of a learning rate mean nothing."""
    return float(f"{value:.3g}") if isinstance(value, float) else value


def _params(present: TrainParams, values: dict[str, Any]) -> TrainParams:
    return TrainParams.model_validate(present.model_dump(mode="json") | values)


def _frame(study: optuna.Study) -> pd.DataFrame:
    """A row per trial: its loss, how many folds it had, its seconds and its parameters."""
    rows = [
        {
            "wql": _loss(trial),
            "folds": len(trial.intermediate_values),
            "seconds": 0.0 if trial.duration is None else trial.duration.total_seconds(),
            **{key: _short(value) for key, value in trial.params.items()},
        }
        for trial in study.trials
    ]
    return pd.DataFrame(rows).rename_axis("trial")


def _loss(trial: optuna.trial.FrozenTrial) -> float:
    """NaN where it was cut short: optuna gives such a trial the value of the folds that it had."""
    return trial.value if trial.value is not None and trial.state.name == "COMPLETE" else np.nan


def _named(values: dict[str, Any]) -> str:
    return ", ".join(f"{key} {f'{value:.4g}' if isinstance(value, float) else value}" for key, value in values.items())
