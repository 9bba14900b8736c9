"""The server about itself: who it is, whether all is well, what it counts, and the reports it shows."""

from __future__ import annotations

import os
import re
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import prometheus_client

from tsf.doctor import SECRET_NAME, Finding, without_secrets
from tsf.doctor.machine import check_hardware, gpu_without_torch
from tsf.doctor.services import check_services
from tsf.errors import FlowError, ParamsError, TsfError
from tsf.flow.queue import count_runs
from tsf.flow.runner import runner_is_alive
from tsf.io.files import read_json
from tsf.io.registry import versions
from tsf.io.source import source_name
from tsf.kinds import span_text
from tsf.params import Params, effective, read_params
from tsf.project import STAGES, TaskPaths
from tsf.server import __version__
from tsf.server.answers import Answer, NoProjectError, NotFoundError, json_answer, or_none, time_text
from tsf.server.openapi import docs_html, document
from tsf.server.service import Service
from tsf.server.tasks import task_states

__all__ = [
    "about",
    "docs_page",
    "find_around",
    "find_own",
    "health",
    "list_reports",
    "metrics",
    "openapi_json",
    "read_report",
    "stats",
]

API_VERSION = 1
FRESH_SECONDS, LATE_SECONDS = 3_600, 86_400  # the first is when the rules call a forecast stale
PAGE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox allow-popups"
VARIABLES = (
    *("PROMETHEUS_URL", "PUSHGATEWAY_URL", "PROMETHEUS_USERNAME", "PROMETHEUS_PASSWORD", "PROMETHEUS_BEARER_TOKEN"),
    *("PROMETHEUS_BEARER_TOKEN_FILE", "PUSHGATEWAY_USERNAME", "PUSHGATEWAY_PASSWORD", "PUSHGATEWAY_BEARER_TOKEN"),
    *("LOG_LEVEL", "DEBUG", "CUDA_VISIBLE_DEVICES", "RAY_ADDRESS"),
)


def about(service: Service) -> Answer:
    """Name, version and links."""
    links = {"docs": "/docs", "openapi": "/openapi.json", "health": "/health", "stats": "/stats", "tasks": "/tasks"}
    links |= {"models": "/models", "metrics": "/metrics", "reports": "/reports"}
    entry: dict[str, Any] = {"name": "tsf", "version": __version__, "api_version": API_VERSION, "links": links}
    try:
        root = service.root
    except NoProjectError as fault:
        return json_answer(entry | {"project": None, "root": None, "message": str(fault)})
    return json_answer(entry | {"project": root.name, "root": service.shown_path(root), "message": ""})


def docs_page(service: Service) -> Answer:
    """The contract as a page."""
    _ = service
    return _page(docs_html().encode())


def openapi_json(service: Service) -> Answer:
    """The contract."""
    _ = service
    return json_answer(document())


async def health(service: Service) -> Answer:
    """Servers and machine as they were found last, the project as it is."""
    try:
        checked_at, findings = await service.around()
        findings = [*findings, *await service.own()]
    except ParamsError as fault:
        checked_at, findings = time.time(), [Finding("project", "fail", fault.what, fault.cure)]
    findings = [without_secrets(finding, os.environ) for finding in findings]
    worst = max((finding.state for finding in findings), key=["ok", "warn", "fail"].index)
    checks = [{"name": f.name, "state": f.state, "detail": f.detail, "cure": f.cure} for f in findings]
    return json_answer({"status": worst, "checked_at": time_text(checked_at), "checks": checks})


def find_around(root: Path) -> tuple[float, list[Finding]]:
    """Look at servers and machine; takes as long as the slowest server takes to answer. Raises ParamsError."""
    server = read_params(root).prometheus
    findings = [*check_services(root, server, os.environ), *check_hardware(root), gpu_without_torch()]
    return time.time(), findings


def find_own(root: Path) -> list[Finding]:
    """Look at the newest forecasts and the queue. Raises ParamsError."""
    return [_last_run(root, read_params(root)), _queue(root)]


def stats(service: Service) -> Answer:
    """Counts over the whole project."""
    root = service.root
    params = read_params(root)
    receipts = [receipt for name in params.tasks if (receipt := _receipt(root, name))]
    server = effective(params.prometheus, os.environ)
    models = Counter(
        one.aliases[0] if one.aliases else "other"
        for name in params.tasks
        for one in or_none(partial(versions, TaskPaths(root, name))) or ()
    )
    return json_answer(
        {
            "tasks": Counter(task_states(root, params).values()),
            "runs": count_runs(root),
            "models": models,
            "series": sum(receipt.get("series", 0) for receipt in receipts),
            "output_series": sum(receipt.get("output_series", 0) for receipt in receipts),
            "last_push": time_text(max((receipt["written_at"] for receipt in receipts), default=None)),
            "source": source_name(params),
            "sink": server.pushgateway_url,
            "environment": {
                name: "set" if SECRET_NAME.search(name) and not name.endswith("_FILE") else os.environ[name]
                for name in VARIABLES
                if name in os.environ
            },
        }
    )


def metrics(service: Service) -> Answer:
    """All that prometheus_client's registry holds, tsf's own among it."""
    _ = service
    return Answer(prometheus_client.generate_latest(), prometheus_client.CONTENT_TYPE_LATEST)


def list_reports(service: Service) -> Answer:
    """Every page that a stage could write."""
    root = service.root
    return json_answer({"items": list(_reports(service, root, read_params(root)))})


def read_report(service: Service, task_id: str, stage: Any) -> Answer:
    """A report as it was written."""
    service.task(task_id)
    if stage not in STAGES:
        raise NotFoundError(f"there is no stage {stage!r}", where="stage", cure=f"choose from {', '.join(STAGES)}")
    try:
        page = TaskPaths(service.root, task_id).report(stage).read_bytes()
        return _page(re.sub(rb"(?s)<nav .*?</nav>", b"", page, count=1))  # its links lead to files beside the page
    except OSError:
        raise NotFoundError(f"task {task_id!r} has no {stage} report yet", where="stage", cure="run it") from None


def _page(content: bytes) -> Answer:
    """A page that may run nothing and load nothing, wherever the words in it came from."""
    return Answer(content, "text/html; charset=utf-8", {"Content-Security-Policy": PAGE_POLICY})


def _reports(service: Service, root: Path, params: Params) -> Iterator[dict[str, Any]]:
    for name in params.tasks:
        paths = TaskPaths(root, name)
        for stage in STAGES:
            report, failed, notebook = paths.report(stage), paths.failed_notebook(stage), paths.notebook(stage)
            there = report.exists()
            yield {
                "task": name,
                "stage": stage,
                "state": "failed" if failed.exists() else "completed" if there else "new",
                "written_at": time_text(report.stat().st_mtime) if there else None,
                "url": f"/reports/{name}/{stage}" if there else None,
                "notebook": service.shown_path(failed if failed.exists() else notebook) if there else None,
            }


def _receipt(root: Path, name: str) -> dict[str, Any] | None:
    path = TaskPaths(root, name).pushed / "receipt.json"
    try:
        return {**read_json(path), "written_at": path.stat().st_mtime}
    except (FlowError, TypeError, OSError):
        return None


def _last_run(root: Path, params: Params) -> Finding:
    moments = {name: receipt["written_at"] for name in params.tasks if (receipt := _receipt(root, name))}
    if never := [name for name in params.tasks if name not in moments]:
        return Finding("last run", "warn", f"{', '.join(never[:5])} never pushed a forecast", "run them")
    if not moments:
        return Finding("last run", "warn", "there are no tasks", "add one")
    name = min(moments, key=lambda task: moments[task])
    seconds = max(1, int(time.time() - moments[name]))
    said = f"every task has pushed; {name} longest ago, {span_text(seconds)}"
    if seconds <= FRESH_SECONDS or effective(params.prometheus, os.environ).base_url == "demo":  # which has no clock
        return Finding("last run", "ok", said)
    return Finding("last run", "warn" if seconds <= LATE_SECONDS else "fail", said, "schedule `tsf push`, see README")


def _queue(root: Path) -> Finding:
    try:
        counts, alive = count_runs(root), runner_is_alive(root)
    except TsfError as fault:
        return Finding("queue", "fail", fault.what, fault.cure)
    waiting = counts.get("pending", 0)
    if waiting and not alive:
        return Finding("queue", "warn", f"{waiting} wait and nothing runs them", "wait: a runner is started in seconds")
    return Finding("queue", "ok", f"{counts.get('running', 0)} running, {waiting} waiting")
