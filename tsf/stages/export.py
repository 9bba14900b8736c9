"""Export: one ONNX file from raw samples to quantiles, for machines without torch."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch

from tsf.errors import ModelError
from tsf.io.files import replacing
from tsf.io.registry import chosen_alert, resolve
from tsf.learn.deploy import Deployed, example_inputs
from tsf.learn.exported import FACTS, MODEL, OUTPUTS, exported_state
from tsf.learn.features import CALENDAR
from tsf.learn.model import Model
from tsf.params import read_params
from tsf.project import TaskPaths, find_root
from tsf.stages.models import load_model

__all__ = ["export_onnx", "export_task"]

OPSET = 20


def export_task(name: str, path: Path, root: Path | None = None, *, model_name: str = "champion") -> str:
    """Write a model of task `name` to `path` and return its version. Raises TsfError."""
    paths = TaskPaths(root or find_root(), name)
    query = read_params(paths.root).task(name).fetch.metric_query
    model, card = load_model(resolve(paths, model_name))
    told = {key: card.get(key, "") for key in ("name", "version", "data_hash", "commit")}
    export_onnx(model, path, {**told, "query": query, "chosen": chosen_alert(paths, card["version"])})
    return str(card["version"])


def export_onnx(model: Model, path: Path, card: Mapping[str, Any] = MappingProxyType({})) -> None:
    """Write `model` as ONNX: `Deployed.forward` with any number of rows; what a caller must know is in its metadata.

    card: what a push says of the model: name, version, data_hash, commit, query, and chosen, as `chosen_alert` has it.
    Raises ModelError where the packages of the extra `onnx` are missing.
    """
    try:
        import onnxscript  # noqa: F401 - torch's exporter needs it
    except ImportError:
        cure = "pip install 'tsf[onnx]'"
        raise ModelError("the packages onnx and onnxscript are not installed", where="--onnx", cure=cure) from None
    inputs = example_inputs(model, 3)
    rows = torch.export.Dim.DYNAMIC
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # what the exporter says of itself helps nobody here
    with torch.no_grad(), warnings.catch_warnings(), _plain_attention():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            Deployed(model).eval(),
            kwargs=inputs,
            input_names=list(inputs),
            output_names=OUTPUTS,
            dynamic_shapes={name: {} if name == "calendar" else {0: rows} for name in inputs},
            opset_version=OPSET,
            custom_translation_table=_missing_operators(),
            dynamo=True,
            verbose=False,
        )
    if program is None:
        raise ModelError(
            "torch exported nothing", where=str(path), cure="report it with the versions of torch and onnx"
        )
    program.model.metadata_props[FACTS] = json.dumps(_facts(model, card.get("version", "")), sort_keys=True)
    program.model.metadata_props[MODEL] = json.dumps({**exported_state(model), "card": dict(card)}, sort_keys=True)
    with replacing(path, ModelError) as file:
        file.write(program.model_proto.SerializeToString())


def _facts(model: Model, version: str) -> dict[str, Any]:
    """What a caller must know to fill the inputs and to read the outputs."""
    return {
        "version": version,
        "step_seconds": model.spec.step_seconds,
        "sequence_length": model.params.sequence_length,
        "reads": model.reads,
        "prediction_steps": model.params.prediction_steps,
        "quantiles": list(model.params.quantiles),
        "calendar": list(CALENDAR),
        "time_zone": model.params.time_zone,
        "night": model.params.night.model_dump(),
        "holidays": model.params.holidays,
        "limited": model.spec.limited,
        "covariates": list(model.spec.covariates),
        "labels": {name: list(values) for name, values in model.spec.vocabularies.items()},
    }


@contextmanager
def _plain_attention() -> Iterator[None]:
    """The Transformer as its plain operators: ONNX has no name for the one that torch runs in their place."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


def _missing_operators() -> dict[Callable[..., Any], Callable[..., Any]]:
    """Operators that ONNX lacks (cummax) or that onnxruntime has in single precision only (asinh, sinh)."""
    import onnxscript

    op: Any = onnxscript.opset20

    def cummax(values: Any, dim: int) -> tuple[Any, Any]:
        length, shift = values.shape[dim], 1
        axis = op.Constant(value_ints=[dim])
        while shift < length:
            start, end, moved, last = (op.Constant(value_ints=[n]) for n in (0, shift, length - shift, length))
            before, after = op.Slice(values, start, moved, axis), op.Slice(values, end, last, axis)
            values = op.Concat(op.Slice(values, start, end, axis), op.Max(before, after), axis=dim)
            shift *= 2
        return values, op.Identity(values)  # nobody asks where the maximum was

    def asinh(values: Any) -> Any:
        size, one = op.Abs(values), op.CastLike(op.Constant(value_float=1.0), values)
        return op.Mul(op.Sign(values), op.Log(op.Add(size, op.Sqrt(op.Add(op.Mul(size, size), one)))))

    def sinh(values: Any) -> Any:
        half = op.CastLike(op.Constant(value_float=0.5), values)
        return op.Mul(half, op.Sub(op.Exp(values), op.Exp(op.Neg(values))))

    aten = torch.ops.aten
    return {aten.cummax.default: cummax, aten.asinh.default: asinh, aten.sinh.default: sinh}
