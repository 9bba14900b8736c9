"""What a context says without learning."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tsf.learn.naives import Naives, stillness

SLOPE = 1  # the only naive forecast that goes on to where nobody has been


def test_stillness_tells_how_often_and_how_long_nothing_changes():
    values = torch.tensor([[1.0, 1, 1, 2, 2, 2, 2, 2], [1, 2, 3, 4, 5, 6, 7, 8], [3, 3, 3, 3, 3, 3, 3, 3]])
    share, length = stillness(values, torch.ones_like(values)).T
    assert share.tolist() == pytest.approx([6 / 7, 0, 1])
    assert length.tolist() == pytest.approx([math.log(5) / math.log(8), 0, 1])


@pytest.mark.parametrize(
    ("values", "seen", "share", "steps"),
    [
        pytest.param([2, 2, 0, 2, 2], [1, 1, 0, 1, 1], 1, 5, id="a gap is no change"),
        pytest.param([2, 2, 0, 3, 3], [1, 1, 0, 1, 1], 2 / 3, 2, id="a change across a gap is one"),
        pytest.param([0, 0, 0, 3, 3], [0, 0, 0, 1, 1], 1, 2, id="a late start is no change, and nothing was before it"),
        pytest.param([0, 0, 0, 0, 0], [0, 0, 0, 0, 0], 1, 1, id="nothing seen"),
    ],
)
def test_stillness_knows_what_is_missing(values, seen, share, steps):
    found = stillness(torch.tensor([values], dtype=torch.float32), torch.tensor([seen], dtype=torch.float32))
    assert found[0].tolist() == pytest.approx([share, math.log(steps) / math.log(5)])


@given(st.integers(0, 2**32 - 1))
def test_what_is_moved_by_a_rise_stays_within_what_the_context_has_seen(seed):
    values = torch.tensor(np.random.default_rng(seed).standard_t(2, (4, 72)), dtype=torch.float32)
    naives = Naives(context=72, horizon=12, segment=12, seasons=(24,))
    found = np.delete(naives(values, torch.ones_like(values)).numpy(), SLOPE, axis=2)
    assert (found <= values.amax(1).numpy()[:, None, None] + 1e-5).all()
    assert (found >= values.amin(1).numpy()[:, None, None] - 1e-5).all()
