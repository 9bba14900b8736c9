"""The data contract: SeriesSet, what was measured, and Forecast, its twin in the future."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tsf.errors import SeriesError
from tsf.kinds import LABEL_NAME

__all__ = ["Floats", "Forecast", "Labels", "SeriesSet", "carried", "joined", "label_column", "label_rows", "newest",
           "rows_in", "title_of"]  # fmt: skip

Floats = NDArray[np.float64]
Labels = Mapping[str, NDArray[np.object_]]
DIRECTIONS = (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))  # of Unicode: marks, overrides …
CONTROLS = (*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029)  # line ends, and what commands a terminal
ESCAPES = {code: repr(chr(code))[1:-1] for code in (*DIRECTIONS, *CONTROLS)}
MAX_STEPS = 10_000_000  # a frame with one stray time must not fill the memory


@dataclass(frozen=True, eq=False)
class SeriesSet:
    """N series on one uniform UTC grid of T steps; checked on making, immutable.

    labels: name -> (N,) strings, "" where a series lacks the label (as in Prometheus); the rows are unique.
    times: (T,) int64 Unix seconds, `step_seconds` apart.
    values: (N, T) float64 in the metric's own unit, NaN where missing; never infinite.
    limit: (N, T) like values, or None where the metric has no limit.
    covariates: name -> (N, T) like values, sorted by name.

    Raises SeriesError with the first offending value.
    """

    labels: Labels
    times: NDArray[np.int64]
    step_seconds: int
    values: Floats
    limit: Floats | None = None
    covariates: Mapping[str, Floats] = field(default_factory=dict)

    def __post_init__(self) -> None:
        times = _frozen(np.asarray(self.times, np.int64))
        _check_grid(times, self.step_seconds)
        values = _frozen(np.asarray(self.values, np.float64))
        if values.ndim != 2 or values.shape[1] != len(times) or not len(values):
            raise SeriesError(
                f"values have shape {values.shape}, the grid has {len(times)} steps",
                cure="pass an array of shape (series, steps) with at least one series",
            )
        limit = None if self.limit is None else _frozen(np.asarray(self.limit, np.float64))
        covariates = {name: _frozen(np.asarray(self.covariates[name], np.float64)) for name in sorted(self.covariates)}
        if clash := sorted({"time", "times", "value", "values", "limit", *self.labels} & covariates.keys()):
            raise SeriesError(f"a covariate is called {clash[0]!r} like another part of the set", cure="rename it")
        arrays = {"values": values} | ({} if limit is None else {"limit": limit}) | covariates
        for name, array in arrays.items():
            if array.shape != values.shape:
                raise SeriesError(f"{name} has shape {array.shape}, values have {values.shape}", cure="use one grid")
            if np.isinf(array).any():
                row, column = np.argwhere(np.isinf(array))[0]
                raise SeriesError(
                    f"{name} of series {int(row)} is infinite at time {int(times[column])}",
                    cure="mark missing samples with NaN",
                )
        labels = _frozen_labels(self.labels, len(values))
        for attribute, value in {
            "labels": labels,
            "times": times,
            "step_seconds": int(self.step_seconds),
            "values": values,
            "limit": limit,
            "covariates": MappingProxyType(covariates),
        }.items():
            object.__setattr__(self, attribute, value)

    @property
    def n_series(self) -> int:
        """N."""
        return len(self.values)

    @property
    def n_steps(self) -> int:
        """T."""
        return len(self.times)

    @property
    def data_hash(self) -> str:
        """Hex SHA-256 over labels, grid and every array: equal exactly when the content is, bit for bit."""
        digest = hashlib.sha256()
        for row in label_rows(self.labels):
            digest.update(repr(sorted(row.items())).encode())
        digest.update(np.array([self.step_seconds, *self.times], "<i8").tobytes())
        absent = np.zeros((0, 0))
        for name, array in {"value": self.values, "limit": absent if self.limit is None else self.limit}.items():
            digest.update(name.encode())
            digest.update(array.astype("<f8", copy=False).data)
        for name in self.covariates:
            digest.update(repr(name).encode())
            digest.update(self.covariates[name].astype("<f8", copy=False).data)
        return digest.hexdigest()

    def take(self, rows: NDArray[Any] | Sequence[int]) -> SeriesSet:
        """The series of `rows` (indices or a mask of N), in that order."""
        index = np.arange(self.n_series)[rows]
        columns = {name: _frozen(column[index]) for name, column in self.labels.items()}
        once = len(np.unique(index)) == len(index)  # a part of unique rows is unique
        return replace(
            self,
            labels=_Checked(columns, len(index)) if once else columns,
            values=self.values[rows],
            limit=None if self.limit is None else self.limit[rows],
            covariates={name: array[rows] for name, array in self.covariates.items()},
        )

    def between(self, start: int, stop: int) -> SeriesSet:
        """The steps `start` to `stop` (exclusive), as Python slices count them."""
        return replace(
            self,
            times=self.times[start:stop],
            values=self.values[:, start:stop],
            limit=None if self.limit is None else self.limit[:, start:stop],
            covariates={name: array[:, start:stop] for name, array in self.covariates.items()},
        )

    def to_frame(self) -> pd.DataFrame:
        """A long frame, a row per series and step: `time` (UTC), labels, `value`, `limit` if any, covariates.

        Raises SeriesError where a label is called like one of these columns.
        """
        n, t = self.values.shape
        _check_no_clash(self.labels, {"time", "value", "limit"})
        columns: dict[str, Any] = {"time": np.tile(pd.to_datetime(self.times, unit="s", utc=True), n)}
        columns |= {name: np.repeat(column, t) for name, column in self.labels.items()}
        columns["value"] = self.values.ravel()
        if self.limit is not None:
            columns["limit"] = self.limit.ravel()
        return pd.DataFrame(columns | {name: array.ravel() for name, array in self.covariates.items()})

    @classmethod
    def from_frame(
        cls,
        frame: pd.DataFrame,
        *,
        time: str = "time",
        value: str = "value",
        limit: str | None = None,
        covariates: Iterable[str] = (),
        step_seconds: int | None = None,
    ) -> SeriesSet:
        """Build from a long frame; every column not named is a label.

        frame: one row per series and time, in any order; `time` holds datetimes (naive ones are UTC) or Unix seconds.
        step_seconds: the grid; by default the smallest difference between two times.
        Rows come out sorted by labels, gaps as NaN, infinite samples as NaN; a missing label is "". `limit` defaults to
        a column of that name. Raises SeriesError for missing columns, duplicate rows and times off the grid.
        """
        covariates = list(covariates)
        limit = limit or ("limit" if "limit" in frame.columns and "limit" not in covariates else None)
        wanted = [time, value, *([limit] if limit else []), *covariates]
        if absent := [name for name in wanted if name not in frame.columns]:
            raise SeriesError(f"the frame has no column {absent[0]!r}", cure=f"it has {list(frame.columns)}")
        if frame.empty:
            raise SeriesError("the frame has no rows", cure="pass at least one sample")
        stamps = _unix_seconds(frame[time])
        times = _grid_over(stamps, step_seconds)
        step = int(times[1] - times[0]) if len(times) > 1 else int(step_seconds or 1)
        labels, row_of = _label_sets(frame[[name for name in frame.columns if name not in wanted]])
        n = int(row_of.max()) + 1
        column_of = (stamps - times[0]) // step
        flat = row_of * len(times) + column_of
        if len(np.unique(flat)) < len(flat):
            twice = int(flat[pd.Series(flat).duplicated()][0])
            row = {name: str(column[twice // len(times)]) for name, column in labels.items()}
            raise SeriesError(
                f"series {row} has two rows at time {int(times[twice % len(times)])}",
                cure="aggregate them or add the label that tells them apart",
            )

        def spread(name: str) -> Floats:
            try:
                column = pd.to_numeric(frame[name]).to_numpy(np.float64, copy=True, na_value=np.nan)
            except (ValueError, TypeError) as fault:
                raise SeriesError(f"column {name!r} holds no numbers ({fault})", cure="name the right column") from None
            column[np.isinf(column)] = np.nan
            array = np.full(n * len(times), np.nan)
            array[flat] = column
            return array.reshape(n, len(times))

        return cls(
            labels=labels,
            times=times,
            step_seconds=step,
            values=spread(value),
            limit=spread(limit) if limit else None,
            covariates={name: spread(name) for name in covariates},
        )


@dataclass(frozen=True, eq=False)
class Forecast:
    """What a model says of N series over the H steps after one origin; checked on making, immutable.

    origin_seconds: Unix time of the last step the model saw; step h (1 … H) is at origin + h * step_seconds.
    levels: (Q,) increasing, inside 0 … 1. quantiles: (N, H, Q), never crossing, NaN where the model abstained.
    p_breach: (N, H) probability that the limit is reached at or before step h, or None without a limit.
    limit_time: (N,) Unix seconds when the limit is expected to be reached, +Inf for "not within the horizon", the
    origin where it is reached already, or None.
    abstained: (N,) strings, the reason why a series has no forecast, "" where it has one. It begins with one of a few
    kinds; figures follow in parentheses, as in "too old (the newest sample is 9 steps old, 6 are allowed)".
    """

    labels: Labels
    origin_seconds: int
    step_seconds: int
    levels: Floats
    quantiles: Floats
    p_breach: Floats | None = None
    limit_time: Floats | None = None
    abstained: NDArray[np.object_] = None  # type: ignore[assignment]  # "" for all by default
    model_version: str = ""
    data_hash: str = ""

    def __post_init__(self) -> None:
        levels, quantiles = (_frozen(np.asarray(array, np.float64)) for array in (self.levels, self.quantiles))
        if quantiles.ndim != 3 or quantiles.shape[2] != len(levels) or not quantiles.size:
            raise SeriesError(f"quantiles have shape {quantiles.shape} for {len(levels)} levels", cure="use (N, H, Q)")
        if (np.diff(levels) <= 0).any() or levels[0] <= 0 or levels[-1] >= 1:
            raise SeriesError(f"levels {levels.tolist()} do not increase inside 0 … 1", cure="sort them")
        if (quantiles[..., 1:] < quantiles[..., :-1]).any():
            raise SeriesError("quantiles cross", cure="sort them along the last axis")
        n, horizon, _ = quantiles.shape
        object.__setattr__(self, "labels", _frozen_labels(self.labels, n))
        object.__setattr__(self, "levels", levels)
        object.__setattr__(self, "quantiles", quantiles)
        for name, shape in {"p_breach": (n, horizon), "limit_time": (n,)}.items():
            if getattr(self, name) is not None:
                array = _frozen(np.asarray(getattr(self, name), np.float64))
                if array.shape != shape:
                    raise SeriesError(f"{name} has shape {array.shape}", cure=f"use {shape}")
                object.__setattr__(self, name, array)
        abstained = np.full(n, "", object) if self.abstained is None else np.asarray(self.abstained, object)
        if abstained.shape != (n,) or not all(isinstance(reason, str) for reason in abstained.tolist()):
            raise SeriesError(f"abstained does not hold {n} strings", cure='pass one reason per series, "" for none')
        object.__setattr__(self, "abstained", _frozen(abstained))

    @property
    def times(self) -> NDArray[np.int64]:
        """(H,) Unix seconds of the steps that were forecast."""
        return self.origin_seconds + self.step_seconds * np.arange(1, self.quantiles.shape[1] + 1, dtype=np.int64)

    @cached_property
    def growth(self) -> Floats:
        """(N,) how far the median rises from the first step to the last, in the unit of the values."""
        middle = self.at(0.5)
        return middle[:, -1] - middle[:, 0]

    def breach_within(self, horizons: Sequence[int]) -> tuple[int, Floats]:
        """The longest of `horizons` that this forecast reaches, in seconds, and (N,) the chance of a breach within it.

        That is what the alert rules ask. Where it reaches none it is all of the forecast. NaN where there is no chance.
        """
        reach = self.quantiles.shape[1] * self.step_seconds
        seconds = max((horizon for horizon in horizons if horizon <= reach), default=reach)
        if self.p_breach is None:
            return seconds, np.full(len(self.quantiles), np.nan)
        return seconds, self.p_breach[:, max(seconds // self.step_seconds, 1) - 1]

    def at(self, level: float) -> Floats:
        """(N, H) the quantile at `level`, interpolated between the levels that the model has.

        Raises SeriesError outside them: what was not learnt is not made up.
        """
        if not self.levels[0] <= level <= self.levels[-1]:
            raise SeriesError(
                f"quantile {level} lies outside the learnt {self.levels[0]} … {self.levels[-1]}",
                cure="ask for one inside",
            )
        if len(self.levels) == 1:
            return self.quantiles[:, :, 0]
        right = int(np.clip(np.searchsorted(self.levels, level), 1, len(self.levels) - 1))
        weight = (level - self.levels[right - 1]) / (self.levels[right] - self.levels[right - 1])
        return np.asarray((1 - weight) * self.quantiles[:, :, right - 1] + weight * self.quantiles[:, :, right])

    def part(self, rows: NDArray[Any] | Sequence[int], steps: int | None = None) -> Forecast:
        """The series of `rows` (indices or a mask of N), in that order, and their first `steps` steps, by default all.

        It is what a forecast of these alone would say: a limit that is reached after them is not reached.
        """
        limit_time = None if self.limit_time is None else self.limit_time[rows]
        if limit_time is not None:
            limit_time = np.where(limit_time > self.times[:steps][-1], np.inf, limit_time)
        return replace(
            self,
            labels={name: column[rows] for name, column in self.labels.items()},
            quantiles=self.quantiles[rows, :steps],
            p_breach=None if self.p_breach is None else self.p_breach[rows, :steps],
            limit_time=limit_time,
            abstained=self.abstained[rows],
        )

    def to_frame(self) -> pd.DataFrame:
        """A long frame, one row per series and step: `time` (UTC), the labels, one column per quantile, `p_breach`.

        Raises SeriesError where a label is called like one of these columns.
        """
        _check_no_clash(self.labels, {"time", "p_breach"})
        n, horizon, _ = self.quantiles.shape
        columns: dict[str, Any] = {"time": np.tile(pd.to_datetime(self.times, unit="s", utc=True), n)}
        columns |= {name: np.repeat(column, horizon) for name, column in self.labels.items()}
        columns |= {f"q{level:g}": self.quantiles[:, :, i].ravel() for i, level in enumerate(self.levels)}
        return pd.DataFrame(columns | ({} if self.p_breach is None else {"p_breach": self.p_breach.ravel()}))


def joined(parts: Sequence[Forecast]) -> Forecast:
    """Forecasts of the same origin and levels for different series, which all have the same labels, as one."""
    first = parts[0]
    if len(parts) == 1:
        return first

    def rows(name: str) -> Any:
        arrays = [getattr(part, name) for part in parts]
        return None if arrays[0] is None else np.concatenate(arrays)

    own = {name: rows(name) for name in ("quantiles", "p_breach", "limit_time", "abstained")}
    labels = {name: np.concatenate([part.labels[name] for part in parts]) for name in first.labels}
    return replace(first, labels=labels, **own)


def label_rows(labels: Labels) -> list[dict[str, str]]:
    """One dict per series with the labels it has; absent ones (empty strings) are left out."""
    if not labels:
        return [{}]  # rows are unique, so that without labels there is only one
    columns = [column.tolist() for column in labels.values()]
    return [
        {name: value for name, value in zip(labels, row, strict=True) if value} for row in zip(*columns, strict=True)
    ]


def label_column(labels: Labels, name: str) -> NDArray[np.object_]:
    """(N,) the values of a label; empty where no series has it."""
    n = len(next(iter(labels.values()), ("",)))  # rows are unique, so that without labels there is only one
    return labels[name] if name in labels else np.full(n, "", object)


def rows_in(known: Labels, asked: Labels, *, aside: Set[str] = frozenset()) -> NDArray[np.int64]:
    """(N,) the row of `known` that has the labels of each row of `asked`, those `aside` left out; -1 where none has."""
    names = ["", *sorted({*known, *asked} - aside)]  # "", which is no label, as there may be no other
    here, there = (zip(*(label_column(one, name).tolist() for name in names), strict=True) for one in (known, asked))
    rows = {key: row for row, key in enumerate(here)}
    return np.array([rows.get(key, -1) for key in there], np.int64)


def title_of(labels: Mapping[str, str]) -> str:
    """A series as a person names it: the values of its labels, whose it is first.

    Signs that turn the direction of writing, line ends and commands to a terminal are spelled out: in a value they
    could rearrange all that follows it.
    """
    names = sorted(labels, key=lambda name: (name not in ("group", "user"), name))
    return " · ".join(labels[name] for name in names).translate(ESCAPES) or "the only series"


def _frozen(array: NDArray[Any]) -> NDArray[Any]:
    """A read-only, contiguous array; copied only where the caller could still write to it."""
    array = np.ascontiguousarray(array)
    if array.flags.writeable:
        array = array.copy()
        array.flags.writeable = False
    return array


class _Checked(Mapping[str, NDArray[np.object_]]):
    """Read-only columns of n strings that were found right: a backtest makes thousands of sets of the same labels."""

    def __init__(self, columns: Mapping[str, NDArray[np.object_]], n: int) -> None:
        self._columns, self.n = MappingProxyType(dict(columns)), n

    def __getitem__(self, name: str) -> NDArray[np.object_]:
        return self._columns[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)


def _frozen_labels(labels: Labels, n: int) -> Labels:
    """Columns sorted by name, checked, read-only. Raises SeriesError for bad names, types, lengths, duplicate rows."""
    if isinstance(labels, _Checked) and labels.n == n:
        return labels
    frozen: dict[str, NDArray[np.object_]] = {}
    for name in sorted(labels, key=str):
        column = np.asarray(labels[name], object)
        if not LABEL_NAME.match(str(name)):
            raise SeriesError(f"label name {name!r} is not a Prometheus label name", cure="use letters, digits and _")
        if column.shape != (n,) or not all(isinstance(value, str) for value in column.tolist()):
            raise SeriesError(f"label {name!r} does not hold {n} strings", cure="pass one string per series")
        if broken := [value for value in column.tolist() if not _is_utf8(value)]:
            raise SeriesError(f"label {name!r} holds {broken[0]!r}, which is not UTF-8", cure="decode it rightly")
        frozen[name] = _frozen(column)
    rows = list(zip(*(column.tolist() for column in frozen.values()), strict=True)) if frozen else [()] * n
    if len(set(rows)) < len(rows):
        seen: set[tuple[str, ...]] = set()
        twice = next(row for row in rows if row in seen or seen.add(row))  # type: ignore[func-returns-value]
        raise SeriesError(
            f"two series have the labels {dict(zip(frozen, twice, strict=True))}",
            cure="aggregate them or keep the label that tells them apart",
        )
    return _Checked(frozen, n)


def _check_no_clash(labels: Labels, columns: set[str]) -> None:
    if clash := sorted(columns & labels.keys()):
        cure = "rename it by label_replace in the query, or in the frame"
        raise SeriesError(f"label {clash[0]!r} is called like a column of the frame", cure=cure)


def _is_utf8(text: str) -> bool:
    """False for lone surrogates, which neither a server nor a file takes."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _label_sets(frame: pd.DataFrame) -> tuple[dict[str, NDArray[np.object_]], NDArray[np.int64]]:
    """The unique rows of `frame` in order, as columns of strings, and which of them each row is."""
    columns: dict[str, NDArray[np.object_]] = {}
    row_of = np.zeros(len(frame), np.int64)
    for name in sorted(frame.columns, key=str):
        codes, found = pd.factorize(frame[name], use_na_sentinel=False)
        named = np.array(["" if pd.isna(value) else str(value) for value in found], object)
        texts, text_of = np.unique(named, return_inverse=True)
        columns[name] = texts[text_of[codes]]
        row_of = np.unique(row_of * len(texts) + text_of[codes], return_inverse=True)[1]  # sorted by the columns so far
    first = np.unique(row_of, return_index=True)[1]
    return {name: column[first] for name, column in columns.items()}, row_of


def _check_grid(times: NDArray[np.int64], step_seconds: int) -> None:
    if times.ndim != 1 or not len(times):
        raise SeriesError("there are no times", cure="pass at least one step")
    if step_seconds <= 0:
        raise SeriesError(f"the step is {step_seconds} s", cure="use a positive number of seconds")
    gaps = np.diff(times)
    if (gaps != step_seconds).any():
        at = int(np.flatnonzero(gaps != step_seconds)[0])
        raise SeriesError(
            f"time {int(times[at + 1])} follows {int(times[at])}, off the grid of {step_seconds} s",
            cure="put every sample on one uniform, increasing grid",
        )


def _unix_seconds(column: pd.Series[Any]) -> NDArray[np.int64]:
    if pd.api.types.is_numeric_dtype(column):
        seconds = column.to_numpy(np.float64)
    else:
        try:
            stamps = pd.to_datetime(column, utc=True).to_numpy("datetime64[ns]")
        except (ValueError, TypeError) as fault:
            raise SeriesError(f"the times cannot be read ({fault})", cure="pass datetimes or Unix seconds") from None
        seconds = stamps.astype(np.int64) / 1e9
    if not np.isfinite(seconds).all() or (seconds != np.round(seconds)).any():
        bad = column[~(np.isfinite(seconds) & (seconds == np.round(seconds)))].iloc[0]
        raise SeriesError(f"time {bad} is not a whole second", cure="round the times to the grid")
    return seconds.astype(np.int64)


def _grid_over(stamps: NDArray[np.int64], step_seconds: int | None) -> NDArray[np.int64]:
    unique = np.unique(stamps)
    step = step_seconds or (int(np.diff(unique).min()) if len(unique) > 1 else 1)
    off = (unique - unique[0]) % step != 0
    if off.any():
        raise SeriesError(
            f"time {int(unique[off][0])} is off the grid of {step} s that starts at {int(unique[0])}",
            cure="resample to one step, or pass step_seconds",
        )
    if (count := int(unique[-1] - unique[0]) // step + 1) > MAX_STEPS:
        raise SeriesError(f"times {unique[0]} … {unique[-1]} are {count} steps of {step} s", cure="pass step_seconds")
    return np.arange(unique[0], unique[-1] + step, step, dtype=np.int64)


def newest(values: Floats) -> Floats:
    """(N,) the last known of (N, T) values, NaN where there is none."""
    found, missing = np.full(len(values), np.nan), np.arange(len(values))
    for column in values.T[::-1]:  # few steps back: almost all are known at the last one
        if not len(missing):
            break
        known = np.isfinite(column[missing])
        found[missing[known]] = column[missing[known]]
        missing = missing[~known]
    return found


def carried(values: Floats) -> Floats:
    """(N, T) with each gap filled by the last value before it."""
    index = np.maximum.accumulate(np.where(np.isfinite(values), np.arange(values.shape[1]), 0), axis=1)
    return np.take_along_axis(values, index, axis=1)
