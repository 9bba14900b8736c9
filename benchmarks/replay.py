"""How long the replay of every rule takes: python benchmarks/replay.py [--series 5000] [--weeks 8].

Simulated quotas of hourly samples with gaps; every rule, ours with a random probability, is evaluated at every step and
judged, with bootstrap intervals. Beside it stands what one plain pass over the same samples costs (a sum per window of
13 steps), so that the ratio travels between machines. Fails if all rules take more than 60 s.
"""

from __future__ import annotations

import argparse
import sys
import time

import numpy as np

from tsf.alarm.replay import Terms, find_breaches, replay, score
from tsf.alarm.rivals import History, breach_rule, default_rules, evaluate_rule
from tsf.kinds import AlertLine

BOUND_SECONDS = 60.0


def simulated(n: int, steps: int, seed: int = 0) -> History:
    """Quotas that fill up in bursts and are cleaned now and then, with gaps."""
    rng = np.random.default_rng(seed)
    bursts = rng.exponential(0.02, (n, steps)) * (rng.random((n, steps)) < 0.1)
    cleaned = np.where(rng.random((n, steps)) < 0.01, rng.uniform(0.05, 0.2, (n, steps)), 0.0)
    used = np.empty((n, steps))
    level = rng.uniform(0.5, 0.95, n)
    for step in range(steps):
        level = np.clip(level + bursts[:, step] - cleaned[:, step], 0.05, 1.0)
        used[:, step] = level
    used[rng.random((n, steps)) < 0.02] = np.nan
    chance = np.clip(used**8 + rng.normal(0, 0.05, (n, steps)), 0, 1)
    limit, line = np.full((n, steps), 1e12), AlertLine(0.98)
    return History(used * 1e12, limit, 3_600, line, 24, chance, used * 1e12, used * 1.1e12)


def main() -> int:
    """Print a line per rule and the sums; 1 if the bound is broken."""
    options = argparse.ArgumentParser(description="How long the replay of every rule takes.")
    options.add_argument("--series", type=int, default=5_000)
    options.add_argument("--weeks", type=int, default=8)
    chosen = options.parse_args()
    history = simulated(chosen.series, chosen.weeks * 168)
    started = time.perf_counter()
    sums = np.lib.stride_tricks.sliding_window_view(history.used, 13, axis=1).sum(2)
    plain = time.perf_counter() - started
    terms = Terms(horizon_steps=24, act_steps=2)
    started = time.perf_counter()
    breaches = find_breaches(history.used, 0.98 * history.limit, rest_steps=24)
    for rule in (breach_rule(0.5, 3_600), *default_rules(AlertLine(0.98))):
        since = time.perf_counter()
        said = score(
            replay(evaluate_rule(rule, history), breaches, terms), terms, n_series=chosen.series, weeks=chosen.weeks
        )
        sys.stdout.write(
            f"{rule.name:45s} {time.perf_counter() - since:6.2f} s  {said.alarms:8,} alarms  precision "
            f"{said.precision:.2f}  recall {said.recall:.2f}\n"
        )
    seconds = time.perf_counter() - started
    sys.stdout.write(
        f"{chosen.series:,} series x {chosen.weeks} weeks, {sums.shape[1]:,} windows: {seconds:.1f} s in all, "
        f"{seconds / plain:.0f} times one plain pass; at most {BOUND_SECONDS:.0f} s\n"
    )
    return int(seconds > BOUND_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
