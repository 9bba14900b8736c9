"""Could any alarm have met the goal? python -m benchmarks.hindsight --task storage, where the task was evaluated.

Two who know what came are replayed over the judged weeks, at every threshold and gate: the forecast's own chance, with
the best of these thresholds chosen after the event; and an oracle, trees that were taught on the judged weeks
themselves, of all series but the fifth that they are asked about. For each it prints how many breaches are announced in
time with at most a fifth of the production rule's false alarms, and the fewest false alarms with its recall. What the
oracle cannot do with the inputs of the breach head, no better learning from them can. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.oracle import taught_on_others
from tsf.alarm.policy import THRESHOLDS, Choice, gates_of, replay_choices
from tsf.alarm.rivals import PRODUCTION
from tsf.io.artifacts import read_series
from tsf.learn import Model
from tsf.learn.breach_inputs import anchors, breach_features, past_of, season_steps
from tsf.learn.forecast import exceedance, rolling_answers
from tsf.params import read_params
from tsf.project import TaskPaths
from tsf.stages.alarm_replay import replay_alarms
from tsf.stages.alarms import AlarmReplay
from tsf.stages.models import load_model

Floats = NDArray[np.float64]
FEWER = 0.2  # of the production rule's false alarms: the goal


def oracle(model: Model, alarms: AlarmReplay) -> Floats:
    """(N, T) chances in the judged weeks, NaN elsewhere, by trees that learnt from these weeks of other series."""
    series, terms, line = alarms.series, alarms.terms, alarms.history.line
    origins = range(terms.first_step, series.n_steps)
    length, samples = model.params.sequence_length, model.params.breach_samples
    steps, season = anchors(terms.horizon_steps), season_steps(series.step_seconds)
    levels = np.array(model.params.quantiles)
    inputs, rows, places = [], [], []
    answers = rolling_answers(model, series, origins, line=line, with_peaks=True)
    for origin, answer in zip(origins, answers, strict=True):
        limit = alarms.history.limit[:, origin]
        threshold = line.level(limit)
        known = np.flatnonzero((answer.abstained == "") & np.isfinite(threshold))
        assert answer.peaks is not None
        chance = exceedance(answer.peaks[known], levels, threshold[known])
        place = np.full(len(known), origin)
        past = past_of(series.values, known, place, length, model.params.prediction_steps, series.step_seconds)
        share = line.shares(limit[known])
        found = breach_features(chance[:, steps - 1], past, threshold[known], steps, season, samples, share)
        inputs.append(found[:, -1])
        rows.append(known)
        places.append(place)
    table, row, place = np.concatenate(inputs), np.concatenate(rows), np.concatenate(places)
    counted = np.concatenate([np.zeros((series.n_series, 1)), np.cumsum(alarms.breaches.under_way, axis=1)], axis=1)
    end = np.minimum(place + 1 + terms.horizon_steps, series.n_steps)
    came = counted[row, end] > counted[row, place + 1]
    teach = (place + terms.horizon_steps < series.n_steps) & ~alarms.breaches.under_way[row, place]
    said = np.full(series.values.shape, np.nan)
    said[row, place] = taught_on_others(table, came, row, teach)
    return said


def best(curve: tuple[Choice, ...], production: Any) -> dict[str, list[int]]:
    """In time and false: the most that keep below the goal's false alarms, the fewest false with the rule's recall."""
    quiet = [one.score for one in curve if one.score.false <= FEWER * production.false]
    as_many = [one.score for one in curve if one.score.met >= production.met]
    most = max(quiet, key=lambda one: (one.met, -one.false), default=None)
    fewest = min(as_many, key=lambda one: one.false, default=None)
    return {name: [one.met, one.false] if one else [] for name, one in (("quiet", most), ("as many", fewest))}


def main() -> None:
    options = argparse.ArgumentParser(description="What alarms could have done, had one known.")
    options.add_argument("--task", required=True)
    options.add_argument("--root", type=Path, default=Path())
    options.add_argument("--threads", type=int, default=torch.get_num_threads())
    chosen = options.parse_args()
    torch.set_num_threads(chosen.threads)
    task, paths = read_params(chosen.root).task(chosen.task), TaskPaths(chosen.root, chosen.task)
    series, (model, _) = read_series(paths.series), load_model(paths.model)
    alarms = replay_alarms(task, series, model)
    if alarms is None:
        sys.exit(f"{chosen.task} has no limit, so there is no breach to foresee")
    production = alarms.scores[PRODUCTION]
    result: dict[str, Any] = {"breaches": production.breaches, "production rule": [production.met, production.false]}
    assert alarms.history.chance is not None
    for name, chance in {"threshold": alarms.history.chance, "oracle": oracle(model, alarms)}.items():
        curve = replay_choices(
            chance, alarms.history.share, alarms.breaches, alarms.terms, weeks=alarms.weeks, thresholds=THRESHOLDS,
            gates=gates_of(alarms.history.line_share, task.alert.gate), teams=alarms.teams,
        )  # fmt: skip
        result[name] = best(curve, production)
        sys.stderr.write(f"{name}: {result[name]}\n")
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
