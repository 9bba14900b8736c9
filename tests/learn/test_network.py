"""What the parts of the network say before and after training."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.learn.conftest import series_of, small_params
from tsf.learn import fit, predict
from tsf.learn.model import build_network, build_spec
from tsf.learn.network import stillness


def test_stillness_tells_how_often_and_how_long_nothing_changes():
    values = torch.tensor([[1.0, 1, 1, 2, 2, 2, 2, 2], [1, 2, 3, 4, 5, 6, 7, 8], [3, 3, 3, 3, 3, 3, 3, 3]])
    share, length = stillness(values, torch.ones_like(values)).T
    assert share.tolist() == pytest.approx([6 / 7, 0, 1])
    assert length.tolist() == pytest.approx([math.log(5) / math.log(8), 0, 1])


def test_a_gap_is_no_change():
    values, seen = torch.tensor([[2.0, 2, 0, 2, 2]]), torch.tensor([[1.0, 1, 0, 1, 1]])
    assert stillness(values, seen).tolist() == [[1.0, 1.0]]


@given(st.integers(0, 2**32 - 1))
def test_what_is_moved_by_a_rise_stays_within_what_the_context_has_seen(seed):
    random = np.random.default_rng(seed)
    params = small_params(sequence_length=72)
    naives = build_network(build_spec(series_of(np.ones((1, 200))), params)).networks[0].naives
    values = torch.tensor(random.standard_t(2, (4, 72)), dtype=torch.float32)
    slope = 1  # the only forecast that goes on where nobody has been
    found = np.delete(naives(values, torch.ones_like(values)).numpy(), slope, axis=2)
    assert (found <= values.amax(1).numpy()[:, None, None] + 1e-5).all()
    assert (found >= values.amin(1).numpy()[:, None, None] - 1e-5).all()


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
