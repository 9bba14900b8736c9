"""A protocol of sets that no choice of the recipe was made on: python benchmarks/score.py benchmarks/unseen.py.

The groups of the Numenta Anomaly Benchmark beside AWS (travel times, tweets, known failures) by five minutes and, all
groups, by hours; processor, memory and network of 150 virtual machines of the Bitbrains trace. TSF_BENCH names the
folder of the other protocols, whose `scoring.py` and data these are. `rivals.py` scores others on it, with
`--trainings 6`.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import Any

import numpy as np
import pandas as pd

if "TSF_BENCH" not in os.environ:
    sys.exit("error: TSF_BENCH is not set; name the folder with scoring.py and the other protocols")
sys.path.insert(0, os.environ["TSF_BENCH"])
scoring = import_module("scoring")

MACHINES, MOST_HOURS, MOST_STEPS = 150, 800, 6_000
OTHERS = ("realKnownCause", "realTraffic", "realTweets")
SETS = {  # name -> (source, column or groups, step in seconds, horizon, origins)
    "NAB beside AWS, 5 minutes": ("nab", OTHERS, 300, 72, 8),
    "NAB, hours": ("nab", (*OTHERS, "realAWSCloudwatch", "realAdExchange"), 3_600, 24, 5),
    "processors, hours": ("bitbrains", "cpu_mhz", 3_600, 24, 6),
    "processors, 5 minutes": ("bitbrains", "cpu_mhz", 300, 72, 6),
    "memory, hours": ("bitbrains", "mem_kb", 3_600, 24, 6),
    "network, quarters of an hour": ("bitbrains", "net_rx_kbs", 900, 24, 8),
}


def nab(groups: tuple[str, ...], step: int) -> pd.DataFrame:
    """A row per series that is sampled as often as that; means over the step, aligned at the end."""
    frame = pd.read_parquet(f"{scoring.DATA}/nab/nab_real.parquet")
    kept = frame[frame["group"].isin(groups)]
    found = []
    for _, one in kept.groupby("series"):
        seconds = one["ts"].to_numpy("datetime64[s]").astype(np.int64)
        if np.median(np.diff(np.sort(seconds))) <= 1.5 * step:
            means = one["y"].groupby(seconds // step).mean()
            found.append(means.reindex(range(means.index.min(), means.index.max() + 1)).to_numpy(float))
    longest = max(map(len, found))
    return pd.DataFrame([np.pad(one, (longest - len(one), 0), constant_values=np.nan) for one in found])


def bitbrains(column: str, step: int) -> pd.DataFrame:
    """A row per machine that is nearly always there and not constant; means over the step."""
    frame = pd.read_parquet(f"{scoring.DATA}/bitbrains_rnd/rnd_2013-8.parquet", columns=["vm", "ts", column])
    table = frame[column].astype(float).groupby([frame["vm"], frame["ts"] // step]).mean().unstack()
    table = table.reindex(columns=range(table.columns.min(), table.columns.max() + 1))
    return table[(table.notna().mean(axis=1) > 0.9) & (table.std(axis=1) > 0)].head(MACHINES)


def evaluate(forecast_fn: Any) -> dict[str, Any]:
    """Set -> its scores; the WQL of NAB is the mean over its series, as their units differ."""
    results = {}
    for name, (source, what, step, horizon, origins) in SETS.items():
        table = {"nab": nab, "bitbrains": bitbrains}[source](what, step)
        values = table.iloc[:, -(MOST_HOURS if step == 3_600 else MOST_STEPS) :].to_numpy()
        groups = None if source == "nab" else np.zeros(len(values), int)
        season = 86_400 // step
        results[name] = scoring.rolling_evaluate(
            values, horizon, origins, season, forecast_fn, step_s=step, groups=groups
        )
    return results
