"""Alarms on real machines: python -m benchmarks.trace PATH/rnd_2013-8.parquet, the Bitbrains trace of 500 VMs.

A month in quarters of an hour: memory and processor in use, with what is provisioned as the limit and the line at 80 %
of it. The default recipe learns from all but the last two weeks. On the first of these threshold, `for` and gate are
chosen, with as many alarms as the production rule gives there for a budget; on the second all rules are judged.
Progress goes to stderr, tables to stdout; the last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from tsf.alarm.replay import Terms, find_breaches, replay, score
from tsf.alarm.rivals import PRODUCTION, History, default_rules, evaluate_rule
from tsf.learn import fit, fit_breach
from tsf.params import TaskParams
from tsf.series import SeriesSet, carried
from tsf.stages.alarm_replay import replay_alarms
from tsf.stages.alarms import OURS, AlarmReplay

STEP_SECONDS, DAY_SECONDS = 900, 86_400
COLUMNS = {"memory": ("mem_kb", "mem_cap_kb"), "processor": ("cpu_mhz", "cpu_cap_mhz")}
HOLDOUT_DAYS, CONTEXT_DAYS, HORIZON_HOURS, LINE = 14, 4, 6, 0.8
SHOWN = (OURS, PRODUCTION, "seasonal naive", "Brownian risk", "last value", "static 95 %")


def read_trace(path: Path, used: str, provisioned: str) -> SeriesSet:
    """The last sample of each quarter of an hour; a limit of 0 is none."""
    frame = pd.read_parquet(path, columns=["vm", "ts", used, provisioned])
    step = frame["ts"] // STEP_SECONDS
    steps = range(step.min(), step.max() + 1)
    values, limits = (
        frame[column].astype(float).groupby([frame["vm"], step]).last().unstack().reindex(columns=steps)
        for column in (used, provisioned)
    )
    names = np.array([f"vm-{vm}" for vm in values.index], object)
    limit = limits.where(limits > 0).to_numpy()
    return SeriesSet({"vm": names}, STEP_SECONDS * np.array(steps), STEP_SECONDS, values.to_numpy(), limit=limit)


def task_of(budget: float) -> TaskParams:
    """Defaults, but for what follows from the trace; no dimension, as names of machines say nothing."""
    return TaskParams.model_validate({
        "owner": "benchmark",
        "fetch": {"metric_query": "used", "limit": "provisioned", "step": f"{STEP_SECONDS}s"},
        "train": {
            "sequence_length": CONTEXT_DAYS * DAY_SECONDS // STEP_SECONDS,
            "prediction_steps": HORIZON_HOURS * 3_600 // STEP_SECONDS,
            "dimensions": [],
            "holdout": f"{HOLDOUT_DAYS}d",
            "bounds": [0, None],
        },
        "push": {"horizons": ["1h", f"{HORIZON_HOURS}h"]},
        "alert": {"line": LINE, "budget": budget},
    })  # fmt: skip


def production_alarms(series: SeriesSet) -> float:
    """How many alarms the production rule gives in the week that chooses."""
    task = task_of(1.0)
    held, alert = task.train.holdout // STEP_SECONDS, task.alert
    first = series.n_steps - held - 1
    early = series.between(0, first + held // 2)
    assert early.limit is not None
    horizon = task.train.prediction_steps
    history = History(early.values, carried(early.limit), STEP_SECONDS, alert.alert_line, horizon)
    terms = Terms(horizon, alert.act // STEP_SECONDS, first, alert.cost_false, alert.cost_miss, alert.cost_late)
    breaches = find_breaches(early.values, history.level, samples=task.train.breach_samples, rest_steps=horizon)
    rule = next(rule for rule in default_rules(history.line) if rule.name == PRODUCTION)
    outcome = replay(evaluate_rule(rule, history), breaches, terms)
    return score(outcome, terms, n_series=series.n_series, weeks=HOLDOUT_DAYS / 2 / 7, draws=1).weekly


def table(name: str, alarms: AlarmReplay) -> str:
    """A row per rule that says something."""
    lines = [f"| {name}, {alarms.scores[OURS].breaches} breaches | in time | too late | missed | false alarms |",
             "|---|---|---|---|---|"]  # fmt: skip
    for rule in SHOWN:
        one = alarms.scores[rule]
        lines.append(f"| {rule} | {one.met} | {one.met_late} | {one.missed} | {one.false} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    options = argparse.ArgumentParser(description="Alarms on real machines.")
    options.add_argument("trace", type=Path)
    options.add_argument("--threads", type=int, default=torch.get_num_threads())
    options.add_argument("--budget", type=float, help="alarms a week, in place of the production rule's")
    chosen = options.parse_args()
    torch.set_num_threads(chosen.threads)
    result = {}
    for name, columns in COLUMNS.items():
        series = read_trace(chosen.trace, *columns)
        budget = chosen.budget or production_alarms(series)
        task = task_of(budget)
        teach = series.between(0, series.n_steps - task.train.holdout // STEP_SECONDS)
        sys.stderr.write(f"{name}: training, with a budget of {budget:.0f} alarms a week\n")
        alarms = replay_alarms(task, series, fit_breach(fit(teach, task.train), teach))
        assert alarms is not None
        sys.stderr.write(f"{alarms.summary}\n{alarms.verdict.sentence}\n")
        sys.stdout.write(table(name, alarms) + "\n")
        result[name] = {rule: asdict(one) for rule, one in alarms.scores.items()}
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
