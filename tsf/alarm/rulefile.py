"""The Prometheus rule file of a task, and the cases by which promtool tests it, as text."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["RuleTerms", "rule_file", "rule_tests"]


@dataclass(frozen=True)
class RuleTerms:
    """What the rules of a task say. task: its name, a-z, 0-9 and _ alone. horizon: label value of the forecast, `24h`.

    threshold: breach probability from which on it fires; for_text: for how long, as a Prometheus duration.
    old_seconds: age from which on a forecast counts for nothing. labels: those that name a series. query: the task's
    metric; its largest users are named in the alert where `labels` has group and user.
    """

    task: str
    horizon: str
    threshold: float
    for_text: str = "0s"
    old_seconds: int = 3_600
    owner: str = ""
    runbook: str = ""
    labels: Sequence[str] = ()
    query: str = ""
    abstained_share: float = 0.2


def rule_file(terms: RuleTerms) -> str:
    """Recording and alerting rules as YAML; all text from outside is quoted, and no template runs inside it."""
    t, fresh = terms.task, f"task:tsf_forecast_fresh:bool{{task={_quoted(terms.task)}}} == 1"
    chance = f"tsf_breach_probability_ratio{{task={_quoted(t)}, horizon={_quoted(terms.horizon)}}}"
    issued = f"tsf_forecast_issued_timestamp_seconds{{task={_quoted(t)}}}"
    soon = f"{chance} >= {terms.threshold:g} and on (task) {fresh}"
    names = ", ".join(f"{{{{ $labels.{name} }}}}" for name in terms.labels) or "the series"
    summary = (
        f"{names}: the limit is reached within {terms.horizon} with a chance of {{{{ $value | humanizePercentage }}}}"
    )
    records = [
        ("task:tsf_forecast_fresh:bool", f"time() - max by (task) ({issued}) < bool {terms.old_seconds}"),
        ("task:tsf_series_at_risk:count", f"count by (task) ({soon}) or on () 0 * max by (task) ({issued})"),
        ("task:tsf_abstained:ratio", _abstained(t, chance)),
    ]
    alerts = [
        _alert(terms, "TsfBreachSoon", soon, terms.for_text, "ticket", summary, _contributors(terms)),
        _alert(terms, "TsfForecastStale", f"task:tsf_forecast_fresh:bool{{task={_quoted(t)}}} == 0", "15m", "ticket",
               f"No new forecast of the task {t} for {terms.old_seconds} s: see tsf doctor and the reports"),
        _alert(terms, "TsfForecastMissing", f"absent({issued})", "15m", "ticket",
               f"There is no forecast of the task {t}: is tsf push scheduled, and is its gateway scraped?"),
        _alert(terms, "TsfAbstains", f"task:tsf_abstained:ratio{{task={_quoted(t)}}} > {terms.abstained_share:g}", "1h",
               "ticket", "{{ $value | humanizePercentage }} of the series of the task " + t + " have no forecast"),
    ]  # fmt: skip
    lines = ["# Made by tsf from params.yaml and the replay of the last evaluation. Changes are lost.", "groups:"]
    lines += [f"  - name: tsf_{t}", "    rules:"]
    for name, expression in records:
        lines += [f"      - record: {name}", f"        expr: {json.dumps(expression)}"]
    return "\n".join([*lines, *(line for alert in alerts for line in alert)]) + "\n"


def rule_tests(terms: RuleTerms, rules_name: str) -> str:
    """Cases for `promtool test rules`: a likely breach fires once it has held; an unlikely or an old one does not."""
    high, low = min(terms.threshold + 0.01, 1.0), terms.threshold / 2
    labels = f'task="{terms.task}",horizon="{terms.horizon}"'
    own = {name: f"{name}-a" for name in terms.labels}
    inside = "".join(f',{name}="{value}"' for name, value in own.items())
    other = "".join(f',{name}="{name}-b"' for name in terms.labels)
    hold = terms.for_text if terms.for_text != "0s" else "1m"
    likely = [(f"tsf_breach_probability_ratio{{{labels}{inside}}}", f"{high:g}x9000")]
    if terms.labels:
        likely.append((f"tsf_breach_probability_ratio{{{labels}{other}}}", f"{low:g}x9000"))
    issued = f'tsf_forecast_issued_timestamp_seconds{{task="{terms.task}"}}'
    firing = f'count(ALERTS{{alertname="NAME",alertstate="firing",task="{terms.task}"}}) or vector(0)'
    stale = f"{terms.old_seconds // 60 + 16}m"
    first = 1 if terms.for_text == "0s" else 0
    fresh = [("TsfBreachSoon", "0m", first), ("TsfBreachSoon", hold, 1), ("TsfForecastStale", stale, 0)]
    old = [("TsfBreachSoon", stale, 0), ("TsfForecastStale", stale, 1)]
    lines = [f"rule_files: [{json.dumps(rules_name)}]", "evaluation_interval: 1m", "tests:"]
    for title, inputs, cases in (
        ("a likely breach fires once it has held, an unlikely one does not", [*likely, (issued, "0+60x9000")], fresh),
        ("nothing fires on an old forecast, which is noticed", [*likely, (issued, "0x9000")], old),
        ("a forecast that was never there is noticed", [], [("TsfForecastMissing", "20m", 1)]),
    ):
        lines += [f"  - name: {title}", "    interval: 1m"] + ["    input_series:"] * bool(inputs)
        lines += [f"      - {{series: {_yaml(name)}, values: {_yaml(values)}}}" for name, values in inputs]
        lines.append("    promql_expr_test:")
        for alert, moment, count in cases:
            expression = _yaml(firing.replace("NAME", alert))
            expected = f"exp_samples: [{{labels: '{{}}', value: {count}}}]"
            lines.append(f"      - {{expr: {expression}, eval_time: {moment}, {expected}}}")
    return "\n".join(lines) + "\n"


def _alert(
    terms: RuleTerms, name: str, expression: str, wait: str, severity: str, summary: str, contributors: str = ""
) -> list[str]:
    notes = {"summary": summary, "owner": _literal(terms.owner), "runbook_url": _literal(terms.runbook)}
    notes |= {"contributors": contributors}
    lines = [f"      - alert: {name}", f"        expr: {json.dumps(expression)}", f"        for: {wait}"]
    lines += [
        "        labels:",
        f"          severity: {severity}",
        f"          task: {terms.task}",
        "        annotations:",
    ]
    return [*lines, *(f"          {key}: {json.dumps(text)}" for key, text in notes.items() if text)]


def _abstained(task: str, chance: str) -> str:
    silent = f"sum by (task) (tsf_abstained_series{{task={_quoted(task)}}})"
    return f"{silent} / ({silent} + (count by (task) ({chance}) or on () 0 * {silent}))"


def _contributors(terms: RuleTerms) -> str:
    """A template that names the three largest users of the alert's group, read by Prometheus when it fires."""
    if not {"group", "user"} <= set(terms.labels) or not terms.query:
        return ""
    risk = f'tsf_breach_probability_ratio{{task="{terms.task}",group=%q}}'
    wanted = f"topk(3, sum by (user) (({terms.query.replace('%', '%%')}) and on (group) {risk}))"
    return (
        f"{{{{ with printf {json.dumps(wanted)} $labels.group | query }}}}{{{{ range . }}}}"
        "{{ .Labels.user }} {{ .Value | humanize1024 }} {{ end }}{{ end }}"
    )


def _literal(text: str) -> str:
    """Text that a Go template shows as it stands."""
    return text.replace("{{", "{{`{{`}}") if "{{" in text else text


def _quoted(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)


def _yaml(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
