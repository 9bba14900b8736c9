"""The routes against a real Prometheus and Pushgateway, with label values that nobody should trust."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.server.conftest import Call
from tests.servers import OpenMetric, Server, openmetrics
from tsf.flow.tasks import set_values
from tsf.server import tasks as task_routes
from tsf.server.noise import NOT_YET

pytestmark = pytest.mark.servers
HOSTILE = '</script><img src=x onerror="alert(1)">\\\n{}$(reboot)é'


@pytest.fixture(scope="module")
def prometheus(prometheus_server: Callable[..., Server]) -> Server:
    """Three days of four users, one of whom has an odd name; one of them misses half a day."""
    now = int(time.time()) // 3600 * 3600
    times = np.arange(now - 3 * 86_400, now + 1, 3600)
    metrics = []
    for number, user in enumerate(("ann", "bob", "cyd", HOSTILE)):
        kept = times[times < now - 36 * 3600].tolist() + times[times > now - (36 - 12 * (number == 1)) * 3600].tolist()
        labels = {"user": user, "group": "g", "storage_type": "ssd", "cluster": "east"}
        used = [1e12 * (50 + number + np.sin(moment / 13_750)) for moment in kept]
        metrics.append(OpenMetric("home_used_bytes", labels, kept, used))
        metrics.append(OpenMetric("home_quota_bytes", labels, kept, [6e13] * len(kept)))
    fired = {"alertname": "TsfBreachSoon", "alertstate": "firing", "task": "cpu"}
    for user, hours in (("ann", 30), ("bob", 10)):
        metrics.append(OpenMetric("ALERTS", fired | {"user": user}, [now - hours * 3600], [1.0]))
    metrics.append(OpenMetric("task:tsf_forecast_fresh:bool", {"task": "cpu"}, [now - 3600], [1.0]))
    return prometheus_server(samples=openmetrics(*metrics))


@pytest.fixture
def jp_root_dir(project: Path, prometheus: Server, pushgateway: Server) -> Path:
    """The project, pointed at real servers, with a task of somebody who has an odd name too."""
    edits = {"prometheus.base_url": prometheus.url, "prometheus.pushgateway_url": pushgateway.url}
    set_values(project, {**edits, "tasks.cpu.owner": HOSTILE.replace("\n", " ")})
    set_values(
        project, {"tasks.cpu.fetch.metric_query": "home_used_bytes", "tasks.cpu.fetch.limit": "home_quota_bytes"}
    )
    return project


async def test_a_query_is_answered_with_what_the_server_has(call: Call) -> None:
    body = {"query": 'home_used_bytes{group="g"}', "ask": True}
    _, found = await call("POST", "/query", body, as_="QueryAnswer")
    assert (found["ok"], found["series"], found["labels"]["user"]) == (True, 4, 4)
    _, none = await call("POST", "/query", {"query": "home_used_byte", "ask": True}, as_="QueryAnswer")
    assert not none["ok"]
    assert "home_used_bytes" in none["message"]  # what was probably meant


async def test_newest_samples_of_hostile_names_come_through_unchanged(call: Call) -> None:
    status, users = await call("GET", "/users", as_="Users")
    assert HOSTILE.replace("\n", " ") in [user["username"] for user in users["items"]]
    assert status == 200
    _, plan = await call(
        "POST",
        "/plan",
        {"name": "cpu", "config": {"history": "3d", "sequence_length": 12, "prediction_steps": 6, "holdout": "1d"}},
        as_="Plan",
    )
    assert plan["series"] == 4
    assert HOSTILE in [series["labels"]["user"] for series in plan["preview"]["series"]]
    assert plan["quality"]["gaps"] == 4


async def test_health_says_the_version_and_then_what_is_wrong(call: Call, prometheus: Server) -> None:
    _, health = await call("GET", "/health", as_="Health")
    found = {check["name"]: check for check in health["checks"]}
    assert "version" in found["Prometheus"]["detail"]
    assert found["Pushgateway"]["state"] == "ok"


async def test_the_alarms_of_the_week_are_those_that_the_server_has_fired(call: Call) -> None:
    end = time.monotonic() + 90
    found: dict[str, dict[str, Any]] = {}
    while not found or NOT_YET in (found["cpu"]["reason"], found["storage"]["reason"]):  # each is counted by itself
        assert time.monotonic() < end, found
        await asyncio.sleep(0.05)
        found = {task["name"]: task["noise"] for task in (await call("GET", "/tasks"))[1]["items"]}
    assert found["cpu"]["alarms"] == 2
    assert found["storage"]["alarms"] is None
    assert "rules/storage.yml" in found["storage"]["reason"]


async def test_a_prometheus_that_is_gone_is_a_bad_gateway_with_its_cure(call: Call, project: Path) -> None:
    set_values(project, {"prometheus.base_url": "http://127.0.0.1:9"})
    for method, path, body in (
        ("POST", "/plan", {"name": "home", "metric_query": "home_used_bytes"}),
        ("POST", "/predict", {"task": "storage"}),
        ("GET", "/data/metrics/storage-oncall", None),
    ):
        status, fault = await call(method, path, body)
        assert (status, fault["reason"]) == (502, "source_failed"), path
        assert "127.0.0.1:9" in fault["message"]


async def test_a_pushgateway_that_is_gone_keeps_the_task(
    call: Call, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task_routes, "start_runner", lambda root: None)
    set_values(project, {"prometheus.pushgateway_url": "http://127.0.0.1:9"})
    status, fault = await call("DELETE", "/tasks/storage")
    assert (status, fault["reason"]) == (502, "sink_failed")
    assert (await call("GET", "/tasks/storage"))[0] == 200
