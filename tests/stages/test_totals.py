"""Sums over series: what they use, what they may use, and forecasts that add up."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from tests.io.test_exposition import INFO, forecast_of, present_of, samples
from tests.learn.conftest import limited_series, small_model
from tsf.errors import ParamsError, QueryError
from tsf.io.exposition import forecast_exposition, output_cardinality
from tsf.learn import Model, predict
from tsf.params import Params, PushParams, TaskParams, parse_params
from tsf.series import SeriesSet
from tsf.stages.totals import CARRIED_STEPS, Totals, read_totals, sum_series

__all__ = ["limited_series", "small_model"]

NAN = np.nan


def series_of(values: list[list[float]], group: list[str], limit: list[float] | None = None) -> SeriesSet:
    labels = {"group": np.array(group, object), "user": np.array([f"u{n}" for n in range(len(values))], object)}
    array = np.array(values, float)
    ceiling = None if limit is None else np.tile(np.array(limit)[:, None], (1, array.shape[1]))
    return SeriesSet(labels, 3600 * np.arange(array.shape[1]), 3600, array, ceiling)


def test_a_sum_is_known_where_its_members_are_and_counts_those_that_are_not_there_as_nothing() -> None:
    long = CARRIED_STEPS + 1
    values = [
        [1.0] * 20,
        [NAN] * 4 + [10.0] * 16,  # comes later
        [100.0] * 3 + [NAN] * 17,  # goes
        [1000.0] * 5 + [NAN] * (long + 3) + [1000.0] * (20 - long - 8),  # an outage of its own
    ]
    totals, total_of = sum_series(series_of(values, ["a"] * 3 + ["b"], [2, 20, 200, 2000]), ["group", "cluster"])
    assert total_of.tolist() == [0, 0, 0, 1]
    assert {name: column.tolist() for name, column in totals.labels.items()} == {"group": ["a", "b"]}
    gone = 3 + CARRIED_STEPS
    assert totals.values[0].tolist() == [101.0] * 4 + [111.0] * (gone - 4) + [11.0] * (20 - gone)
    assert np.isnan(totals.values[1, 5 + CARRIED_STEPS : long + 8]).all()
    assert totals.values[1, :5].tolist() == [1000.0] * 5
    assert totals.limit is not None
    assert totals.limit[0].tolist() == [202.0] * 4 + [222.0] * (gone - 4) + [22.0] * (20 - gone)


def test_a_total_without_a_label_to_keep_is_the_sum_of_all() -> None:
    totals, _ = sum_series(series_of([[1, 2], [3, NAN]], ["a", "b"]), ["nothing"])
    assert totals.values.tolist() == [[4.0, 5.0]]
    assert not totals.labels


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
    return read_totals(params, task, model, both, forecast), both


@pytest.mark.models
def test_medians_of_the_members_add_up_to_that_of_the_total(small_model: Model, limited_series: SeriesSet) -> None:
    totals, both = totals_of(small_model, limited_series)
    members = predict(small_model, both, line=0.98).at(0.5)
    assert totals.forecast.quantiles.shape[0] == limited_series.n_series
    for total in range(totals.series.n_series):
        np.testing.assert_allclose(totals.forecast.at(0.5)[total], members[totals.total_of == total].sum(0))
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
    assert forecast.abstained is not None
    assert forecast.abstained[0]
    assert forecast.abstained[1]
    task = task.model_copy(update={"push": task.push.model_copy(update={"totals": ("nothing",)})})
    totals = read_totals(params, task, small_model, short, forecast)
    assert totals.forecast.abstained is not None
    [reason] = totals.forecast.abstained.tolist()
    assert re.fullmatch(r"1 of its \d+ series have no forecast", reason)
    assert np.isnan(totals.forecast.quantiles).all()


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
    task = task.model_copy(update={"push": task.push.model_copy(update={"totals": ("nothing",)})})
    forecast = predict(small_model, fell, line=0.98)
    assert forecast.abstained is not None
    assert not forecast.abstained[0]
    totals = read_totals(params, task, small_model, fell, forecast)
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
    assert totals.forecast.p_breach is not None
    assert np.isnan(totals.forecast.p_breach).all()


@pytest.mark.models
def test_a_limit_of_its_own_must_belong_to_a_total(small_model: Model, limited_series: SeriesSet) -> None:
    params, task = project("running_jobs")  # by group, in the demo
    forecast = predict(small_model, limited_series, line=0.98)
    with pytest.raises(QueryError, match=r"push\.total_limit 'running_jobs'"):
        read_totals(params, task, small_model, limited_series, forecast)
