"""Draw docs/images/forecast.svg, the picture of the README, from the storage task of the demo."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np

from tsf.errors import ParamsError, TsfError
from tsf.io.artifacts import read_series
from tsf.io.files import replacing
from tsf.learn import predict
from tsf.params import read_params
from tsf.plots import plot_forecast, unit_of
from tsf.project import TaskPaths, find_root
from tsf.stages.models import load_model

__all__ = ["draw", "main"]

TASK = "storage"
BEFORE_THE_END_SECONDS = 82 * 3_600  # inside the holdout, so that what came can be drawn beside the forecast
STYLE: Any = {"svg.hashsalt": "tsf", "svg.fonttype": "path"}  # the same bytes each time, and the same look everywhere


def draw(root: Path, picture: Path, before_the_end_seconds: int = BEFORE_THE_END_SECONDS) -> None:
    """Forecast from a moment that the model did not see, and draw the series that need one most.

    These are, of the series below their line, the two most likely to breach, and the two others that moved most in the
    day before. Raises TsfError where the task was not trained or has no limit.
    """
    task, paths = read_params(root).task(TASK), TaskPaths(root, TASK)
    series, (model, _) = read_series(paths.series), load_model(paths.model)
    seen = series.between(0, series.n_steps - before_the_end_seconds // series.step_seconds)
    line = task.alert.alert_line
    forecast = predict(model, seen, line=line)
    if seen.limit is None or forecast.p_breach is None:
        raise ParamsError("the task has no limit", where=f"tasks.{TASK}.fetch", cure="set one")
    share = seen.values[:, -24:] / seen.limit[:, -24:]  # (N, 24)
    chance = np.where(share[:, -1] < line.shares(seen.limit[:, -1]), np.nan_to_num(forecast.p_breach[:, -1]), -1)
    urgent = np.argsort(-chance, kind="stable")[:2]
    moved = np.where(chance >= 0, np.nan_to_num(np.ptp(share, axis=1)), -1)
    moved[urgent] = -1
    rows = [*urgent.tolist(), *np.argsort(-moved, kind="stable")[:2].tolist()]
    figure = plot_forecast(
        series,
        forecast,
        rows,
        line=line,
        unit=unit_of(task.fetch.metric_query),
        time_zone=task.train.time_zone,
        history_steps=96,
        title="How full storage areas will be tomorrow",
    )
    with mpl.rc_context(STYLE), replacing(picture) as file:
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})


def main() -> int:
    """Draw it for the project in this folder."""
    root = find_root()
    try:
        draw(root, root / "docs" / "images" / "forecast.svg")
    except TsfError as fault:
        print(f"error: {fault}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
