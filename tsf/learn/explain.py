"""Why a forecast is what it is: how much it moves when a part of what the model saw is hidden from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from tsf.learn.deploy import Deployed
from tsf.learn.exported import inputs_of
from tsf.learn.model import Model
from tsf.series import Floats, SeriesSet

__all__ = ["Explanation", "explain"]

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
    arrays = inputs_of(series, model.spec, model.reads)
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
