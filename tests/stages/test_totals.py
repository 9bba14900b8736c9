"""Sums over series: what they use, what they may use, and forecasts that add up."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.io.test_exposition import INFO, forecast_of, present_of, samples
from tests.learn.conftest import limited_series, small_model
from tsf.errors import ParamsError, QueryError
from tsf.io.exposition import forecast_exposition, output_cardinality
from tsf.learn import Model, predict
from tsf.params import Params, PushParams, TaskParams, parse_params
from tsf.series import SeriesSet, label_rows
from tsf.stages.predict import Predicted
from tsf.stages.totals import CARRIED_STEPS, Totals, label_totals, read_totals, sum_series

__all__ = ["limited_series", "small_model"]

NAN = np.nan


def series_of(values: list[list[float]], group: list[str], limit: list[float] | None = None) -> SeriesSet:
    labels = {"group": np.array(group, object), "user": np.array([f"u{n}" for n in range(len(values))], object)}
    array = np.array(values, float)
    ceiling = None if limit is None else np.tile(np.array(limit)[:, None], (1, array.shape[1]))
    return SeriesSet(labels, 3600 * np.arange(array.shape[1]), 3600, array, ceiling)


def summed(series: SeriesSet, sets: Sequence[Sequence[str]]) -> tuple[SeriesSet, np.ndarray]:
    rows, total_of = label_totals(series, sets)
    return sum_series(series, rows, total_of), total_of


def test_a_sum_is_known_where_its_members_are_and_counts_those_that_are_not_there_as_nothing() -> None:
    long = CARRIED_STEPS + 1
    values = [
        [1.0] * 20,
        [NAN] * 4 + [10.0] * 16,  # comes later
        [100.0] * 3 + [NAN] * 17,  # goes
        [1000.0] * 5 + [NAN] * (long + 3) + [1000.0] * (20 - long - 8),  # an outage of its own
    ]
    totals, total_of = summed(series_of(values, ["a"] * 3 + ["b"], [2, 20, 200, 2000]), [["group", "cluster"]])
    assert total_of.tolist() == [[0, 0, 0, 1]]
    assert {name: column.tolist() for name, column in totals.labels.items()} == {"group": ["a", "b"]}
    gone = 3 + CARRIED_STEPS
    assert totals.values[0].tolist() == [101.0] * 4 + [111.0] * (gone - 4) + [11.0] * (20 - gone)
    assert np.isnan(totals.values[1, 5 + CARRIED_STEPS : long + 8]).all()
    assert totals.values[1, :5].tolist() == [1000.0] * 5
    assert totals.limit is not None
    assert totals.limit[0].tolist() == [202.0] * 4 + [222.0] * (gone - 4) + [22.0] * (20 - gone)


def test_a_total_without_a_label_to_keep_is_the_sum_of_all() -> None:
    totals, _ = summed(series_of([[1, 2], [3, NAN]], ["a", "b"]), [["nothing"]])
    assert totals.values.tolist() == [[4.0, 5.0]]
    assert not totals.labels


def test_each_set_of_labels_has_sums_of_its_own_over_all_series() -> None:
    series = series_of([[1.0], [2.0], [4.0], [8.0]], ["a", "a", "b", ""], [10, 20, 40, 80])
    totals, total_of = summed(series, [["group"], [], ["user", "group"]])
    assert label_rows(totals.labels) == [
        {"group": "a"}, {"group": "b"}, {},
        {"group": "a", "user": "u0"}, {"group": "a", "user": "u1"}, {"group": "b", "user": "u2"},
    ]  # fmt: skip
    assert total_of.tolist() == [[0, 0, 1, -1], [2, 2, 2, 2], [3, 4, 5, -1]]  # one without a group is in the sum of all
    assert totals.values[:, 0].tolist() == [3, 4, 15, 1, 2, 4]
    assert totals.limit is not None
    assert totals.limit[:, 0].tolist() == [30, 40, 150, 10, 20, 40]


@given(
    st.lists(st.tuples(*[st.sampled_from(["", "x", "y"])] * 3), min_size=1, max_size=9, unique=True),
    st.sets(st.frozensets(st.sampled_from(["a", "b", "c", "d"])), min_size=2, max_size=5),
)
def test_no_two_sums_of_several_sets_have_the_same_labels(
    rows: list[tuple[str, ...]], sets: set[frozenset[str]]
) -> None:
    labels = {name: np.array([row[at] for row in rows], object) for at, name in enumerate("abc")}
    series = SeriesSet(labels, np.array([0]), 3600, 2.0 ** np.arange(len(rows))[:, None])
    found, total_of = label_totals(series, [sorted(keep) for keep in sets])
    assert {*total_of.ravel().tolist()} - {-1} == {*range(len(found))}
    if not found:
        return
    totals = sum_series(series, found, total_of)  # raises where two have the same labels
    for number, row in enumerate(label_rows(totals.labels)):
        part = [all(one.get(name) == value for name, value in row.items()) for one in label_rows(labels)]
        assert totals.values[number, 0] == series.values[part].sum()


def project(total_limit: str | None = None) -> tuple[Params, TaskParams]:
    task = {"fetch": {"metric_query": "storage_used_bytes", "limit": "storage_quota_bytes"},
            "push": {"totals": ["user"], "total_limit": total_limit}}  # fmt: skip
    params = parse_params({"tasks": {"a": task}})
    return params, params.tasks["a"]


def totals_of(model: Model, series: SeriesSet) -> tuple[Totals, SeriesSet]:
    """Each user and a copy of theirs in another place."""
    labels = {name: np.concatenate([column, column]) for name, column in series.labels.items()}
    labels["place"] = np.repeat(np.array(["here", "there"], object), series.n_series)
    assert series.limit is not None
    both = SeriesSet(labels, series.times, series.step_seconds, np.tile(series.values, (2, 1)),
                     np.tile(series.limit, (2, 1)))  # fmt: skip
    params, task = project()
    forecast = predict(model, both, line=task.alert.line)
    totals = read_totals(params, task, model, both, forecast)
    assert totals is not None
    return totals, both


@pytest.mark.models
def test_medians_of_the_members_add_up_to_that_of_the_total(small_model: Model, limited_series: SeriesSet) -> None:
    totals, both = totals_of(small_model, limited_series)
    members = predict(small_model, both, line=0.98).at(0.5)
    assert totals.forecast.quantiles.shape[0] == limited_series.n_series
    for total in range(totals.series.n_series):
        np.testing.assert_allclose(totals.forecast.at(0.5)[total], members[totals.total_of[0] == total].sum(0))
    own = predict(small_model, totals.series, line=0.98)
    assert totals.forecast.p_breach is not None
    np.testing.assert_array_equal(totals.forecast.p_breach, own.p_breach)
    spread = np.diff(totals.forecast.quantiles, axis=2)
    assert (spread >= 0).all()


@pytest.mark.models
def test_a_total_abstains_where_a_member_that_is_there_does(small_model: Model, limited_series: SeriesSet) -> None:
    values = limited_series.values.copy()
    values[0, :-2] = np.nan  # new
    values[1, -40:] = np.nan  # gone
    short = SeriesSet(limited_series.labels, limited_series.times, limited_series.step_seconds, values,
                      limited_series.limit)  # fmt: skip
    params, task = project()
    forecast = predict(small_model, short, line=0.98)
    assert forecast.abstained[0]
    assert forecast.abstained[1]
    task = task.model_copy(update={"push": task.push.model_copy(update={"totals": (("nothing",),)})})
    totals = read_totals(params, task, small_model, short, forecast)
    assert totals is not None
    [reason] = totals.forecast.abstained.tolist()
    assert re.fullmatch(r"members without a forecast \(1 of \d+\)", reason)
    assert np.isnan(totals.forecast.quantiles).all()
    assert np.isnan(totals.forecast.p_breach).all()
    assert np.isnan(totals.forecast.limit_time).all()


@pytest.mark.models
def test_no_quantile_of_a_total_is_below_what_is_possible(small_model: Model, limited_series: SeriesSet) -> None:
    params, task = project()
    forecast = predict(small_model, limited_series, line=0.98)
    empty = replace(forecast, quantiles=np.zeros_like(forecast.quantiles))
    totals = read_totals(params, task, small_model, limited_series, empty)
    assert totals is not None
    assert totals.forecast.quantiles.min() == 0
    assert (totals.forecast.at(0.5) == 0).all()
    assert totals.forecast.quantiles.max() > 0


def asked(task: TaskParams, *totals: tuple[str, ...]) -> TaskParams:
    return task.model_copy(update={"push": task.push.model_copy(update={"totals": totals})})


@pytest.mark.models
def test_forecasts_add_up_in_each_set_and_are_written_without_two_of_one_name(
    small_model: Model, limited_series: SeriesSet
) -> None:
    alone, both = totals_of(small_model, limited_series)
    params, task = project()
    forecast = predict(small_model, both, line=0.98)
    totals = read_totals(params, asked(task, ("place",), ("user",)), small_model, both, forecast)
    assert totals is not None
    users = np.flatnonzero(totals.series.labels["user"] != "")
    np.testing.assert_allclose(totals.forecast.quantiles[users], alone.forecast.quantiles, rtol=1e-5)
    assert totals.forecast.p_breach is not None
    assert alone.forecast.p_breach is not None
    np.testing.assert_allclose(totals.forecast.p_breach[users], alone.forecast.p_breach, atol=1e-5)
    for place in range(2):
        np.testing.assert_allclose(
            totals.forecast.at(0.5)[place], forecast.at(0.5)[both.labels["place"] == ["here", "there"][place]].sum(0)
        )
    push = PushParams(horizons=("6h", "12h"))
    pair = totals.forecast, totals.present
    written = samples(forecast_exposition(forecast, present_of(forecast), "storage", push, INFO, 0, pair))
    assert len({(name, *sorted(labels.items())) for name, labels, _ in written}) == len(written)
    used = [labels for name, labels, _ in written if name == "tsf_total_used"]
    assert used[:2] == [{"task": "storage", "place": "here"}, {"task": "storage", "place": "there"}]
    assert all(set(labels) == {"task", "user"} for labels in used[2:])
    assert len(written) == output_cardinality(both.n_series, push, True, len(used))


@pytest.mark.models
def test_labels_that_no_series_has_are_told_and_the_other_sums_are_there(
    small_model: Model, limited_series: SeriesSet, caplog: pytest.LogCaptureFixture
) -> None:
    params, task = project()
    forecast = predict(small_model, limited_series, line=0.98)
    totals = read_totals(params, asked(task, ("user", "rack"), ()), small_model, limited_series, forecast)
    assert totals is not None
    assert totals.series.n_series == 1
    assert "no series has all of the labels user, rack" in caplog.text
    assert read_totals(params, asked(task, ("rack",), ("row",)), small_model, limited_series, forecast) is None
    whole = read_totals(params, asked(task, ("gruop",)), small_model, limited_series, forecast)
    assert whole is not None
    assert whole.series.n_series == 1  # as PromQL does
    assert "no series has all of the labels gruop" in caplog.text


@pytest.mark.models
def test_a_limit_belongs_to_the_sums_with_its_very_labels_and_the_others_add_up(
    small_model: Model, limited_series: SeriesSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    params, task = project("user_quota_bytes or place_quota_bytes")
    _, both = totals_of(small_model, limited_series)
    n = both.n_steps
    quotas = SeriesSet({"place": np.array(["here"], object)}, both.times, 3600, np.full((1, n), 7.0))
    monkeypatch.setattr("tsf.stages.totals.fetch_from_source", lambda *_, **__: (quotas, None))
    forecast = predict(small_model, both, line=0.98)
    totals = read_totals(params, asked(task, ("place",), ("place", "user")), small_model, both, forecast)
    assert totals is not None
    assert totals.series.limit is not None
    assert totals.series.limit[:2, -1].tolist() == [7.0, pytest.approx(np.nan, nan_ok=True)]
    assert both.limit is not None
    assert sorted(totals.series.limit[2:, -1]) == sorted(both.limit[:, -1])
    with pytest.raises(QueryError, match=r"has the labels of a sum, such as .*; aggregate by one of the lists"):
        read_totals(params, asked(task, ("user",), ()), small_model, both, forecast)


def test_the_largest_members_are_named_by_what_the_sum_does_not_say(small_model: Model) -> None:
    members = forecast_of({"group": list("aab"), "user": list("xyz"), "cluster": list("eee")})
    values = np.array([[1.0, 1.0], [2.0, 2.0], [4.0, 4.0]])
    context = SeriesSet(members.labels, members.origin_seconds + 3600 * np.arange(-1, 1), 3600, values)
    series, total_of = summed(context, [["group"], ["cluster", "group"]])
    sums = forecast_of({name: column.tolist() for name, column in series.labels.items()})
    _, task = project()
    totals = Totals(series, sums, total_of)
    found = Predicted("a", task, context, members, INFO, Path(), small_model, totals).urgent_totals
    assert found["largest"].to_dict() == {"a": "y · e; x · e", "b": "z · e", "a · e": "y; x", "b · e": "z"}


def test_totals_are_written_under_names_of_their_own_and_counted() -> None:
    members, sums = forecast_of({"group": list("aab"), "user": list("xyz")}), forecast_of({"group": ["a", "b"]})
    push = PushParams(alias="x")
    sums_present = present_of(sums, before_work=None)
    body = forecast_exposition(members, present_of(members), "storage", push, INFO, 0, (sums, sums_present))
    found = samples(body)
    assert len(found) == output_cardinality(3, push, True, 2)
    totals = [(name, labels) for name, labels, _ in found if name.startswith("tsf_total_")]
    assert {name for name, _ in totals} == {
        "tsf_total_forecast", "tsf_total_breach_probability_ratio", "tsf_total_limit_reached_timestamp_seconds",
        "tsf_total_used", "tsf_total_limit",
    }  # fmt: skip
    assert {labels["group"] for _, labels in totals} == {"a", "b"}
    assert all("user" not in labels for _, labels in totals)


@pytest.mark.parametrize(
    ("totals", "sets"),
    [
        ([], ()),
        (["group"], (("group",),)),
        (["group", "cluster"], (("group", "cluster"),)),
        ([["group"], ["group", "cluster"], []], (("group",), ("group", "cluster"), ())),
    ],
)
def test_a_plain_list_of_labels_is_one_set(totals: Any, sets: tuple[tuple[str, ...], ...]) -> None:
    push = PushParams(totals=totals)
    assert push.totals == sets
    assert PushParams(**push.model_dump(mode="json")) == push


@pytest.mark.parametrize(
    ("totals", "told"),
    [
        (["user", ["group"]], r"totals: 'user' stands beside lists of labels; write it as a list of its own, \[user\]"),
        ([["user", "group"], ["group", "user"]], r"totals: the labels \['group', 'user'\] are there twice; drop one"),
        ([["a-b"]], r"totals\.0\.0: 'a-b' is not a label name; use letters"),
    ],
)
def test_sets_that_cannot_be_told_apart_are_refused(totals: Any, told: str) -> None:
    with pytest.raises(ParamsError, match=told):
        parse_params({"tasks": {"a": {"fetch": {"metric_query": "x"}, "push": {"totals": totals}}}})


def test_shares_that_end_do_not_add_up() -> None:
    block = {
        "fetch": {"metric_query": "cpu_usage_percent"},
        "train": {"bounds": [0, 100]},
        "push": {"totals": ["node"]},
    }
    with pytest.raises(ParamsError, match=r"values up that end at 100; drop them"):
        parse_params({"tasks": {"cpu": block}})


@pytest.mark.models
def test_a_member_that_is_gone_is_in_no_median(
    small_model: Model, limited_series: SeriesSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tsf.stages.totals.CARRIED_STEPS", 3)
    values = limited_series.values.copy()
    values[0, -5:] = np.nan  # longer than a sum bridges, and yet forecast by itself
    fell = replace(limited_series, values=values)
    params, task = project()
    task = task.model_copy(update={"push": task.push.model_copy(update={"totals": (("nothing",),)})})
    forecast = predict(small_model, fell, line=0.98)
    assert not forecast.abstained[0]
    totals = read_totals(params, task, small_model, fell, forecast)
    assert totals is not None
    np.testing.assert_allclose(totals.forecast.at(0.5)[0], forecast.at(0.5)[1:].sum(0))


@pytest.mark.models
def test_a_total_limit_of_nothing_is_no_limit(
    small_model: Model, limited_series: SeriesSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    params, task = project("user_quota_bytes")
    nothing = replace(limited_series, values=np.zeros(limited_series.values.shape), limit=None)
    monkeypatch.setattr("tsf.stages.totals.fetch_from_source", lambda *_, **__: (nothing, None))
    forecast = predict(small_model, limited_series, line=0.98)
    totals = read_totals(params, task, small_model, limited_series, forecast)
    assert totals is not None
    assert totals.forecast.p_breach is not None
    assert np.isnan(totals.forecast.p_breach).all()


@pytest.mark.models
def test_a_limit_of_its_own_must_belong_to_a_total(small_model: Model, limited_series: SeriesSet) -> None:
    params, task = project("running_jobs")  # by group, in the demo
    forecast = predict(small_model, limited_series, line=0.98)
    with pytest.raises(QueryError, match=r"push\.total_limit 'running_jobs'"):
        read_totals(params, task, small_model, limited_series, forecast)
