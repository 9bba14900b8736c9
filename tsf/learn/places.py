"""Which windows of a history teach and which judge."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from tsf.errors import HistoryError
from tsf.learn.forecast import least_context
from tsf.params import TrainParams
from tsf.series import SeriesSet

__all__ = ["Places", "judged_steps", "least_history", "split"]

JUDGED = 2_048  # windows that judge, at most


class Places(NamedTuple):
    """Windows by row and origin, each (B,)."""

    rows: Tensor
    origins: Tensor

    def take(self, which: Tensor) -> Places:
        """Those at the places `which`, (N,) into (B,)."""
        return Places(self.rows[which], self.origins[which])


def split(series: SeriesSet, params: TrainParams, device: torch.device) -> tuple[Places, Places]:
    """Windows that teach and windows that judge; no target of the first is as new as a target of the second."""
    context, horizon, total = params.sequence_length, params.prediction_steps, series.n_steps
    need = least_history(params)
    if total < need:
        raise HistoryError(
            f"the history has {total} steps, training needs at least {need}: twice prediction_steps and a context",
            cure="lengthen fetch.history or shorten prediction_steps",
        )
    newest = judged_steps(total, horizon, series.step_seconds)
    seen = np.concatenate([np.zeros((series.n_series, 1), int), np.isfinite(series.values).cumsum(1)], axis=1)
    origins = np.arange(total - horizon)
    before = seen[:, origins + 1] - seen[:, np.maximum(origins + 1 - context, 0)]
    after = seen[:, origins + 1 + horizon] - seen[:, origins + 1]
    usable = (before >= least_context(params)) & (after * 2 >= horizon)
    border = total - newest - horizon  # first origin whose targets reach past total - newest
    teach = np.argwhere(usable[:, :border])
    many = max(8, JUDGED // (2 * series.n_series))
    judges = origins[border + horizon - 1 :][:: -max(1, newest // many)]  # the newest origin is one of them
    judge = np.argwhere(usable[:, judges])
    if not len(teach) or not len(judge):
        raise HistoryError(
            f"no series has {least_context(params)} samples in {context} steps before and {horizon} steps after an "
            f"origin in both the older and the newest part of the history",
            cure="lengthen fetch.history or take series with fewer gaps",
        )
    judge[:, 1] = judges[judge[:, 1]]
    if len(judge) > JUDGED:
        judge = judge[np.linspace(0, len(judge) - 1, JUDGED).astype(int)]
    return _places(teach, device), _places(judge, device)


def judged_steps(n_steps: int, horizon: int, step_seconds: int) -> int:
    """How many of the newest steps judge: a tenth, up to a week or four horizons, as each day of a week is another."""
    return max(horizon, min(n_steps // 10, max(4 * horizon, 604_800 // step_seconds)))


def least_history(params: TrainParams) -> int:
    """Steps that training needs at the least: a context, and a horizon each to learn from and to be judged by."""
    return least_context(params) + 2 * params.prediction_steps


def _places(pairs: np.ndarray, device: torch.device) -> Places:
    found = torch.from_numpy(np.ascontiguousarray(pairs.T)).to(device)
    return Places(found[0], found[1])
