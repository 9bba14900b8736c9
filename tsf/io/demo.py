"""The demo source: answers plain selectors from a simulated fleet, as a Prometheus would answer them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import promql_parser
from numpy.typing import NDArray
from promql_parser import MatchOp, VectorSelector

from tsf.errors import EmptyError, QueryError
from tsf.io.fleet.machines import simulate_cpu, simulate_gpu, simulate_groups, simulate_network
from tsf.io.fleet.people import CLUSTERS, DAY, Window, between, draw
from tsf.io.fleet.storage import simulate_storage
from tsf.io.join import join_rows
from tsf.io.quality import Quality, measure_quality
from tsf.params import DemoParams, FetchParams
from tsf.promql import selectors
from tsf.series import Floats, SeriesSet, label_column, label_rows

__all__ = ["METRICS", "fetch_demo", "fleet_at"]

Columns = Mapping[str, NDArray[np.object_]]
Part = Callable[[DemoParams, Window], tuple[dict[str, NDArray[np.object_]], dict[str, Floats]]]

PARTS: dict[Part, dict[str, str]] = {
    simulate_storage: {
        "storage_used_bytes": "bytes in a user's storage area",
        "storage_quota_bytes": "the quota of that area",
        "io_throughput_bytes_per_second": "bytes written to that area per second",
    },
    simulate_gpu: {
        "gpu_memory_used": "bytes of GPU memory in use",
        "gpu_memory_total": "bytes of memory of that GPU",
    },
    simulate_network: {
        "network_throughput": "bytes per second through a node's link, by direction",
        "network_capacity": "bytes per second that the link can carry",
    },
    simulate_cpu: {"cpu_usage_percent": "busy share of a node's processors, 0 to 100"},
    simulate_groups: {
        "active_users": "people of a group at their desks",
        "running_jobs": "training jobs of a group that run",
    },
}
METRICS: dict[str, str] = {name: meaning for metrics in PARTS.values() for name, meaning in metrics.items()}
"""name -> meaning of every metric that the demo has."""


class _Answer(NamedTuple):
    """Rows that match a query, sorted by labels, without `__name__`; values (N, T), NaN where not scraped."""

    labels: Columns
    values: Floats


def fetch_demo(
    demo: DemoParams, fetch: FetchParams, until_seconds: int, *, history_seconds: int | None = None
) -> tuple[SeriesSet, Quality]:
    """Read what `fetch` asks for from the simulated fleet: `history_seconds` (default: fetch.history) up to `until`.

    The grid is aligned to the step as range queries are: its last moment is `until` or the one before it. Queries may
    be plain selectors with matchers on `METRICS`. A limit or covariate belongs to every series with all of its labels.
    Raises QueryError for any other query or a limit that belongs to nothing, EmptyError where nothing matches.
    """
    history = fetch.history if history_seconds is None else history_seconds
    count = max(1, history // fetch.step)
    window = Window((until_seconds // fetch.step - count + 1) * fetch.step, fetch.step, count)
    used = _answer(demo, "fetch.metric_query", fetch.metric_query, window)
    limit, without_limit = None, 0
    if isinstance(fetch.limit, str):
        limit, without_limit = _joined(demo, "fetch.limit", fetch.limit, window, used)
    elif fetch.limit is not None:
        limit = np.full(used.values.shape, float(fetch.limit))
    series = SeriesSet(
        labels=used.labels,
        times=window.times,
        step_seconds=fetch.step,
        values=used.values,
        limit=limit,
        covariates={
            name: _joined(demo, f"fetch.covariates.{name}", query, window, used)[0]
            for name, query in fetch.covariates.items()
        },
    )
    return series, measure_quality(series, without_limit=without_limit)


def fleet_at(demo: DemoParams, moment_seconds: int) -> Iterator[tuple[str, list[dict[str, str]], Floats]]:
    """Every metric of the fleet at one moment: its name, the labels of its N series and their (N,) values.

    What is not exported then, as nobody uses it or its exporter is away, is left out.
    """
    window = Window(moment_seconds, 60, 1)
    for part, metrics in PARTS.items():
        labels, values = _simulated(part, demo, window)
        rows = label_rows(labels)
        for name in metrics:
            now = values[name][:, 0]
            there = np.flatnonzero(np.isfinite(now))
            yield name, [rows[row] for row in there.tolist()], now[there]


def _answer(demo: DemoParams, key: str, query: str, window: Window) -> _Answer:
    where = f"{key} {query!r}"
    name, matchers = _parsed(query, where)
    part = next(part for part, metrics in PARTS.items() if name in metrics)
    labels, metrics = _simulated(part, demo, window)
    values = metrics[name]
    keep = ~np.isnan(values).all(axis=1)
    for label, matches in matchers:
        column = label_column(labels, label).tolist()
        keep &= np.fromiter((matches(value) for value in column), np.bool_, len(column))
    if not keep.any():
        raise EmptyError(
            "it matches nothing in the demo",
            where=where,
            cure=f"widen its matchers; {name} has the labels {', '.join(sorted(labels))}",
        )
    rows = np.flatnonzero(keep)
    rows = rows[np.lexsort([labels[label][rows].astype(str) for label in sorted(labels, reverse=True)])]
    return _Answer({label: labels[label][rows] for label in sorted(labels)}, values[rows])


def _joined(demo: DemoParams, key: str, query: str, window: Window, used: _Answer) -> tuple[Floats, int]:
    """(N, T) what `query` says of each series of `used`, NaN where nothing, and of how many it says nothing."""
    other = _answer(demo, key, query, window)
    index = join_rows(label_rows(used.labels), label_rows(other.labels), f"{key} {query!r}")
    return np.where((index >= 0)[:, None], other.values[index], np.nan), int((index < 0).sum())


def _parsed(query: str, where: str) -> tuple[str, list[tuple[str, Callable[[str], bool]]]]:
    """The metric and the matchers of a plain selector. Raises QueryError for all other PromQL."""
    selectors(query, where)  # what is no PromQL at all is told as such
    tree = promql_parser.parse(query)
    if not isinstance(tree, VectorSelector) or tree.offset or tree.at or tree.matchers.or_matchers:
        raise _refusal("the demo only answers plain selectors, without functions, operators and offset", where)
    name, matchers = tree.name or "", []
    for matcher in tree.matchers.matchers:
        if matcher.name == "__name__" and matcher.op == MatchOp.Equal:
            name = matcher.value
        else:
            matchers.append((matcher.name, _matcher(matcher.op, matcher.value, where)))
    if name not in METRICS:
        raise _refusal(f"the demo has no metric {name!r}", where)
    return name, matchers


def _matcher(op: MatchOp, value: str, where: str) -> Callable[[str], bool]:
    """What a label must fulfil; regular expressions are anchored, as in Prometheus."""
    if op in (MatchOp.Equal, MatchOp.NotEqual):
        return lambda label: (label == value) == (op == MatchOp.Equal)
    try:
        pattern = re.compile(value)
    except re.error as fault:
        raise _refusal(f"{value!r} is no regular expression ({fault})", where) from None
    return lambda label: (pattern.fullmatch(label) is not None) == (op == MatchOp.Re)


def _refusal(what: str, where: str) -> QueryError:
    return QueryError(
        what,
        where=where,
        cure=f"select from {', '.join(METRICS)}, or set prometheus.base_url to a real server",
    )


@lru_cache(maxsize=8)
def _simulated(part: Part, demo: DemoParams, window: Window) -> tuple[Columns, Mapping[str, Floats]]:
    """What one part of the fleet exports, less what was not scraped."""
    labels, metrics = part(demo, window)
    clusters = label_column(labels, "cluster")
    for source in sorted(set(clusters.tolist())):
        number = CLUSTERS.index(source) if source else len(CLUSTERS)
        missed = _outages(demo.seed, number, window)
        for values in metrics.values():
            values[np.ix_(clusters == source, missed)] = np.nan
    for values in metrics.values():
        values.flags.writeable = False
    return labels, metrics


def _outages(seed: int, source: int, window: Window) -> NDArray[np.bool_]:
    """(T,) whether the exporter of a cluster is away: for minutes twice a week, for hours now and then."""
    weeks = np.arange(window.start // (7 * DAY) - 1, window.stop // (7 * DAY) + 1)
    missed = np.zeros(window.count, np.bool_)
    for number in range(3):
        start = (weeks + draw(seed, "outage starts", source, weeks, number)) * 7 * DAY
        length = draw(seed, "outage length", source, weeks, number)
        minutes = between(240, 600, length) if number == 2 else between(5, 90, length**2)
        happens = draw(seed, "outage", source, weeks, number) < (0.12 if number == 2 else 0.9)
        for begin, seconds in zip(start[happens], minutes[happens] * 60, strict=True):
            missed |= (window.times >= begin) & (window.times < begin + seconds)
    return missed
