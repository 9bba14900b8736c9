"""A model that was exported as ONNX: it forecasts as the model does, without torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tsf.errors import ModelError
from tsf.learn.breach import BreachHead
from tsf.learn.features import calendar, label_indices
from tsf.learn.forecast import Forecasting, WindowQuantiles
from tsf.learn.spec import Spec, plain_spec, spec_of
from tsf.params import TrainParams
from tsf.series import Floats, SeriesSet, carried

__all__ = ["FACTS", "MODEL", "OUTPUTS", "Exported", "exported_state", "inputs_of", "read_exported"]

OUTPUTS = ("quantiles", "peak_quantiles")  # of `Deployed.forward`
FACTS = "tsf"  # the metadata that any caller may read
MODEL = "tsf_model"  # those of `exported_state`; its JSON has Infinity and NaN, as thresholds of trees have


@dataclass(frozen=True, eq=False)
class Exported:
    """What `Forecasting` asks for, with the network, calibration and bounds as a session of onnxruntime."""

    session: Any
    spec: Spec
    reads: int
    looks_back: int
    breach: BreachHead | None

    @property
    def params(self) -> TrainParams:
        """The parameters it was trained with."""
        return self.spec.params

    def window_quantiles(self) -> WindowQuantiles:
        """How the session forecasts windows."""
        return self._quantiles

    def _quantiles(
        self, recent: SeriesSet, rows: NDArray[np.int64], origins: NDArray[np.int64]
    ) -> tuple[Floats, Floats]:
        """Raises ModelError where onnxruntime fails, as for want of memory."""
        wanted = {one.name for one in self.session.get_inputs()}  # it has none that its model does not look at
        steps, peaks = np.empty((2, len(rows), self.params.prediction_steps, len(self.params.quantiles)))
        for origin in np.unique(origins).tolist():  # a call has one calendar
            at = np.flatnonzero(origins == origin)
            arrays = inputs_of(recent.between(0, origin + 1).take(rows[at]), self.spec, self.reads)
            given = {name: array for name, array in arrays.items() if name in wanted}
            try:
                steps[at], peaks[at] = self.session.run(OUTPUTS, given)
            except Exception as fault:  # what onnxruntime raises has no other class in common
                raise ModelError(f"onnxruntime failed ({_first_line(fault)})", cure="export the model again") from None
        return steps, peaks


def exported_state(model: Forecasting) -> dict[str, Any]:
    """All of a model but what `Deployed` computes, in plain values."""
    head = None
    if model.breach is not None:
        head = {field.name: np.asarray(getattr(model.breach, field.name)).tolist() for field in fields(BreachHead)}
    return {"spec": plain_spec(model.spec), "reads": model.reads, "looks_back": model.looks_back, "breach": head}


def read_exported(onnx: bytes, where: str) -> tuple[Exported, Mapping[str, Any]]:
    """The model of an ONNX file that holds `exported_state` as the metadata MODEL, and the `card` that is kept with it.

    Raises ModelError, with `where`, for other files and without onnxruntime.
    """
    try:
        import onnxruntime
    except ImportError:
        cure = "pip install onnxruntime"
        raise ModelError("the package onnxruntime is not installed", where=where, cure=cure) from None
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors: it has notes on the graph that help nobody here
    export = "write it with `tsf export`"
    try:
        session = onnxruntime.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])
    except Exception as fault:  # what onnxruntime raises has no other class in common
        what = f"onnxruntime cannot read it ({_first_line(fault)})"
        raise ModelError(what, where=where, cure=export) from None
    metadata = session.get_modelmeta().custom_metadata_map
    if FACTS not in metadata:
        raise ModelError("it is an ONNX file, but not one of tsf", where=where, cure=export)
    try:
        state = json.loads(metadata[MODEL])
        head = state["breach"] and {
            name: np.array(value) if isinstance(value, list) else value for name, value in state["breach"].items()
        }
        breach = None if head is None else BreachHead(**head)
        model = Exported(session, spec_of(state["spec"]), state["reads"], state["looks_back"], breach)
        card: Mapping[str, Any] = state["card"]
    except (AttributeError, KeyError, TypeError, ValueError):  # pydantic's are ValueErrors
        what = "another version of tsf wrote it, without all that a forecast needs"
        raise ModelError(what, where=where, cure="export it again with `tsf export`") from None
    return model, card


def inputs_of(series: SeriesSet, spec: Spec, reads: int) -> dict[str, NDArray[Any]]:
    """The inputs of `Deployed.forward`, by name, for the newest `reads` steps of each series."""

    def newest(array: Floats) -> Floats:
        short = max(0, reads - array.shape[1])
        return np.pad(array[:, -reads:], ((0, 0), (short, 0)), constant_values=np.nan)

    unknown = np.full(series.values.shape, np.nan)
    tables = [newest(series.covariates.get(name, unknown)) for name in spec.covariates]
    steps = series.times[-1] + series.step_seconds * np.arange(1 - reads, spec.params.prediction_steps + 1)
    limit = unknown if series.limit is None else carried(series.limit)
    return {
        "values": newest(series.values),
        "limit": limit[:, -1],
        "covariates": np.stack(tables, 1) if tables else np.zeros((series.n_series, 0, reads)),
        "calendar": calendar(steps, spec.params),
        "labels": label_indices(series, spec.vocabularies),
    }


def _first_line(fault: Exception) -> str:
    return str(fault).strip().partition("\n")[0].rstrip(".")
