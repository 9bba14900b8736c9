"""Why a forecast is what it is: how much it moves when a part of what the model saw is hidden from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tsf.learn.deploy import Deployed
from tsf.learn.features import calendar
from tsf.learn.model import Model
from tsf.learn.windows import label_indices
from tsf.series import SeriesSet, carried

__all__ = ["Explanation", "explain"]

Floats = NDArray[np.float64]
PARTS = 24  # of the context, at most
ROWS = 1_024  # contexts at a time


@dataclass(frozen=True, eq=False)
class Explanation:
    """Mean movement of the median over the horizon, in the metric's unit, of N series.

    past: (N, P) when this part of the context is hidden, the oldest first. hours: (P + 1,) its edges, in hours before
    the origin. inputs: name -> (N,) when this input is hidden: `calendar`, `limit`, covariates, labels, and what lies
    before the context where the model reads it.
    """

    past: Floats
    hours: Floats
    inputs: Mapping[str, Floats]


def explain(model: Model, series: SeriesSet) -> Explanation:
    """Hide each part of the context, then each other input, and measure how far the median moves (occlusion).

    A hidden sample is a missing one, a hidden label an unknown one; a hidden calendar is that of its mean moment. What
    a gap would do is what is measured, not a cause. Series without a sample give NaN.
    """
    spec, params = model.spec, model.params
    given = _inputs(model, series)
    length = params.sequence_length
    before = model.reads - length
    edges = np.unique(np.linspace(0, length, min(PARTS, length) + 1).round().astype(int))
    base = _median(model, given)
    past = []
    for start, stop in pairwise(edges):
        values = given["values"].clone()
        values[:, before + start : before + stop] = torch.nan
        past.append(_moved(model, given | {"values": values}, base))
    hidden = {"calendar": given["calendar"].mean(0, keepdim=True).expand_as(given["calendar"])}
    inputs = {"calendar": _moved(model, given | hidden, base)}
    if before:
        values = given["values"].clone()
        values[:, :before] = torch.nan
        inputs["earlier weeks"] = _moved(model, given | {"values": values}, base)
    if spec.limited:
        inputs["limit"] = _moved(model, given | {"limit": torch.full_like(given["limit"], torch.nan)}, base)
    for place, name in enumerate(spec.covariates):
        covariates = given["covariates"].clone()
        covariates[:, place] = torch.nan
        inputs[name] = _moved(model, given | {"covariates": covariates}, base)
    for place, name in enumerate(spec.vocabularies):
        labels = given["labels"].clone()
        labels[:, place] = 0
        inputs[f"label {name}"] = _moved(model, given | {"labels": labels}, base)
    hours = (length - edges) * spec.step_seconds / 3600
    return Explanation(np.stack(past, axis=1), hours.astype(np.float64), inputs)


def _inputs(model: Model, series: SeriesSet) -> dict[str, Tensor]:
    """The inputs of `Deployed.forward` for the newest context of each series."""
    spec, params = model.spec, model.params
    length = model.reads

    def newest(array: Floats) -> Floats:
        short = max(0, length - array.shape[1])
        return np.pad(array[:, -length:], ((0, 0), (short, 0)), constant_values=np.nan)

    unknown = np.full(series.values.shape, np.nan)
    tables = [newest(series.covariates.get(name, unknown)) for name in spec.covariates]
    steps = series.times[-1] + series.step_seconds * np.arange(1 - length, params.prediction_steps + 1)
    limit = unknown if series.limit is None else carried(series.limit)
    arrays = {
        "values": newest(series.values),
        "limit": limit[:, -1],
        "covariates": np.stack(tables, 1) if tables else np.zeros((series.n_series, 0, length)),
        "calendar": calendar(steps, params),
        "labels": label_indices(series, spec.vocabularies),
    }
    return {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}


@torch.no_grad()
def _median(model: Model, given: Mapping[str, Tensor]) -> Floats:
    """(N, H) in the metric's unit; NaN for a context without a sample."""
    deployed, middle = Deployed(model).eval(), model.params.quantiles.index(0.5)
    parts = []
    for rows in torch.arange(len(given["values"])).split(ROWS):
        part = {name: table if name == "calendar" else table[rows] for name, table in given.items()}
        parts.append(deployed(**part)[0][..., middle])
    median = torch.cat(parts).numpy()
    context = given["values"][:, -model.params.sequence_length :]
    return np.asarray(np.where(context.isfinite().any(1, keepdim=True).numpy(), median, np.nan))


def _moved(model: Model, given: Mapping[str, Tensor], base: Floats) -> Floats:
    return np.asarray(np.abs(_median(model, given) - base).mean(1))
