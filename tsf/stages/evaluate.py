"""Evaluate: judge the model on the held-out data beside its baselines, then make it the champion."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tsf.errors import HistoryError
from tsf.io.artifacts import read_series, write_json
from tsf.io.files import replacing
from tsf.io.logs import start_log
from tsf.io.registry import promote, register, versions
from tsf.kinds import chance_text, count_text, duration_text, figure_text, moment_text, span_text
from tsf.learn import Backtest, Model, default_baselines, model_forecaster
from tsf.learn.backtest import backtest, rolling_origins
from tsf.learn.explain import explain
from tsf.params import TaskParams, read_params
from tsf.project import TaskPaths, find_root
from tsf.series import Floats, Forecast, SeriesSet
from tsf.stages.alarm_replay import replay_alarms
from tsf.stages.alarms import AlarmReplay
from tsf.stages.explain import Reasons
from tsf.stages.models import load_model
from tsf.stages.train import epochs_frame
from tsf.units import unit_of

__all__ = ["Evaluation", "evaluate"]

SCORES = {  # column of a backtest -> its head and form
    "wql": ("WQL", ".4g"),
    "mase": ("MASE", ".3f"),
    "coverage": ("coverage", ".1%"),
    "points": ("points", ".2f"),
    "answered": ("answered", ".1%"),
    "n": ("values", ","),
}
EXPLAINED = 256  # series, at most, whose forecasts are taken apart


@dataclass(frozen=True)
class Evaluation:
    """What a model is worth on data that it never saw."""

    task: TaskParams
    series: SeriesSet
    result: Backtest
    version: str
    why: Reasons
    explained: list[int]  # rows, in the order of `why`
    alarms: AlarmReplay | None = None

    @property
    def model_name(self) -> str:
        """The model's row in every table."""
        return self.task.train.model_type

    @property
    def best_baseline(self) -> str:
        """The baseline with the lowest WQL."""
        return str(self.result.table["wql"].drop(self.model_name).idxmin())

    def score(self, forecaster: str, column: str) -> float:
        """One cell of the table of scores."""
        return float(self.result.table[column].to_dict()[forecaster])

    @property
    def summary(self) -> str:
        """One sentence: is the model worth having?"""
        wql, rival = (self.score(name, "wql") for name in (self.model_name, self.best_baseline))
        verdict = f"{chance_text(1 - wql / rival)} lower than" if wql < rival else "no lower than"
        if wql > rival > 0:
            verdict = f"{chance_text(wql / rival - 1)} higher than"
        best = _words(self.best_baseline)
        advice = "" if wql < rival else f" Use {best} in its place, or give the model more history."
        return (
            f"The {_words(self.model_name).upper()}'s loss is {verdict} that of the best baseline, {best}, "
            f"over {count_text(len(self.result.origins_seconds), 'moment', 'moments')} of the held-out data.{advice}"
        )

    @property
    def scores(self) -> pd.DataFrame:
        """A row per forecaster, the model first."""
        others = self.result.table.drop(self.model_name).sort_values("wql")
        return pd.concat([self.result.table.loc[[self.model_name]], others]).rename(index=_words)

    @property
    def scoreboard(self) -> pd.DataFrame:
        """The same as people read it."""
        return _told(self.scores)

    @property
    def by_horizon(self) -> pd.DataFrame:
        """WQL by how far ahead, a column per forecaster, hours as the index."""
        hours = self.result.by_horizon["last_step"] * self.series.step_seconds / 3600
        wide = self.result.by_horizon.assign(hours=hours).pivot(index="hours", columns="forecaster", values="wql")
        return wide.rename(columns=_words)[self.scores.index]

    @property
    def by_group(self) -> pd.DataFrame:
        """The model's scores for the worst values of each dimension, and for day and night."""
        night = self.result.by_night.assign(dimension="time of day").rename(columns={"time": "value"})
        frame = pd.concat([night, self.result.by_dimension], ignore_index=True)
        frame = frame[frame["forecaster"] == self.model_name].drop(columns=["forecaster", "answered"])
        worst = frame.sort_values("wql", ascending=False).groupby("dimension", sort=False).head(8)
        names = worst["dimension"] + " = " + worst["value"]
        return _told(worst.drop(columns=["dimension", "value"]).set_axis(names.rename("part"), axis=0))

    @property
    def coverage(self) -> pd.DataFrame:
        """Per quantile level of the model: the share of values below it."""
        return self.result.calibration[[self.model_name]].set_axis(["measured"], axis=1).rename_axis("nominal")

    @property
    def example(self) -> Forecast:
        """The model's forecast from the middle origin."""
        return replace(self.result.examples[self.model_name], model_version=self.version)

    @property
    def example_rows(self) -> list[int]:
        """The four series that moved most for their level after the middle origin: those that need a forecast."""
        return example_rows(self.result.truth)

    @property
    def past_hours(self) -> pd.DataFrame:
        """How far each part of the past moves the forecast, on average and of the example's series."""
        return self.why.past_shares([self.explained.index(row) for row in self.example_rows if row in self.explained])

    @property
    def metrics(self) -> dict[str, Any]:
        """What DVC compares between runs."""
        metrics = {
            "model_type": self.model_name,
            "version": self.version,
            "wql": self.score(self.model_name, "wql"),
            "mase": self.score(self.model_name, "mase"),
            "coverage_80": self.score(self.model_name, "coverage"),
            "best_baseline": self.best_baseline,
            "wql_best_baseline": self.score(self.best_baseline, "wql"),
            "mase_best_baseline": self.score(self.best_baseline, "mase"),
            "origins": len(self.result.origins_seconds),
            "judged": int(
                self.score(self.model_name, "n")
            ),  # not "values": DVC would take the table for a pandas frame
        }
        if "points" in self.result.table:
            metrics["points_of_quota"] = self.score(self.model_name, "points")
        return metrics | ({} if self.alarms is None else {"alarms": self.alarms.metrics})


def _words(name: str) -> str:
    """A forecaster as people read it: `last_value` is last value."""
    return name.replace("_", " ")


def _told(scores: pd.DataFrame) -> pd.DataFrame:
    """Scores with heads and figures that people read."""
    cells = {
        head: [figure_text(value, form) for value in scores[name]]
        for name, (head, form) in SCORES.items()
        if name in scores
    }
    return pd.DataFrame(cells, index=scores.index)


def example_rows(truth: Floats) -> list[int]:
    """The four series that moved most for their level after the middle origin of (O, N, H) values."""
    ahead = truth[len(truth) // 2]
    known = np.isfinite(ahead).sum(axis=1) > 1
    spread = np.full(len(ahead), -1.0)
    spread[known] = np.nanstd(ahead[known], axis=1) / (np.nanmean(np.abs(ahead[known]), axis=1) + 1e-300)
    return [int(row) for row in np.argsort(-spread, kind="stable")[:4]]


def evaluate(name: str, root: Path | None = None) -> Evaluation:
    """Backtest the model of task `name`, write metrics and plot data, register the version and make it champion.

    Raises TsfError; then the champion stays what it was.
    """
    root = root or find_root()
    params = read_params(root)
    start_log(params.logging, os.environ)
    task, paths = params.task(name), TaskPaths(root, name)
    series = read_series(paths.series)
    model, card = load_model(paths.model)
    train = model.params
    held = train.holdout // series.step_seconds
    origins = rolling_origins(series.n_steps, held, train.prediction_steps, task.evaluate.stride // series.step_seconds)
    if not origins:
        what = f"the holdout {duration_text(train.holdout)} is shorter than prediction_steps {train.prediction_steps}"
        raise HistoryError(what, where=f"tasks.{name}.train.holdout", cure="lengthen it")
    _check_unseen(card.get("trained_until"), int(series.times[origins[0]]), name)
    result = backtest(
        {train.model_type: model_forecaster(model, line=task.alert.alert_line)}
        | default_baselines(series.step_seconds, series.n_steps - held, train.quantiles, train.edges),
        series,
        origins,
        train.prediction_steps,
        train.quantiles,
        dimensions=train.dimensions,
        time_zone=train.time_zone,
        night=train.night,
    )
    if np.isnan(result.table["wql"]).any():
        what = f"the last {span_text(train.holdout)} hold nothing to judge by: no sample, or only zeros"
        raise HistoryError(what, where=f"tasks.{name}.train.holdout", cure="see the fetch report, or lengthen it")
    alarms = replay_alarms(task, series, model)
    why, rows = _explained(task, model, series, result)
    evaluation = Evaluation(task, series, result, card["version"], why, rows, alarms)
    _write(evaluation, card["history"], paths)
    version = register(paths, _free_name(paths))
    write_json(evaluation.metrics, paths.kept_evaluation(card["version"]))  # before it is used: the rules read it
    promote(paths, version)
    return evaluation


def _check_unseen(trained_until: int | None, first_origin: int, name: str) -> None:
    """Raise HistoryError where the model may have learnt from what it would be judged by."""
    if trained_until is not None and trained_until > first_origin:
        raise HistoryError(
            f"the model learnt from samples up to {moment_text(trained_until)}, the held-out ones begin after "
            f"{moment_text(first_origin)}",
            where=f"tasks.{name}",
            cure="run the task from its fetch on, so that it is trained again",
        )


def _free_name(paths: TaskPaths) -> str:
    """model_ and this second, or the first after it that no model of the task is called by."""
    taken, moment = {one.name for one in versions(paths)}, datetime.now(timezone.utc)
    while (name := moment.strftime("model_%Y%m%d_%H%M%S")) in taken:
        moment += timedelta(seconds=1)
    return name


def _explained(task: TaskParams, model: Model, series: SeriesSet, result: Backtest) -> tuple[Reasons, list[int]]:
    """Why the forecasts from the middle origin are what they are, and of which rows."""
    origin = int(result.origins_seconds[len(result.origins_seconds) // 2])
    past = series.between(0, int(np.searchsorted(series.times, origin)) + 1)
    rows = np.unique(np.linspace(0, series.n_series - 1, EXPLAINED).round().astype(int)).tolist()
    rows = sorted({*rows, *example_rows(result.truth)})
    return Reasons(series.take(rows), explain(model, past.take(rows)), unit_of(task.fetch.metric_query)), rows


def _write(evaluation: Evaluation, history: list[dict[str, Any]], paths: TaskPaths) -> None:
    """What DVC compares and draws; history: the epochs of the training."""
    write_json(evaluation.metrics, paths.evaluation / "metrics.json")
    by_horizon = evaluation.by_horizon
    by_horizon = by_horizon.rename(columns={by_horizon.columns[0]: "model"})  # the one that DVC draws
    _write_csv(by_horizon, paths.evaluation / "by_horizon.csv")
    if evaluation.alarms is not None:
        _write_csv(evaluation.alarms.curve, paths.policy)  # for whoever wants to slide along it
    _write_csv(epochs_frame(history).set_index("epoch"), paths.evaluation / "training.csv")


def _write_csv(frame: pd.DataFrame, path: Path) -> None:
    with replacing(path) as file:
        file.write(frame.to_csv(float_format="%.8g").encode())
