"""A trained model and all that is needed to build it again."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ValidationError

from tsf.errors import ModelError
from tsf.learn.breach import BreachHead
from tsf.learn.breach_inputs import looked_back
from tsf.learn.features import CALENDAR, seasons_of, week_steps
from tsf.learn.forecast import WindowQuantiles
from tsf.learn.network import Ensemble, Shape
from tsf.learn.spec import Spec, plain_spec, spec_of
from tsf.learn.weeks import WEEKS
from tsf.params import TrainParams
from tsf.series import SeriesSet

__all__ = ["Calibration", "Epoch", "Model", "build_model", "build_network", "build_spec", "model_state",
           "parameter_count"]  # fmt: skip

BREACH_ARRAYS = ("feature", "threshold", "leaves", "constant", "belief", "measured")


@dataclass(frozen=True)
class Epoch:
    """One pass of training: mean pinball losses in scaled units; `best` where validation was never better before.

    batch_size: windows in a step, which memory may have made fewer than was asked.
    """

    number: int
    of: int
    train_loss: float
    validation_loss: float
    learning_rate: float
    seconds: float
    best: bool
    batch_size: int


@dataclass(frozen=True, eq=False)
class Calibration:
    """How far each quantile is moved from the median, measured on the newest windows that training did not learn from.

    steps, peaks: (K, Q) factors for K equal parts of the horizon. interval: the two levels whose coverage was measured;
    coverage: share of `n` values that fell between them after calibration on the other half of the series (of one
    series alone: on the other half of its time). week_share: what the same hours of earlier weeks have of a forecast.
    """

    steps: NDArray[np.float64]
    peaks: NDArray[np.float64]
    interval: tuple[float, float]
    coverage: float
    n: int
    week_share: float


@dataclass(frozen=True, eq=False)
class Model:
    """A network with its spec, its calibration, the story of its training and, with a limit, its breach head."""

    network: Ensemble
    spec: Spec
    calibration: Calibration
    history: tuple[Epoch, ...] = ()
    breach: BreachHead | None = None

    @property
    def params(self) -> TrainParams:
        """The parameters it was trained with."""
        return self.spec.params

    @property
    def looks_back(self) -> int:
        """The newest steps that a forecast reads; fewer do, but tell less of a breach."""
        return self.reads if self.breach is None else max(self.reads, looked_back(self.spec.step_seconds))

    @property
    def reads(self) -> int:
        """The newest steps that its quantiles follow from: the context, and earlier weeks where they have a share."""
        weeks = WEEKS * week_steps(self.spec.step_seconds) if self.calibration.week_share > 0 else 0
        return max(self.params.sequence_length, weeks)

    def window_quantiles(self) -> WindowQuantiles:
        """How its network forecasts windows. Raises ModelError for an absent GPU."""
        from tsf.learn.inference import network_quantiles  # which is made of models

        return network_quantiles(self)


def build_spec(series: SeriesSet, params: TrainParams) -> Spec:
    """What `params` mean for these series: vocabularies of their labels, seasons and segment of their step."""
    names = sorted(set(params.dimensions) & set(series.labels))  # a fixed order, whatever a JSON file does to it
    known = {name: tuple(sorted(set(series.labels[name]) - {""})) for name in names}
    length, ahead = params.sequence_length, params.prediction_steps
    return Spec(
        params=params,
        step_seconds=series.step_seconds,
        vocabularies=known,
        covariates=tuple(sorted(series.covariates)),
        limited=series.limit is not None,
        seasons=seasons_of(series.step_seconds, params.sequence_length),
        past_segment=_segment(series.step_seconds, max(length / 28, min(24, length / 7))),
        segment=_segment(series.step_seconds, max(ahead / 16, min(24, ahead))),
    )


def _segment(step_seconds: int, least: float) -> int:
    """The shortest part or multiple of a day with at least `least` steps."""
    shortest = math.ceil(least)
    day = 86_400 // step_seconds if 86_400 % step_seconds == 0 else 1
    return next(steps for steps in itertools.count(shortest) if day % steps == 0 or steps % day == 0)


def build_network(spec: Spec) -> Ensemble:
    """A new network for `spec`, with random weights from torch's global generator."""
    params = spec.params
    shape = Shape(
        model_type=params.model_type,
        context=params.sequence_length,
        horizon=params.prediction_steps,
        past_segment=spec.past_segment,
        segment=spec.segment,
        seasons=spec.seasons,
        extras=2 * len(spec.covariates) + 2 * spec.limited + len(params.derived),
        calendar=len(CALENDAR),
        labels=tuple(len(values) for values in spec.vocabularies.values()),
        levels=params.quantiles,
        width=params.d_model if params.model_type == "transformer" else params.hidden_dim,
        num_layers=params.num_layers,
        nhead=params.nhead,
        dropout=params.dropout,
    )
    return Ensemble(shape, params.members)


def parameter_count(params: TrainParams, series: SeriesSet) -> int:
    """How many weights a model for these series has; allocates none of them."""
    with torch.device("meta"):
        network = build_network(build_spec(series, params))
    return sum(weight.numel() for weight in network.parameters())


def model_state(model: Model) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """(tensors, spec): all of a model as named arrays and as JSON-able values."""
    tensors = {f"network.{name}": tensor.cpu().numpy() for name, tensor in model.network.state_dict().items()}
    tensors |= {f"calibration.{name}": getattr(model.calibration, name) for name in ("steps", "peaks")}
    if model.breach is not None:
        tensors |= {f"breach.{name}": getattr(model.breach, name) for name in BREACH_ARRAYS}
    spec = plain_spec(model.spec)
    spec["calibration"] = {
        "interval": list(model.calibration.interval),
        "coverage": model.calibration.coverage,
        "n": model.calibration.n,
        "week_share": model.calibration.week_share,
    }
    if model.breach is not None:
        spec["breach"] = {"windows": model.breach.windows, "events": model.breach.events}
    spec["history"] = [asdict(epoch) for epoch in model.history]
    return tensors, spec


def build_model(tensors: Mapping[str, NDArray[Any]], spec: Mapping[str, Any]) -> Model:
    """The model of `model_state`, on the CPU, bit for bit. Raises ModelError where the two do not belong together."""
    try:
        plain = {name: value for name, value in spec.items() if name not in ("breach", "calibration", "history")}
        built = spec_of(plain)
        network = build_network(built)
        network.load_state_dict(
            {name.removeprefix("network."): torch.from_numpy(np.array(array)) for name, array in tensors.items()
             if name.startswith("network.")}
        )  # fmt: skip
        measured = spec["calibration"]
        calibration = Calibration(
            steps=np.asarray(tensors["calibration.steps"], np.float64),
            peaks=np.asarray(tensors["calibration.peaks"], np.float64),
            interval=tuple(measured["interval"]),
            coverage=measured["coverage"],
            n=measured["n"],
            week_share=measured["week_share"],
        )
        breach = None
        if "breach" in spec:
            arrays = {name: np.asarray(tensors[f"breach.{name}"]) for name in BREACH_ARRAYS}
            breach = BreachHead(**arrays, windows=spec["breach"]["windows"], events=spec["breach"]["events"])
        history = tuple(Epoch(**epoch) for epoch in spec["history"])
    except (KeyError, TypeError, RuntimeError, ValidationError) as fault:
        raise ModelError(
            f"weights and spec do not belong together ({str(fault).splitlines()[0]})", cure="train the model again"
        ) from None
    return Model(network.eval(), built, calibration, history, breach)
