"""Bytes of a range query's answer made into arrays: fast for what servers send, right for whatever JSON allows."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tsf.series import Floats

__all__ = ["AnswerError", "Matrix", "MatrixError", "decode_labels", "decode_matrix"]

# What Prometheus, Thanos, Mimir and VictoriaMetrics write, without a space. A quote inside a JSON string follows a
# backslash, so none of these can be part of a label's value.
HEAD = re.compile(rb'\{"status":"success",(?:"isPartial":(?:true|false),)?"data":\{"resultType":"matrix","result":\[')
SERIES, SAMPLES, END, HISTOGRAMS = b'{"metric":', b',"values":[[', b"]]}", b',"histograms":['
BLOCK_BYTES = 1_000_000  # of samples decoded at once: what the processor's cache holds
ENDLESS = 1e300  # what is farther from 0 is infinite here: exporters write "no limit" as the largest float there is


class MatrixError(ValueError):
    """The answer is right, but no matrix of floats; the text says what it is instead."""


class AnswerError(ValueError):
    """The answer is none of a Prometheus; the text says why."""


class _UnusualError(Exception):
    """The answer is not written as servers write it; read it by the rules of JSON."""


@dataclass(frozen=True, eq=False)
class Matrix:
    """The series of one answer on a grid of P points.

    labels: for each series the JSON object of its labels, `__name__` included, in the order of the answer.
    values: (N, P) float64, NaN where the answer has no sample, NaN or an infinity.
    nan_samples, infinite_samples: how many samples were NaN, and how many infinite or farther than 1e300 from 0.
    envelope: the answer without its series: warnings and the like.
    """

    labels: list[bytes]
    values: Floats
    nan_samples: int
    infinite_samples: int
    envelope: dict[str, Any]


def decode_matrix(body: bytes, first: int, step: int, points: int) -> Matrix:
    """Decode the JSON `body` of a range query over `points` times from `first`, `step` apart (Unix seconds).

    Raises MatrixError where the query gives something else than floats over time, AnswerError for any other answer.
    """
    try:
        return _decode_usual(body, first, step, points)
    except _UnusualError:
        return _decode_any(body, first, step, points)


def decode_labels(text: bytes) -> dict[str, str]:
    """The labels in the JSON object `text`, sorted by name, without empty ones. Raises AnswerError if it is none."""
    try:
        return {str(name): str(value) for name, value in sorted(json.loads(text).items()) if value}
    except (ValueError, AttributeError, RecursionError):
        raise AnswerError("its labels are no labels") from None


def _decode_usual(body: bytes, first: int, step: int, points: int) -> Matrix:
    head = HEAD.match(body)
    if not head or HISTOGRAMS in body:
        raise _UnusualError
    cuts = list(_cuts(body, head.end()))
    values = np.full((len(cuts), points), np.nan)  # (N, P)
    pieces = pa.array([f'"],[{first + step * point},"' for point in range(points)])  # what stands before each value
    sent = start = 0
    for stop in _block_ends([end - middle for _, middle, end in cuts]):
        sections = [body[middle + len(SAMPLES) - 1 : end - len(END)] for _, middle, end in cuts[start:stop]]
        places, samples = _decode_block(sections, pieces)
        values[start:stop].reshape(-1)[places] = samples
        sent, start = sent + len(samples), stop
    try:
        envelope = json.loads(body[: head.end()] + body[cuts[-1][2] if cuts else head.end() :])
    except ValueError:
        raise _UnusualError from None
    if envelope["data"]["result"]:
        raise _UnusualError
    return _matrix([body[begin:middle] for begin, middle, _ in cuts], values, sent, envelope)


def _cuts(body: bytes, at: int) -> Iterator[tuple[int, int, int]]:
    """For each series where its labels begin, where they end and where the series does."""
    opening = SERIES
    while body.startswith(opening, at):
        middle = body.find(SAMPLES, at)
        end = body.find(END, middle)
        if middle < 0 or end < 0:
            raise _UnusualError
        yield at + len(opening), middle, end + len(END)
        at, opening = end + len(END), b"," + SERIES


def _block_ends(sizes: list[int]) -> Iterator[int]:
    """Where to cut so that each part is about as large as BLOCK_BYTES."""
    filled = 0
    for index, size in enumerate(sizes):
        filled += size
        if filled > BLOCK_BYTES or index == len(sizes) - 1:
            yield index + 1
            filled = 0


def _decode_block(sections: list[bytes], pieces: pa.Array) -> tuple[NDArray[np.int64], Floats]:
    """Where in the rows of these series each sample stands, counted through, and what it is.

    sections: for each series `[1600000000,"1"],[1600000300,"2"`. pieces: for each point what stands before its value.
    """
    text = b'"],' + b"],".join(sections)
    quotes = np.flatnonzero(np.frombuffer(text, np.uint8) == ord('"'))
    if len(quotes) % 2 == 0 or not text.endswith(b'"'):
        raise _UnusualError
    # Texts by turns: what stands before a value, quotes included, and the value.
    offsets = quotes.astype(np.int32)
    offsets[1::2] += 1
    texts = pa.StringArray.from_buffers(len(offsets) - 1, pa.py_buffer(offsets), pa.py_buffer(text))
    before = np.arange(0, len(texts), 2, dtype=np.int32)
    columns = pc.index_in(texts.take(pa.array(before)), value_set=pieces)
    try:
        samples = texts.take(pa.array(before + 1)).cast(pa.float64()).to_numpy()
    except pa.ArrowInvalid:
        raise _UnusualError from None
    ends = np.cumsum([len(section) + 2 for section in sections])  # of each section in `text`
    counts = np.diff(np.searchsorted(quotes, ends) // 2, prepend=0)
    places = np.repeat(len(pieces) * np.arange(len(sections)), counts) + columns.fill_null(-1).to_numpy()
    if columns.null_count or (np.diff(places) <= 0).any():
        raise _UnusualError
    return places, samples


def _decode_any(body: bytes, first: int, step: int, points: int) -> Matrix:
    try:
        envelope = json.loads(body)
        if envelope.get("status") != "success":
            raise ValueError
        kind, series = envelope["data"]["resultType"], envelope["data"].pop("result")
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        raise AnswerError("it is not what a Prometheus answers") from None
    if kind != "matrix" or not isinstance(series, list):
        raise MatrixError(f"it is a {kind}, not series over time")
    labels, sent, values = [], 0, np.full((len(series), points), np.nan)  # (N, P)
    for row, one in enumerate(series):
        try:
            if "histograms" in one:
                raise MatrixError(f"{json.dumps(one['metric'])} holds native histograms; use histogram_quantile()")
            labels.append(json.dumps(one["metric"]).encode())
            places = [(float(time) - first) / step for time, _ in one["values"]]
            columns = [int(place) for place in places]
            samples = [float(text) for _, text in one["values"]]
        except MatrixError:
            raise
        except (ValueError, LookupError, TypeError, OverflowError):
            raise AnswerError(f"its series {row} is not what Prometheus answers") from None
        if columns != places or len(set(columns)) < len(columns) or not set(columns) <= set(range(points)):
            raise AnswerError(f"its series {row} has samples off the grid of {step} s")
        values[row, columns] = samples
        sent += len(columns)
    return _matrix(labels, values, sent, envelope)


def _matrix(labels: list[bytes], values: Floats, sent: int, envelope: dict[str, Any]) -> Matrix:
    finite = int((np.abs(values) <= ENDLESS).sum())
    n_infinite = 0
    if finite < sent:
        infinite = np.abs(values) > ENDLESS
        n_infinite = int(infinite.sum())
        values[infinite] = np.nan
    return Matrix(labels, values, sent - finite - n_infinite, n_infinite, envelope)
