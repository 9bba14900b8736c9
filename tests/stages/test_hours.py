"""Who would see a ticket, and when, on the clock of the people."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from tests.io.test_exposition import forecast_of
from tsf.params import TaskParams, parse_params
from tsf.stages.hours import before_work, next_work


def task_of(hours: dict[str, object] | None = None, **train: object) -> TaskParams:
    hours = hours or {"start": "09:00", "end": "18:00"}
    task = {"fetch": {"metric_query": "x", "limit": 1}, "train": train, "alert": {"working_hours": hours}}
    return parse_params({"tasks": {"a": task}}).tasks["a"]


def moment(text: str, zone: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp())


@pytest.mark.parametrize(("zone", "holidays", "now", "work"), [
    ("Asia/Shanghai", "", "2026-11-25 10:30", "2026-11-25 10:30"),
    ("Asia/Shanghai", "", "2026-11-25 18:00", "2026-11-26 09:00"),
    ("Asia/Shanghai", "", "2026-11-27 23:10", "2026-11-30 09:00"),  # Friday night
    ("Europe/Berlin", "", "2026-10-24 12:00", "2026-10-26 09:00"),  # the clock is put back on Sunday
    ("Europe/Berlin", "DE", "2026-12-24 19:00", "2026-12-28 09:00"),
    ("UTC", "", "2026-12-24 19:00", "2026-12-25 09:00"),
])  # fmt: skip
def test_the_next_moment_of_work(zone: str, holidays: str, now: str, work: str) -> None:
    task = task_of(time_zone=zone, holidays=holidays)
    assert next_work(task, moment(now, zone)) == moment(work, zone)


@pytest.mark.parametrize(("now", "work"), [
    ("2026-11-27 21:00", "2026-11-27 22:00"),  # Friday
    ("2026-11-28 02:00", "2026-11-28 02:00"),  # in the shift that began on Friday
    ("2026-11-28 07:00", "2026-11-30 22:00"),
    ("2026-11-30 02:00", "2026-11-30 22:00"),  # nobody has begun on Sunday
    ("2026-12-25 02:00", "2026-12-25 02:00"),  # the shift began before the holiday
    ("2026-12-26 02:00", "2026-12-28 22:00"),
])  # fmt: skip
def test_a_shift_past_midnight_belongs_to_the_day_on_which_it_begins(now: str, work: str) -> None:
    task = task_of({"start": "22:00", "end": "06:00"}, time_zone="Europe/Berlin", holidays="DE")
    assert next_work(task, moment(now, "Europe/Berlin")) == moment(work, "Europe/Berlin")


@pytest.mark.parametrize(("now", "work"), [
    ("2026-10-25 04:30", "2026-10-25 04:30"),
    ("2026-10-25 05:30", "2026-10-25 05:30"),  # in Saturday's shift, which the clock makes an hour longer
    ("2026-10-25 06:30", "2026-10-30 22:00"),
])  # fmt: skip
def test_a_shift_goes_by_the_clock_on_the_wall(now: str, work: str) -> None:
    task = task_of({"start": "22:00", "end": "06:00", "days": ["fri", "sat"]}, time_zone="Europe/Berlin")
    assert next_work(task, moment(now, "Europe/Berlin")) == moment(work, "Europe/Berlin")


def test_a_shift_that_ends_when_it_begins_is_a_whole_day() -> None:
    days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
    now = moment("2026-11-25 03:00", "UTC")
    assert next_work(task_of({"start": "00:00", "end": "00:00", "days": days}, time_zone="UTC"), now) == now


def test_only_what_comes_before_work_counts() -> None:
    task = task_of(time_zone="UTC")
    forecast = forecast_of({"n": ["a", "b"]})  # from 2026-11-01 00:00, a Sunday; the chance at step h is h / 32
    monday = moment("2026-11-02 09:00", "UTC")
    assert next_work(task, forecast.origin_seconds) == monday
    chance = before_work(task, forecast, forecast.origin_seconds)
    assert chance is not None
    assert chance.tolist() == [24 / 32] * 2  # 33 hours, of which 24 are forecast
    assert before_work(task, forecast, monday + 60).tolist() == [0, 0]  # type: ignore[union-attr]
    night = forecast_of({"n": ["a"]}, origin_seconds=monday - 5 * 3600)
    assert before_work(task, night, monday - 4 * 3600).tolist() == [5 / 32]  # type: ignore[union-attr]
    assert before_work(task, forecast_of({"n": ["a"]}, p_breach=None, limit_time=None), monday) is None


def test_a_chance_that_is_unknown_stays_unknown() -> None:
    unknown = forecast_of({"n": ["a"]}, p_breach=np.full((1, 24), np.nan))
    for now in (unknown.origin_seconds, moment("2026-11-02 10:00", "UTC")):
        assert np.isnan(before_work(task_of(time_zone="UTC"), unknown, now)).all()  # type: ignore[arg-type]
