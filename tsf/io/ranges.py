"""A PromQL query over a long range, read in chunks that neither the server nor this machine's memory minds."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from tsf.errors import QueryError, ServerError
from tsf.io.http import Client, TooMuchError, not_prometheus
from tsf.io.matrix import AnswerError, Matrix, MatrixError, decode_labels, decode_matrix
from tsf.series import Floats

__all__ = ["RangeResult", "read_range"]

MOST_POINTS = 11_000  # in one query; servers refuse more
FIRST_POINTS = 32  # then as many as make CHUNK_BYTES
CHUNK_BYTES = 32_000_000
MOST_HALVINGS = 4  # of a chunk that is too much for the server
MOST_VALUES = 250_000_000  # series x steps: 2 GB
log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class RangeResult:
    """N series over T times, in the order of their labels; N may be 0.

    rows: for each series its labels with their values, `__name__` and empty ones left out. values: (N, T) float64,
    read-only, NaN where there is no finite sample. nan_samples, infinite_samples: how many the server sent.
    warnings: what it warned of.
    """

    rows: list[dict[str, str]]
    values: Floats
    nan_samples: int
    infinite_samples: int
    warnings: list[str]


@dataclass
class _Table:
    """Series as they come: those that appear late get a row of their own, and NaN before."""

    n_times: int
    where: str
    row_of: dict[object, int] = field(default_factory=dict)  # by the bytes of the labels, and by the labels
    labels: list[dict[str, str]] = field(default_factory=list)
    values: Floats = field(init=False)
    nan_samples: int = 0
    infinite_samples: int = 0
    warnings: dict[str, None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.values = np.empty((0, self.n_times))

    def add(self, matrix: Matrix, start: int) -> None:
        rows = [self._row(text) for text in matrix.labels]
        if len(set(rows)) < len(rows):
            twice = next(row for row, count in Counter(rows).items() if count > 1)
            what = f"the answer holds a series twice, {self.labels[twice]}"
            cure = "let the server drop duplicates, or write max without () (…) around the query"
            raise ServerError(what, where=self.where, cure=cure)
        if len(self.labels) * self.n_times > MOST_VALUES:
            what = f"{len(self.labels)} series of {self.n_times} steps do not fit in memory"
            raise QueryError(
                what, where=self.where, cure="aggregate in the query, or take fewer labels or a longer step"
            )
        if len(self.labels) > len(self.values):
            known, self.values = self.values, np.full((len(self.labels), self.n_times), np.nan)
            self.values[: len(known)] = known
        self.values[rows, start : start + matrix.values.shape[1]] = matrix.values
        self.nan_samples += matrix.nan_samples
        self.infinite_samples += matrix.infinite_samples
        warned, infos = (dict.fromkeys(map(str, matrix.envelope.get(key) or ())) for key in ("warnings", "infos"))
        if matrix.envelope.get("isPartial"):
            warned["the server says that its answer is partial"] = None
        for text in warned:
            if text not in self.warnings:
                log.warning("%s: %s", self.where, text)  # a push has no table of them
        self.warnings |= warned | infos

    def _row(self, text: bytes) -> int:
        if text not in self.row_of:
            labels = decode_labels(text)
            row = self.row_of.setdefault(tuple(labels.items()), len(self.labels))
            if row == len(self.labels):
                self.labels.append(labels)
            self.row_of[text] = row
        return self.row_of[text]


def read_range(client: Client, query: str, times: NDArray[np.int64], where: str) -> RangeResult:
    """Ask for `query` at `times`, a uniform grid of Unix seconds; while a chunk is decoded the server makes the next.

    where: names the query in errors. Raises SourceError: QueryError where two series differ only in `__name__` or the
    result is too large, ServerError where the answer is not a matrix, and what Client.ask raises.
    """
    table = _Table(len(times), f"{client.server.base_url}, {where}")
    step = int(times[1] - times[0]) if len(times) > 1 else 1
    for start, points, body in _bodies(client, query, times, step, where):
        with _in_words(body, table.where):
            table.add(decode_matrix(body, int(times[start]), step, points), start)
    return _result(table)


@contextmanager
def _in_words(body: bytes, where: str) -> Iterator[None]:
    try:
        yield
    except MatrixError as fault:
        raise QueryError(f"this is no series of numbers: {fault}", where=where, cure="mend the query") from None
    except AnswerError as fault:
        raise not_prometheus(body, where, str(fault)) from None


def _bodies(
    client: Client, query: str, times: NDArray[np.int64], step: int, where: str
) -> Iterator[tuple[int, int, bytes]]:
    """The answers that together cover `times`: the index each starts at, how many points it has, its bytes."""
    milliseconds = max(1, round(900 * client.server.timeout))  # whole: Prometheus reads no fraction with a unit
    with ThreadPoolExecutor(1) as worker:

        def ask(start: int, points: int) -> Future[bytes]:
            form: dict[str, str | int] = {
                "query": query,
                "start": int(times[start]),
                "end": int(times[start + points - 1]),
                "step": step,
                "nocache": 1,  # or VictoriaMetrics moves start and end to a grid of its own
                "timeout": f"{milliseconds}ms",  # the server gives up first, and says so
            }
            return worker.submit(client.ask, "/api/v1/query_range", form, where)

        start, points, most, halvings = 0, min(FIRST_POINTS, len(times)), MOST_POINTS, 0
        coming = ask(start, points)
        while start < len(times):
            try:
                body = coming.result()
            except TooMuchError:
                if halvings == MOST_HALVINGS or points == 1:
                    raise
                points, halvings = points // 2, halvings + 1
                most, coming = points, ask(start, points)
                continue
            done, start = start, start + points
            fitting = min(16, CHUNK_BYTES / max(len(body), 1))
            asked, points = points, max(1, min(int(points * fitting), most, len(times) - start))
            if start < len(times):
                coming = ask(start, points)
            yield done, asked, body


def _result(table: _Table) -> RangeResult:
    """The rows without `__name__`, sorted as a SeriesSet has them."""
    metrics = [labels.pop("__name__", "") for labels in table.labels]
    names = sorted(set().union(*table.labels))
    keys = [tuple(labels.get(name, "") for name in names) for labels in table.labels]
    order = sorted(range(len(keys)), key=keys.__getitem__)
    for one, other in pairwise(order):
        if keys[one] == keys[other]:
            raise QueryError(
                f"{metrics[one]} and {metrics[other]} both have the labels {table.labels[one]}",
                where=table.where,
                cure="ask for one metric, or aggregate them",
            )
    values = table.values if order == list(range(len(order))) else table.values[order]
    values.flags.writeable = False  # so that nobody needs a copy
    rows = [table.labels[row] for row in order]
    return RangeResult(rows, values, table.nan_samples, table.infinite_samples, list(table.warnings))
