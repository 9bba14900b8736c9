"""What is known beforehand: of every step its calendar and its seasons, of every series its labels as numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import holidays
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tsf.kinds import minute_of_day
from tsf.params import NightParams, TrainParams
from tsf.series import SeriesSet, label_column

__all__ = ["CALENDAR", "calendar", "day_steps", "is_night", "label_indices", "seasons_of", "week_steps"]

CALENDAR = ("hour_sin", "hour_cos", "weekday_sin", "weekday_cos", "monthday_sin", "monthday_cos", "holiday", "night")
NATURAL_SECONDS = (3_600, 86_400, 604_800, 1_209_600)  # hour, day, week, two weeks


def calendar(times: NDArray[np.int64], params: TrainParams) -> NDArray[np.float32]:
    """(T, len(CALENDAR)) features of Unix `times` on the clock of `params.time_zone`, daylight saving included."""
    local = pd.to_datetime(times, unit="s", utc=True).tz_convert(params.time_zone)
    day = (local.hour * 3_600 + local.minute * 60 + local.second).to_numpy() / 86_400
    week = (local.day_of_week.to_numpy() + day) / 7
    month = (local.day.to_numpy() - 1 + day) / local.days_in_month.to_numpy()
    waves = [wave(2 * np.pi * phase) for phase in (day, week, month) for wave in (np.sin, np.cos)]
    night = is_night(times, params.time_zone, params.night)
    return np.stack([*waves, _holiday(local, params.holidays), night], axis=1).astype(np.float32)


def is_night(times: NDArray[np.int64], time_zone: str, night: NightParams) -> NDArray[np.bool_]:
    """(T,) whether each Unix time lies in the night hours, start included, end excluded; they may pass midnight."""
    local = pd.to_datetime(times, unit="s", utc=True).tz_convert(time_zone)
    minute = (local.hour * 60 + local.minute).to_numpy()
    start, end = minute_of_day(night.start), minute_of_day(night.end)
    if start <= end:
        return np.asarray((minute >= start) & (minute < end))
    return np.asarray((minute >= start) | (minute < end))


def seasons_of(step_seconds: int, longest: int) -> tuple[int, ...]:
    """The natural cycles (hour, day, week, two weeks) as whole steps, each at least 2 and at most `longest` steps."""
    steps = [round(cycle / step_seconds) for cycle in NATURAL_SECONDS]
    return tuple(count for count in steps if 2 <= count <= longest)


def week_steps(step_seconds: int) -> int:
    """Steps of a week."""
    return max(1, round(604_800 / step_seconds))


def day_steps(step_seconds: int) -> int:
    """Steps of a day."""
    return max(1, round(86_400 / step_seconds))


def label_indices(series: SeriesSet, vocabularies: Mapping[str, Sequence[str]]) -> NDArray[np.int64]:
    """(N, D) int64: 1 + the place of each label's value in its vocabulary, 0 where it is not there."""
    columns = []
    for name, known in vocabularies.items():
        place = {value: index + 1 for index, value in enumerate(known)}
        columns.append([place.get(value, 0) for value in label_column(series.labels, name).tolist()])
    return np.array(columns, np.int64).reshape(len(columns), series.n_series).T.copy()


def _holiday(local: pd.DatetimeIndex, country: str) -> NDArray[np.bool_]:
    if not country:
        return np.zeros(len(local), bool)
    name, _, region = country.partition("-")
    years = range(local.year.min(), local.year.max() + 1)
    days = holidays.country_holidays(name, subdiv=region or None, years=years)
    unique, index = np.unique(local.strftime("%Y-%m-%d").to_numpy(str), return_inverse=True)
    return np.array([day in days for day in unique.tolist()])[index]
