"""What a model's network says of windows, in the metric's unit."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from tsf.learn.calibration import stretched
from tsf.learn.features import week_steps
from tsf.learn.forecast import WindowQuantiles
from tsf.learn.model import Model
from tsf.learn.weeks import averaged
from tsf.learn.windows import Windows, pick_device
from tsf.series import Floats, SeriesSet

__all__ = ["network_quantiles"]


def network_quantiles(model: Model) -> WindowQuantiles:
    """`Model.window_quantiles`, by the network on the device of its forecasts.

    The caller's own network stays where it is, as others may be using it.
    """
    device = pick_device(model.params.device if model.params.device == "cpu" else "auto")
    network = model.network if device.type == "cpu" else deepcopy(model.network).to(device)
    placed = replace(model, network=network)
    return lambda recent, rows, origins: _quantiles(placed, device, recent, rows, origins)


@torch.no_grad()
def _quantiles(
    model: Model, device: torch.device, recent: SeriesSet, rows: NDArray[np.int64], origins: NDArray[np.int64]
) -> tuple[Floats, Floats]:
    spec, params = model.spec, model.spec.params
    if not spec.limited:
        recent = replace(recent, limit=None)
    elif recent.limit is None:  # a model that knows limits is asked without one
        recent = replace(recent, limit=np.full(recent.values.shape, np.nan))
    windows = Windows.of(recent, params, spec.vocabularies, spec.covariates, device)
    chosen = torch.from_numpy(rows).to(device), torch.from_numpy(origins).to(device)
    window, scale = windows.gather(*chosen)
    steps, peaks = model.network(window)
    share = model.calibration.week_share
    weeks = windows.weeks(*chosen, scale, week_steps(spec.step_seconds)) if share else (None, None)

    def real(scaled: torch.Tensor, factors: Floats, same_hours: torch.Tensor | None) -> Floats:
        moved = torch.from_numpy(stretched(scaled.double().cpu().numpy(), factors, params.quantiles)).to(device)
        whole = moved if same_hours is None else averaged(moved, same_hours, share)
        return np.asarray(scale.unscaled(whole).cpu().numpy().clip(*params.edges))

    return real(steps, model.calibration.steps, weeks[0]), real(peaks, model.calibration.peaks, weeks[1])
