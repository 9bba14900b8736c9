"""Each rule does what its expression does on a real Prometheus, and sees nothing of the future."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import requests
from numpy.typing import NDArray

from tests.servers import OpenMetric, left_open, openmetrics, run_promtool, running_prometheus
from tsf.alarm.rivals import History, Rule, breach_rule, default_rules, evaluate_rule, rolling_linear
from tsf.kinds import AlertLine
from tsf.learn import predict_linear
from tsf.series import SeriesSet

STEP, START = 3_600, 1_700_006_400
STEPS = 24 * 12
LINE = AlertLine(0.98)
RULES = {rule.name: rule for rule in default_rules(LINE)}
PROMQL = [rule for rule in RULES.values() if rule.promql]
LEFT = AlertLine(0.98, 1.2e11)  # binds where the limit is below 6e12; of the smallest one nothing may be used


def quotas(n: int = 12, steps: int = STEPS, seed: int = 3) -> History:
    """Series that fill, burst, are cleaned, stand still and have gaps, with limits that change."""
    rng = np.random.default_rng(seed)
    used = 0.7 + np.cumsum(rng.normal(0, 0.012, (n, steps)) + 0.08 * (rng.random((n, steps)) < 0.02), axis=1)
    used -= np.maximum.accumulate(np.maximum(used - 1.0, 0.0), axis=1)  # cleaned when full
    used[0] = 0.97  # constant
    limit = np.full((n, steps), 2e12)
    limit[3, steps // 2 :] = 1.9e12
    used[rng.random((n, steps)) < 0.06] = np.nan
    used[4, 60:80] = np.nan
    return History(np.round(used * 2e12), limit, STEP, LINE, 24)


def metrics(history: History) -> dict[str, NDArray[np.float64]]:
    with np.errstate(divide="ignore", invalid="ignore"):
        share = history.used / history.limit
    return {"used": history.used, "limit": history.limit, "share": share, "free": history.limit - history.used}


@pytest.mark.parametrize("line", [LINE, LEFT], ids=["a share of the limit", "or what is left of it"])
def test_every_rule_in_promql_holds_where_a_real_prometheus_says_so(tmp_path: Path, line: AlertLine) -> None:
    history = replace(quotas(), line=line, left_open=left_open())
    scale = np.array([1, 1, 1, 1, 1, 1, 1, 1, 1, 4, 5, 0.05])[:, None]  # the amount is as much for large and small ones
    history = replace(history, used=scale * history.used, limit=scale * history.limit)
    times = START + STEP * np.arange(STEPS)
    samples = openmetrics(*(
        OpenMetric(name, {"series": f"{row:02d}"}, times[seen].tolist(), values[row, seen].tolist())
        for name, values in metrics(history).items()
        for row, seen in enumerate(np.isfinite(values))
    ))  # fmt: skip
    with running_prometheus(tmp_path, samples=samples) as server:
        for rule in filter(lambda rule: rule.promql, default_rules(line)):
            reply = requests.post(
                f"{server.url}/api/v1/query_range",
                data={"query": rule.promql, "start": int(times[0]), "end": int(times[-1]), "step": STEP},
                timeout=60,
            )
            said = np.zeros(history.used.shape, bool)
            for series in reply.json()["data"]["result"]:
                moments = np.array([int(moment) for moment, _ in series["values"]])
                said[int(series["metric"]["series"]), (moments - START) // STEP] = True
            assert (rule.condition(history) == said).all(), rule.name
            assert said.any() or rule.name == "kubernetes-mixin, under 3 % free", rule.name


def test_for_is_honoured_as_prometheus_does(tmp_path: Path) -> None:
    """promtool runs the same rules with their `for` over the same samples and expects exactly our firings."""
    history = replace(quotas(n=5, steps=120, seed=5), left_open=left_open("promtool"))
    rules = [rule for rule in PROMQL if rule.name != "last value"]
    (tmp_path / "rules.yml").write_text(
        "groups:\n  - name: rivals\n    rules:\n"
        + "".join(
            f"      - alert: R{number}\n        expr: {rule.promql}\n        for: {rule.for_seconds}s\n"
            for number, rule in enumerate(rules)
        )
    )
    lines = ["rule_files: [rules.yml]", "evaluation_interval: 1h", "tests:", "  - interval: 1h", "    input_series:"]
    for name, values in metrics(history).items():
        for row, column in enumerate(values):
            text = " ".join(repr(float(v)) if np.isfinite(v) else "_" for v in column)
            lines.append(f"      - {{series: '{name}{{series=\"{row}\"}}', values: '{text}'}}")
    lines.append("    promql_expr_test:")
    count = 0
    for number, rule in enumerate(rules):
        fires = evaluate_rule(rule, history)
        for step in range(120):
            firing = np.flatnonzero(fires[:, step]).tolist()
            count += len(firing)
            head = f'ALERTS{{alertname="R{number}", alertstate="firing"'
            expected = ", ".join(f"{{labels: '{head}, series=\"{row}\"}}', value: 1}}" for row in firing)
            lines.append(f"      - {{expr: '{head}}}', eval_time: {step}h, exp_samples: [{expected}]}}")
    (tmp_path / "tests.yml").write_text("\n".join(lines) + "\n")
    done = run_promtool("test", "rules", str(tmp_path / "tests.yml"))
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert count > 100


@pytest.mark.parametrize("window", [6 * STEP, 12 * STEP])
@pytest.mark.parametrize("opened", [False, True])
def test_rolling_predict_linear_is_the_one_of_the_baselines_at_every_step(window: int, opened: bool) -> None:
    values = quotas().used
    labels = {"series": np.array([str(row) for row in range(len(values))], object)}
    series = SeriesSet(labels, START + STEP * np.arange(STEPS), STEP, values)
    rolling = rolling_linear(values, STEP, window, 6 * STEP, left_open=opened)
    baseline = predict_linear(window, [0.5], left_open=opened)
    for step in range(0, STEPS, 7):
        once = baseline(series.between(0, step + 1), 6).quantiles[:, -1, 0]
        np.testing.assert_allclose(rolling[:, step], once, rtol=1e-9)


@pytest.mark.parametrize("rule", [*RULES.values(), breach_rule(0.6, 7_200, 0.5)], ids=lambda rule: rule.name)
def test_no_rule_sees_the_future(rule: Rule) -> None:
    history = with_forecasts(quotas())
    cut = 200
    early = {name: getattr(history, name)[:, :cut] for name in ("used", "limit", "chance", "middle", "upper")}
    short = History(**early, step_seconds=STEP, line=LINE, horizon_steps=24)
    assert (evaluate_rule(rule, short) == evaluate_rule(rule, history)[:, :cut]).all()


@pytest.mark.parametrize("rule", [*RULES.values(), breach_rule(0.6, 7_200, 0.5)], ids=lambda rule: rule.name)
def test_every_rule_fires_on_what_it_is_for(rule: Rule) -> None:
    """A quota that fills up steadily, every day or every week, right up to the line."""
    period = 24 if rule.name == "climatology" else 168
    steps = np.arange(3 * 168)
    saw = 0.6 + 0.42 * (steps % period) / (period - 1)
    history = with_forecasts(History(saw[None] * 1e12, np.full((1, len(steps)), 1e12), STEP, LINE, 24))
    assert evaluate_rule(rule, history)[0, -168:].any()
    calm = with_forecasts(History(np.full((1, 504), 0.5), np.ones((1, 504)), STEP, LINE, 24))
    assert not evaluate_rule(rule, calm).any()


def with_forecasts(history: History) -> History:
    chance = np.clip(np.nan_to_num(history.share), 0, 1) ** 8
    middle = history.used + 0.03 * history.limit
    upper = history.used * np.where(np.nan_to_num(history.share) > 0.95, 0.99, 1.1)
    return History(history.used, history.limit, STEP, LINE, 24, chance, middle, upper)


def test_our_rule_is_gated_by_the_newest_sample_there_is() -> None:
    used = np.array([[0.4, 0.7, np.nan, np.nan, 0.2, np.nan]])
    history = History(used, np.ones_like(used), STEP, LINE, chance=np.full_like(used, 0.9))
    assert evaluate_rule(breach_rule(0.8, gate=0.6), history)[0].tolist() == [False, True, True, True, False, False]
    assert not evaluate_rule(breach_rule(0.95, gate=0.6), history).any()


def test_mixin_rules_are_gated_by_utilisation() -> None:
    for rule in RULES.values():
        if match := re.search(r"free / limit < ([0-9.]+)", rule.promql):
            steep = 0.1 + 0.01 * np.arange(30)  # will be full in a day, but is nearly empty
            history = History(steep[None], np.ones((1, 30)), STEP, LINE)
            fires = evaluate_rule(rule, history)[0]
            assert not fires[1 - steep >= float(match[1])].any()


def test_the_first_sample_of_a_series_is_no_jump_from_nothing() -> None:
    used = np.full((1, 200), 0.7)
    used[:, :100] = np.nan
    history = History(used, np.ones_like(used), STEP, LINE, 24)
    assert not evaluate_rule(RULES["Brownian risk"], history).any()


@pytest.mark.parametrize("name", ["last value", "predict_linear 6h to 12h", "seasonal naive", "Brownian risk"])
def test_a_rule_meets_the_line_that_leaves_an_amount_as_it_meets_the_same_share(name: str) -> None:
    """Of limits of 2e12, 0.98 leaves 4e10."""
    history = quotas()
    limit = np.full(history.used.shape, 2e12)
    by_share = replace(history, limit=limit)
    by_left = replace(history, limit=limit, line=AlertLine(1.0, 4e10))
    fires = evaluate_rule(RULES[name], by_share)
    assert fires.any()
    assert (evaluate_rule(RULES[name], by_left) == fires).mean() > 0.999  # rounding may tell the two apart
    eager = evaluate_rule(RULES[name], replace(by_left, line=AlertLine(1.0, 4e11)))
    assert (eager >= fires).all()
    assert eager.sum() > fires.sum()
