import numpy as np
import pandas as pd
import pytest

from tsf.learn import is_night, seasons_of
from tsf.learn.features import CALENDAR, calendar
from tsf.params import NightParams, TrainParams


def unix(*moments: str) -> np.ndarray:
    return np.array([pd.Timestamp(moment).timestamp() for moment in moments], np.int64)


def test_night_passes_midnight_and_ends_before_its_end():
    night = NightParams(start="20:00", end="08:00")
    times = unix("2026-01-01T19:59Z", "2026-01-01T20:00Z", "2026-01-02T07:59Z", "2026-01-02T08:00Z")
    assert is_night(times, "UTC", night).tolist() == [False, True, True, False]


def test_night_follows_the_clock_when_daylight_saving_begins():
    night = NightParams(start="00:00", end="06:00")
    times = unix("2026-03-28T05:30+01:00", "2026-03-29T05:30+02:00", "2026-03-29T06:30+02:00")
    assert is_night(times, "Europe/Berlin", night).tolist() == [True, True, False]


def test_the_hour_is_the_local_one_on_both_sides_of_a_clock_change():
    params = TrainParams(time_zone="Europe/Berlin")
    hours = calendar(unix("2026-03-28T12:00+01:00", "2026-03-29T12:00+02:00"), params)[:, :2]
    assert hours[0] == pytest.approx(hours[1])


def test_holidays_are_those_of_the_country_and_region():
    column = CALENDAR.index("holiday")
    times = unix("2026-10-03T12:00Z", "2026-10-05T12:00Z", "2026-06-04T12:00Z")
    assert calendar(times, TrainParams(holidays="DE"))[:, column].tolist() == [1, 0, 0]
    assert calendar(times, TrainParams(holidays="DE-BY"))[:, column].tolist() == [1, 0, 1]
    assert calendar(times, TrainParams())[:, column].tolist() == [0, 0, 0]


def test_a_holiday_ends_at_local_midnight():
    times = unix("2026-10-02T15:30Z", "2026-10-02T16:30Z")
    assert calendar(times, TrainParams(holidays="CN", time_zone="Asia/Shanghai"))[:, 6].tolist() == [1, 1]
    assert calendar(unix("2026-01-03T16:30Z"), TrainParams(holidays="CN", time_zone="Asia/Shanghai"))[0, 6] == 0


def test_features_stay_between_minus_one_and_one():
    table = calendar(1_700_000_000 + 1_800 * np.arange(2_000), TrainParams(time_zone="Asia/Kolkata", holidays="IN"))
    assert table.shape == (2_000, len(CALENDAR))
    assert np.abs(table).max() <= 1


@pytest.mark.parametrize(
    ("step", "longest", "seasons"),
    [(3_600, 336, (24, 168, 336)), (300, 700, (12, 288)), (86_400, 30, (7, 14)), (86_400, 5, ()), (57, 70, (63,))],
)
def test_seasons_are_the_natural_cycles_that_fit(step, longest, seasons):
    assert seasons_of(step, longest) == seasons
