"""Push: forecast from the newest samples with the champion model and write the forecast back."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tsf.errors import EmptyError, FlowError, ModelError, ParamsError, SourceError, TsfError
from tsf.io.artifacts import read_json, write_forecast, write_json
from tsf.io.exposition import ModelInfo, Present, forecast_exposition
from tsf.io.logs import start_log
from tsf.io.owners import Owners, read_owners
from tsf.io.prometheus import effective
from tsf.io.pushgateway import send
from tsf.io.registry import alert_in_force, resolve, versions
from tsf.io.source import fetch_from_source, newest_seconds
from tsf.kinds import duration_text
from tsf.learn import Calibration, Model, predict
from tsf.params import AlertParams, PrometheusParams, PushParams, TaskParams, read_params
from tsf.project import TaskPaths, find_root
from tsf.promql import unit_of
from tsf.series import Floats, Forecast, SeriesSet, joined, label_rows, title_of
from tsf.stages.audit import Audit, Duel, keep_issued
from tsf.stages.hours import before_work
from tsf.stages.models import load_model
from tsf.stages.rules import write_rules
from tsf.stages.shards import over_shards
from tsf.stages.totals import Totals, read_totals
from tsf.stages.urgency import Urgency

__all__ = ["Predicted", "Pushed", "predict_task", "push"]


@dataclass(frozen=True)
class Predicted:
    """A forecast from the newest samples, with the context it was made from."""

    name: str
    task: TaskParams
    context: SeriesSet
    forecast: Forecast
    info: ModelInfo
    root: Path
    calibration: Calibration
    totals: Totals | None = None

    @property
    def summary(self) -> str:
        """One sentence: how much is about to fill up."""
        n, silent = self.context.n_series, sum(self.silent)
        ahead = duration_text(self.forecast.quantiles.shape[1] * self.forecast.step_seconds)
        origin = pd.Timestamp(self.forecast.origin_seconds, unit="s").strftime("%Y-%m-%d %H:%M UTC")
        words = f"{n - silent:,} of {n:,} series were forecast {ahead} ahead from {origin} by {self.info.model}"
        if self.forecast.p_breach is not None and self.urgency.limit is not None:
            alert = self.alert
            due = int(alert.fires(self.chance, self.urgency.used, self.urgency.limit).sum())
            words += (
                f"; {due} may reach {alert.line:.0%} of their limit, with a chance of {alert.probability:.0%} or more"
            )
        else:
            words += "; the task has no limit, so there is no breach output"
        return words + (
            f"; {silent} have no forecast, because their samples are too few or too old." if silent else "."
        )

    @cached_property
    def alert(self) -> AlertParams:
        """The alert that the rule file fires, with what the last replay chose."""
        return alert_in_force(TaskPaths(self.root, self.name), self.task.alert)

    @cached_property
    def urgency(self) -> Urgency:
        """The series, the most urgent first."""
        unit = unit_of(self.task.fetch.metric_query)
        return Urgency(self.context, self.forecast, self.task.alert.line, unit)

    @property
    def silent(self) -> list[bool]:
        """(N,) whether the model abstained."""
        return [] if self.forecast.abstained is None else [reason != "" for reason in self.forecast.abstained.tolist()]

    @property
    def chance(self) -> Floats:
        """(N,) breach probability over the whole horizon, 0 where it is unknown."""
        return self.urgency.chance

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
        own = Urgency(self.totals.series, self.totals.forecast, self.task.alert.line, self.urgency.unit)
        frame, names = own.table(15), [title_of(row) for row in label_rows(self._without_totals())]
        order = np.argsort(-np.nan_to_num(self.urgency.used), kind="stable")
        largest = [[names[row] for row in order if self.totals.total_of[row] == total][:3] for total in own.rows[:15]]
        return frame.assign(largest=["; ".join(members) for members in largest]).rename_axis("total")

    def _without_totals(self) -> dict[str, Any]:
        labels = self.context.labels
        return {name: column for name, column in labels.items() if name not in self.task.push.totals} or dict(labels)

    def chances(self, n: int) -> pd.DataFrame:
        """Breach probability of the first `n` urgent rows, a column per pushed horizon; empty without a limit."""
        rows, known = self.urgent_rows[:n], self.forecast.p_breach
        if known is None:
            return pd.DataFrame()
        steps = {
            duration_text(seconds): seconds // self.forecast.step_seconds - 1 for seconds in self.task.push.horizons
        }
        names = [title_of(row) for row in label_rows(self.context.take(rows).labels)]
        return pd.DataFrame(
            {name: known[rows, step] for name, step in steps.items()}, index=pd.Index(names, name="series")
        )


@dataclass(frozen=True)
class Pushed(Predicted):
    """A forecast that was written back, and the receipt."""

    receipt: dict[str, Any] = field(kw_only=True)
    audit: Audit = field(kw_only=True)
    duel: Duel | None = field(kw_only=True)  # None without a challenger

    @property
    def receipt_table(self) -> pd.DataFrame:
        """The receipt, a row per entry."""
        rows = {key.replace("_", " "): str(value) for key, value in self.receipt.items() if key != "most_urgent"}
        return pd.DataFrame({"value": [*rows.values()]}, index=[*rows]).rename_axis("entry")


def predict_task(
    name: str,
    root: Path | None = None,
    *,
    steps: int | None = None,
    model_name: str = "champion",
    user: str | None = None,
    with_totals: bool = True,
    load: Callable[[Path], tuple[Model, dict[str, Any]]] = load_model,
) -> Predicted:
    """Forecast task `name` from its newest samples; writes nothing.

    steps: how far ahead, at most what the model learnt. model_name: alias, version or name. user: only series whose
    label `user` has this value.
    with_totals: forecast the sums over push.totals, too; never of some users. load: reads a model's folder; a process
    that lives on may keep what it has read.
    Raises TsfError.
    """
    root = root or find_root()
    params = read_params(root)
    start_log(params.logging, os.environ)
    task = params.task(name)
    folder = resolve(TaskPaths(root, name).registry, name, model_name)
    model, card = load(folder)
    learnt = model.params.prediction_steps
    if steps is not None and not 1 <= steps <= learnt:
        raise ParamsError(f"{steps} steps were asked for", where="--steps", cure=f"{model_name} learnt 1 to {learnt}")
    context, _ = fetch_from_source(
        params,
        task.fetch,
        newest_seconds(params),
        history_seconds=model.looks_back * model.spec.step_seconds,
    )
    context = _present(context, model.params.sequence_length, task.fetch.metric_query)
    if user is not None:
        users = context.labels.get("user", np.full(context.n_series, "", object))
        if not (users == user).any():
            raise ParamsError(
                f"no series has the user {user!r}", where="--user", cure="see the label's values in the fetch report"
            )
        context = context.take(users == user)
    forecasts = partial(predict, model, line=task.alert.line, horizon=steps, confidence=task.alert.confidence)
    forecast = replace(
        joined(over_shards(forecasts, context)),
        model_version=card["version"],
        data_hash=card["data_hash"],
    )
    info = ModelInfo(card.get("name", model_name), card["version"], card["data_hash"][:12], card["commit"])
    totals = None
    if task.push.totals and with_totals and user is None:
        totals = read_totals(params, task, model, context, forecast)
    return Predicted(name, task, context, forecast, info, root, model.calibration, totals)


def _present(context: SeriesSet, length: int, query: str) -> SeriesSet:
    """The series with a sample in the last `length` steps: those of pods and users long gone are nobody's forecast."""
    there = np.isfinite(context.values[:, -length:]).any(1)
    if there.all():
        return context
    if not there.any():
        raise EmptyError(
            f"no series has a sample in the last {duration_text(length * context.step_seconds)}",
            where=query,
            cure="see whether its exporter still runs, or move snapshot.until (tsf run --now does)",
        )
    return context.take(np.flatnonzero(there))


def push(name: str, root: Path | None = None) -> Pushed:
    """Forecast task `name` from its newest samples, write it back and keep the forecast with a receipt.

    Raises TsfError; what was written before then stays as a whole.
    """
    return write_back(predict_task(name, root))


def write_back(predicted: Predicted) -> Pushed:
    """Write a forecast to the Pushgateway or the textfile, then keep it with its receipt."""
    name, paths = predicted.name, TaskPaths(predicted.root, predicted.name)
    server = effective(read_params(predicted.root).prometheus, os.environ)
    push_params = _within(predicted.task.push, predicted.forecast)
    now = int(time.time())
    owners, no_owners = _owners(predicted, server)
    urgency, totals = predicted.urgency, predicted.totals
    present = Present(
        urgency.used,
        urgency.limit,
        before_work(predicted.task, predicted.forecast, newest_seconds(read_params(predicted.root))),
        owners.of(label_rows(predicted.context.labels)),
    )
    body = forecast_exposition(
        predicted.forecast, present, name, push_params, predicted.info, now,
        None if totals is None else (totals.forecast, totals.present),
    )  # fmt: skip
    place = send(body, server, paths.textfile, name)
    lines = [line for line in body.split(b"\n") if line and not line.startswith(b"#")]
    same = re.sub(rb"(?m)^(tsf_forecast_issued_timestamp_seconds\{.*\}) .*$", rb"\1", body)
    receipt = {
        "query": predicted.task.fetch.metric_query,
        "sent_to": place if place.startswith("http") else str(Path(place).relative_to(predicted.root)),
        "series": predicted.context.n_series,
        "without_forecast": sum(predicted.silent),
        "output_series": len(lines),
        "output_series_allowed": push_params.max_series,
        "bytes": len(body),
        "sha256": hashlib.sha256(same).hexdigest(),
        "model": predicted.info.model,
        "version": predicted.info.version,
        "origin": pd.Timestamp(predicted.forecast.origin_seconds, unit="s").strftime("%Y-%m-%dT%H:%M:%SZ"),
        "most_urgent": _urgent_entries(predicted),
        "alert_rules": str(write_rules(name, predicted.root, owners).relative_to(predicted.root)),
    } | ({"owners": no_owners} if no_owners else {})
    write_forecast(predicted.forecast, paths.pushed / "forecast.parquet")
    anew = _is_new(predicted)
    issued = keep_issued(predicted.forecast, push_params, paths.pushed / "issued.parquet", anew=anew)
    audit, shadow = Audit(issued, predicted.context), _shadow(predicted, push_params, anew=anew)
    write_json(receipt, paths.pushed / "receipt.json")
    own = {field: getattr(predicted, field) for field in Predicted.__dataclass_fields__}
    return Pushed(**own, receipt=receipt, audit=audit, duel=Duel(audit, shadow) if shadow else None)


def _shadow(predicted: Predicted, push_params: PushParams, *, anew: bool) -> Audit | None:
    """Forecast with the challenger, too, if there is one: kept and audited like the champion's, but told to nobody.

    Whatever is wrong with it, the champion's forecast is out: it is logged, and there is no audit of it.
    """
    name, paths = predicted.name, TaskPaths(predicted.root, predicted.name)
    found = [one for one in versions(paths.registry, name) if one.aliases == ("challenger",)]
    kept = [paths.pushed / f"shadow-{one.version}.parquet" for one in found]
    for old in paths.pushed.glob("shadow-*.parquet"):
        if old not in kept:
            old.unlink()
    if not found:
        return None
    try:
        other = predict_task(name, predicted.root, model_name="challenger", with_totals=False)
        issued = keep_issued(other.forecast, _within(push_params, other.forecast), kept[0], anew=anew)
        return Audit(issued, other.context)
    except TsfError as fault:
        logging.getLogger(__name__).warning("The challenger of task %s gave no forecast: %s", name, fault)
        return None


def _is_new(predicted: Predicted) -> bool:
    """Whether the forecasts before this one, if any, spoke about another query."""
    try:
        last = read_json(TaskPaths(predicted.root, predicted.name).pushed / "receipt.json")
    except FlowError:  # none, or one that is damaged
        return True
    return bool(last.get("query") != predicted.task.fetch.metric_query)


def _owners(predicted: Predicted, server: PrometheusParams) -> tuple[Owners, str]:
    """The map of owners, and what is wrong with it: a forecast is not lost because a register is away."""
    try:
        return read_owners(predicted.task.alert.owners, predicted.root, server), ""
    except SourceError as fault:
        logging.getLogger(__name__).warning("%s The owner of the task is named instead.", fault)
        return Owners(), str(fault)


def _within(push_params: PushParams, forecast: Forecast) -> PushParams:
    """The horizons that a shortened forecast (--steps) still covers. Raises ModelError where it covers none."""
    reach = forecast.step_seconds * forecast.quantiles.shape[1]
    kept = tuple(horizon for horizon in push_params.horizons if horizon <= reach)
    if not kept:
        shortest = duration_text(min(push_params.horizons))
        raise ModelError(
            f"a forecast of {duration_text(reach)} covers none of push.horizons", cure=f"ask for {shortest}"
        )
    return push_params.model_copy(update={"horizons": kept})


def _urgent_entries(predicted: Predicted) -> list[dict[str, Any]]:
    """What the index of reports shows of the ten most urgent series."""
    if predicted.forecast.p_breach is None:
        return []
    frame, urgency = predicted.most_urgent(10), predicted.urgency
    return [
        {
            "series": str(name),
            "used": cells["used"],
            "left": _number(urgency.left[row]),
            "p_breach": float(urgency.chance[row]),
            "seconds_left": _number(urgency.seconds_left[row]),
            "expected": cells["expected"],
        }
        for (name, cells), row in zip(frame.iterrows(), urgency.rows[:10], strict=True)
    ]


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
