"""Push: forecast from the newest samples with the champion model and write the forecast back."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import time
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from tsf.errors import FlowError, SourceError, TsfError
from tsf.io.artifacts import read_json, write_forecast, write_json, write_series
from tsf.io.exposition import Present, forecast_exposition
from tsf.io.owners import Owners, read_owners
from tsf.io.pushgateway import send
from tsf.io.registry import aliased
from tsf.io.source import newest_seconds
from tsf.kinds import stamp_text
from tsf.learn import Exported
from tsf.params import PrometheusParams, effective, read_params
from tsf.project import TaskPaths
from tsf.series import label_rows
from tsf.stages.audit import Audit, Duel, keep_issued, within
from tsf.stages.hours import before_work
from tsf.stages.predict import Predicted, predict_task
from tsf.stages.rules import write_rules
from tsf.stages.shifts import Shifts

if TYPE_CHECKING:
    from tsf.stages.explain import Reasons

__all__ = ["Pushed", "push", "write_back"]

EXPLAINED = 3  # of the most urgent series


@dataclass(frozen=True)
class Pushed(Predicted):
    """A forecast that was written back, and the receipt."""

    receipt: dict[str, Any] = field(kw_only=True)
    audit: Audit = field(kw_only=True)
    duel: Duel | None = field(default=None, kw_only=True)  # None without a challenger

    @cached_property
    def why(self) -> Reasons | None:
        """Why the forecasts of the most urgent series are what they are; None where no series has one.

        None, too, of an exported model: that is to find out with torch.
        """
        rows = [row for row in self.urgent_rows if not self.silent[row]][:EXPLAINED]
        if not rows or isinstance(self.model, Exported):
            return None
        from tsf.stages.explain import reasons_of  # which loads torch

        return reasons_of(self, rows)

    @property
    def shifts(self) -> Shifts:
        """The series that have left the range they had."""
        return Shifts(self.context, self.urgency.unit)

    @property
    def receipt_table(self) -> pd.DataFrame:
        """The receipt, a row per entry."""
        entries = {key: value for key, value in self.receipt.items() if key != "most_urgent"}
        rows = {
            key.replace("_", " "): f"{value:,}" if isinstance(value, int) else str(value)
            for key, value in entries.items()
        }
        return pd.DataFrame({"value": [*rows.values()]}, index=[*rows]).rename_axis("entry")


def push(name: str, root: Path | None = None, *, onnx: Path | None = None) -> Pushed:
    """Forecast task `name` from its newest samples, write it back and keep the forecast with a receipt.

    onnx: the file of an exported model to forecast by; then no challenger forecasts beside it, and nothing needs torch.
    Raises TsfError; what was written before then stays as a whole.
    """
    pushed = write_back(predict_task(name, root, onnx=onnx))
    shadow = None if onnx else _shadow(pushed)
    return replace(pushed, duel=Duel(pushed.audit, shadow)) if shadow else pushed


def write_back(predicted: Predicted) -> Pushed:
    """Write a forecast to the Pushgateway or the textfile, then keep it with its receipt."""
    name, paths = predicted.name, TaskPaths(predicted.root, predicted.name)
    server = effective(read_params(predicted.root).prometheus, os.environ)
    push_params = within(predicted.task.push, predicted.forecast)
    now = int(time.time())
    owners, no_owners = _owners(predicted, server)
    urgency, totals = predicted.urgency, predicted.totals
    present = Present(
        urgency.used,
        urgency.limit,
        before_work(predicted.task, predicted.forecast, newest_seconds(read_params(predicted.root))),
        owners.of(label_rows(predicted.context.labels)),
        Shifts(predicted.context).count,
    )
    body = forecast_exposition(
        predicted.forecast, present, name, push_params, predicted.info, now,
        None if totals is None else (totals.forecast, totals.present),
    )  # fmt: skip
    place = send(body, server, paths.textfile, name)
    lines = [line for line in body.split(b"\n") if line and not line.startswith(b"#")]
    same = re.sub(rb"(?m)^(tsf_forecast_issued_timestamp_seconds\{.*\}) .*$", rb"\1", body)
    rules = write_rules(name, predicted.root, owners, push_params, predicted.alert)
    receipt = {
        "query": predicted.task.fetch.metric_query,
        "sent_to": place if place.startswith("http") else str(Path(place).relative_to(predicted.root)),
        "series": predicted.context.n_series,
        "without_forecast": sum(predicted.silent),
        "ended_long_before": predicted.ended,
        "shifted": present.shifted,
        "output_series": len(lines),
        "output_series_allowed": push_params.max_series,
        "bytes": len(body),
        "sha256": hashlib.sha256(same).hexdigest(),
        "model": predicted.info.model,
        "version": predicted.info.version,
        "origin": stamp_text(predicted.forecast.origin_seconds),
        "most_urgent": _urgent_entries(predicted),
        "alert_rules": str(rules.relative_to(predicted.root)),
    } | ({"owners": no_owners} if no_owners else {})
    write_forecast(predicted.forecast, paths.pushed / "forecast.parquet")
    write_series(predicted.context, paths.context)  # what was used when this was said; the last fetch may be a day old
    issued = keep_issued(
        predicted.forecast, predicted.task.push, paths.pushed / "issued.parquet", anew=_is_new(predicted)
    )
    write_json(receipt, paths.pushed / "receipt.json")
    own = {field: getattr(predicted, field) for field in Predicted.__dataclass_fields__}
    return Pushed(**own, receipt=receipt, audit=Audit(issued, predicted.context))


def _shadow(pushed: Pushed) -> Audit | None:
    """Forecast with the challenger, too, if there is one: kept and audited like the champion's, but told to nobody.

    Whatever is wrong with it, the champion's forecast is out: it is logged, and there is no audit of it.
    """
    name, query, paths = pushed.name, pushed.task.fetch.metric_query, TaskPaths(pushed.root, pushed.name)
    challenger = aliased(paths, "challenger")
    shadowed = [challenger.version] if challenger and "champion" not in challenger.aliases else []
    # The name says of which model and query the file is: with any other there is nothing to compare.
    marks = [hashlib.sha256(f"{version} {query}".encode()).hexdigest()[:12] for version in shadowed]
    kept = [paths.pushed / f"shadow-{mark}.parquet" for mark in marks]
    for old in {*paths.pushed.glob("shadow-*.parquet")} - {*kept}:
        old.unlink()
    if not kept:
        return None
    try:
        other = predict_task(name, pushed.root, model_name="challenger", with_totals=False)
        return Audit(keep_issued(other.forecast, pushed.task.push, kept[0]), other.context)
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
        owners = read_owners(predicted.task.alert.owners, predicted.root, server)
        wrong = owners.unused(label_rows(predicted.context.labels))
    except SourceError as fault:
        owners, wrong = Owners(), str(fault)
    if wrong:
        logging.getLogger(__name__).warning("%s The owner of the task is named instead.", wrong)
    return owners, wrong


def _urgent_entries(predicted: Predicted) -> list[dict[str, Any]]:
    """What the index of reports shows of the ten most urgent series."""
    if predicted.forecast.p_breach is None:
        return []
    frame, urgency = predicted.most_urgent(10), predicted.urgency
    return [
        {
            "series": str(name),
            "used": cells["used"],
            "left": urgency.left[row],
            "p_breach": urgency.chance[row],
            "seconds_left": urgency.seconds_left[row],
            "expected": cells["expected"],
        }
        for (name, cells), row in zip(frame.iterrows(), urgency.rows[:10], strict=True)
    ]
