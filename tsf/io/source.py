"""The one place that decides where a task's samples come from."""

from __future__ import annotations

import os
import time

from tsf.io.demo import fetch_demo
from tsf.io.prometheus import fetch_series
from tsf.io.quality import Quality
from tsf.params import FetchParams, Params, effective
from tsf.series import SeriesSet

__all__ = ["fetch_from_source", "newest_seconds", "source_name"]


def fetch_from_source(
    params: Params, fetch: FetchParams, *, until_seconds: int | None = None, history_seconds: int | None = None
) -> tuple[SeriesSet, Quality]:
    """Read a task from `prometheus.base_url` (PROMETHEUS_URL in the environment wins), or from the demo fleet.

    until_seconds: the last moment that is read, by default the newest. history_seconds: how far back, by default all of
    `fetch.history`. Raises SourceError in the words of the source.
    """
    until = newest_seconds(params) if until_seconds is None else until_seconds
    server = effective(params.prometheus, os.environ)
    if server.base_url == "demo":
        return fetch_demo(params.demo, fetch, until, history_seconds=history_seconds)
    return fetch_series(server, fetch, until, history_seconds=history_seconds)


def newest_seconds(params: Params) -> int:
    """The moment that a push speaks about: now for a server, snapshot.until for the demo fleet, which has no clock."""
    server = effective(params.prometheus, os.environ)
    return params.snapshot.until_seconds if server.base_url == "demo" else int(time.time())


def source_name(params: Params) -> str:
    """What a report calls the source: its address, without credentials, or that it is a simulation."""
    base_url = effective(params.prometheus, os.environ).base_url
    return "the demo fleet (a simulation)" if base_url == "demo" else base_url
