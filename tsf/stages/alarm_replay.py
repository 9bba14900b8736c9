"""Replay the forecast's alarm and the known rules over the held-out data of a task."""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tsf.alarm.policy import Policy, choose_policy
from tsf.alarm.replay import Breaches, Terms, find_breaches, replay
from tsf.alarm.rivals import History, breach_rule, default_rules, evaluate_rule
from tsf.kinds import AlertLine
from tsf.learn import Model, rolling_forecasts
from tsf.params import TaskParams
from tsf.series import Floats, SeriesSet, carried
from tsf.stages.alarms import OURS, WEEK, AlarmReplay, no_team
from tsf.stages.shards import over_shards

__all__ = ["replay_alarms"]

LEAST_SERIES = 20  # of a shard: each is forecast at every step
MOST_FORECASTS = 400_000  # forecasts of a replay, at most; more series are forecast less often


def replay_alarms(task: TaskParams, series: SeriesSet, model: Model) -> AlarmReplay | None:
    """Replay all rules over the held-out part of `series`; None for a task without a limit.

    The policy is chosen on the first half and all rules are judged on the second; where nothing was chosen, on both.
    """
    if series.limit is None:
        return None
    held = model.params.holdout // series.step_seconds
    first = series.n_steps - held - 1
    reach = model.params.prediction_steps
    aheads = sorted({min(seconds // series.step_seconds, reach) for seconds in task.push.horizons})
    horizon = aheads[-1]
    limit = carried(series.limit)
    every = max(1, -(-series.n_series * held // MOST_FORECASTS))
    twelve = min(max(43_200 // series.step_seconds, 1), horizon)
    forecasts = partial(_forecasts, model, task.alert.alert_line, first, every, aheads, twelve)
    parts = zip(*over_shards(forecasts, series, least=LEAST_SERIES), strict=True)
    chances, middle, upper, band = (np.concatenate(part, axis=-2) for part in parts)  # (…, N, T) each
    chance = chances[-1]
    alert = task.alert
    history = History(series.values, limit, series.step_seconds, alert.alert_line, horizon, chance, middle, upper)
    act = int(np.clip(-(-alert.act // series.step_seconds), 1, horizon))
    terms = Terms(horizon, act, first, alert.cost_false, alert.cost_miss, alert.cost_late)
    breaches = find_breaches(series.values, history.level, samples=model.params.breach_samples, rest_steps=horizon)
    teams = _teams(series, alert.team)
    half = first + held // 2
    policy = Policy(alert.probability, alert.hold, alert.gate, "as params.yaml sets it", ())
    if alert.policy == "auto":
        policy = choose_policy(
            chance[:, :half], history.share[:, :half], _before(breaches, half), terms,
            weeks=(half - first) * series.step_seconds / WEEK, budget=alert.budget, as_set=policy,
            line=history.line_share[:, :half], teams=teams,
        )  # fmt: skip
        if policy.chosen:
            terms = replace(terms, first_step=half)
    ours = breach_rule(policy.threshold, policy.for_steps * series.step_seconds, policy.gate, OURS)
    rules = (ours, *default_rules(history.line))
    outcomes = {rule.name: replay(evaluate_rule(rule, history), breaches, terms) for rule in rules}
    return AlarmReplay(
        task, series, history, terms, breaches, policy, rules, outcomes, every, teams, band, twelve,
        dict(zip(aheads, chances, strict=True)),
    )  # fmt: skip


def _forecasts(
    model: Model, line: AlertLine, first: int, every: int, aheads: list[int], twelve: int, series: SeriesSet
) -> tuple[Floats, Floats, Floats, Floats]:
    """`chances` of AlarmReplay; `middle` (`twelve` steps ahead) and `upper` of a History from `first` on; the band."""
    middle, upper = (np.full(series.values.shape, np.nan) for _ in range(2))
    chances = np.full((len(aheads), *series.values.shape), np.nan)
    band = np.full((2, *series.values.shape), np.nan)
    origins = range(first, series.n_steps, every)
    for origin, said in zip(origins, rolling_forecasts(model, series, origins, line=line), strict=True):
        if said.p_breach is not None:
            chances[:, :, origin : origin + every] = said.p_breach[:, np.array(aheads) - 1].T[..., None]
        middle[:, origin : origin + every] = said.at(0.5)[:, twelve - 1, None]
        after = upper[:, origin + 1 : origin + 1 + min(every, said.quantiles.shape[1])]
        after[:] = said.quantiles[:, : after.shape[1], -1]
        for side, level in zip(band, _band_levels(model), strict=True):
            side[:, origin + twelve : origin + twelve + every] = said.at(level)[:, twelve - 1, None]
    return chances, middle, upper, band


def _band_levels(model: Model) -> tuple[float, float]:
    levels = model.params.quantiles
    return max(0.1, levels[0]), min(0.9, levels[-1])


def _before(breaches: Breaches, step: int) -> Breaches:
    early = breaches.steps < step
    return Breaches(breaches.rows[early], breaches.steps[early], breaches.under_way[:, :step], breaches.known[:, :step])


def _teams(series: SeriesSet, label: str) -> NDArray[np.int64]:
    if label not in series.labels:
        if label:
            logging.getLogger(__name__).warning(no_team(label))
        return np.zeros(series.n_series, np.int64)
    return np.asarray(pd.factorize(series.labels[label])[0], np.int64)
