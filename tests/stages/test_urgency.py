"""What is left, and for how long, the most urgent first."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from tests.io.test_exposition import forecast_of
from tests.pipeline.conftest import make_project
from tsf.io.artifacts import write_forecast, write_json, write_series
from tsf.kinds import AlertLine
from tsf.panel.model import Results
from tsf.params import read_params
from tsf.project import TaskPaths
from tsf.series import SeriesSet
from tsf.server.views import look
from tsf.stages.urgency import Urgency

ORIGIN = 1_793_491_200  # 2026-11-01 00:00


def urgency_of(used: list[float], moments: list[float], chance: list[float], limit: float | None = 1000.0) -> Urgency:
    n = len(used)
    labels = {"user": [f"u{row}" for row in range(n)]}
    chances = None if limit is None else np.tile(np.array(chance)[:, None], (1, 24))
    times = None if limit is None else np.array(moments)
    forecast = forecast_of(labels, p_breach=chances, limit_time=times)
    values = np.array([[value, np.nan] for value in used])
    context = SeriesSet(forecast.labels, ORIGIN + 3600 * np.arange(-1, 1), 3600, values,
                        None if limit is None else np.full((n, 2), limit))  # fmt: skip
    return Urgency(context, forecast, AlertLine(0.9), "bytes")


def test_the_soonest_comes_first_then_the_likeliest() -> None:
    urgency = urgency_of(
        [100, 950, 800, 800, np.nan],
        [np.inf, ORIGIN + 7200, ORIGIN + 3600, np.inf, np.nan],
        [0.1, 0.9, 0.6, 0.3, np.nan],
    )
    assert urgency.rows == [1, 2, 3, 0, 4]
    assert urgency.seconds_left[:4].tolist() == [np.inf, 0, 3600, np.inf]
    assert urgency.left[:4].tolist() == [800, 0, 100, 100]
    table = urgency.table(3)
    assert table.to_dict("records")[:2] == [
        {"used": "95.0 %", "left to the line": "0 B", "forecast": "12.4 %", "chance of breach": "90 %",
         "time left": "none", "expected": "is there now"},
        {"used": "80.0 %", "left to the line": "100 B", "forecast": "22.4 %", "chance of breach": "60 %",
         "time left": "1 h", "expected": "2026-11-01 01:00 UTC"},
    ]  # fmt: skip
    assert table["expected"].iloc[2] == "not in sight"
    assert table["time left"].iloc[2] == "–"


def test_nothing_is_left_where_only_the_reserve_is() -> None:
    urgency = replace(urgency_of([840, 850, 860], [np.inf] * 3, [0.1] * 3), line=AlertLine(0.9, 150))
    assert urgency.left.tolist() == [10, 0, 0]
    assert urgency.table(3)["expected"].tolist() == ["is there now", "is there now", "not in sight"]


def test_without_a_limit_the_steepest_comes_first_and_nothing_is_said_to_be_left() -> None:
    urgency = urgency_of([2048, 1], [], [], limit=None)
    assert urgency.rows == [0, 1]
    assert urgency.table(1).to_dict("records") == [{"used": "2 KiB", "forecast": "24 B"}]


def test_a_series_without_a_forecast_is_not_said_to_be_out_of_danger() -> None:
    urgency = urgency_of([100, 950, 200], [np.inf, np.nan, np.nan], [0.1, np.nan, np.nan])
    quantiles = urgency.forecast.quantiles.copy()
    quantiles[1:] = np.nan
    urgency = replace(urgency, forecast=replace(urgency.forecast, quantiles=quantiles))
    assert urgency.rows == [1, 0, 2]  # one is full already, whatever comes
    full, calm, unknown = urgency.table(3).to_dict("records")
    assert full["expected"] == "is there now"
    assert calm["expected"] == "not in sight"
    assert unknown == {
        "used": "20.0 %", "left to the line": "700 B", "forecast": "–", "chance of breach": "–", "time left": "–",
        "expected": "unknown",
    }  # fmt: skip


def test_report_lab_and_panel_have_the_same_order(tmp_path: Path) -> None:
    root = make_project(tmp_path, ("storage",)).root
    params, paths = read_params(root), TaskPaths(root, "storage")
    soon, late, silent = ORIGIN + 3600, ORIGIN + 7200, np.nan
    urgency = urgency_of(
        [300, 500, 500, 800, 700, 100, 990],
        [late, soon, late, late, np.inf, np.inf, silent],
        [0.9, 0.1, 0.9, 0.9, 0.4, 0.8, np.nan],
    )
    forecast = replace(urgency.forecast, origin_seconds=params.snapshot.until_seconds)
    forecast = replace(forecast, limit_time=urgency.forecast.limit_time + forecast.origin_seconds - ORIGIN)
    write_forecast(forecast, paths.pushed / "forecast.parquet")
    for path in (paths.series, paths.context):
        write_series(urgency.context, path)
    for path in (paths.evaluation / "metrics.json", paths.pushed / "receipt.json"):
        write_json({}, path)
    line = params.task("storage").alert.alert_line
    order = [6, 1, 3, 2, 0, 5, 4]
    assert Urgency(urgency.context, forecast, line).rows == order
    assert look(root, params, "storage").order == order
    assert Results(root, "storage", params.task("storage")).urgent_rows == order
