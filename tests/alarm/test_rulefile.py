"""The rules that are shipped pass promtool, for every kind of task and whatever text stands in them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.servers import run_promtool
from tsf.alarm.rulecases import rule_tests
from tsf.alarm.rulefile import RuleTerms, rule_file
from tsf.kinds import horizon_text
from tsf.params import read_params

NASTY = 'a "quoted" {{ $labels.group }} \\ \n: # owner \U0001f98a \u2028 \x85 it\'s 100 %'
SHIPPED = read_params(Path(__file__).parents[2]).tasks


def terms_of(name: str) -> RuleTerms:
    """What the shipped task says, without a replay."""
    task = SHIPPED[name]
    return RuleTerms(
        task=name,
        horizons=[horizon_text(seconds) for seconds in task.push.horizons],
        gate=task.alert.gate,
        owner=task.owner,
        labels=task.train.dimensions,
        query=task.fetch.metric_query,
    )


def holds(folder: Path, terms: RuleTerms, inputs: Mapping[str, str], expected: Mapping[str, object]) -> None:
    """Let promtool test the rule file of `terms` on `inputs`, series -> values of each minute."""
    series = [{"series": name, "values": values} for name, values in inputs.items()]
    case = {"interval": "1m", "input_series": series, **expected}
    (folder / "task.yml").write_text(rule_file(terms), encoding="utf-8")
    with (folder / "test.yml").open("w", encoding="utf-8") as file:
        YAML().dump({"rule_files": ["task.yml"], "evaluation_interval": "1m", "tests": [case]}, file)
    done = run_promtool("test", "rules", str(folder / "test.yml"))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("terms", [
    *map(terms_of, SHIPPED),
    RuleTerms("held", ["6h"], threshold=0.9, for_text="2h", labels=("group", "user"), owner_labels=["group"]),
    RuleTerms("nasty", ["30m"], threshold=0.02, for_text="1h30m", gate=0.3, owner=NASTY,
              runbook="https://wiki.example/full", labels=("group", "user"), owner_labels=["group", "user"],
              query='x{a=~"b|c%", d=\'"\'}'),
    RuleTerms("null", ["1h"], limited=False, quantiles=[0.5]),
    RuleTerms("slow", ["6d"], gate=1.05, labels=("group",)),
    RuleTerms("wide", ["1h", "3h"], limited=False, labels=("n", "node"), quantiles=[0.05, 0.95]),
], ids=lambda terms: terms.task)  # fmt: skip
def test_promtool_accepts_the_rules_and_their_generated_cases(terms: RuleTerms, tmp_path: Path) -> None:
    (tmp_path / "task.yml").write_text(rule_file(terms), encoding="utf-8")
    (tmp_path / "test.yml").write_text(rule_tests(terms, "task.yml"), encoding="utf-8")
    for command in (("check", "rules", "--lint-fatal"), ("test", "rules")):
        done = run_promtool(*command, str(tmp_path / ("task.yml" if command[0] == "check" else "test.yml")))
        assert done.returncode == 0, done.stdout + done.stderr


def only(case: str, tests: str) -> str:
    """The generated cases without all but those whose title has `case`."""
    found = YAML(typ="safe").load(tests)
    found["tests"] = [one for one in found["tests"] if case in one["name"]]
    assert found["tests"]
    return json.dumps(found)


@pytest.mark.parametrize(("broken", "case"), [
    (lambda text: text.replace(" >= 0.5 and ignoring", " >= 0.9999 and ignoring"), "a likely breach"),
    (lambda text: text.replace("unless ignoring (horizon)", "and ignoring (horizon)"), "a likely breach"),
    (lambda text: text.replace("tsf_limit{task=\"cpu\"} >= 0.5", "tsf_limit{task=\"cpu\"} >= 0"), "far from"),
    (lambda text: text.replace("== 1'\n        for: 30m", "== 2'\n        for: 30m"), "stage that fails"),
    (lambda text: text.replace("offset 1h", "offset 9d"), "leave their interval"),
    (lambda text: text.replace("< bool 3600", "< bool 99999"), "old forecast"),
])  # fmt: skip
def test_the_generated_cases_notice_a_rule_that_is_wrong(broken, case: str, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    terms = terms_of("cpu")
    wrong = broken(rule_file(terms))
    assert wrong != rule_file(terms)
    (tmp_path / "test.yml").write_text(only(case, rule_tests(terms, "task.yml")), encoding="utf-8")
    for rules, code in ((wrong, 1), (rule_file(terms), 0)):
        (tmp_path / "task.yml").write_text(rules, encoding="utf-8")
        done = run_promtool("test", "rules", str(tmp_path / "test.yml"))
        assert done.returncode == code, done.stdout + done.stderr


def test_text_from_outside_stays_text() -> None:
    rules = YAML(typ="safe").load(rule_file(RuleTerms("gpu", owner=NASTY)))["groups"][0]["rules"]
    alerts = [rule for rule in rules if "alert" in rule]
    assert {alert["annotations"]["owner"] for alert in alerts} == {NASTY.replace("{{", "{{`{{`}}")}


@pytest.mark.parametrize(("query", "used", "told"), [
    ("storage_used_bytes", "2048", "2ki"),
    ("storage_used_inodes", "2048", "2.048k"),
    ("storage_used_ratio", "0.93", "93 %"),
])  # fmt: skip
def test_annotations_say_who_when_and_whose_with_hostile_labels(
    query: str, used: str, told: str, tmp_path: Path
) -> None:
    """promtool expands the templates as Prometheus does."""
    terms = RuleTerms("storage", labels=("group", "user"), owner="nobody", owner_labels=["group"], confidence=0.3,
                      query=query)  # fmt: skip
    group = 'a "b" {{ $labels.user }} \\ $1'
    escaped = group.replace("\\", "\\\\").replace('"', '\\"')
    series = f'group="{escaped}",user="ann"'
    inputs = {
        f'tsf_breach_probability_ratio{{task="storage",horizon="24h",{series}}}': "0.9x99",
        'tsf_forecast_issued_timestamp_seconds{task="storage"}': "0+60x99",
        f'tsf_limit_reached_timestamp_seconds{{task="storage",{series}}}': "40000x99",
        f'tsf_owner_info{{task="storage",group="{escaped}",owner="{{{{ Eve }}}}"}}': "1x99",
        f"{query}{{{series}}}": f"{used}x99",
    }
    expected = {
        "summary": f"{group}, ann: the limit is reached within 24h with a chance of 90 %",
        "owner": "{{ Eve }}",
        "expected": "in 10h 56m 40s, at a chance of 30 %",
        "contributors": f"ann {told} ",
    }
    labels = {"severity": "ticket", "task": "storage", "horizon": "24h", "group": group, "user": "ann"}
    alert = {"exp_labels": labels, "exp_annotations": expected}
    summary = f"{group}, ann: the limit is expected in 10h 56m 40s, at a chance of 30 %"
    near = {
        "exp_labels": {"severity": "info", "task": "storage", "group": group, "user": "ann"},
        "exp_annotations": {"summary": summary, "owner": "{{ Eve }}"},
    }
    holds(
        tmp_path,
        terms,
        inputs,
        {
            "alert_rule_test": [
                {"eval_time": "10m", "alertname": "TsfBreachSoon", "exp_alerts": [alert]},
                {"eval_time": "10m", "alertname": "TsfLimitNear", "exp_alerts": [near]},
            ]
        },
    )


def test_each_alert_names_its_own_series_and_time_whatever_labels_it_has(tmp_path: Path) -> None:
    """What was expected of a series, or what the parameters call its dimensions, may not be what it has."""
    inputs = {'tsf_forecast_issued_timestamp_seconds{task="disk"}': "0+60x99"}
    alerts = []
    for mount, seconds, time in (("/a", 4_200, "1h 0m 0s"), ("/b", 70_000, "19h 16m 40s")):
        series = f'instance="one:9100",job="tsf",mountpoint="{mount}"'
        inputs[f'tsf_breach_probability_ratio{{task="disk",horizon="24h",{series}}}'] = "0.9x99"
        inputs[f'tsf_limit_reached_timestamp_seconds{{task="disk",{series}}}'] = f"{seconds}x99"
        alerts.append({
            "exp_labels": {"severity": "ticket", "task": "disk", "horizon": "24h", "instance": "one:9100", "job": "tsf",
                           "mountpoint": mount},
            "exp_annotations": {
                "summary": f"one:9100, {mount}: the limit is reached within 24h with a chance of 90 %",
                "expected": f"in {time}, at a chance of 50 %",
            },
        })  # fmt: skip
    holds(
        tmp_path,
        RuleTerms("disk", labels=("group", "user")),
        inputs,
        {"alert_rule_test": [{"eval_time": "10m", "alertname": "TsfBreachSoon", "exp_alerts": alerts}]},
    )


def test_surprise_is_how_far_a_series_lies_outside_of_its_interval(tmp_path: Path) -> None:
    """In widths of the interval; what stands still, and so has none, is left out."""
    inputs = {'tsf_forecast_issued_timestamp_seconds{task="disk"}': "0+60x200"}
    intervals = {"inside": (1, 3, 2), "above": (1, 3, 9), "below": (5, 9, 1), "still": (2, 2, 3)}
    for name, (low, high, used) in intervals.items():
        own = f'job="tsf",mountpoint="{name}"'
        inputs[f'tsf_used{{task="disk",{own}}}'] = f"{used}x200"
        for level, value in ((0.1, low), (0.9, high)):
            inputs[f'tsf_forecast{{task="disk",horizon="1h",quantile="{level}",{own}}}'] = f"{value}x200"
    samples = [
        {"labels": f'{{task="disk", horizon="1h", job="tsf", mountpoint="{name}"}}', "value": value}
        for name, value in {"inside": 0, "above": 3, "below": 1}.items()
    ]
    asked = {"expr": 'sum without () ({__name__="series_horizon:tsf_surprise:ratio"})', "eval_time": "70m"}
    terms = RuleTerms("disk", horizons=("1h", "24h"), labels=("mountpoint",))
    holds(tmp_path, terms, inputs, {"promql_expr_test": [asked | {"exp_samples": samples}]})
