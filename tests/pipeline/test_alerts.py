"""A pushed forecast becomes one notification per series, and one when it is over: every server in between is real."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.faults import Answer, FaultServer
from tests.io.test_exposition import INFO, forecast_of, present_of
from tests.io.test_pushgateway import HOSTILE
from tests.servers import Server, running_alertmanager, running_prometheus, running_pushgateway
from tsf.alarm.rulefile import RuleTerms, rule_file
from tsf.io.exposition import forecast_exposition
from tsf.io.pushgateway import push_text
from tsf.io.runs import send_runs
from tsf.params import PrometheusParams, PushParams
from tsf.project import TaskPaths

pytestmark = pytest.mark.servers
TERMS = RuleTerms("storage", ["6h", "12h", "24h"], threshold=0.6, gate=0.5, owner="storage-oncall",
                  labels=("group", "user"), owner_labels=["group"], query='tsf_used{task="storage"}')  # fmt: skip
CALM, EMPTY = "unlikely to fill up", "likely, but far from its limit"
GROUPS = [*HOSTILE, CALM, EMPTY]
NIGHT = HOSTILE[0]  # its limit is reached before anybody is at work
ROUTES = """
global: {{resolve_timeout: 1h}}
route:
  receiver: none
  group_by: ['...']
  group_wait: 0s
  group_interval: 1s
  routes: [{{receiver: page, matchers: ['severity="page"']}}, {{receiver: ticket, matchers: ['severity="ticket"']}}]
receivers:
  - name: none
  - {{name: page, webhook_configs: [{{url: '{url}/page'}}]}}
  - {{name: ticket, webhook_configs: [{{url: '{url}/ticket'}}]}}
"""
SCRAPE = """
global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}}
rule_files: [rules.yml]
scrape_configs: [{{job_name: pushed, honor_labels: true, static_configs: [{{targets: ['{gateway}']}}]}}]
alerting: {{alertmanagers: [{{static_configs: [{{targets: ['{alertmanager}']}}]}}]}}
"""


class Chain:
    """The servers, and what people were sent."""

    def __init__(self, folder: Path, running: ExitStack) -> None:
        self.people = FaultServer(Answer())
        running.callback(self.people.close)
        alerts = running.enter_context(running_alertmanager(folder / "am", ROUTES.format(url=self.people.url)))
        self.gateway = running.enter_context(running_pushgateway(folder / "gateway"))
        config = SCRAPE.format(gateway=host(self.gateway), alertmanager=host(alerts))
        self.prometheus = running.enter_context(running_prometheus(folder / "p", rules=rule_file(TERMS), config=config))

    def push(self, chance: float) -> None:
        """All but CALM have this chance of a breach within a day, all but EMPTY use nine tenths of their limit."""
        groups = np.array(GROUPS, object)
        forecast = forecast_of({"group": GROUPS, "user": [f"user-{n}" for n in range(len(GROUPS))]}, p_breach=np.tile(
            np.where(groups == CALM, 0.1, chance)[:, None], (1, 24)))  # fmt: skip
        present = present_of(
            forecast,
            used=np.where(groups == EMPTY, 100.0, 900.0),
            before_work=np.where(groups == NIGHT, chance, 0.0),
            owners=[{"group": group, "owner": f"owner of {group}"} for group in HOSTILE[:-1]],
        )
        body = forecast_exposition(forecast, present, TERMS.task, PushParams(), INFO, int(time.time()))
        push_text(body, PrometheusParams(pushgateway_url=self.gateway.url), TERMS.task, {})

    def sent(self, status: str) -> list[tuple[str, dict[str, Any]]]:
        """Receiver and alert of each message with this status, in order."""
        messages = [(request.path[1:], json.loads(request.body)) for request in self.people.requests]
        return [(who, alert) for who, said in messages for alert in said["alerts"] if alert["status"] == status]

    def await_scrapes(self, count: int = 3) -> None:
        """Until so many more scrapes and evaluations have happened."""
        scrapes = 'count_over_time(up{job="pushed"}[1h])'
        before = self.scalar(scrapes)
        awaited(lambda: self.scalar(scrapes) >= before + count)

    def scalar(self, query: str) -> float:
        found = self.prometheus.query(query)
        return float(found[0]["value"][1]) if found else 0.0


def host(server: Server) -> str:
    return server.url.split("://")[1]


def awaited(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 90
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.2)


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    with ExitStack() as running:
        yield Chain(tmp_path_factory.mktemp("chain"), running)


def test_each_series_is_told_once_to_the_right_people_and_once_when_it_is_over(chain: Chain) -> None:
    chain.push(0.9)
    awaited(lambda: len(chain.sent("firing")) >= len(HOSTILE))
    for _ in range(3):  # pushed again and again, as cron does it
        chain.push(0.9)
        chain.await_scrapes()
    firing = chain.sent("firing")
    assert sorted(alert["labels"]["group"] for _, alert in firing) == sorted(HOSTILE)
    assert {alert["labels"]["group"] for who, alert in firing if who == "page"} == {NIGHT}
    assert {alert["labels"]["alertname"] for _, alert in firing} == {"TsfBreachSoon"}
    assert not chain.sent("resolved")
    chain.push(0.1)
    awaited(lambda: len(chain.sent("resolved")) >= len(HOSTILE))
    chain.await_scrapes()
    assert sorted(alert["labels"]["group"] for _, alert in chain.sent("resolved")) == sorted(HOSTILE)
    assert len(chain.sent("firing")) == len(HOSTILE)


def test_the_message_names_owner_and_contributors_whatever_the_labels_are(chain: Chain) -> None:
    for _, alert in chain.sent("firing"):
        group, user, said = alert["labels"]["group"], alert["labels"]["user"], alert["annotations"]
        assert said["summary"].startswith(f"{group}, {user}: the limit is reached within 24h with a chance of 90 %")
        assert said["owner"] == ("storage-oncall" if group == HOSTILE[-1] else f"owner of {group}")
        assert said["contributors"] == f"{user} 900 "


def test_a_stage_that_fails_is_known_while_the_last_forecast_stays(chain: Chain, tmp_path: Path) -> None:
    paths = TaskPaths(tmp_path, TERMS.task)
    paths.report("push").parent.mkdir(parents=True)
    server = PrometheusParams(pushgateway_url=chain.gateway.url)
    paths.failed_notebook("push").touch()
    paths.report("train").touch()
    send_runs(tmp_path, server, [TERMS.task])
    awaited(lambda: len(chain.prometheus.query("tsf_stage_failed")) == 2)
    failing = 'max by (task, stage) (tsf_stage_failed{task="storage"}) == 1'
    assert [one["metric"] for one in chain.prometheus.query(failing)] == [{"task": "storage", "stage": "push"}]
    paths.failed_notebook("push").unlink()
    send_runs(tmp_path, server, [TERMS.task])
    awaited(lambda: not chain.prometheus.query(failing))
    assert chain.scalar('time() - tsf_stage_success_timestamp_seconds{stage="train"}') < 60
    assert len(chain.prometheus.query('tsf_used{task="storage"}')) == len(GROUPS)
