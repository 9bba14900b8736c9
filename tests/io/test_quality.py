from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tsf.io.quality import measure_quality
from tsf.series import SeriesSet

NAN = np.nan


def series_of(values: list[list[float]], limit: list[list[float]] | None = None) -> SeriesSet:
    array = np.array(values, float)
    names = np.array([f"s{row}" for row in range(len(array))], object)
    times = 300 * np.arange(array.shape[1])
    return SeriesSet({"name": names}, times, 300, array, None if limit is None else np.array(limit, float))


def test_each_missing_sample_is_counted_once_and_by_its_kind() -> None:
    quality = measure_quality(
        series_of([[NAN, NAN, 3, NAN, NAN, 6, NAN, 8], [1, 2, 3, 4, 5, 6, NAN, NAN], [NAN] * 8, [1] * 8])
    )
    assert (quality.n_series, quality.n_steps) == (4, 8)
    assert (quality.late_starts, quality.late_start_samples) == (1, 2)
    assert (quality.early_ends, quality.early_end_samples) == (1, 2)
    assert (quality.gaps, quality.gap_samples, quality.longest_gap_seconds) == (2, 3, 900)
    assert quality.empty_series == 1
    assert quality.missing == 2 + 2 + 3 + 8


def test_series_without_gaps_have_no_longest_gap() -> None:
    assert measure_quality(series_of([[1, 2], [NAN, 1]])).longest_gap_seconds == 0


def test_a_fall_below_half_is_a_reset_also_over_a_gap_but_not_from_zero_or_below() -> None:
    assert measure_quality(series_of([[10, 4, 2, 1, NAN, 0.4, 0.3]])).resets == 2
    assert measure_quality(series_of([[0, -5, -20, 10, 5]])).resets == 0


def test_unknown_limits_count_only_where_there_is_a_value_and_ever_a_limit() -> None:
    quality = measure_quality(
        series_of([[1, NAN, 3], [1, 2, 3]], limit=[[NAN, NAN, 9], [NAN, NAN, NAN]]), without_limit=1
    )
    assert (quality.limit_missing, quality.without_limit) == (1, 1)


@given(arrays(float, st.tuples(st.integers(1, 4), st.integers(1, 9)), elements=st.sampled_from([NAN, 1.0, 5.0])))
def test_the_kinds_of_missing_samples_add_up_and_become_json(values: np.ndarray) -> None:
    quality = measure_quality(series_of(values.tolist()), nan_samples=2, infinite_samples=1, warnings=["watch out"])
    parts = quality.late_start_samples + quality.early_end_samples + quality.gap_samples
    assert quality.missing == parts + quality.empty_series * quality.n_steps == np.isnan(values).sum()
    assert json.loads(json.dumps(asdict(quality)))["warnings"] == ["watch out"]
