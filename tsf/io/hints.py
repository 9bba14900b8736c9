"""What else a server knows about a query: why it finds nothing, and what would mislead a model."""

from __future__ import annotations

import difflib
import time
from collections.abc import Iterable
from datetime import datetime, timezone

from tsf.errors import EmptyError, QueryError, SourceError
from tsf.io.http import Client
from tsf.kinds import count_text
from tsf.promql import metric_name, quote, range_selectors, raw_selectors, selectors

__all__ = ["check_no_counters", "explain_empty", "short_ranges"]

# How far back from now data is looked for, and how closely: each look costs what a small query does.
LOOKS_SECONDS = ((7_200, 60), (7 * 86_400, 900), (20 * 365 * 86_400, 4 * 86_400))
FEWEST_SAMPLES = 3
SILENT = "see whether its exporter still runs"


def check_no_counters(client: Client, query: str, where: str) -> None:
    """Raise QueryError if `query` reads a metric that its exporter calls a counter without rate() or the like."""
    for name in {*map(metric_name, raw_selectors(query))} - {""}:
        try:
            data = client.once.ask_data("/api/v1/metadata", {"metric": name}, where, method="GET")
            kinds = {entry["type"] for entry in data.get(name, [])}
        except (SourceError, LookupError, TypeError, AttributeError):
            continue  # some stores keep no metadata, some proxies hide it, and this is only advice
        if kinds == {"counter"}:
            raise QueryError(
                f"{name} is a counter, whose level says nothing about a limit",
                where=where,
                cure=f"write rate({name}[5m]), with a range of at least three scrape intervals",
            )


def short_ranges(client: Client, queries: Iterable[str], at_seconds: int) -> list[str]:
    """A warning for each range selector in `queries` that holds too few samples to be relied on."""
    warnings = []
    for text in dict.fromkeys(text for query in queries for text in range_selectors(query)):
        form: dict[str, str | int] = {"query": f"quantile(0.5, count_over_time({text}))", "time": at_seconds}
        try:
            found = client.once.ask_vector(form, text)
        except SourceError:
            continue  # this is only advice
        samples = found[0][1] if found else FEWEST_SAMPLES
        if samples < FEWEST_SAMPLES:
            warnings.append(
                f"{text} holds {count_text(samples, 'sample', 'samples')} in the median series; use a range of at "
                "least three scrape intervals, since Prometheus 3 leaves out the sample on its left edge"
            )
    return warnings


def explain_empty(client: Client, query: str, first_seconds: int, last_seconds: int, where: str) -> EmptyError:
    """The error for a query without series from first to last, with what the server has instead."""
    first, last = _text(first_seconds), _text(last_seconds)
    what = f"there is no series from {first} to {last}" if first < last else f"there is no series at {last}"
    where = f"{client.server.base_url}, {where}"
    try:
        for selector in selectors(query):
            text, name = selector.prettify(), metric_name(selector)
            step = max(60, (last_seconds - first_seconds) // 1000)
            if _times_with_data(client, text, first_seconds, last_seconds, step):
                continue
            if seen := _when(client, text):
                what += f", but {text} has data from about {_text(seen[0])} to {_text(seen[1])}"
                cure = "move snapshot.until (tsf run --now does) or fetch.history" if first < last else SILENT
                return EmptyError(what, where=where, cure=cure)
            return EmptyError(f"{what}; {text} has no data at all", where=where, cure=_spelling(client, name))
    except (SourceError, LookupError, TypeError, ValueError):
        return EmptyError(what, where=where, cure="check the metric's name, its labels and snapshot.until")
    cure = "every metric in it has data then, so its operators leave none: compare the labels on both sides"
    if range_selectors(query):
        cure = "every metric in it has data then: lengthen the range to three scrape intervals, or compare labels"
    return EmptyError(what, where=where, cure=cure)


def _when(client: Client, selector: str) -> tuple[int, int] | None:
    """The first and the last time with data, as far as a few coarse looks find any."""
    now = int(time.time())
    seen: list[int] = []
    for span, step in LOOKS_SECONDS:
        found = _times_with_data(client, selector, now - span, now, step)
        seen += found
        for first in (min(found) - step, max(found)) if found else ():  # look closer at both ends
            seen += _times_with_data(client, selector, first, min(first + step, now), max(60, step // 1000))
    return (min(seen), max(seen)) if seen else None


def _times_with_data(client: Client, selector: str, first: int, last: int, step: int) -> list[int]:
    form: dict[str, str | int] = {"query": f"count({selector})", "start": first, "end": last, "step": step}
    result = client.ask_data("/api/v1/query_range", form, selector)["result"]
    return [int(moment) for one in result for moment, _ in one["values"]]


def _spelling(client: Client, name: str) -> str:
    names = client.ask_data("/api/v1/label/__name__/values", {}, quote(name), method="GET")
    if name in names:
        return "the metric exists with other labels: check their values"
    close = difflib.get_close_matches(name, names, n=3)
    return f"check the metric's name; there is {' or '.join(close)}" if close else "check the metric's name"


def _text(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%MZ")
