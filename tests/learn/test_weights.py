"""How the learning rate goes, step by step."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.learn.conftest import small_params
from tsf.learn import fit
from tsf.learn.weights import rate_share

progress = st.floats(0, 1)


@given(progress)
def test_one_cycle_is_bit_for_bit_what_models_were_trained_with_so_far(done):
    fall = 0.5 * (1 + math.cos(math.pi * (done - 0.1) / (1 - 0.1)))
    assert rate_share("one_cycle", done) == (0.04 + 0.96 * done / 0.1 if done < 0.1 else fall)


@given(progress, progress)
def test_a_cosine_only_falls_and_a_constant_rate_does_not(one, other):
    early, late = sorted((one, other))
    assert 1 >= rate_share("cosine", early) >= rate_share("cosine", late) >= 0
    assert rate_share("constant", early) == rate_share("constant", late) == 1


def test_every_schedule_but_the_constant_one_ends_at_zero_and_one_cycle_alone_starts_low():
    assert [rate_share(name, 0.0) for name in ("one_cycle", "cosine", "constant")] == [0.04, 1, 1]
    assert [rate_share(name, 1.0) for name in ("one_cycle", "cosine", "constant")] == [0, 0, 1]
    assert rate_share("one_cycle", 0.1) == 1


@pytest.mark.models
def test_training_follows_its_schedule_and_goes_on_from_no_checkpoint_of_another(limited_series):
    points, rates = [], {}
    for name in ("one_cycle", "cosine", "constant"):
        params = small_params(epochs=4, schedule=name, learning_rate=0.01)
        resume = points[-1] if points else None
        model = fit(limited_series, params, keep=points.append, resume=resume)
        assert [epoch.number for epoch in model.history] == [1, 2, 3, 4]
        rates[name] = [epoch.learning_rate for epoch in model.history]
    assert rates["constant"] == [0.01] * 4
    assert rates["cosine"] == sorted(rates["cosine"], reverse=True)
    assert rates["one_cycle"] != rates["cosine"]
    assert len({point.facts["of"] for point in points}) == 3
