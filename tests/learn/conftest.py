"""Small series and small models that the tests of learning share."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tsf.learn import Model, fit
from tsf.params import ModelType, TrainParams
from tsf.series import SeriesSet

torch.set_num_threads(1)
START = 1_700_006_400  # a Wednesday, 00:00 UTC
MODEL_TYPES = get_args(ModelType)


def series_of(values: NDArray[Any], *, step_seconds: int = 3_600, **parts: Any) -> SeriesSet:
    """A SeriesSet of (N, T) values with the label `user`."""
    users = np.array([f"user{row}" for row in range(len(values))], object)
    times = START + step_seconds * np.arange(values.shape[1])
    return SeriesSet({"user": users}, times, step_seconds, values.astype(float), **parts)


def daily_waves(n: int = 12, days: int = 20, *, seed: int = 0) -> NDArray[np.float64]:
    """(N, 24 * days) positive hourly values: a level, a daily wave, noise, a few gaps."""
    random = np.random.default_rng(seed)
    phase = 2 * np.pi * (np.arange(24 * days) / 24 + random.random((n, 1)))
    values = random.uniform(50, 90, (n, 1)) + 8 * np.sin(phase) + random.normal(0, 1, (n, 24 * days))
    values[random.random(values.shape) < 0.01] = np.nan
    return values


def weekly_pattern(n: int, weeks: int) -> NDArray[np.float64]:
    """(N, 168 * weeks) hourly values: each hour of the week has its own level, which no context of days tells."""
    random = np.random.default_rng(0)
    pattern = np.tile(random.uniform(10, 90, (n, 168)), weeks)
    return np.asarray(pattern + random.normal(0, 3, pattern.shape))


def small_params(**changes: Any) -> TrainParams:
    """A model that trains in about a second."""
    sizes: dict[str, Any] = {
        "sequence_length": 48, "prediction_steps": 12, "hidden_dim": 16, "num_layers": 1, "d_model": 16, "nhead": 2,
        "epochs": 3, "batch_size": 64, "windows_per_epoch": 512, "device": "cpu", "dimensions": ("user",),
        "level_shifts": 0.0,  # in so few steps what they teach would only be in the way
    }  # fmt: skip
    return TrainParams(**(sizes | changes))


@pytest.fixture(scope="session")
def limited_series() -> SeriesSet:
    """Twelve users with a daily wave and a limit of 95."""
    values = daily_waves()
    return series_of(values, limit=np.full(values.shape, 95.0))


@pytest.fixture(scope="session")
def small_model(limited_series: SeriesSet) -> Model:
    """A model trained on all of `limited_series`."""
    return fit(limited_series, small_params(epochs=8))


@pytest.fixture(scope="session", params=MODEL_TYPES)
def any_model(request: pytest.FixtureRequest, limited_series: SeriesSet) -> Model:
    """One of each kind, trained on all of `limited_series`."""
    return fit(limited_series, small_params(model_type=request.param, epochs=8))
