"""Rolling-origin cross-validation: how good parameters and inputs are on data that no model in it has seen."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from tsf.errors import HistoryError
from tsf.learn.backtest import backtest, model_forecaster, rolling_origins
from tsf.learn.model import Epoch
from tsf.learn.places import least_history
from tsf.learn.train import fit
from tsf.params import NightParams, TrainParams
from tsf.series import SeriesSet

__all__ = ["cross_validate", "longest_context", "without_each"]

NO_NIGHT = NightParams(start="00:00", end="00:00")  # ends before it begins


def cross_validate(
    series: SeriesSet, params: TrainParams, folds: int, progress: Callable[[Epoch], None] | None = None
) -> Iterator[float]:
    """Yield the WQL of each fold, the oldest first: train on all before a block of steps, then forecast that block.

    The blocks are the newest ones of `series`, each a tenth of it or a horizon long; what training itself holds back to
    choose its weights lies before them. Raises HistoryError where the first fold leaves too little to learn from, or a
    fold nothing to judge by.
    """
    block = block_steps(series.n_steps, params.prediction_steps)
    first = series.n_steps - folds * block
    if (need := least_history(params)) > first:
        raise HistoryError(
            f"{folds} folds of {block} steps and {need} to learn from before them are {folds * block + need:,} steps, "
            f"and the history has {series.n_steps:,}",
            cure="lengthen fetch.history or take fewer folds",
        )
    for fold in range(folds):
        end = first + fold * block
        model = fit(series.between(0, end), params, progress=progress)
        seen = series.between(0, end + block)
        origins = rolling_origins(seen.n_steps, block, params.prediction_steps, max(1, params.prediction_steps // 2))
        table = backtest(
            {"model": model_forecaster(model)}, seen, origins, params.prediction_steps, params.quantiles, dimensions=()
        ).table
        loss = float(table["wql"].iloc[0])
        if not math.isfinite(loss):
            raise HistoryError(
                f"fold {fold + 1} of {folds} cannot be judged: in its {block} steps nothing but zeros was measured, or "
                f"nothing was forecast",
                cure="lengthen fetch.history or take other folds",
            )
        yield loss


def block_steps(n_steps: int, horizon: int) -> int:
    """Steps that one fold is judged on."""
    return max(horizon, n_steps // 10)


def longest_context(n_steps: int, horizon: int, folds: int) -> int:
    """Steps that a model can look back and still have something to learn in the first fold."""
    return n_steps - folds * block_steps(n_steps, horizon) - 2 * horizon


def without_each(series: SeriesSet, params: TrainParams) -> Mapping[str, tuple[SeriesSet, TrainParams]]:
    """Input -> the data and parameters of a training that does without it; the rest is the same.

    Inputs are the limit, each covariate, what is derived from the metric, each label, and of the calendar the night and
    the holidays. Hour, weekday and month day always stay.
    """
    found: dict[str, tuple[SeriesSet, TrainParams]] = {}
    if series.limit is not None:
        found["limit"] = replace(series, limit=None), params
    for name in series.covariates:
        others = {other: table for other, table in series.covariates.items() if other != name}
        found[f"covariate {name}"] = replace(series, covariates=others), params
    for name in params.derived:
        kept = tuple(other for other in params.derived if other != name)
        found[f"derived {name}"] = series, params.model_copy(update={"derived": kept})
    for name in params.dimensions:
        if name in series.labels:
            labels = tuple(other for other in params.dimensions if other != name)
            found[f"label {name}"] = series, params.model_copy(update={"dimensions": labels})
    if params.night.start != params.night.end:
        found["night"] = series, params.model_copy(update={"night": NO_NIGHT})
    if params.holidays:
        found["holidays"] = series, params.model_copy(update={"holidays": ""})
    return found
