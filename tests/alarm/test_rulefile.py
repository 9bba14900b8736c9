"""The rules that are shipped pass promtool, fire on what they are for, and go through to Alertmanager and back."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import requests
from ruamel.yaml import YAML

from tests.servers import run_promtool, running_alertmanager, running_prometheus, running_pushgateway
from tsf.alarm.rulefile import RuleTerms, rule_file, rule_tests

TERMS = RuleTerms("storage", "24h", 0.35, owner="storage-oncall", runbook="https://wiki.example/full",
                  labels=("group", "user"), query='storage_used_bytes{cluster=~"a|b"}')  # fmt: skip
NASTY = 'a "quoted" {{ $labels.group }} \\ \n: # owner'


@pytest.mark.parametrize("terms", [
    TERMS,
    RuleTerms("cpu", "6h", 0.9, "2h"),
    RuleTerms("gpu", "1h", 0.02, "1h", 900, owner=NASTY, labels=("node",)),
], ids=lambda terms: terms.task)  # fmt: skip
def test_promtool_accepts_the_rules_and_their_generated_cases(terms: RuleTerms, tmp_path: Path) -> None:
    (tmp_path / "task.yml").write_text(rule_file(terms), encoding="utf-8")
    (tmp_path / "test.yml").write_text(rule_tests(terms, "task.yml"), encoding="utf-8")
    for command in (("check", "rules", "--lint-fatal"), ("test", "rules")):
        done = run_promtool(*command, str(tmp_path / ("task.yml" if command[0] == "check" else "test.yml")))
        assert done.returncode == 0, done.stdout + done.stderr


def test_text_from_outside_stays_text() -> None:
    rules = YAML(typ="safe").load(rule_file(RuleTerms("gpu", "1h", 0.5, owner=NASTY)))["groups"][0]["rules"]
    alerts = [rule for rule in rules if "alert" in rule]
    assert {alert["annotations"]["owner"] for alert in alerts} == {NASTY.replace("{{", "{{`{{`}}")}


def test_a_pushed_chance_fires_once_names_the_contributors_and_resolves(tmp_path: Path) -> None:
    """Pushgateway -> Prometheus -> Alertmanager, all real."""
    config = "route: {receiver: none, group_wait: 0s}\nreceivers: [{name: none}]\n"
    with (
        running_alertmanager(tmp_path / "am", config) as alertmanager,
        running_pushgateway(tmp_path / "gateway") as gateway,
    ):
        hosts = [server.url.split("://")[1] for server in (gateway, alertmanager)]
        prometheus = (
            "global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}\n"
            "rule_files: [rules.yml]\nscrape_configs:\n  - job_name: pushed\n    honor_labels: true\n"
            f"    static_configs: [{{targets: ['{hosts[0]}']}}]\n"
            f"alerting: {{alertmanagers: [{{static_configs: [{{targets: ['{hosts[1]}']}}]}}]}}\n"
        )
        push(gateway.url, 0.9)
        flags = ["--rules.alert.resend-delay=1s"]
        with running_prometheus(tmp_path / "p", rules=rule_file(TERMS), config=prometheus, flags=flags):
            [alert] = awaited(alertmanager.url, lambda found: len(found) == 1)
            assert alert["labels"]["user"] == "ann"
            assert alert["annotations"]["contributors"].split()[0] == "ann"
            assert alert["annotations"]["owner"] == "storage-oncall"
            push(gateway.url, 0.1)
            awaited(alertmanager.url, lambda found: not found)


def push(gateway: str, chance: float) -> None:
    series = 'group="vision",user="ann"'
    body = (
        f'tsf_breach_probability_ratio{{task="storage",horizon="24h",{series}}} {chance}\n'
        f'tsf_forecast_issued_timestamp_seconds{{task="storage"}} {time.time()}\n'
        f'storage_used_bytes{{cluster="a",{series}}} 5e12\n'
        'storage_used_bytes{cluster="a",group="vision",user="bob"} 2e12\n'
    )
    requests.put(f"{gateway}/metrics/job/tsf", data=body, timeout=10).raise_for_status()


def awaited(alertmanager: str, wanted):  # type: ignore[no-untyped-def]
    """The alerts of ours that are active, once they are as `wanted`."""
    deadline = time.monotonic() + 60
    while True:
        found = requests.get(f"{alertmanager}/api/v2/alerts", params={"active": "true"}, timeout=10).json()
        found = [alert for alert in found if alert["labels"]["alertname"] == "TsfBreachSoon"]
        if wanted(found):
            return found
        assert time.monotonic() < deadline, found
        time.sleep(0.3)
