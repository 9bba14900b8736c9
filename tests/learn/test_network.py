"""What the network has learnt."""

import numpy as np

from tests.learn.conftest import series_of, small_params
from tsf.learn import fit, predict


def test_what_stands_still_is_forecast_to_stay_exactly_there():
    """Reserved memory: half of the series jump ten times as often, and nothing but the past tells which."""
    random = np.random.default_rng(3)
    values = np.empty((120, 400))
    for number, row in enumerate(values):
        jumps = np.flatnonzero(random.random(400) < (0.02 if number < 60 else 0.2))
        levels = random.uniform(20, 80, len(jumps) + 1)
        row[:] = levels[np.searchsorted(jumps, np.arange(400), side="right")]
    past = series_of(values[:, :388])
    model = fit(past, small_params(epochs=12, hidden_dim=32, windows_per_epoch=2_048, dimensions=()))
    forecast, last = predict(model, past), values[:, 387, None]
    away = (np.abs(forecast.at(0.5) - last) / last)[:60]
    assert np.median(away) < 0.0004
    assert np.quantile(away, 0.9) < 0.015
    assert np.median((forecast.at(0.99) - forecast.at(0.01))[:60, -1]) > 10
