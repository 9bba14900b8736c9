"""What could be known: python -m benchmarks.oracle PATH/protocol_breach.py PATH/TRACE.parquet.

The breach head learns from the days before the judged ones. Each oracle here may learn from the judged days themselves,
of all VMs but the fifth that it is asked about, so it knows how that time was different, and differs by what it sees:

    same      the inputs of the head
    past      also processor and network of the VM up to the origin, as past covariates would give them
    future    also processor and network of the hours ahead, which nobody has when the alarm must ring

Where `same` is hardly better than the head, no better learning of these inputs helps; where `past` is not better than
`same`, covariates do not. The file systems, four to seven of which ever meet a line, are too few to be asked about each
other: there a logistic regression, `weighed`, learns on the very windows that it is judged by how much the head, the
protocol's rivals and the distance to the line should count. Scores are the protocol's. The last line of stdout is JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression

from benchmarks.rivals import load_protocol
from benchmarks.score import TsfForecast, series_with_limit
from tsf.learn.breach import corrected
from tsf.learn.breach_inputs import anchors, breach_features, logit, past_of, season_steps
from tsf.learn.forecast import exceedance, rolling_answers

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
HORIZON, STEP_SECONDS, DAY = 72, 300, 288
FORTNIGHT = 14
FOLDS = 5


def covariates(path: Path) -> list[Floats]:
    """Share of the processor and logarithm of the network's kB/s, (500, 8928) each; NaN where missing."""
    table = pd.read_parquet(path)
    step = table.ts // STEP_SECONDS
    grid = range(step.min(), step.max() + 1)
    parts = table.cpu_mhz / table.cpu_cap_mhz.where(table.cpu_cap_mhz > 0), np.log1p(table.net_rx_kbs.clip(lower=0))
    shaped = [part.groupby([table.vm, step]).first().unstack().reindex(columns=grid) for part in parts]
    return [part.to_numpy(np.float64) for part in shaped]


def seen_before(values: Floats, origin: int) -> Floats:
    """(N, 8) of one covariate up to the origin: newest, by hour and horizon, what followed this time before."""
    hour, recent = values[:, origin - 12 : origin], values[:, origin - HORIZON : origin]
    turns = [values[:, origin - back * DAY : origin - back * DAY + HORIZON] for back in (1, 7)]
    columns = [values[:, origin - 1], *(part for each in (hour, recent) for part in (mean(each), most(each)))]
    return np.stack([*columns, mean(recent) - mean(values[:, origin - DAY : origin]), *map(most, turns)], axis=1)


def seen_after(values: Floats, origin: int) -> Floats:
    """(N, 4) of one covariate over the horizon."""
    ahead, recent = values[:, origin : origin + HORIZON], values[:, origin - 12 : origin]
    return np.stack([mean(ahead), most(ahead), most(ahead) - mean(recent), mean(ahead) - mean(recent)], axis=1)


def mean(values: Floats) -> Floats:
    return np.asarray(np.ma.masked_invalid(values).mean(1).filled(np.nan))


def most(values: Floats) -> Floats:
    return np.asarray(np.ma.masked_invalid(values).max(1).filled(np.nan))


def taught_on_others(inputs: Floats, came: Bools, row: NDArray[np.int64], teach: Bools | None = None) -> Floats:
    """Chances of (M, F) inputs, each from trees that learnt from the rows (VMs, series) of the other folds.

    teach: (M,) inputs that may be learnt from, all by default.
    """
    chance, teach = np.zeros(len(came)), np.ones(len(came), bool) if teach is None else teach
    for fold in range(FOLDS):
        judged = row % FOLDS == fold
        trees = HistGradientBoostingClassifier(
            learning_rate=0.06, max_iter=150, max_leaf_nodes=8, min_samples_leaf=100, l2_regularization=50,
            random_state=0,
        )  # fmt: skip
        learnt = ~judged & teach
        chance[judged] = trees.fit(inputs[learnt], came[learnt]).predict_proba(inputs[judged])[:, 1]
    return chance


def judged_windows(
    asked: TsfForecast, memory: Floats, others: list[Floats], line: float
) -> tuple[dict[str, Floats], Floats, Bools, NDArray[np.int64]]:
    """Inputs of each oracle, chance of the head, whether the line was met, and the VM, of all windows that count."""
    total = memory.shape[1]
    origins = np.arange(total - 10 * DAY, total - HORIZON + 1, 36)  # as the protocol has them
    train = memory[:, : total - 10 * DAY]
    limit = np.full(len(memory), line)
    model = asked.with_head(limit, HORIZON, {"train": train, "step_s": STEP_SECONDS})
    assert model.breach is not None
    whole = series_with_limit(memory, STEP_SECONDS, limit)
    length, samples, season = model.params.sequence_length, model.params.breach_samples, season_steps(STEP_SECONDS)
    steps, levels = anchors(HORIZON), np.array(model.params.quantiles)
    found: dict[str, list[Any]] = {name: [] for name in ("same", "past", "future", "head", "came", "vm")}
    answers = rolling_answers(model, whole, (origins - 1).tolist(), with_peaks=True)
    for origin, answer in zip(origins.tolist(), answers, strict=True):
        ahead = memory[:, origin : origin + HORIZON]
        newest = pd.DataFrame(memory[:, origin - 12 : origin].T).ffill().to_numpy()[-1]
        counts = (newest < line) & np.isfinite(ahead).any(1) & (answer.abstained == "")
        rows = np.flatnonzero(counts)
        assert answer.peaks is not None
        chance = exceedance(answer.peaks[rows], levels, limit[rows])
        place = np.full(len(rows), origin - 1)
        past = past_of(memory, rows, place, length, HORIZON, STEP_SECONDS)
        inputs = breach_features(chance[:, steps - 1], past, limit[rows], steps, season, samples)[:, -1]
        before = [seen_before(each[rows], origin) for each in others]
        after = [seen_after(each[rows], origin) for each in others]
        found["same"].append(inputs)
        found["past"].append(np.hstack([inputs, *before]))
        found["future"].append(np.hstack([inputs, *before, *after]))
        found["head"].append(corrected(chance, past, limit[rows], season, samples, model.breach, 1.0)[:, -1])
        found["came"].append((np.nan_to_num(ahead[rows], nan=-np.inf) >= line).any(1))
        found["vm"].append(rows)
    joined = {name: np.concatenate(parts) for name, parts in found.items()}
    head, came, vm = (joined.pop(name) for name in ("head", "came", "vm"))
    return joined, head, came, vm


def file_systems(protocol: ModuleType, fullness: Floats, asked: TsfForecast) -> dict[str, dict[str, float]]:
    """Scores per line of the head, and of the best weights of head, rivals and distance for these very windows."""
    days, start = fullness.shape[1], int(0.6 * fullness.shape[1])  # as the protocol has them
    rivals = (protocol.BrownianSER().breach_prob, protocol.Climatology().breach_prob, partial(last_value, protocol))
    result = {}
    for line in (60.0, 70.0, 75.0, 80.0):
        said, met = [], []
        for origin in range(start, days - FORTNIGHT + 1):
            past, ahead = fullness[:, :origin], fullness[:, origin : origin + FORTNIGHT]
            newest = pd.DataFrame(past[:, -12:].T).ffill().to_numpy()[-1]
            counts = (newest < line) & np.isfinite(ahead).any(1)
            info = {"season": 7, "train": fullness[:, :start], "step_s": 86_400}
            limit = np.full(len(past), line)
            chances = [each(past, FORTNIGHT, limit, info) for each in (asked.breach_prob, *rivals)]
            inputs = np.stack([*chances, line - newest], axis=1)
            said.append(inputs[counts])
            met.append((np.nan_to_num(ahead[counts], nan=-np.inf) >= line).any(1))
        chance, came = np.concatenate(said), np.concatenate(met)
        table = np.concatenate([logit(chance[:, :-1]), np.log(chance[:, -1:] + 0.1)], axis=1)
        weighed = LogisticRegression(C=10, max_iter=2_000).fit(table, came).predict_proba(table)[:, 1]
        for name, one in (("head", chance[:, 0]), ("weighed", weighed)):
            result[f"file systems {line:.0f} {name}"] = scored(protocol, one, came)
    return result


def last_value(protocol: ModuleType, past: Floats, horizon: int, limit: Floats, info: dict[str, Any]) -> Floats:
    """The chance by the protocol's last value with its random walk."""
    return np.asarray(protocol.p_from_quantiles(protocol.last_value(past, horizon, info), limit))


def scored(protocol: ModuleType, chance: Floats, came: Bools) -> dict[str, float]:
    """The protocol's figures."""
    scores = protocol.Scores()
    scores.add(chance, came, np.full(len(came), np.nan))
    return {key: float(scores.out()[key]) for key in ("n", "events", "BSS", "AP", "ECE")}


def main() -> None:
    options = argparse.ArgumentParser(description="What an oracle could know of breaches.")
    options.add_argument("protocol", type=Path)
    options.add_argument("trace", type=Path)
    options.add_argument("--threads", type=int, default=torch.get_num_threads())
    chosen = options.parse_args()
    torch.set_num_threads(chosen.threads)
    protocol = load_protocol(chosen.protocol)
    memory, others, asked = protocol.load_bitbrains()["mem"], covariates(chosen.trace), TsfForecast({})
    result = {}
    for line in (0.6, 0.8):
        inputs, head, came, vm = judged_windows(asked, memory, others, line)
        chances = {"head": head} | {name: taught_on_others(table, came, vm) for name, table in inputs.items()}
        result |= {f"memory {line} {name}": scored(protocol, chance, came) for name, chance in chances.items()}
    fullness = load_protocol(chosen.protocol.with_name("protocol_nersc_storage.py")).load_year()[0]
    result |= file_systems(protocol, fullness, asked)
    for name, one in result.items():
        sys.stderr.write(f"{name}: {one}\n")
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
