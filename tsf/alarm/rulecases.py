"""The cases by which `promtool test rules` tests a task's rule file: what must fire, what must not, and when."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tsf.alarm.rulefile import COVERAGE_OFF, OLD_SECONDS, RuleTerms
from tsf.kinds import parse_duration

__all__ = ["rule_tests"]

SPARE_MINUTES = 720  # of samples, beyond what a case waits for: the longest is the six hours of TsfCoverageOff


@dataclass(frozen=True)
class _Case:
    """inputs: series -> values. expected: (alert, severity or "", minute) -> how many fire."""

    title: str
    expected: Mapping[tuple[str, str, int], int]
    inputs: Mapping[str, str] = field(default_factory=dict)


def rule_tests(terms: RuleTerms, rules_name: str) -> str:
    """YAML for `promtool test rules`, of the rules in the file `rules_name` beside it."""
    cases = [*(_breach_cases(terms) if terms.limited else []), *_watch_cases(terms)]
    lines = [f"rule_files: ['{rules_name}']", "evaluation_interval: 1m", "tests:"]
    for case in cases:
        lines += [f"  - name: {case.title}", "    interval: 1m"] + ["    input_series:"] * bool(case.inputs)
        lines += [f"      - {{series: '{name}', values: '{values}'}}" for name, values in case.inputs.items()]
        lines.append("    promql_expr_test:")
        for (alert, severity, minute), count in case.expected.items():
            only = f',severity="{severity}"' if severity else ""
            firing = f'count(ALERTS{{alertname="{alert}",alertstate="firing",task="{terms.task}"{only}}}) or vector(0)'
            expected = f"exp_samples: [{{labels: '{{}}', value: {count}}}]"
            lines.append(f"      - {{expr: '{firing}', eval_time: {minute}m, {expected}}}")
    return "\n".join(lines) + "\n"


def _breach_cases(terms: RuleTerms) -> list[_Case]:
    held, stale = _minutes(terms.for_text), OLD_SECONDS // 60 + 16
    here, there = _series(terms, "a"), _series(terms, "b")
    fresh = {_named(terms, "tsf_forecast_issued_timestamp_seconds"): _rising(terms)}
    likely = _state(terms, here, chance=min(terms.threshold + 0.01, 1.0), used=max(terms.gate, 1.0))
    other = _state(terms, there, chance=terms.threshold / 2, used=max(terms.gate, 1.0)) if here != there else {}
    empty = _state(terms, here, chance=1.0, used=terms.gate / 2)
    night = {_named(terms, "tsf_breach_before_work_probability_ratio", here): _flat(terms, 1)}
    far = {_named(terms, "tsf_limit_reached_timestamp_seconds", here): _flat(terms, 1e9)}
    soon = {_named(terms, "tsf_limit_reached_timestamp_seconds", here): _flat(terms, 60)}
    cases = [
        _Case("a likely breach is a ticket once it has held; an unlikely one is not", {
            ("TsfBreachSoon", "ticket", 0): int(not held), ("TsfBreachSoon", "ticket", held): 1,
            ("TsfBreachSoon", "page", held): 0, ("TsfLimitNear", "", held): 0, ("TsfForecastStale", "", stale): 0,
        }, {**likely, **other, **far, **fresh}),
        _Case("it is a page if nobody is at work before", {
            ("TsfBreachSoon", "page", held): 1, ("TsfBreachSoon", "ticket", held): 0,
        }, {**likely, **night, **fresh}),
        _Case("the limit is near", {("TsfLimitNear", "info", held): 1}, {**soon, **fresh}),
        _Case("nothing fires on an old forecast, which is noticed", {
            ("TsfBreachSoon", "", stale): 0, ("TsfLimitNear", "", stale): 0, ("TsfForecastStale", "", stale): 1,
        }, {**likely, **night, **soon, _named(terms, "tsf_forecast_issued_timestamp_seconds"): _flat(terms, 0)}),
    ]  # fmt: skip
    if terms.gate > 0:
        cases.append(_Case("a series that is far from its limit does not fire", {("TsfBreachSoon", "", held): 0},
                           {**empty, **fresh}))  # fmt: skip
    return cases


def _watch_cases(terms: RuleTerms) -> list[_Case]:
    fresh = {_named(terms, "tsf_forecast_issued_timestamp_seconds"): _rising(terms)}
    failed, fine = (
        {_named(terms, "tsf_stage_failed", f',stage="{stage}"'): _flat(terms, failed)}
        for stage, failed in (("push", 1), ("train", 0))
    )
    told = {_named(terms, "tsf_used", _series(terms, "a")): _flat(terms, 1)}
    few, many = ({_named(terms, "tsf_abstained_series", ',reason="too old"'): _flat(terms, count)} for count in (0, 9))
    cases = [
        _Case("a forecast that was never there is noticed", {("TsfForecastMissing", "", 20): 1}),
        _Case("a stage that fails is noticed, one that works is not",
              {("TsfForecasterFails", "", 20): 0, ("TsfForecasterFails", "", 31): 1}, {**failed, **fine, **fresh}),
        _Case("many series without a forecast are noticed", {("TsfAbstains", "", 61): 1}, {**told, **many, **fresh}),
        _Case("a forecast for every series is fine", {("TsfAbstains", "", 61): 0}, {**told, **few, **fresh}),
    ]  # fmt: skip
    for title, count, fires in (("a fleet that changed is noticed", 1, 1), ("one that did not is fine", 0, 0)):
        shifted = {_named(terms, "tsf_shifted_series"): _flat(terms, count)}
        cases.append(_Case(title, {("TsfDrift", "", 61): fires}, {**told, **shifted, **fresh}))
    if terms.quantiles[-1] - terms.quantiles[0] > COVERAGE_OFF:
        cases += [_audit_case(terms, "values that leave their interval are noticed", 0, 1),
                  _audit_case(terms, "an interval that keeps what it promises is fine", 10, 0)]  # fmt: skip
    return cases


def _audit_case(terms: RuleTerms, title: str, right: int, fires: int) -> _Case:
    """Ten series, of which `right` tenths of what is promised lie inside their interval, 1 to 3."""
    low, high, horizon = terms.quantiles[0], terms.quantiles[-1], terms.horizons[0]
    inside = round(right * (high - low))
    inputs = {_named(terms, "tsf_forecast_issued_timestamp_seconds"): _rising(terms)}
    for number in range(10):
        here = _series(terms, "a") + f',job="{number}"'  # which no series has as a label of its own
        inputs[_named(terms, "tsf_used", here)] = _flat(terms, 2 if number < inside else 9)
        for level, value in ((low, 1), (high, 3)):
            said = f',horizon="{horizon}",quantile="{level!r}"'
            inputs[_named(terms, "tsf_forecast", here + said)] = _flat(terms, value)
    wait = _minutes(horizon) + 6 * 60 + 2
    return _Case(title, {("TsfCoverageOff", "", wait): fires}, inputs)


def _state(terms: RuleTerms, here: str, chance: float, used: float) -> dict[str, str]:
    """One series with its chance, in use to the share `used`, and somebody at work."""
    return {
        _named(terms, "tsf_breach_probability_ratio", f',horizon="{terms.horizons[-1]}"{here}'): _flat(terms, chance),
        _named(terms, "tsf_breach_before_work_probability_ratio", here): _flat(terms, 0),
        _named(terms, "tsf_used", here): _flat(terms, used),
        _named(terms, "tsf_limit", here): _flat(terms, 1),
    }


def _series(terms: RuleTerms, which: str) -> str:
    return "".join(f',{name}="{name}-{which}"' for name in terms.labels)


def _named(terms: RuleTerms, metric: str, labels: str = "") -> str:
    return f'{metric}{{task="{terms.task}"{labels}}}'


def _minutes(duration: str) -> int:
    """Whole minutes of a Prometheus duration, rounded up."""
    return -(-parse_duration(duration) // 60) if duration != "0s" else 0


def _flat(terms: RuleTerms, value: float) -> str:
    """Samples of one value, each minute."""
    return f"{value:g}x{_long(terms)}"


def _rising(terms: RuleTerms) -> str:
    """Samples that are the time, each minute."""
    return f"0+60x{_long(terms)}"


def _long(terms: RuleTerms) -> int:
    """Minutes of samples: more than any case looks at."""
    return max(_minutes(terms.for_text), OLD_SECONDS // 60, _minutes(terms.horizons[0])) + SPARE_MINUTES
