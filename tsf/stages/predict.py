"""A forecast of a task from its newest samples, and what it says to people; writes nothing."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tsf.errors import EmptyError, ModelError, NoSuchSeriesError, ParamsError
from tsf.io.exposition import ModelInfo
from tsf.io.logs import start_log
from tsf.io.registry import alert_in_force, resolve
from tsf.io.source import fetch_from_source
from tsf.kinds import count_text, duration_text, moment_text, share_text, span_text
from tsf.learn import Forecasting, predict
from tsf.params import AlertParams, TaskParams, read_params
from tsf.project import TaskPaths, find_root
from tsf.series import Forecast, Labels, SeriesSet, joined, label_column, label_rows, title_of
from tsf.stages.audit import within
from tsf.stages.models import load_exported, load_model
from tsf.stages.shards import over_shards
from tsf.stages.totals import Totals, read_totals
from tsf.stages.urgency import Urgency
from tsf.units import amount_text, unit_of

__all__ = ["Predicted", "predict_task"]


@dataclass(frozen=True)
class Predicted:
    """A forecast from the newest samples, with the context it was made from."""

    name: str
    task: TaskParams
    context: SeriesSet
    forecast: Forecast
    info: ModelInfo
    root: Path
    model: Forecasting
    totals: Totals | None = None
    ended: int = 0  # series of the query whose last sample is older than the context; they are left out
    chosen: Mapping[str, Any] | None = None  # of an exported model: what its replay chose, as alert_in_force takes it

    @property
    def summary(self) -> str:
        """One sentence: how much is about to fill up."""
        n, silent = self.context.n_series, sum(self.silent)
        ahead = span_text(self.forecast.quantiles.shape[1] * self.forecast.step_seconds)
        origin = moment_text(self.forecast.origin_seconds)
        words = f"{n - silent:,} of {n:,} series {'was' if n - silent == 1 else 'were'} forecast {ahead} ahead "
        words += f"from {origin} by {self.info.model}"
        if self.forecast.p_breach is not None and self.urgency.limit is not None:
            alert, line = self.alert, self.urgency.line
            seconds, chance = self.forecast.breach_within(self.task.push.horizons)
            due = int(alert.fires(chance, self.urgency.used, self.urgency.limit).sum())
            soon = "" if span_text(seconds) == ahead else f" within {span_text(seconds)}"
            left = f", or the last {amount_text(line.left, self.urgency.unit)} of it" if line.left is not None else ""
            words += (
                f"; {due:,} {'has' if due == 1 else 'have'} reached {share_text(line.share)} of "
                f"{'its' if due == 1 else 'their'} limit{left}, or may do so{soon}, "
                f"with a chance of {share_text(alert.probability)} or more"
            )
            words += f" while {share_text(alert.gate)} of it or more is in use" if alert.gate > 0 else ""
        else:
            words += "; the task has no limit, so there is no breach output"
        ended = count_text(self.ended, "other ended long before and is", "others ended long before and are")
        words += f"; {ended} left out" if self.ended else ""
        without = count_text(silent, "has no forecast, because its", "have no forecast, because their")
        return words + (f"; {without} samples are too few or too old." if silent else ".")

    @cached_property
    def alert(self) -> AlertParams:
        """The alert that the rule file fires, with what the last replay chose."""
        return alert_in_force(TaskPaths(self.root, self.name), self.task.alert, self.chosen)

    @cached_property
    def urgency(self) -> Urgency:
        """The series, the most urgent first."""
        unit = unit_of(self.task.fetch.metric_query)
        return Urgency(self.context, self.forecast, self.task.alert.alert_line, unit)

    @property
    def silent(self) -> list[bool]:
        """(N,) whether the model abstained."""
        return [reason != "" for reason in self.why_silent]

    @property
    def why_silent(self) -> list[str]:
        """(N,) why the model abstained, "" where it did not."""
        return list(self.forecast.abstained)

    @property
    def urgent_rows(self) -> list[int]:
        """Indices of the series, the most urgent first."""
        return self.urgency.rows

    def most_urgent(self, n: int) -> pd.DataFrame:
        """The first `n` of the urgent rows, in words and units that a person reads."""
        return self.urgency.table(n)

    @property
    def urgent_totals(self) -> pd.DataFrame:
        """The totals of push.totals, the first 15 by urgency, with their three largest members; empty without any."""
        if self.totals is None:
            return pd.DataFrame()
        own = Urgency(self.totals.series, self.totals.forecast, self.urgency.line, self.urgency.unit)
        frame, total_of = own.table(15), self.totals.total_of
        order = [int(row) for row in np.argsort(-np.nan_to_num(self.urgency.used), kind="stable")]
        rows, sums = label_rows(self.context.labels), label_rows(self.totals.series.labels)
        largest = []
        for total in own.rows[:15]:
            part = (total_of == total).any(axis=0)
            members = [rows[row] for row in order if part[row]][:3]
            largest.append("; ".join(title_of(_without(member, sums[total])) for member in members))
        return frame.assign(largest=largest).rename_axis("total")

    def part(self, steps: int | None, labels: Mapping[str, str]) -> Predicted:
        """What predict_task says with `steps` and `labels`, which raises the same."""
        _check_steps(steps, self.forecast.quantiles.shape[1])
        rows = _rows_with(self.context.labels, labels)
        forecast, totals = self.forecast.part(rows, steps), None if labels or steps else self.totals
        return replace(self, context=self.context.take(rows), forecast=forecast, totals=totals)

    def chances(self, n: int) -> pd.DataFrame:
        """Breach probability of the first `n` urgent rows, a column per pushed horizon; empty without a limit."""
        rows, known = self.urgent_rows[:n], self.forecast.p_breach
        if known is None:
            return pd.DataFrame()
        horizons = within(self.task.push, self.forecast).horizons
        steps = {span_text(seconds): seconds // self.forecast.step_seconds - 1 for seconds in horizons}
        names = [title_of(row) for row in label_rows(self.context.take(rows).labels)]
        return pd.DataFrame(
            {name: known[rows, step] for name, step in steps.items()}, index=pd.Index(names, name="series")
        )


def _without(labels: Mapping[str, str], known: Mapping[str, str]) -> Mapping[str, str]:
    """What `labels` say beyond those that are known; all of them where that is nothing."""
    return {name: value for name, value in labels.items() if name not in known} or labels


def predict_task(
    name: str,
    root: Path | None = None,
    *,
    steps: int | None = None,
    model_name: str = "champion",
    labels: Mapping[str, str] = MappingProxyType({}),
    with_totals: bool = True,
    load: Callable[[Path], tuple[Forecasting, dict[str, Any]]] = load_model,
    kept: MutableMapping[tuple[Any, ...], Forecast] | None = None,
    onnx: Path | None = None,
) -> Predicted:
    """Forecast task `name` from its newest samples; writes nothing.

    steps: how far ahead, at most what the model learnt. model_name: alias, version or name. labels: only series with
    these values. with_totals: forecast the sums over push.totals, too; never of a part. load: reads a model's folder; a
    process that lives on may keep what it has read. kept: forecasts by all that they come from, to which this one is
    added, so that the same model forecasts the same samples once. onnx: the file of an exported model, by which this
    process forecasts in place of one in the registry.
    Raises TsfError, NoSuchSeriesError where no series has the labels.
    """
    root = root or find_root()
    params = read_params(root)
    start_log(params.logging, os.environ)
    task = params.task(name)
    if onnx is None:
        model, card = load(resolve(TaskPaths(root, name), model_name))
    else:
        model, card = load_exported(onnx)
        _check_task(task, model, card, str(onnx))
    _check_steps(steps, model.params.prediction_steps)
    context, _ = fetch_from_source(params, task.fetch, history_seconds=model.looks_back * model.spec.step_seconds)
    known = context.n_series
    context = _present(context, model.params.sequence_length, task.fetch.metric_query)
    ended = known - context.n_series
    if labels:
        context = context.take(_rows_with(context.labels, labels))
    line, confidence = task.alert.alert_line, task.alert.confidence
    key = () if kept is None else (name, card["version"], context.data_hash, steps, line, confidence)
    forecast = None if kept is None else kept.get(key)
    if forecast is None:
        forecasts = partial(predict, model, line=line, horizon=steps, confidence=confidence)
        said = joined([forecasts(context)] if onnx else over_shards(forecasts, context))
        forecast = replace(said, model_version=card["version"], data_hash=card["data_hash"])
    if kept is not None:
        kept[key] = forecast
    info = ModelInfo(card.get("name", model_name), card["version"], card["data_hash"][:12], card["commit"])
    totals = None
    if task.push.totals and with_totals and not labels and steps is None:
        totals = read_totals(params, task, model, context, forecast)
    return Predicted(name, task, context, forecast, info, root, model, totals, ended, card.get("chosen"))


def _check_task(task: TaskParams, model: Forecasting, card: Mapping[str, Any], where: str) -> None:
    """Raise ModelError where an exported model was made for another query or step than the task's."""
    told = duration_text(model.spec.step_seconds), card["query"]
    asked = duration_text(task.fetch.step), task.fetch.metric_query
    for what, theirs, ours in zip(("a step of", "the query"), told, asked, strict=True):
        if theirs != ours:
            raise ModelError(
                f"its model learnt {what} {theirs}, the task has {what} {ours}",
                where=where,
                cure="export the model of this task, or write into its fetch section what the model learnt",
            )


def _check_steps(steps: int | None, learnt: int) -> None:
    if steps is not None and not 1 <= steps <= learnt:
        raise ParamsError(
            f"{steps} steps were asked for", where="prediction_steps", cure=f"the model learnt 1 to {learnt}"
        )


def _rows_with(columns: Labels, wanted: Mapping[str, str]) -> NDArray[np.bool_]:
    """(N,) whether a series has all the wanted labels; an empty one is one that it has not.

    Raises NoSuchSeriesError where none has.
    """
    rows = np.ones(len(label_column(columns, "")), bool)
    for name, value in wanted.items():
        if value and name not in columns:
            known = ", ".join(columns) or "none"
            raise NoSuchSeriesError(f"no series has a label {name!r}", where="labels", cure=f"they have {known}")
        rows &= label_column(columns, name) == value
    if not rows.any():
        asked = " and ".join(f"the {name} {value!r}" for name, value in wanted.items())
        cure = "see the values of each label in the fetch report"
        raise NoSuchSeriesError(f"no series has {asked}", where="labels", cure=cure)
    return rows


def _present(context: SeriesSet, length: int, query: str) -> SeriesSet:
    """The series with a sample in the last `length` steps: those of pods and users long gone are nobody's forecast."""
    there = np.isfinite(context.values[:, -length:]).any(1)
    if there.all():
        return context
    if not there.any():
        raise EmptyError(
            f"no series has a sample in the last {span_text(length * context.step_seconds)}",
            where=query,
            cure="see whether its exporter still runs, or move snapshot.until (tsf run --now does)",
        )
    return context.take(np.flatnonzero(there))
