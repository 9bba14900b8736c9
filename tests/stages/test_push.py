"""What a push forecasts: a model looks back weeks, and in weeks many series end."""

from __future__ import annotations

import numpy as np
import pytest

from tests.learn.conftest import series_of
from tsf.errors import EmptyError
from tsf.stages.push import _present

CONTEXT = 24


def test_a_series_that_ended_before_the_context_is_left_out_and_one_that_fell_silent_is_not() -> None:
    values = np.ones((3, 700))
    values[0, -CONTEXT:] = np.nan
    values[1, -CONTEXT + 1 :] = np.nan
    assert _present(series_of(values), CONTEXT, "up").labels["user"].tolist() == ["user1", "user2"]


def test_with_nothing_left_the_sentence_names_the_query_and_the_cure() -> None:
    values = np.ones((2, 700))
    values[:, -CONTEXT:] = np.nan
    with pytest.raises(EmptyError, match=r"up: no series has a sample in the last 1d; see whether its exporter"):
        _present(series_of(values), CONTEXT, "up")
