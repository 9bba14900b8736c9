"""The Prometheus rule file of a task as text: what it warns of, and what watches the forecasts themselves.

A series joins its parts by its own labels (`ignoring (horizon)`), never by a list of names: whatever labels a task's
series carry, all that was pushed for one of them matches.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from tsf.kinds import parse_duration, share_text, span_text
from tsf.units import unit_of

__all__ = ["RuleTerms", "rule_file"]

OLD_SECONDS = 3_600  # age from which on a forecast counts for nothing
ABSTAINED_SHARE, SHIFTED_SHARE = 0.2, 0.3  # of the series, from which on somebody should look
COVERAGE_OFF = 0.15  # points between an interval's share and its promise; less comes and goes by itself
AUDITED = "3d"  # over which it is averaged
ACROSS = "ignoring (horizon, quantile)"
PERCENT = 'humanizePercentage | reReplaceAll "%" " %"'  # of a template: 0.9 -> 90 %
SHARE = f"{{{{ $value | {PERCENT} }}}}"
FORMS = {"bytes": "humanize1024", "ratio": PERCENT}  # of values by their unit; others are counted in thousands


@dataclass(frozen=True)
class RuleTerms:
    """What the rules of a task say. task: its name, a-z, 0-9 and _ alone.

    horizons: label values of the forecast, `24h`, the longest last. limited: whether the task has a limit. threshold:
    breach probability from which on it fires; for_text: for how long, as a Prometheus duration. gate: share of the
    limit that must be in use, 0 for none. confidence: chance at which the time to the limit is given. quantiles: levels
    that are pushed, increasing. labels: those that a series is expected to have. query: the task's metric; its largest
    users are named in the alert where `labels` has group and user.
    owner: who is asked; owner_labels: those by which tsf_owner_info knows somebody better, if any.
    """

    task: str
    horizons: Sequence[str] = ("24h",)
    limited: bool = True
    threshold: float = 0.5
    for_text: str = "0s"
    gate: float = 0.0
    confidence: float = 0.5
    quantiles: Sequence[float] = (0.1, 0.5, 0.9)
    owner: str = ""
    owner_labels: Sequence[str] = ()
    runbook: str = ""
    labels: Sequence[str] = ()
    query: str = ""

    def metric(self, name: str, **labels: str) -> str:
        """A selector of what the task has pushed."""
        inside = "".join(f", {label}={_text(value)}" for label, value in labels.items())
        return f"{name}{{task={_text(self.task)}{inside}}}"

    @property
    def fresh(self) -> str:
        """True while the newest forecast is young enough."""
        return self.metric("task:tsf_forecast_fresh:bool") + " == 1"

    @property
    def soon(self) -> str:
        """The series that an alarm is about, with their chances."""
        chance = self.metric("tsf_breach_probability_ratio", horizon=self.horizons[-1])
        used = f"{self.metric('tsf_used')} / {self.metric('tsf_limit')} >= {self.gate:g}"
        gate = f" and ignoring (horizon) {used}" if self.gate > 0 else ""
        return f"{chance} >= {self.threshold:g}{gate} and on (task) {self.fresh}"


def rule_file(terms: RuleTerms) -> str:
    """Recording and alerting rules as YAML; all text from outside is quoted, and no template runs inside it."""
    lines = ["# Made by tsf from params.yaml and the replay of the model in use. Changes are lost.", "groups:"]
    lines += [f"  - name: tsf_{terms.task}", "    rules:"]
    for name, expression, labels in [*_breach_records(terms), *_watch_records(terms)]:
        lines += [f"      - record: {name}", f"        expr: {_yaml(expression)}"]
        lines += ["        labels:"] * bool(labels) + [f"          {key}: {value}" for key, value in labels.items()]
    alerts = [*(_breach_alerts(terms) if terms.limited else []), *_watch_alerts(terms)]
    return "\n".join([*lines, *(line for alert in alerts for line in alert)]) + "\n"


Record = tuple[str, str, dict[str, str]]


def _breach_records(terms: RuleTerms) -> list[Record]:
    issued = terms.metric("tsf_forecast_issued_timestamp_seconds")
    fresh: Record = (
        "task:tsf_forecast_fresh:bool",
        f"time() - max by (task) ({issued}) < bool {OLD_SECONDS}",
        {},
    )
    if not terms.limited:
        return [fresh]
    left = f"clamp_min({terms.metric('tsf_limit_reached_timestamp_seconds')} - time(), 0)"
    return [
        fresh,
        ("task:tsf_series_at_risk:count", f"count by (task) ({terms.soon}) or on () 0 * max by (task) ({issued})", {}),
        ("series:tsf_time_to_limit:seconds", f"{left} and on (task) {terms.fresh}", {}),
    ]


def _watch_records(terms: RuleTerms) -> list[Record]:
    """How many series have no forecast; and, per horizon, how the forecast of then fits what is now.

    For the shortest horizon also how far each series lies outside of its interval, in widths of that interval.
    """
    silent = f"sum by (task) ({terms.metric('tsf_abstained_series')})"
    told = f"(count by (task) ({terms.metric('tsf_used')}) or on () 0 * {silent})"
    records: list[Record] = [("task:tsf_abstained:ratio", f"{silent} / ({silent} + {told})", {})]
    used = terms.metric("tsf_used")
    for horizon in terms.horizons:

        def said(level: float, horizon: str = horizon) -> str:
            return f"({terms.metric('tsf_forecast', horizon=horizon, quantile=repr(level))} offset {horizon})"

        then = terms.metric("task:tsf_forecast_fresh:bool")
        valid = f" and on (task) {terms.fresh} and on (task) {then} offset {horizon} == 1"
        low, high = terms.quantiles[0], terms.quantiles[-1]
        if low < high:
            inside = f"({used} >= bool {ACROSS} {said(low)}) * ({used} <= bool {ACROSS} {said(high)})"
            records.append(
                ("task_horizon:tsf_forecast_coverage:ratio", f"avg by (task) ({inside}){valid}", {"horizon": horizon})
            )
            if horizon == terms.horizons[0]:
                beyond = f"clamp_min({used} - {ACROSS} {said(high)}, 0) + clamp_min({said(low)} - {ACROSS} {used}, 0)"
                wide = f"({said(high)} - ignoring (quantile) {said(low)} > 0)"
                surprise = f"({beyond}) / {ACROSS} {wide}{valid}"
                records.append(("series_horizon:tsf_surprise:ratio", surprise, {"horizon": horizon}))
        if 0.5 in terms.quantiles:
            off = f"abs({used} - {ACROSS} {said(0.5)})"
            error = f"sum by (task) ({off}) / sum by (task) (abs({used} and {ACROSS} {said(0.5)}))"
            if terms.limited:
                error = f"avg by (task) ({off} / {terms.metric('tsf_limit')})"
            records.append(("task_horizon:tsf_forecast_error:ratio", f"{error}{valid}", {"horizon": horizon}))
    return records


def _breach_alerts(terms: RuleTerms) -> list[list[str]]:
    """One alarm per series: a page if the breach may come before somebody is at work, else a ticket."""
    horizon = terms.horizons[-1]
    summary = f"{NAMES}: the limit is reached within {horizon} with a chance of {SHARE}"
    night = terms.metric("tsf_breach_before_work_probability_ratio") + f" >= {terms.threshold:g}"
    near = terms.metric("series:tsf_time_to_limit:seconds") + f" < {parse_duration(terms.horizons[0])}"
    sure = share_text(terms.confidence)
    when = f"{NAMES}: the limit is expected in {{{{ $value | humanizeDuration }}}}, at a chance of {sure}"
    owner = {"owner": _owner(terms)}
    more = owner | {"expected": _expected(terms), "contributors": _contributors(terms)}
    return [
        _alert(terms, "TsfBreachSoon", f"{terms.soon} unless ignoring (horizon) {night}", terms.for_text, "ticket",
               summary, more),
        _alert(terms, "TsfBreachSoon", f"{terms.soon} and ignoring (horizon) {night}", terms.for_text, "page",
               summary + ", and nobody is at work before", more),
        _alert(terms, "TsfLimitNear", near, terms.for_text, "info", when, owner),
    ]  # fmt: skip


def _watch_alerts(terms: RuleTerms) -> list[list[str]]:
    """The forecaster itself: old, absent, failing, silent, or wrong."""
    t, stage, off = terms.task, "{{ $labels.stage }}", terms.metric("task_horizon:tsf_forecast_coverage:ratio")
    old, issued = f"{terms.metric('task:tsf_forecast_fresh:bool')} == 0", "tsf_forecast_issued_timestamp_seconds"
    promised = terms.quantiles[-1] - terms.quantiles[0]
    alerts = [
        _alert(terms, "TsfForecastStale", old, "15m", "ticket",
               f"No new forecast of the task {t} for {span_text(OLD_SECONDS)}: see tsf doctor and the reports"),
        _alert(terms, "TsfForecastMissing", f"absent({terms.metric(issued)})", "15m", "ticket",
               f"There is no forecast of the task {t}: is tsf push scheduled, and is its gateway scraped?"),
        _alert(terms, "TsfForecasterFails", f"max by (task, stage) ({terms.metric('tsf_stage_failed')}) == 1", "30m",
               "ticket", f"{stage} of the task {t} fails: reports/{t}/{stage}.failed.ipynb says why"),
        _alert(terms, "TsfAbstains", f"{terms.metric('task:tsf_abstained:ratio')} > {ABSTAINED_SHARE:g}", "1h",
               "ticket", f"{SHARE} of the series of the task {t} have no forecast"),
    ]  # fmt: skip
    shifted = f"max by (task) ({terms.metric('tsf_shifted_series')}) / count by (task) ({terms.metric('tsf_used')})"
    alerts.append(
        _alert(terms, "TsfDrift", f"{shifted} > {SHIFTED_SHARE:g}", "1h", "ticket",
               f"{SHARE} of the series of the task {t} have left the range they had: "
               f"see reports/{t}/push.html, and train the task anew")
    )  # fmt: skip
    if promised > 0:
        alerts.append(_alert(
            terms, "TsfCoverageOff", f"abs(avg_over_time({off}[{AUDITED}]) - {promised:g}) > {COVERAGE_OFF:g}", "6h",
            "ticket", f"The {share_text(promised)} interval of the task {t}, {{{{ $labels.horizon }}}} ahead, is off "
            f"by {SHARE} over three days: train the task anew"))  # fmt: skip
    return alerts


def _alert(
    terms: RuleTerms,
    name: str,
    expression: str,
    wait: str,
    severity: str,
    summary: str,
    more: dict[str, str] | None = None,
) -> list[str]:
    notes = {"summary": summary, "owner": _literal(terms.owner), "runbook_url": _literal(terms.runbook), **(more or {})}
    return [
        f"      - alert: {name}",
        f"        expr: {_yaml(expression)}",
        f"        for: {wait}",
        "        labels:",
        f"          severity: {severity}",
        f"          task: {_yaml(terms.task)}",
        "        annotations:",
        *(f"          {key}: {_yaml(text)}" for key, text in notes.items() if text),
    ]


OWN = '{{ if not (eq $name "__name__" "horizon" "job" "task") }}'  # begins what is said of a series' own label
NAMES = (  # a template: the values of all labels that the series has, in the order of their names
    '{{ $all := "" }}{{ range $name, $value := $labels }}' + OWN + "{{ $all }}{{ $value }}"
    '{{ $all = ", " }}{{ end }}{{ end }}{{ if not $all }}the series{{ end }}'
)


def _owner(terms: RuleTerms) -> str:
    """A template that looks the owner of the series up; the task's where the map has none."""
    if not terms.owner_labels:
        return _literal(terms.owner)
    wanted = ",".join(f"{name}=%q" for name in terms.owner_labels)
    values = " ".join(f"$labels.{name}" for name in terms.owner_labels)
    asked = f"printf {_text(f'tsf_owner_info{{task={_text(terms.task)},{wanted}}}')} {values} | query"
    return (
        f'{{{{ with {asked} }}}}{{{{ . | first | label "owner" }}}}{{{{ else }}}}{_literal(terms.owner)}{{{{ end }}}}'
    )


def _expected(terms: RuleTerms) -> str:
    """A template that tells in what time the limit is expected, where it is in sight."""
    selector = terms.metric("series:tsf_time_to_limit:seconds")[:-1]
    return (
        f"{{{{ $asked := {_text(selector)} }}}}{{{{ range $name, $value := $labels }}}}{OWN}"
        '{{ $asked = printf "%s,%s=%q" $asked $name $value }}{{ end }}{{ end }}'
        '{{ with printf "%s} < Inf" $asked | query }}in {{ . | first | value | humanizeDuration }}'
        f"{{{{ else }}}}not in sight{{{{ end }}}}, at a chance of {share_text(terms.confidence)}"
    )


def _contributors(terms: RuleTerms) -> str:
    """A template that names the three largest users of the alert's group, read by Prometheus when it fires."""
    if not {"group", "user"} <= set(terms.labels) or not terms.query:
        return ""
    risk = f"tsf_breach_probability_ratio{{task={_text(terms.task)},group=%q}}"
    wanted = f"topk(3, sum by (user) (({terms.query.replace('%', '%%')}) and on (group) {risk}))"
    amount = f"{{{{ .Value | {FORMS.get(unit_of(terms.query), 'humanize')} }}}}"
    return (
        f"{{{{ with printf {_text(wanted)} $labels.group | query }}}}{{{{ range . }}}}"
        f"{{{{ .Labels.user }}}} {amount} {{{{ end }}}}{{{{ end }}}}"
    )


def _literal(text: str) -> str:
    """Text that a Go template shows as it stands."""
    return text.replace("{{", "{{`{{`}}")


def _yaml(text: str) -> str:
    """A YAML string, in the quotes that leave the quotes of PromQL alone where that can be."""
    return "'" + text.replace("'", "''") + "'" if text.isprintable() else _text(text)


def _text(value: str) -> str:
    """A quoted string as PromQL, Go templates and YAML read it alike; JSON's pairs of surrogates are none of theirs."""
    quoted = json.dumps(value, ensure_ascii=False)
    return "".join(
        letter
        if letter.isprintable()
        else f"\\u{ord(letter):04x}"
        if ord(letter) < 0x10000
        else f"\\U{ord(letter):08x}"
        for letter in quoted
    )
