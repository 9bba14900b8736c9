"""What stages leave for each other: series and forecasts as parquet, models as safetensors and a card."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors import numpy as safetensors

from tsf.errors import FlowError, ModelError, SeriesError
from tsf.io.files import json_text, one_line, read_json, replacing, write_json
from tsf.series import Forecast, SeriesSet

__all__ = [
    "CARD",
    "WEIGHTS",
    "read_card",
    "read_forecast",
    "read_json",
    "read_model",
    "read_series",
    "write_forecast",
    "write_json",
    "write_model",
    "write_series",
]

WEIGHTS, CARD = "weights.safetensors", "card.json"
FORMAT = 1  # raise it when an older tsf could misread a file
LABEL, COVARIATE = "label_", "covariate_"  # prefixes of columns, so that no label can clash with `values` or `limit`


def write_series(series: SeriesSet, path: Path) -> None:
    """Write one row per series; equal content gives equal bytes, and reading gives back every bit, NaN included."""
    arrays = {"values": series.values} | ({} if series.limit is None else {"limit": series.limit})
    arrays |= {COVARIATE + name: array for name, array in series.covariates.items()}
    header = {
        "start": int(series.times[0]),
        "step_seconds": series.step_seconds,
        "steps": series.n_steps,
        "data_hash": series.data_hash,
    }
    _write_table(path, "series", _label_columns(series.labels), arrays, header)


def read_series(path: Path) -> SeriesSet:
    """Read what write_series wrote. Raises SeriesError for a missing, damaged or foreign file."""
    with _opened(path, "series") as (file, header):
        steps, step_seconds, names = header["steps"], header["step_seconds"], file.schema_arrow.names
        series = SeriesSet(
            labels=_labels_of(file),
            times=header["start"] + step_seconds * np.arange(steps, dtype=np.int64),
            step_seconds=step_seconds,
            values=_array(file, "values", (steps,)),
            limit=_array(file, "limit", (steps,)) if "limit" in names else None,
            covariates={
                name.removeprefix(COVARIATE): _array(file, name, (steps,))
                for name in names
                if name.startswith(COVARIATE)
            },
        )
        if series.data_hash != header["data_hash"]:
            raise ValueError("its content does not fit its hash")
    return series


def write_forecast(forecast: Forecast, path: Path) -> None:
    """Write one row per series, as write_series does."""
    n, horizon, _ = forecast.quantiles.shape
    arrays = {"quantiles": forecast.quantiles.reshape(n, -1)}
    for name, array in {"p_breach": forecast.p_breach, "limit_time": forecast.limit_time}.items():
        arrays |= {} if array is None else {name: array.reshape(n, -1)}
    texts = _label_columns(forecast.labels) | {"abstained": pa.array(forecast.abstained, pa.string())}
    header = {
        "origin_seconds": forecast.origin_seconds,
        "step_seconds": forecast.step_seconds,
        "horizon": horizon,
        "levels": forecast.levels.tolist(),
        "model_version": forecast.model_version,
        "data_hash": forecast.data_hash,
    }
    _write_table(path, "forecast", texts, arrays, header)


def read_forecast(path: Path) -> Forecast:
    """Read what write_forecast wrote. Raises SeriesError for a missing, damaged or foreign file."""
    with _opened(path, "forecast") as (file, header):
        horizon, names = header.pop("horizon"), file.schema_arrow.names
        return Forecast(
            labels=_labels_of(file),
            quantiles=_array(file, "quantiles", (horizon, len(header["levels"]))),
            p_breach=_array(file, "p_breach", (horizon,)) if "p_breach" in names else None,
            limit_time=_array(file, "limit_time", ()) if "limit_time" in names else None,
            abstained=_texts(file, "abstained"),
            **header,
        )


def write_model(folder: Path, tensors: Mapping[str, NDArray[Any]], card: Mapping[str, Any]) -> str:
    """Write weights and card into `folder` and return the model's version.

    card: must hold `spec` (all that the network is built from) and `data_hash`. The version is the first 12 hex digits
    of SHA-256 over the weights' bytes and these two, so the same data, parameters and seed give the same version; the
    rest of the card (times, commit, metrics) does not count. The card is written with `version` and `format` in it.
    A write that is cut off leaves the old model or a folder that read_model refuses, never one that it misreads.
    """
    weights = safetensors.save({name: np.ascontiguousarray(tensors[name]) for name in sorted(tensors)})
    version = _version(weights, card)
    with replacing(folder / WEIGHTS) as file:
        file.write(weights)
    write_json({**card, "format": FORMAT, "version": version}, folder / CARD)
    return version


def read_model(folder: Path) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Weights by name, and the card. Raises ModelError for missing or damaged files, or where the two do not fit."""
    card = read_card(folder)
    try:
        weights = (folder / WEIGHTS).read_bytes()
        tensors = safetensors.load(weights)
    except FileNotFoundError:
        raise ModelError(f"{WEIGHTS} is missing", where=str(folder), cure="train the task again") from None
    except (OSError, SafetensorError, ValueError, KeyError) as fault:
        what = f"{WEIGHTS} is damaged ({one_line(fault)})"
        raise ModelError(what, where=str(folder), cure="train the task again") from None
    if _version(weights, card) != card["version"]:
        what = f"{WEIGHTS} and {CARD} do not belong together: the card says version {card['version']}"
        raise ModelError(what, where=str(folder), cure="train the task again")
    return tensors, card


def read_card(folder: Path) -> dict[str, Any]:
    """The card of the model in `folder`, without its weights. Raises ModelError if it is missing or damaged."""
    if not (folder / CARD).exists():
        raise ModelError(f"{CARD} is missing", where=str(folder), cure="train the task")
    try:
        card = read_json(folder / CARD)
        if not isinstance(card, dict) or not {"spec", "data_hash", "version", "format"} <= card.keys():
            raise ModelError(f"{CARD} is not the card of a model", where=str(folder), cure="train the task again")
    except FlowError as fault:
        raise ModelError(f"{CARD}: {fault.what}", where=str(folder), cure="train the task again") from None
    if card["format"] != FORMAT:
        what = f"{CARD} has format {card['format']}, this tsf reads {FORMAT}"
        raise ModelError(what, where=str(folder), cure="update tsf or train the task again")
    return card


def _version(weights: bytes, card: Mapping[str, Any]) -> str:
    if absent := [key for key in ("spec", "data_hash") if key not in card]:
        raise ModelError(f"the card has no {absent[0]!r}", cure="a model's card must say what it was built from")
    identity = json_text({"spec": card["spec"], "data_hash": card["data_hash"]})
    return hashlib.sha256(weights + identity).hexdigest()[:12]


def _label_columns(labels: Mapping[str, NDArray[np.object_]]) -> dict[str, pa.Array]:
    return {LABEL + name: pa.array(column, pa.string()) for name, column in labels.items()}


def _labels_of(file: pq.ParquetFile) -> dict[str, NDArray[np.object_]]:
    names = [name for name in file.schema_arrow.names if name.startswith(LABEL)]
    return {name.removeprefix(LABEL): _texts(file, name) for name in names}


def _texts(file: pq.ParquetFile, name: str) -> NDArray[np.object_]:
    return np.array(file.read([name]).column(0).to_pylist(), object)


def _array(file: pq.ParquetFile, name: str, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """The lists of a column as (N, *shape), filled a row group at a time: decoding takes more room than the result."""
    array = np.empty((file.metadata.num_rows, *shape))
    start = 0
    for group in range(file.num_row_groups):
        rows = file.read_row_group(group, [name]).column(0)
        for chunk in rows.chunks:
            array[start : start + len(chunk)] = chunk.flatten().to_numpy().reshape(len(chunk), *shape)
            start += len(chunk)
    array.flags.writeable = False  # so that the words need no copy to be sure
    return array


def _write_table(
    path: Path,
    kind: str,
    texts: Mapping[str, pa.Array],
    arrays: Mapping[str, NDArray[np.float64]],
    header: Mapping[str, Any],
) -> None:
    """Write text columns and (N, K) arrays as lists, with `header` in the metadata, by options that keep every bit."""
    columns: dict[str, pa.Array] = dict(texts)
    for name, array in arrays.items():
        offsets = pa.array(np.arange(len(array) + 1, dtype=np.int64) * array.shape[1])
        columns[name] = pa.LargeListArray.from_arrays(offsets, pa.array(array.ravel()))
    metadata = {"tsf": json_text({**header, "kind": kind, "format": FORMAT})}
    with replacing(path) as file:
        pq.write_table(
            pa.table(columns).replace_schema_metadata(metadata),
            file,
            version="2.6",
            compression="zstd",
            compression_level=1,
            row_group_size=max(1, 2**20 // sum(array.shape[1] for array in arrays.values())),
            use_dictionary=False,  # a dictionary would make all NaN one NaN
            column_encoding={f"{name}.list.element": "BYTE_STREAM_SPLIT" for name in arrays},
            write_statistics=False,
            write_page_checksum=True,
        )


@contextmanager
def _opened(path: Path, kind: str) -> Iterator[tuple[pq.ParquetFile, dict[str, Any]]]:
    """The file and its header; whatever goes wrong with its content while it is open is a SeriesError."""
    if not path.exists():
        stage = {"series": "fetch", "forecast": "push"}[kind]
        raise SeriesError("there is no such file", where=str(path), cure=f"run the {stage} stage")
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            header = json.loads((file.schema_arrow.metadata or {}).get(b"tsf", b"{}"))
            if header.pop("kind", None) != kind:
                raise ValueError(f"it is no {kind} file of tsf")
            if (number := header.pop("format")) != FORMAT:
                raise ValueError(f"it has format {number}, this tsf reads {FORMAT}")
            yield file, header
    except (pa.ArrowException, SeriesError, OSError, ValueError, TypeError, KeyError) as fault:
        what = f"the {kind} file cannot be used ({one_line(fault)})"
        raise SeriesError(what, where=str(path), cure="run the stage that writes it again") from None
