"""Windows that teach and windows that judge never share a step of what is to be foretold."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.learn.conftest import series_of, small_params
from tsf.learn.places import judged_steps, least_history, split


@given(st.integers(2, 100), st.integers(1, 40), st.integers(1, 4), st.integers(0, 400))
def test_what_is_taught_ends_where_what_judges_begins(context: int, horizon: int, n: int, more: int) -> None:
    params = small_params(sequence_length=context, prediction_steps=horizon)
    total = least_history(params) + more
    teach, judge = split(series_of(np.ones((n, total))), params, torch.device("cpu"))
    border = total - judged_steps(total, horizon, 3_600)  # the first step that judges
    assert int(teach.origins.max()) + horizon == border - 1
    assert int(judge.origins.min()) + 1 >= border
    assert int(judge.origins.max()) + horizon == total - 1
