"""The shipped tasks on a small demo fleet: levels, bursts and idle machines as they come."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tsf.io.demo import fetch_demo
from tsf.learn import default_baselines, fit, model_forecaster
from tsf.learn.backtest import backtest, rolling_origins
from tsf.params import DemoParams, read_params

pytestmark = pytest.mark.models
PARAMS = read_params(Path(__file__).parents[2])


@pytest.mark.parametrize("name", ["storage", "gpu", "network", "cpu"])
def test_a_short_training_beats_every_baseline_of_a_shipped_task(name: str) -> None:
    task = PARAMS.tasks[name]
    series, _ = fetch_demo(DemoParams(groups=6, users_per_group=4), task.fetch, PARAMS.snapshot.until_seconds)
    held = task.train.holdout // series.step_seconds
    params = task.train.model_copy(update={"epochs": 25, "members": 1})
    model = fit(series.between(0, series.n_steps - held), params)
    horizon, levels = params.prediction_steps, params.quantiles
    origins = rolling_origins(series.n_steps, held, horizon, 12)
    baselines = default_baselines(series.step_seconds, series.n_steps, levels, params.edges)
    forecasters = {"model": model_forecaster(model)} | baselines
    result = backtest(forecasters, series, origins, horizon, levels, dimensions=[])
    wql = result.table["wql"]
    assert wql["model"] < wql.drop("model").min(), result.table
    assert np.nanmax(result.examples["model"].quantiles) < 100 * np.nanmax(series.values), "a quantile ran away"
    assert 0.6 < result.table.loc["model", "coverage"] < 0.95
