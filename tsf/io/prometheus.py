"""Series from a Prometheus, or from what speaks its API: Thanos, Mimir, VictoriaMetrics."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tsf.errors import QueryError
from tsf.io.hints import check_no_counters, explain_empty, short_ranges
from tsf.io.http import Client, opened
from tsf.io.join import join_rows
from tsf.io.quality import Quality, measure_quality
from tsf.io.ranges import RangeResult, read_range
from tsf.kinds import count_text
from tsf.params import FetchParams, PrometheusParams, effective
from tsf.promql import selectors
from tsf.series import Floats, SeriesSet

__all__ = ["check_data", "check_server", "fetch_series"]


def check_server(server: PrometheusParams, environ: Mapping[str, str] | None = None) -> str:
    """The version that answers at `server`. Raises SourceError in the words of what is wrong."""
    environ = os.environ if environ is None else environ
    with opened(effective(server, environ), environ) as client:
        data = client.ask_data("/api/v1/status/buildinfo", {}, "status", method="GET")
    return str(data.get("version", "unknown")) if isinstance(data, dict) else "unknown"


def check_data(server: PrometheusParams, query: str, environ: Mapping[str, str]) -> int:
    """How many series `query` has now at `server`. Raises SourceError, EmptyError with what there is in their place."""
    where, now = f"fetch.metric_query {query!r}", int(time.time())
    with opened(effective(server, environ), environ) as client:
        form: dict[str, str | int] = {"query": f"count({query})", "time": now}
        found = client.ask_vector(form, where)
        if not found:
            raise explain_empty(client, query, now, now, where)
    return int(found[0][1])


def fetch_series(
    server: PrometheusParams,
    fetch: FetchParams,
    until_seconds: int,
    *,
    history_seconds: int | None = None,
    environ: Mapping[str, str] | None = None,
) -> tuple[SeriesSet, Quality]:
    """Read a task's metric with its limit and covariates, and count what is missing.

    The grid lies on multiples of fetch.step, ends at or before `until_seconds` and holds history // step points
    (`history_seconds`, by default fetch.history). Rows are sorted by their labels, without `__name__`.
    A limit or covariate belongs to every series that carries all of its labels. Missing, NaN and infinite samples are
    NaN. environ: addresses and credentials, the process's own by default.
    Raises ParamsError, ConnectError, AuthError, QueryError, EmptyError or ServerError.
    """
    environ = os.environ if environ is None else environ
    n_steps = max(1, (fetch.history if history_seconds is None else history_seconds) // fetch.step)
    times = (until_seconds // fetch.step - np.arange(n_steps, dtype=np.int64)[::-1]) * fetch.step
    queries = {"fetch.limit": fetch.limit} if isinstance(fetch.limit, str) else {}
    queries |= {f"fetch.covariates.{name}": query for name, query in fetch.covariates.items()}
    with opened(effective(server, environ), environ) as client:
        used = _read_metric(client, fetch.metric_query, times)
        joined = {name: _read_joined(client, name, query, times, used) for name, query in queries.items()}
        warnings = short_ranges(client, [fetch.metric_query, *queries.values()], int(times[-1]))
    names = sorted(set().union(*used.rows))
    limit = joined.get("fetch.limit")
    series = SeriesSet(
        labels={name: np.array([row.get(name, "") for row in used.rows], object) for name in names},
        times=times,
        step_seconds=fetch.step,
        values=used.values,
        limit=limit.values if limit else _constant(fetch.limit, used.values.shape),
        covariates={name: joined[f"fetch.covariates.{name}"].values for name in fetch.covariates},
    )
    return series, measure_quality(
        series,
        nan_samples=used.nan_samples,
        infinite_samples=used.infinite_samples,
        without_limit=limit.n_without if limit else 0,
        warnings=[*used.warnings, *(text for one in joined.values() for text in one.warnings), *warnings],
    )


class _Joined(NamedTuple):
    """What another query says of each series: (N, T) values, and how many series it says nothing of."""

    values: Floats
    n_without: int
    warnings: list[str]


def _read_metric(client: Client, query: str, times: NDArray[np.int64]) -> RangeResult:
    where = f"fetch.metric_query {query!r}"
    if not selectors(query):
        raise QueryError("it reads no metric", where=where, cure="name one, as in storage_used_bytes")
    check_no_counters(client, query, where)
    return _read_some(client, query, times, where)


def _read_some(client: Client, query: str, times: NDArray[np.int64], where: str) -> RangeResult:
    result = read_range(client, query, times, where)
    if not result.rows:
        raise explain_empty(client, query, int(times[0]), int(times[-1]), where)
    return result


def _read_joined(client: Client, name: str, query: str, times: NDArray[np.int64], used: RangeResult) -> _Joined:
    where = f"{name} {query!r}"
    result = _read_some(client, query, times, where)
    index = join_rows(used.rows, result.rows, f"{client.server.base_url}, {where}")  # (N,)
    values = result.values[index]  # (N, T)
    values[index < 0] = np.nan
    warnings = list(result.warnings)
    lacking = np.isnan(values).all(axis=1)  # nothing belongs to it, or what is NaN or infinite
    if without := int(lacking.sum()):
        example = used.rows[int(np.argmax(lacking))]
        have = count_text(without, f"of {len(index):,} series has", f"of {len(index):,} series have")
        warnings.append(f"{name}: {have} none, such as {example}")
    if name == "fetch.limit" and (n_zero := int((values <= 0).any(axis=1).sum())):
        warnings.append(
            f"{name}: {count_text(n_zero, 'series has', 'series have')} a limit of 0 or less, which counts as unknown; "
            "add `> 0` to the query"
        )
        values[values <= 0] = np.nan
    values.flags.writeable = False
    return _Joined(values, without, warnings)


def _constant(limit: str | float | None, shape: tuple[int, int]) -> Floats | None:
    if limit is None or isinstance(limit, str):
        return None
    array = np.full(shape, float(limit))
    array.flags.writeable = False
    return array
