"""The data contract: what SeriesSet and Forecast hold to, and how they refuse the rest."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.strategies import forecasts, series_sets
from tsf.errors import SeriesError
from tsf.series import Forecast, SeriesSet, carried, label_rows, newest, rows_in, title_of


def small(**changes: Any) -> SeriesSet:
    """Two series, a and b, of three minutes."""
    content: dict[str, Any] = {
        "labels": {"group": np.array(["a", "b"], object), "user": np.array(["", "u"], object)},
        "times": np.array([0, 60, 120]),
        "step_seconds": 60,
        "values": np.array([[1.0, np.nan, 3.0], [4.0, 5.0, 6.0]]),
        "limit": np.full((2, 3), 9.0),
        "covariates": {"jobs": np.arange(6.0).reshape(2, 3)},
    }
    return SeriesSet(**(content | changes))


def forecast(**changes: Any) -> Forecast:
    """Two series, two hours, three levels."""
    content: dict[str, Any] = {
        "labels": {"group": np.array(["a", "b"], object)},
        "origin_seconds": 7200,
        "step_seconds": 3600,
        "levels": np.array([0.1, 0.5, 0.9]),
        "quantiles": np.arange(12.0).reshape(2, 2, 3),
    }
    return Forecast(**(content | changes))


VIOLATIONS: list[tuple[dict[str, Any], str]] = [
    ({"times": np.array([0, 60, 180])}, r"time 180 follows 60, off the grid of 60 s"),
    ({"times": np.array([0, 60, 60])}, r"time 60 follows 60, off the grid"),
    ({"times": np.array([120, 60, 0])}, r"time 60 follows 120, off the grid"),
    ({"times": np.zeros(0)}, r"there are no times"),
    ({"step_seconds": 0}, r"the step is 0 s"),
    ({"values": np.zeros((2, 4))}, r"values have shape \(2, 4\), the grid has 3 steps"),
    ({"values": np.zeros(3)}, r"values have shape \(3,\)"),
    ({"values": np.zeros((0, 3)), "limit": None, "covariates": {}}, r"values have shape \(0, 3\)"),
    ({"limit": np.zeros((2, 2))}, r"limit has shape \(2, 2\), values have \(2, 3\)"),
    ({"covariates": {"jobs": np.zeros((1, 3))}}, r"jobs has shape \(1, 3\)"),
    ({"covariates": {"limit": np.zeros((2, 3))}}, r"a covariate is called 'limit' like another part"),
    ({"covariates": {"values": np.zeros((2, 3))}}, r"a covariate is called 'values' like another part"),
    ({"covariates": {"group": np.zeros((2, 3))}}, r"a covariate is called 'group' like another part"),
    ({"values": np.array([[0, 0, 0], [0, 0, np.inf]])}, r"values of series 1 is infinite at time 120"),
    ({"limit": np.array([[0, -np.inf, 0], [0, 0, 0]])}, r"limit of series 0 is infinite at time 60"),
    ({"covariates": {"jobs": np.full((2, 3), np.inf)}}, r"jobs of series 0 is infinite at time 0"),
    ({"labels": {"a b": ["x", "y"]}}, r"label name 'a b' is not a Prometheus label name"),
    ({"labels": {"": ["x", "y"]}}, r"label name '' is not"),
    ({"labels": {7: ["x", "y"]}}, r"label name 7 is not"),
    ({"labels": {"a\n": ["x", "y"]}}, r"label name 'a\\n' is not"),
    ({"labels": {"a": ["x"]}}, r"label 'a' does not hold 2 strings"),
    ({"labels": {"a": ["x", 1]}}, r"label 'a' does not hold 2 strings"),
    ({"labels": {"a": ["x", None]}}, r"label 'a' does not hold 2 strings"),
    ({"labels": {"a": ["x", "\ud800"]}}, r"label 'a' holds '\\ud800', which is not UTF-8"),
    ({"labels": {"a": ["x", "x"]}}, r"two series have the labels \{'a': 'x'\}"),
    ({"labels": {}}, r"two series have the labels \{\}"),
]


@pytest.mark.parametrize(("changes", "message"), VIOLATIONS, ids=[message for _, message in VIOLATIONS])
def test_every_violation_is_refused_in_one_sentence(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SeriesError, match=message) as caught:
        small(**changes)
    assert str(caught.value).endswith(".")
    assert "\n" not in str(caught.value)
    assert caught.value.cure


FORECAST_VIOLATIONS: list[tuple[dict[str, Any], str]] = [
    ({"quantiles": np.zeros((2, 2))}, r"quantiles have shape \(2, 2\) for 3 levels"),
    ({"quantiles": np.zeros((2, 2, 2))}, r"quantiles have shape \(2, 2, 2\) for 3 levels"),
    ({"quantiles": np.zeros((2, 0, 3))}, r"quantiles have shape \(2, 0, 3\)"),
    ({"quantiles": -np.arange(12.0).reshape(2, 2, 3)}, r"quantiles cross"),
    ({"levels": np.array([0.5, 0.1, 0.9])}, r"levels \[0\.5, 0\.1, 0\.9\] do not increase inside 0 … 1"),
    ({"levels": np.array([0.0, 0.5, 0.9])}, r"do not increase inside"),
    ({"levels": np.array([0.1, 0.5, 1.0])}, r"do not increase inside"),
    ({"p_breach": np.zeros((2, 3))}, r"p_breach has shape \(2, 3\)"),
    ({"limit_time": np.zeros(3)}, r"limit_time has shape \(3,\)"),
    ({"abstained": np.array(["x"], object)}, r"abstained does not hold 2 strings"),
    ({"abstained": np.array(["x", None], object)}, r"abstained does not hold 2 strings"),
    ({"labels": {"group": ["a", "a"]}}, r"two series have the labels"),
]


@pytest.mark.parametrize(("changes", "message"), FORECAST_VIOLATIONS, ids=[m for _, m in FORECAST_VIOLATIONS])
def test_every_violation_of_a_forecast_is_refused_in_one_sentence(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SeriesError, match=message) as caught:
        forecast(**changes)
    assert "\n" not in str(caught.value)
    assert caught.value.cure


def test_nothing_in_a_set_can_be_changed() -> None:
    values = np.ones((2, 3))
    series = small(values=values)
    values[0, 0] = 7
    assert series.values[0, 0] == 1
    for array in (series.values, series.times, series.limit, series.labels["group"], series.covariates["jobs"]):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0
    with pytest.raises(FrozenInstanceError):
        series.step_seconds = 5  # type: ignore[misc]
    for mapping in (series.labels, series.covariates):
        with pytest.raises(TypeError):
            mapping["x"] = series.values  # type: ignore[index]


@settings(deadline=None)
@given(series_sets())
def test_a_frame_and_back_gives_the_same_series(series: SeriesSet) -> None:
    frame = series.to_frame()
    assert len(frame) == series.n_series * series.n_steps
    shuffled = frame.sample(frac=1, random_state=0)
    back = SeriesSet.from_frame(shuffled, covariates=series.covariates, step_seconds=series.step_seconds)
    order = sorted(range(series.n_series), key=lambda i: [series.labels[name][i] for name in sorted(series.labels)])
    same = series.take(order)
    assert label_rows(back.labels) == label_rows(same.labels)
    assert np.array_equal(back.times, same.times)
    for one, other in [
        (back.values, same.values),
        (back.limit, same.limit),
        *zip(back.covariates.values(), same.covariates.values(), strict=True),
    ]:
        assert (one is None and other is None) or np.array_equal(one, other, equal_nan=True)  # type: ignore[arg-type]


def test_a_frame_with_gaps_and_odd_values_becomes_a_grid() -> None:
    frame = pd.DataFrame(
        {
            "time": pd.to_datetime(["2026-01-01 02:00", "2026-01-01 00:00", "2026-01-01 01:00", "2026-01-01 02:00"]),
            "value": [np.inf, 1.0, 2.0, 3.0],
            "limit": [9.0, 9.0, 9.0, 9.0],
            "group": ["a", "a", "b", None],
            "rack": pd.Categorical([1, 1, 2, 2]),
        }
    )
    series = SeriesSet.from_frame(frame)
    assert series.step_seconds == 3600
    assert label_rows(series.labels) == [{"rack": "2"}, {"group": "a", "rack": "1"}, {"group": "b", "rack": "2"}]
    assert np.array_equal(
        series.values,
        [[np.nan, np.nan, 3], [1, np.nan, np.nan], [np.nan, 2, np.nan]],
        equal_nan=True,
    )
    assert series.limit is not None
    assert np.array_equal(series.limit, [[np.nan, np.nan, 9], [9, np.nan, 9], [np.nan, 9, np.nan]], equal_nan=True)


def test_other_column_names_and_unix_seconds_are_fine() -> None:
    frame = pd.DataFrame({"ts": [0, 60], "used": [1, 2], "quota": [5, 5], "load": [0.1, 0.2], "value": ["x", "x"]})
    series = SeriesSet.from_frame(frame, time="ts", value="used", limit="quota", covariates=["load"])
    assert label_rows(series.labels) == [{"value": "x"}]
    assert series.values.tolist() == [[1, 2]]
    assert series.limit is not None
    assert series.limit.tolist() == [[5, 5]]
    assert series.covariates["load"].tolist() == [[0.1, 0.2]]


FRAMES: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"time": [0], "valu": [1]}, {}, r"the frame has no column 'value'; it has \['time', 'valu'\]"),
    ({"time": [], "value": []}, {}, r"the frame has no rows"),
    ({"time": [0, 0], "value": [1, 2], "g": ["a", "a"]}, {}, r"series \{'g': 'a'\} has two rows at time 0"),
    ({"time": [0, 60, 90], "value": [1, 2, 3]}, {"step_seconds": 60}, r"time 90 is off the grid of 60 s"),
    ({"time": [0.5], "value": [1]}, {}, r"time 0\.5 is not a whole second"),
    ({"time": [np.nan], "value": [1]}, {}, r"time nan is not a whole second"),
    ({"time": ["soon"], "value": [1]}, {}, r"the times cannot be read"),
    ({"time": [0], "value": ["much"]}, {}, r"column 'value' holds no numbers"),
    ({"time": [0, 1, 10**10], "value": [1, 2, 3]}, {}, r"times 0 … 10000000000 are 10000000001 steps of 1 s"),
    ({"time": [0], "value": [1], "a b": ["x"]}, {}, r"label name 'a b' is not a Prometheus label name"),
]


@pytest.mark.parametrize(("columns", "arguments", "message"), FRAMES, ids=[message for *_, message in FRAMES])
def test_a_frame_that_breaks_the_contract_is_refused_in_one_sentence(
    columns: dict[str, Any], arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(SeriesError, match=message) as caught:
        SeriesSet.from_frame(pd.DataFrame(columns), **arguments)
    assert "\n" not in str(caught.value)


def test_a_label_that_would_hide_a_column_is_refused_on_the_way_to_a_frame() -> None:
    series = small(labels={"value": ["a", "b"]})
    with pytest.raises(SeriesError, match="label 'value' is called like a column of the frame; rename it"):
        series.to_frame()
    with pytest.raises(SeriesError, match="label 'p_breach' is called like a column"):
        forecast(labels={"p_breach": ["a", "b"]}).to_frame()


@settings(deadline=None)
@given(series_sets())
def test_the_hash_tells_any_two_contents_apart(series: SeriesSet) -> None:
    assert replace(series).data_hash == series.data_hash
    flipped = series.values.copy()
    flipped.view(np.uint64)[0, 0] ^= 1
    others = [
        replace(series, times=series.times + 1),
        replace(series, limit=series.values if series.limit is None else None),
        replace(series, labels={**series.labels, "zzzzzzz": np.array(["x"] * series.n_series, object)}),
        replace(series, covariates={**series.covariates, "zzzzzzz": series.values}),
    ]
    if not np.isinf(flipped).any():
        others.append(replace(series, values=flipped))
    if series.n_series > 1:
        others.append(series.take(list(range(series.n_series))[::-1]))
    if series.n_steps > 1:
        others.append(series.between(1, series.n_steps))
    assert len({one.data_hash for one in [series, *others]}) == len(others) + 1


def test_rows_and_steps_can_be_taken() -> None:
    series = small()
    part = series.take(np.array([False, True])).between(1, 3)
    assert label_rows(part.labels) == [{"group": "b", "user": "u"}]
    assert part.times.tolist() == [60, 120]
    assert part.values.tolist() == [[5, 6]]
    assert part.limit is not None
    assert part.limit.tolist() == [[9, 9]]
    assert part.covariates["jobs"].tolist() == [[4, 5]]
    with pytest.raises(SeriesError):
        series.take([])


def test_quantiles_between_the_levels_are_interpolated_and_none_is_made_up() -> None:
    told = forecast()
    assert told.at(0.5).tolist() == [[1, 4], [7, 10]]
    assert np.allclose(told.at(0.3), [[0.5, 3.5], [6.5, 9.5]])
    assert told.at(0.9).tolist() == [[2, 5], [8, 11]]
    for level in (0.05, 0.95):
        with pytest.raises(SeriesError, match=rf"quantile {level} lies outside the learnt 0\.1 … 0\.9"):
            told.at(level)
    alone = forecast(levels=np.array([0.5]), quantiles=np.ones((2, 2, 1)))
    assert alone.at(0.5).tolist() == [[1, 1], [1, 1]]


@settings(deadline=None)
@given(forecasts())
def test_every_level_is_what_the_model_said(told: Forecast) -> None:
    for index, level in enumerate(told.levels.tolist()):
        assert np.array_equal(told.at(level), told.quantiles[:, :, index], equal_nan=True)


def test_a_forecast_knows_its_times_and_becomes_a_frame() -> None:
    told = forecast(p_breach=np.array([[0.1, 0.2], [0.3, 0.4]]))
    assert told.times.tolist() == [10_800, 14_400]
    frame = told.to_frame()
    assert list(frame.columns) == ["time", "group", "q0.1", "q0.5", "q0.9", "p_breach"]
    assert frame["group"].tolist() == ["a", "a", "b", "b"]
    assert frame["q0.5"].tolist() == [1, 4, 7, 10]
    assert frame["p_breach"].tolist() == [0.1, 0.2, 0.3, 0.4]
    assert frame["time"].dt.hour.tolist() == [3, 4, 3, 4]
    assert told.abstained.tolist() == ["", ""]


def test_a_label_value_cannot_turn_round_what_stands_after_it() -> None:
    title = title_of({"user": "\u202egpj.exe", "cluster": "שרת\u200f", "zone": "é 漢"})
    assert title == "\\u202egpj.exe · שרת\\u200f · é 漢"


def test_a_label_value_cannot_end_a_line_or_command_a_terminal() -> None:
    assert title_of({"user": "a\nb\x1b[2J\x9bc\u2028"}) == r"a\nb\x1b[2J\x9bc\u2028"


@settings(deadline=None)
@given(series_sets())
def test_the_newest_value_is_the_last_one_that_is_known(series: SeriesSet) -> None:
    expected = [row[np.isfinite(row)][-1] if np.isfinite(row).any() else np.nan for row in series.values]
    np.testing.assert_array_equal(newest(series.values), expected)
    np.testing.assert_array_equal(newest(series.values), carried(series.values)[:, -1])


@given(series_sets(), st.data())
def test_rows_are_found_by_their_labels_and_an_empty_one_is_none(series: SeriesSet, data: st.DataObject) -> None:
    order = data.draw(st.permutations(range(series.n_series)))
    asked = {name: column[order] for name, column in series.labels.items()}
    absent = np.full(series.n_series, "", object)
    assert rows_in(series.labels, asked | {"nobody_has_it": absent}).tolist() == order
    assert (rows_in(series.labels, asked | {"only_here": absent + "x"}) == -1).all()
