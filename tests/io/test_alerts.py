"""Alarms of the last week, counted by a real Prometheus from its own alerts."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from tests.servers import OpenMetric, Server, openmetrics, run_promtool, running_prometheus, running_pushgateway
from tsf.errors import ConnectError
from tsf.io.alerts import WEEK_SECONDS, count_alarms
from tsf.params import PrometheusParams
from tsf.stages.rules import write_rules

pytestmark = pytest.mark.servers
MINUTE, HOUR = 60, 3600
END = 1_700_006_400
HORIZONS = {"storage": 24 * HOUR, "gpu": 6 * HOUR, "cpu": 6 * HOUR}


def firing(
    task: str, user: str, hours: float, length: float, state: str = "firing", severity: str = "ticket"
) -> OpenMetric:
    """An alert that fires `hours` before END for `length` hours, one sample a minute."""
    labels = {"alertname": "TsfBreachSoon", "alertstate": state, "severity": severity, "task": task, "user": user}
    times = [END - hours * HOUR + MINUTE * minute for minute in range(int(length * 60) + 1)]
    return OpenMetric("ALERTS", labels, times, [1.0] * len(times))


def evaluated(task: str) -> OpenMetric:
    return OpenMetric("task:tsf_forecast_fresh:bool", {"task": task}, [END - HOUR, END - HOUR + MINUTE], [1.0, 1.0])


@pytest.fixture(scope="module")
def server(prometheus_server: Callable[..., Server]) -> PrometheusParams:
    alerts = [
        firing("storage", "ann", 150, 0.05),  # three minutes are seen
        firing("storage", "ann", 140, 2),  # within a day of the first: the same alarm
        firing("storage", "ann", 100, 1),
        firing("storage", "ann", 99, 1, severity="page"),  # the same alarm, when people had gone home
        firing("storage", "bob", 90, 60),  # still there after two more horizons: three alarms
        firing("storage", "cyd", 50, 1, "pending"),
        firing("storage", "dan", 190, 10),  # more than a week ago
        firing("cpu", "ann", 20, 1),  # nobody says how far this one looks
        evaluated("storage"),
        evaluated("gpu"),
    ]
    return PrometheusParams(base_url=prometheus_server(samples=openmetrics(*alerts)).url)


def test_an_alarm_is_counted_once_per_horizon_and_series(server: PrometheusParams) -> None:
    assert count_alarms(server, {name: HORIZONS[name] for name in ("storage", "gpu")}, END) == {"storage": 5, "gpu": 0}


def test_a_task_whose_rules_are_not_evaluated_is_not_called_quiet(server: PrometheusParams) -> None:
    assert count_alarms(server, {"network": HOUR}, END) == {}
    assert count_alarms(server, HORIZONS, END + 2 * WEEK_SECONDS) == {}


def test_a_server_that_is_gone_is_told() -> None:
    with pytest.raises(ConnectError):
        count_alarms(PrometheusParams(base_url="http://127.0.0.1:9"), HORIZONS, END)


def test_the_alerts_of_a_rule_file_are_those_that_are_counted(tmp_path: Path) -> None:
    shutil.copy(Path(__file__).parents[2] / "params.yaml", tmp_path)
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    rules = write_rules("storage", tmp_path).read_text()
    cases = run_promtool("test", "rules", str(tmp_path / "rules/tests/storage.yml"))
    assert cases.returncode == 0, cases.stdout
    labels = 'task="storage",group="vision",user="ann",storage_type="ssd",cluster="east"'
    body = (
        f'tsf_breach_probability_ratio{{{labels},horizon="24h"}} 0.99\n'
        f"tsf_used{{{labels}}} 99\ntsf_limit{{{labels}}} 100\n"
        f'tsf_forecast_issued_timestamp_seconds{{task="storage"}} {time.time()}\n'
    )
    with running_pushgateway(tmp_path / "gateway") as gateway:
        requests.put(f"{gateway.url}/metrics/job/tsf", data=body, timeout=10).raise_for_status()
        with running_prometheus(tmp_path / "prometheus", scrape=[gateway.url], rules=rules) as prometheus:
            deadline = time.monotonic() + 90
            while not prometheus.query('ALERTS{alertname="TsfBreachSoon",alertstate="firing"}'):
                assert time.monotonic() < deadline, "the rule does not fire"
                time.sleep(0.3)
            params = PrometheusParams(base_url=prometheus.url)
            assert count_alarms(params, {"storage": HOUR}, int(time.time()) + 600) == {"storage": 1}
