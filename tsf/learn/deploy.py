"""A model as one function of tensors, from raw samples to quantiles in the metric's unit, as a runtime can have it."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from tsf.learn.features import CALENDAR, week_steps
from tsf.learn.model import Model
from tsf.learn.weeks import averaged
from tsf.learn.windows import Windows

__all__ = ["Deployed", "example_inputs"]


class Deployed(nn.Module):
    """Contexts in, quantiles out: scaling, network, calibration and bounds, as `predict` does them."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.network, self.spec = model.network, model.spec
        self.reads, self.week_share = model.reads, model.calibration.week_share
        part = np.arange(model.params.prediction_steps) * len(model.calibration.steps) // model.params.prediction_steps
        # Tensors: a number would be a constant of single precision there, and a bound that is the limit never reached.
        self.low, self.high = (
            None if edge is None else torch.tensor(edge, dtype=torch.float64) for edge in model.params.bounds
        )
        self.factors = [
            torch.from_numpy(table[part].astype(np.float64))  # (H, Q)
            for table in (model.calibration.steps, model.calibration.peaks)
        ]

    def forward(
        self, values: Tensor, limit: Tensor, covariates: Tensor, calendar: Tensor, labels: Tensor
    ) -> tuple[Tensor, Tensor]:
        """(B, H, Q) quantiles of the steps and of their running maximum, float64.

        values: (B, R) float64 of the steps that `Model.reads`, NaN where missing. limit: (B,), NaN where unknown.
        covariates: (B, C, R), both alike. calendar: (R + H, F) float32, of these and the steps ahead.
        labels: (B, D) int64, 0 for unknown values.
        """
        params = self.spec.params
        known = limit[:, None].expand(values.shape) if self.spec.limited else None
        tables = [covariates[:, place] for place in range(len(self.spec.covariates))]
        windows = Windows(params, self.spec.step_seconds, values, known, tables, calendar, labels)
        rows = torch.arange(values.shape[0], device=values.device)
        origins = torch.full_like(rows, self.reads - params.sequence_length)
        window, scale = windows.gather(rows, origins)
        share = self.week_share
        weeks = windows.weeks(rows, origins, scale, week_steps(self.spec.step_seconds)) if share else (None, None)
        found = []
        for scaled, factors, same_hours in zip(self.network(window), self.factors, weeks, strict=True):
            middle = params.quantiles.index(0.5)
            median = scaled[..., middle : middle + 1].double()
            moved = (median + factors * (scaled.double() - median)).sort(dim=2).values
            real = scale.unscaled(moved if same_hours is None else averaged(moved, same_hours, share))
            found.append(real if self.low is self.high is None else real.clamp(self.low, self.high))
        return found[0], found[1]


def example_inputs(model: Model, rows: int) -> dict[str, Tensor]:
    """Inputs of `Deployed.forward` by name, of the right shapes and types."""
    spec, params = model.spec, model.params
    length, steps = model.reads, model.reads + params.prediction_steps
    return {
        "values": torch.rand(rows, length, dtype=torch.float64),
        "limit": torch.ones(rows, dtype=torch.float64),
        "covariates": torch.rand(rows, len(spec.covariates), length, dtype=torch.float64),
        "calendar": torch.zeros(steps, len(CALENDAR)),
        "labels": torch.zeros(rows, len(spec.vocabularies), dtype=torch.int64),
    }
