"""Draw the pictures of the README, docs/images/forecast.svg and alarms.svg, from the storage task of the demo."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from tsf.errors import ParamsError, TsfError
from tsf.io.artifacts import read_series
from tsf.io.files import replacing
from tsf.learn import Model, predict
from tsf.params import TaskParams, read_params
from tsf.plots import plot_forecast, plot_rules, unit_of
from tsf.project import TaskPaths, find_root
from tsf.series import SeriesSet
from tsf.stages.alarm_replay import replay_alarms
from tsf.stages.models import load_model

__all__ = ["draw_alarms", "draw_forecast", "main"]

TASK = "storage"
BEFORE_THE_END_SECONDS = 82 * 3_600  # inside the holdout, so that what came can be drawn beside the forecast
STYLE: Any = {"svg.hashsalt": "tsf", "svg.fonttype": "path"}  # the same bytes each time, and the same look everywhere


def draw_forecast(task: TaskParams, series: SeriesSet, model: Model) -> Figure:
    """Forecast from a moment that the model did not see, and draw the series that need one most.

    These are, of the series below their line, the two most likely to breach, and the two others that moved most in the
    day before.
    """
    seen = series.between(0, series.n_steps - BEFORE_THE_END_SECONDS // series.step_seconds)
    line = task.alert.alert_line
    forecast = predict(model, seen, line=line)
    assert seen.limit is not None  # noqa: S101 - main has looked
    assert forecast.p_breach is not None  # noqa: S101 - there is a limit
    share = seen.values[:, -24:] / seen.limit[:, -24:]  # (N, 24)
    chance = np.where(share[:, -1] < line.shares(seen.limit[:, -1]), np.nan_to_num(forecast.p_breach[:, -1]), -1)
    urgent = np.argsort(-chance, kind="stable")[:2]
    moved = np.where(chance >= 0, np.nan_to_num(np.ptp(share, axis=1)), -1)
    moved[urgent] = -1
    rows = [*urgent.tolist(), *np.argsort(-moved, kind="stable")[:2].tolist()]
    return plot_forecast(
        series,
        forecast,
        rows,
        line=line,
        unit=unit_of(task.fetch.metric_query),
        time_zone=task.train.time_zone,
        history_steps=96,
        title="How full storage areas will be tomorrow",
    )


def draw_alarms(task: TaskParams, series: SeriesSet, model: Model) -> Figure:
    """What each rule would have done in the judged weeks."""
    alarms = replay_alarms(task, series, model)
    assert alarms is not None  # noqa: S101 - there is a limit
    return plot_rules(alarms.outcomes_by_rule)


def main() -> int:
    """Draw both for the project in this folder."""
    root = find_root()
    images = root / "docs" / "images"
    try:
        task, paths = read_params(root).task(TASK), TaskPaths(root, TASK)
        series, (model, _) = read_series(paths.series), load_model(paths.model)
        if series.limit is None:
            raise ParamsError("the task has no limit", where=f"tasks.{TASK}.fetch", cure="set one")
        save(draw_forecast(task, series, model), images / "forecast.svg")
        save(draw_alarms(task, series, model), images / "alarms.svg")
    except TsfError as fault:
        print(f"error: {fault}", file=sys.stderr)
        return 1
    return 0


def save(figure: Figure, path: Path) -> None:
    """Write the figure as SVG, the same bytes for the same figure."""
    with mpl.rc_context(STYLE), replacing(path) as file:
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})


if __name__ == "__main__":
    sys.exit(main())
