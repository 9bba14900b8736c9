"""When somebody is at work again, and how likely a limit is reached before that."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tsf.kinds import minute_of_day
from tsf.learn.features import CALENDAR, calendar, is_night
from tsf.params import NightParams, TaskParams
from tsf.series import Floats, Forecast

__all__ = ["before_work", "next_work"]

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
LOOK_SECONDS = 21 * 86_400  # long enough for any row of holidays


def next_work(task: TaskParams, now_seconds: int) -> int:
    """Unix time, to the minute, at which somebody is at work: now, or the next start of alert.working_hours.

    They are those of the task's time zone, without the holidays of train.holidays. A shift past midnight belongs to the
    day on which it begins; one that ends when it begins is a whole day.
    """
    hours = task.alert.working_hours
    times = now_seconds + 60 * np.arange(LOOK_SECONDS // 60, dtype=np.int64)
    local = pd.to_datetime(times, unit="s", utc=True).tz_convert(task.train.time_zone).tz_localize(None)
    past_midnight = pd.Timedelta(minutes=minute_of_day(hours.end) if hours.end <= hours.start else 0)
    begun = (local - past_midnight).normalize()  # the day of its first hour, by the clock on the wall
    at_work = np.isin(begun.day_of_week, [DAYS.index(day) for day in hours.days])
    noon = (begun + pd.Timedelta(hours=12)).tz_localize(task.train.time_zone)  # which no change of the clock leaves out
    at_work &= calendar(noon.as_unit("s").asi8, task.train)[:, CALENDAR.index("holiday")] == 0
    if hours.start != hours.end:
        at_work &= is_night(times, task.train.time_zone, NightParams(start=hours.start, end=hours.end))
    return int(times[np.argmax(at_work)]) if at_work.any() else int(times[-1])


def before_work(task: TaskParams, forecast: Forecast, now_seconds: int) -> Floats | None:
    """(N,) chance that the limit is reached before somebody is at work, 0 while somebody is; None without a limit."""
    if forecast.p_breach is None:
        return None
    work = next_work(task, now_seconds)
    steps = (work - forecast.origin_seconds) // forecast.step_seconds
    if work == now_seconds or steps < 1:
        return np.where(np.isnan(forecast.p_breach[:, 0]), np.nan, 0.0)
    return np.asarray(forecast.p_breach[:, min(steps, forecast.p_breach.shape[1]) - 1])
