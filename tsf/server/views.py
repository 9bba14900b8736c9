"""What the pages show of data and forecasts that lie on disk: rows by urgency, and one series as a chart."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from tsf.errors import SeriesError
from tsf.io.artifacts import read_forecast, read_series
from tsf.io.registry import alert_in_force
from tsf.io.source import newest_seconds
from tsf.kinds import horizon_text, share_in_use, urgent_first
from tsf.params import AlertParams, Params, TaskParams
from tsf.project import TaskPaths
from tsf.series import Floats, Forecast, SeriesSet, label_rows, newest, rows_in, title_of
from tsf.server.answers import NotFoundError, time_text
from tsf.units import unit_of

__all__ = ["Outlook", "by_urgency", "chart_of", "look", "series_entries", "series_rows", "urgency_of"]

T = TypeVar("T")


@dataclass(frozen=True)
class Outlook:
    """What is known of a task's series, by its data, its forecast or both; rows are the forecast's if it has one.

    now_seconds: the moment that "how long until" counts from; the demo fleet has a clock of its own.
    alert: what the rules in force fire at.
    """

    name: str
    task: TaskParams
    labels: tuple[Mapping[str, str], ...]
    forecast: Forecast | None
    parts: tuple[tuple[SeriesSet, NDArray[np.int64]], ...]  # older data first; (N,) rows in each, -1 for nowhere
    used: Floats  # (N,) newest known value
    limit: Floats  # (N,) newest known limit
    p_breach: Floats  # (N,) over the whole horizon
    limit_time: Floats  # (N,) Unix seconds, +Inf for not in sight, NaN for unknown
    now_seconds: int
    alert: AlertParams

    @property
    def seconds_left(self) -> Floats:
        """(N,) until the limit is reached: 0 where it is, +Inf for not in sight, NaN for unknown."""
        left = np.maximum(0.0, self.limit_time - self.now_seconds)
        with np.errstate(invalid="ignore"):
            return np.where(self.used >= self.task.alert.alert_line.level(self.limit), 0.0, left)

    @property
    def alarms(self) -> NDArray[np.bool_]:
        """(N,) whether the rules in force fire on the forecast, once it has held as long as they ask."""
        if self.forecast is None:
            return np.zeros(len(self.labels), bool)
        return self.alert.fires(self.forecast.breach_within(self.task.push.horizons)[1], self.used, self.limit)

    @property
    def teams(self) -> int:
        """How many teams get these alarms: the values of the label alert.team, else the owner alone."""
        return max(1, len({row[self.task.alert.team] for row in self.labels if self.task.alert.team in row}))

    @property
    def order(self) -> list[int]:
        """Rows, the most urgent first."""
        growth = self.forecast.growth if self.forecast else None
        share = share_in_use(self.used, self.limit)
        return urgent_first(self.seconds_left, self.p_breach, share, growth)


def look(root: Path, params: Params, name: str) -> Outlook:
    """What lies on disk for a task. Raises SeriesError where it was never fetched, or what lies there is damaged."""
    paths, task = TaskPaths(root, name), params.task(name)
    forecast = _kept(paths.pushed / "forecast.parquet", read_forecast)
    read = [_kept(path, read_series) for path in (paths.series, paths.context)]
    data = sorted((series for series in read if series), key=lambda series: series.times[-1])
    if forecast is None and not data:
        raise SeriesError(f"task {name!r} has no data yet", where=name, cure="run it")
    known = _known_of(paths.pushed, forecast, tuple(data))
    p_breach = limit_time = np.full(len(known.labels), np.nan)
    if forecast is not None and forecast.p_breach is not None and forecast.limit_time is not None:
        p_breach, limit_time = forecast.p_breach[:, -1], forecast.limit_time
    return Outlook(
        name,
        task,
        known.labels,
        forecast,
        known.parts,
        known.used,
        known.limit,
        p_breach,
        limit_time,
        newest_seconds(params),
        alert_in_force(paths, task.alert),
    )


def series_rows(outlook: Outlook, offset: int, limit: int) -> list[dict[str, Any]]:
    """Rows of a table, the most urgent first."""
    left, alarms, forecast = outlook.seconds_left, outlook.alarms, outlook.forecast
    share = share_in_use(outlook.used, outlook.limit)
    rows = outlook.order[offset : offset + limit]
    return [
        {
            "task": outlook.name,
            "row": row,
            "title": title_of(outlook.labels[row]),
            "labels": outlook.labels[row],
            "used": _number(outlook.used[row]),
            "limit": _number(outlook.limit[row]),
            "share": _number(share[row]),
            "p_breach": _number(outlook.p_breach[row]),
            "limit_time": time_text(float(outlook.limit_time[row])),
            "seconds_to_limit": _number(left[row]),
            "alarm": bool(alarms[row]),
            "abstained": "" if forecast is None else str(forecast.abstained[row]),
        }
        for row in rows
    ]


def series_entries(series: SeriesSet, rows: Iterable[int]) -> list[dict[str, Any]]:
    """What was measured of some series, each with its name and limit."""
    names = label_rows(series.labels)
    return [
        {
            "title": title_of(names[row]),
            "labels": names[row],
            "values": series.values[row],
            "limit": None if series.limit is None else series.limit[row],
        }
        for row in rows
    ]


def urgency_of(outlook: Outlook) -> dict[str, Any] | None:
    """How urgent a task is; None before its first forecast."""
    forecast = outlook.forecast
    if forecast is None:
        return None
    first = series_rows(outlook, 0, 1)[0]
    return {
        "series": first["title"],
        "labels": first["labels"],
        "p_breach": first["p_breach"],
        "limit_time": first["limit_time"],
        "seconds_to_limit": first["seconds_to_limit"],
        "share": first["share"],
        "likely": int(outlook.alarms.sum()),
        "total": len(outlook.labels),
        "silent": int((forecast.abstained != "").sum()),
        "horizon": horizon_text(forecast.quantiles.shape[1] * forecast.step_seconds),
        "origin": time_text(forecast.origin_seconds),
    }


def by_urgency(rows: Sequence[Mapping[str, Any]]) -> list[int]:
    """Indices of rows of such tables, or of what is urgent in tasks, the most urgent first; what is null comes last."""
    columns = [[row.get(key) for row in rows] for key in ("seconds_to_limit", "p_breach", "share")]
    return urgent_first(*np.array(columns, np.float64))


def chart_of(outlook: Outlook, row: int | None, hours: int) -> dict[str, Any]:
    """One series as it was and as it will be. Raises NotFoundError for a row that is not there."""
    row = outlook.order[0] if row is None else row
    if row >= len(outlook.labels):
        what = f"task {outlook.name!r} has {len(outlook.labels)} series, no row {row}"
        raise NotFoundError(what, where="row", cure="count from 0")
    task, forecast = outlook.task, outlook.forecast
    times, actual, limit = _history(outlook, row, hours)
    breach_samples, line = task.train.breach_samples, task.alert.alert_line
    level = None if limit is None else line.level(limit)
    alarms = []
    if forecast is not None and outlook.alarms[row]:
        horizon, chance = forecast.breach_within(task.push.horizons)
        said = {"p_breach": _number(chance[row]), "horizon": horizon_text(horizon)}
        alarms = [{"time": forecast.origin_seconds} | said]
    return {
        "task": outlook.name,
        "row": row,
        "title": title_of(outlook.labels[row]),
        "labels": outlook.labels[row],
        "unit": unit_of(task.fetch.metric_query),
        "time_zone": task.train.time_zone,
        "step_seconds": task.fetch.step,
        "times": times,
        "actual": actual,
        "limit": limit,
        "line": line.share,
        "left": line.left,
        "level": level,
        "forecast": None if forecast is None else _forecast_of(forecast, row),
        "breaches": [] if level is None else _episodes(times, actual >= level, breach_samples),
        "alarms": alarms,
    }


def _history(outlook: Outlook, row: int, hours: int) -> tuple[NDArray[np.int64], Floats, Floats | None]:
    """Times, values and limit of one series over the newest `hours`, older data up to where newer ones begin."""
    pieces: list[tuple[NDArray[np.int64], Floats, Floats | None]] = []
    until = np.iinfo(np.int64).max
    for series, rows in reversed(outlook.parts):
        if (at := int(rows[row])) >= 0:
            part = series.times < until
            limit = None if series.limit is None else series.limit[at, part]
            pieces.insert(0, (series.times[part], series.values[at, part], limit))
            until = int(series.times[0])
    if not pieces:
        return np.zeros(0, np.int64), np.zeros(0), None
    times, actual = (np.concatenate(column) for column in list(zip(*pieces, strict=True))[:2])
    limits = [np.full(len(piece[0]), np.nan) if piece[2] is None else piece[2] for piece in pieces]
    shown = times > times[-1] - hours * 3600
    return times[shown], actual[shown], None if pieces[-1][2] is None else np.concatenate(limits)[shown]


class _Known(NamedTuple):
    """What files say, whatever params.yaml does; as in Outlook."""

    labels: tuple[Mapping[str, str], ...]
    parts: tuple[tuple[SeriesSet, NDArray[np.int64]], ...]
    used: Floats
    limit: Floats


def _known_of(place: Path, forecast: Forecast | None, data: tuple[SeriesSet, ...]) -> _Known:
    """What these say together, kept for each `place` until they are others; `data` from old to new."""
    files, kept = (forecast, *data), _joined.get(place)
    if kept is None or kept[0] != files:  # neither has an equality but its identity
        own = (forecast or data[-1]).labels
        labels = label_rows(own)
        parts = tuple((series, rows_in(series.labels, own)) for series in data)
        used = limit = np.full(len(labels), np.nan)
        for series, at in parts:  # what is newer wins, where it is known
            used = _newer(used, series.values, at)
            limit = _newer(limit, series.limit, at)
        kept = _joined[place] = files, _Known(tuple(labels), parts, used, limit)
    return kept[1]


def _newer(known: Floats, array: Floats | None, at: NDArray[np.int64]) -> Floats:
    """(N,) the last known of the rows `at` of (M, T) `array`; `known` where there is none."""
    if array is None:
        return known
    found = np.where(at >= 0, newest(array)[at], np.nan)
    return np.where(np.isfinite(found), found, known)


def _forecast_of(forecast: Forecast, row: int) -> dict[str, Any]:
    return {
        "times": forecast.times,
        "levels": forecast.levels,
        "quantiles": {f"{level:g}": forecast.quantiles[row, :, i] for i, level in enumerate(forecast.levels)},
        "p_breach": None if forecast.p_breach is None else forecast.p_breach[row],
        "limit_time": None if forecast.limit_time is None else time_text(float(forecast.limit_time[row])),
        "origin": time_text(forecast.origin_seconds),
        "model": forecast.model_version,
        "abstained": str(forecast.abstained[row]),
    }


def _episodes(times: NDArray[np.int64], over: NDArray[np.bool_], samples: int) -> list[dict[str, int]]:
    """Where at least so many samples in a row are at the line: first and last of them."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], over, [False]])))
    pairs = edges.reshape(-1, 2)
    return [{"start": int(times[a]), "end": int(times[b - 1])} for a, b in pairs if b - a >= samples]


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _kept(path: Path, read: Callable[[Path], T]) -> T | None:
    """What `read` makes of a file, kept in memory until the file changes; None where there is none."""
    try:
        state = path.stat()
    except OSError:
        _files.pop(path, None)
        return None
    version = state.st_mtime_ns, state.st_size
    known = _files.get(path)
    if known is None or known[0] != version:
        known = _files[path] = version, read(path)
    return known[1]


_files: dict[Path, tuple[tuple[int, int], Any]] = {}  # of each file the newest version alone
_joined: dict[Path, tuple[tuple[Forecast | SeriesSet | None, ...], _Known]] = {}
