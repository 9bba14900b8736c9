"""What the demo fleet looks like: `python -m benchmarks.fleet` prints the table of docs/demo-fleet.md.

The default fleet, 60 days hourly up to `snapshot.until`: how often and for how long each metric is at its line.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time

import numpy as np

from tsf.alarm.replay import Terms, find_breaches, replay, score
from tsf.alarm.rivals import PRODUCTION, History, default_rules, evaluate_rule
from tsf.io.demo import fetch_demo
from tsf.kinds import AlertLine, figure_text, share_text
from tsf.params import DemoParams, FetchParams, SnapshotParams
from tsf.series import SeriesSet

METRICS = {  # name -> metric, limit, line as a share of the limit
    "storage": ("storage_used_bytes", "storage_quota_bytes", 0.98),
    "GPU memory": ("gpu_memory_used", "gpu_memory_total", 0.98),
    "network": ("network_throughput", "network_capacity", 0.9),
    "CPU": ("cpu_usage_percent", 100.0, 0.9),
}
DAYS, HOURS_AHEAD = 60, 12
WEEKS = DAYS / 7


def read(demo: DemoParams, metric: str, limit: str | float) -> SeriesSet:
    """60 days of hours, with the limit."""
    fetch = FetchParams(metric_query=metric, limit=limit)
    return fetch_demo(demo, fetch, SnapshotParams().until_seconds, history_seconds=DAYS * 86_400)[0]


def figures(series: SeriesSet, line: float) -> list[str]:
    """A column of the table."""
    assert series.limit is not None
    share = series.values / series.limit
    full = np.pad(share >= line, ((0, 0), (1, 1)))
    change = np.diff(full.astype(int), axis=1)
    hours = np.sort(np.argwhere(change == -1)[:, 1] - np.argwhere(change == 1)[:, 1])
    apart = find_breaches(series.values, line * series.limit, rest_steps=HOURS_AHEAD)
    return [
        f"{series.n_series}", share_text(line), f"{len(hours) / WEEKS:.1f}", f"{len(apart.rows) / WEEKS:.1f}",
        f"{np.median(hours):.0f}, {hours[-1]}", figure_text((share >= line)[np.isfinite(share)].mean(), ".1%"),
    ]  # fmt: skip


def of_storage(series: SeriesSet) -> str:
    """How full, who comes and goes, what quotas do, and what the production rule makes of it."""
    assert series.limit is not None
    share, line = series.values / series.limit, METRICS["storage"][2]
    known, steps = np.isfinite(share), np.diff(series.limit, axis=1)
    most = ((share >= 0.85) & (share <= 0.95))[known].mean()
    low, middle, high = np.nanquantile(share, [0.05, 0.5, 0.95])
    history = History(series.values, series.limit, series.step_seconds, AlertLine(line), HOURS_AHEAD)
    rule = next(one for one in default_rules(history.line) if one.name == PRODUCTION)
    terms = Terms(horizon_steps=HOURS_AHEAD, act_steps=1)
    breaches = find_breaches(series.values, line * series.limit, rest_steps=HOURS_AHEAD)
    outcome = replay(evaluate_rule(rule, history), breaches, terms)
    said = score(outcome, terms, n_series=series.n_series, weeks=WEEKS)
    return (
        f"storage: {figure_text(most, '.0%')} of the samples between 85 and 95 % (quantiles 5, 50, 95 %: "
        f"{100 * low:.0f}, {100 * middle:.0f}, {100 * high:.0f} %); "
        f"{(~known[:, 0] & known[:, 72:].any(axis=1)).sum()} series start late, "
        f"{(~known[:, -1] & known[:, :-72].any(axis=1)).sum()} end early; quotas raised {(steps > 0).sum()} times, "
        f"lowered {(steps < 0).sum()} times\n{rule.name}: {said.weekly:.0f} alarms a week, "
        f"{figure_text(said.precision, '.0%')} true"
    )


def main() -> None:
    options = argparse.ArgumentParser(description="What the demo fleet looks like.")
    options.add_argument("--groups", type=int, default=DemoParams().groups)
    chosen = options.parse_args()
    demo = DemoParams(groups=chosen.groups)
    columns, about = {}, ""
    for name, (metric, limit, line) in METRICS.items():
        started = time.perf_counter()
        series = read(demo, metric, limit)
        sys.stderr.write(f"{name}: {series.n_series} series, {time.perf_counter() - started:.1f} s\n")
        columns[name] = figures(series, line)
        about = about or of_storage(series)  # storage is the first one
    heads = ["series", "line", "times a week there", "the same, once within 12 hours", "hours there: median, longest",
             "share of all samples"]  # fmt: skip
    print("| | " + " | ".join(columns) + " |\n" + "|---" * (1 + len(columns)) + "|")
    for number, head in enumerate(heads):
        print(f"| {head} | " + " | ".join(column[number] for column in columns.values()) + " |")
    print(about)
    print(f"memory at the peak: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MiB")


if __name__ == "__main__":
    main()
