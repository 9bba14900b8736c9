"""The whole pipeline against a real Prometheus and Pushgateway, on the memory of real virtual machines."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

import pytest

from tests.pipeline.conftest import Project, make_project
from tests.servers import Server, bitbrains_openmetrics
from tsf.io.artifacts import read_series

pytestmark = pytest.mark.servers

HOSTILE = 'a"b\\c\nd{e}=<b>$x$é'
VMS = 40


@pytest.fixture(scope="module")
def servers(pushgateway: Server, prometheus_server: Callable[..., Server]) -> tuple[Server, Server]:
    """A Prometheus with two weeks of history up to now, which scrapes the Pushgateway every second."""
    escaped = HOSTILE.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
    history = bitbrains_openmetrics(VMS, 14, end_seconds=int(time.time()))
    assert 'user="user-07"' in history
    history = history.replace('user="user-07"', f'user="{escaped}"')
    return prometheus_server(samples=history, scrape=[pushgateway.url]), pushgateway


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, servers: tuple[Server, Server]) -> Project:
    """One task that reads from that Prometheus and writes to that Pushgateway, run as a user runs it."""
    prometheus, gateway = servers
    made = make_project(tmp_path_factory.mktemp("project"), ("storage",))
    added = made.tsf(
        *("tasks", "add", "memory", "--preset", "storage", "--owner", "vm-team"),
        *("--metric-query", "vm_memory_used_bytes", "--limit", "vm_memory_provisioned_bytes"),
    )
    assert added.returncode == 0, added.stderr
    assert made.tsf("tasks", "remove", "storage").returncode == 0
    made.edit(
        prometheus__base_url=prometheus.url,
        prometheus__pushgateway_url=gateway.url,
        tasks__memory__fetch__step="15m",
        tasks__memory__fetch__history="12d",
        tasks__memory__train__sequence_length=96,
        tasks__memory__train__prediction_steps=24,
        tasks__memory__train__holdout="2d",
        tasks__memory__train__epochs=3,
        tasks__memory__train__dimensions=["group", "user", "storage_type", "cluster"],
        tasks__memory__push__horizons=["1h", "6h"],
        tasks__memory__push__alias="vm_memory_used_bytes",
        tasks__memory__alert__line=0.6,
    )
    done = made.tsf("run", "--now")
    assert done.returncode == 0, done.stdout + done.stderr
    return made


def await_scrapes(prometheus: Server, count: int = 2) -> None:
    """Until so many more scrapes have brought something; a busy machine takes more than a second for one."""
    deadline = time.monotonic() + 90
    begin = n_scrapes(prometheus)
    while n_scrapes(prometheus) < begin + count:
        assert time.monotonic() < deadline, "Prometheus scrapes no more"
        time.sleep(0.2)


def n_scrapes(prometheus: Server) -> float:
    [one] = prometheus.query("sum_over_time(up[1h])")
    return float(one["value"][1])


def test_what_was_read_is_what_the_server_has(project: Project, servers: tuple[Server, Server]) -> None:
    series = read_series(project.root / "data/memory/series.parquet")
    assert series.n_series == VMS
    assert series.limit is not None
    assert set(series.labels) == {"vm", "group", "user", "storage_type", "cluster"}
    assert HOSTILE in series.labels["user"].tolist()
    column = series.n_steps // 2
    answer = servers[0].query("vm_memory_used_bytes", time=int(series.times[column]))
    expected = {one["metric"]["vm"]: float(one["value"][1]) for one in answer}
    for row, vm in enumerate(series.labels["vm"]):
        assert series.values[row, column] == expected[vm]


def test_the_forecast_is_read_back_with_the_original_labels_within_two_scrapes(
    project: Project, servers: tuple[Server, Server]
) -> None:
    done = project.tsf("push")
    assert done.returncode == 0, done.stderr
    issued = json.loads((project.root / "pushed/memory/receipt.json").read_text())
    await_scrapes(servers[0])
    series = read_series(project.root / "data/memory/series.parquet")
    answer = servers[0].query('tsf_forecast{task="memory",horizon="6h",quantile="0.5"}')
    assert len(answer) == VMS - issued["without_forecast"]
    own = {"__name__", "task", "horizon", "quantile", "job"}
    found = {frozenset((k, v) for k, v in one["metric"].items() if k not in own) for one in answer}  # type: ignore[attr-defined]
    wanted = {frozenset((name, column[row]) for name, column in series.labels.items()) for row in range(VMS)}
    assert found <= wanted
    assert any(dict(labels)["user"] == HOSTILE for labels in found)


def test_usage_forecast_and_limit_join_in_one_expression(project: Project, servers: tuple[Server, Server]) -> None:
    on = "on (vm, group, user, storage_type, cluster)"
    limit = "last_over_time(vm_memory_provisioned_bytes[1h])"
    joined = servers[0].query(f'tsf_forecast{{task="memory",horizon="6h",quantile="0.9"}} / {on} {limit}')
    assert len(joined) > VMS / 2
    alias = servers[0].query('ai_forecast_vm_memory_used_bytes{horizon="6h"}')
    assert len(alias) == len(servers[0].query('tsf_forecast{horizon="6h",quantile="0.5",task="memory"}'))


def test_probability_time_and_lineage_are_there(project: Project, servers: tuple[Server, Server]) -> None:
    chances = [float(one["value"][1]) for one in servers[0].query('tsf_breach_probability_ratio{task="memory"}')]
    assert chances
    assert all(0 <= chance <= 1 for chance in chances)
    card = json.loads((project.root / "models/memory/card.json").read_text())
    info = servers[0].query('tsf_model_info{task="memory"}')[0]["metric"]
    assert info["version"] == card["version"]
    assert card["data_hash"].startswith(info["data"])
    age = servers[0].query('time() - tsf_forecast_issued_timestamp_seconds{task="memory"}')
    assert 0 <= float(age[0]["value"][1]) < 600


def test_lineage_starts_from_what_prometheus_held_at_a_moment(project: Project) -> None:
    card = json.loads((project.root / "models/memory/card.json").read_text())
    now = datetime.now(timezone.utc).isoformat()
    told = project.tsf("lineage", "--task", "memory", "--at", now)
    assert told.returncode == 0, told.stderr
    assert card["version"] in told.stdout
    refused = project.tsf("lineage", "--task", "memory", "--at", "2020-01-01T00:00:00Z")
    assert refused.returncode == 1
    assert "no forecast of the task stood there" in refused.stderr


def test_a_server_that_is_down_is_named_and_the_last_forecast_stays(
    project: Project, servers: tuple[Server, Server]
) -> None:
    before = sorted(path.read_bytes() for path in Path(project.root / "pushed/memory").iterdir())
    refused = project.tsf("push", PROMETHEUS_URL="http://127.0.0.1:9")
    assert refused.returncode == 1
    assert "http://127.0.0.1:9" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert sorted(path.read_bytes() for path in Path(project.root / "pushed/memory").iterdir()) == before
    assert servers[0].query('tsf_forecast{task="memory"}')


def test_removing_the_task_deletes_its_group_at_the_gateway(project: Project, servers: tuple[Server, Server]) -> None:
    assert project.tsf("tasks", "remove", "memory").returncode == 0
    deadline = time.monotonic() + 90
    while servers[0].query('tsf_forecast{task="memory"}'):
        assert time.monotonic() < deadline
        time.sleep(0.5)
