"""The servers of params.yaml: does Prometheus answer, is the Pushgateway ready, is this clock theirs."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import replace
from email.utils import parsedate_to_datetime
from pathlib import Path

import requests

from tsf.doctor.finding import Finding, failed
from tsf.errors import TsfError
from tsf.io.deadline import timed_session
from tsf.io.http import Bearer, request_options
from tsf.io.prometheus import check_data, check_server
from tsf.io.pushgateway import check_ready
from tsf.kinds import stamp_text
from tsf.params import Params, PrometheusParams, effective

__all__ = ["check_services", "check_tasks"]

PATIENCE_SECONDS = 5.0
LARGEST_SKEW_SECONDS = 60


def check_services(root: Path, server: PrometheusParams, environ: Mapping[str, str]) -> list[Finding]:
    """Prometheus and its clock, and the Pushgateway; or the embedded ones in their place."""
    try:
        server = effective(server, environ)
    except TsfError as fault:
        return [failed("servers", fault)]
    server = server.model_copy(update={"timeout": min(server.timeout, PATIENCE_SECONDS)})
    source = _check_prometheus(server, environ)
    clock = [_check_clock(server)] if source.state == "ok" else []
    return [source, *clock, _check_pushgateway(root, server, environ)]


def check_tasks(params: Params, environ: Mapping[str, str]) -> list[Finding]:
    """For each task that reads a server: has its query series now? None of them stops the others."""
    server = effective(params.prometheus, environ)
    if server.base_url == "demo":
        return []
    server = server.model_copy(update={"timeout": min(server.timeout, PATIENCE_SECONDS)})
    return [_check_data(name, task.fetch.metric_query, server, environ) for name, task in params.tasks.items()]


def _check_data(name: str, query: str, server: PrometheusParams, environ: Mapping[str, str]) -> Finding:
    try:
        return Finding(f"task {name}", "ok", f"{check_data(server, query, environ):,} series now")
    except TsfError as fault:
        return replace(failed(f"task {name}", fault), state="warn")


def _check_prometheus(server: PrometheusParams, environ: Mapping[str, str]) -> Finding:
    if server.base_url == "demo":
        return Finding("Prometheus", "ok", "the embedded demo fleet; no server is needed")
    try:
        return Finding("Prometheus", "ok", f"version {check_server(server, environ)} at {server.base_url}")
    except TsfError as fault:
        return failed("Prometheus", fault)


def _check_pushgateway(root: Path, server: PrometheusParams, environ: Mapping[str, str]) -> Finding:
    url = server.pushgateway_url
    if url == "textfile":
        if os.access(root, os.W_OK):
            return Finding("Pushgateway", "ok", "none: forecasts are written as textfiles")
        return Finding("Pushgateway", "fail", f"textfiles cannot be written in {root}", "make the folder your own")
    try:
        check_ready(server, environ)
    except TsfError as fault:
        return failed("Pushgateway", fault)
    return Finding("Pushgateway", "ok", f"ready at {url}")


def _check_clock(server: PrometheusParams) -> Finding:
    """Forecasts are gauges of the present: where the clocks differ, they seem late or come from the future."""
    if server.base_url == "demo":
        return Finding("clock", "ok", f"{stamp_text(time.time())} UTC, compared with nobody")
    try:
        stamp = parsedate_to_datetime(_answer(server).headers["Date"]).timestamp()
    except (requests.RequestException, LookupError, ValueError, OSError):
        return Finding("clock", "warn", "Prometheus does not tell its time", "compare `date -u` on both machines")
    skew = time.time() - stamp
    if abs(skew) > LARGEST_SKEW_SECONDS:
        ahead = "ahead of" if skew > 0 else "behind"
        return Finding("clock", "fail", f"{abs(skew):.0f} s {ahead} Prometheus", "set both clocks by NTP")
    return Finding("clock", "ok", f"within {LARGEST_SKEW_SECONDS} s of Prometheus")


def _answer(server: PrometheusParams) -> requests.Response:
    """What Prometheus says to anybody, with the hour it thinks it is; an auth that adds nothing keeps ~/.netrc out."""
    with timed_session() as session:
        return session.get(server.base_url, headers=server.headers, auth=Bearer(""), **request_options(server))
