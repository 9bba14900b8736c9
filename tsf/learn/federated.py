"""One model from several clusters whose samples never leave them: only weights travel.

Federated averaging (McMahan et al.: Communication-Efficient Learning of Deep Networks from Decentralized Data, 2017):
in each round every cluster goes on from the common weights with its own data (`fit` with `start`), and the new common
weights are the mean of theirs. A cluster with much history may train them further for itself in the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from tsf.errors import ModelError
from tsf.learn.model import Calibration, Model
from tsf.learn.spec import Spec, plain_spec

__all__ = ["federated_average"]


def federated_average(models: Sequence[Model], weights: Sequence[float]) -> Model:
    """The model whose weights are the mean of those of `models`, each counted by its of `weights`.

    weights: such as the number of series that each has learnt from. The mean has no breach head, and its intervals are
    measured nowhere (coverage NaN of n = 0). Raises ModelError where the models have other parameters, steps or labels,
    and where the weights are not one for each of them, none below 0 and one above it.
    """
    counts = np.asarray(weights, np.float64)
    if counts.shape != (len(models),) or not (counts >= 0).all() or not 0 < counts.sum() < np.inf:
        raise ModelError(
            f"{len(models)} models cannot be counted by the weights {counts.tolist()}",
            cure="pass a number for each model, such as the samples that it has learnt from, and at least one above 0",
        )
    first, shares = models[0], counts / counts.sum()
    for number, model in enumerate(models):
        if model.spec != first.spec:
            usual = _settings(first.spec)
            others = [name for name, value in _settings(model.spec).items() if value != usual[name]]
            raise ModelError(
                f"model {number} is built otherwise than model 0, in {', '.join(others)}",
                cure="train them with the same parameters and step, on labels with the same values in each cluster",
            )
    states, network = [model.network.state_dict() for model in models], deepcopy(first.network)
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            mean = sum(share * state[name].double() for share, state in zip(shares.tolist(), states, strict=True))
            tensor.copy_(mean)

    def calibrated(name: str) -> np.ndarray:
        return np.average([getattr(model.calibration, name) for model in models], axis=0, weights=shares)

    calibration = Calibration(
        calibrated("steps"), calibrated("peaks"), first.calibration.interval, float("nan"), 0,
        float(calibrated("week_share")),
    )  # fmt: skip
    return replace(first, network=network, calibration=calibration, breach=None)


def _settings(spec: Spec) -> dict[str, Any]:
    """All that a spec fixes, its parameters by their own names."""
    plain = plain_spec(spec)
    return {**plain.pop("params"), **plain}
