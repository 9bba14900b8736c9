"""What people make the simulated fleet do: training jobs, ingests and the bursts of data that they leave on storage."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from tsf.io.fleet.people import (
    HOUR,
    Users,
    Window,
    between,
    day_of,
    draw,
    is_holiday,
    is_workday,
    ragged,
    seconds_of,
    weekday_of,
)

__all__ = [
    "Bursts",
    "Jobs",
    "busy",
    "checkpoints",
    "in_campaign",
    "join_bursts",
    "levels",
    "rates",
    "samples_of",
    "sessions",
    "training_jobs",
]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

CAMPAIGN_DAYS = 21  # people train in campaigns of three weeks and think in between
LONGEST_JOB_DAYS = 4
DELETE_SECONDS = 600  # deleting is fast


@dataclass(frozen=True)
class Jobs:
    """J training jobs; `user` is a row of Users, times are Unix seconds, `stop` is exclusive."""

    user: Ints
    cluster: Ints
    start: Ints
    stop: Ints
    key: Ints

    def __len__(self) -> int:
        return len(self.user)


@dataclass(frozen=True)
class Bursts:
    """B pieces of data: written evenly over `ramp` seconds from `start` on, deleted at `stop`; `size` in any unit."""

    row: Ints
    start: Ints
    ramp: Floats
    stop: Ints
    size: Floats


def training_jobs(seed: int, users: Users, window: Window) -> Jobs:
    """Every job that runs, or ran up to four days before, in `window`.

    Each user has habitual week nights and a habitual hour; Fridays may start a run over the weekend. Whether a
    campaign is on decides how often.
    """
    days = np.arange(int(day_of(window.start)) - LONGEST_JOB_DAYS, int(day_of(window.stop)) + 1)
    key, day = users.key[:, None], days[None, :]
    weekday = weekday_of(days)[None, :]
    campaign = in_campaign(seed, key, day)
    habitual = draw(seed, "habitual night", key, weekday) < 0.75
    chance = np.where(campaign, np.where(habitual, 0.93, 0.08), np.where(habitual, 0.2, 0.03))
    chance = np.where(weekday == 4, np.where(campaign, 0.55, 0.08), np.where(weekday > 4, 0.05, chance))
    chance = np.where(is_holiday(days)[None, :], 0.3 * chance, chance)
    present = (day >= users.start[:, None]) & (day < users.stop[:, None] - LONGEST_JOB_DAYS)
    row, column = np.nonzero(present & (draw(seed, "starts a job", key, day) < chance))
    who, when = users.key[row], days[column]
    job = who * 100_000 + when
    hour = between(17.5, 21.5, draw(seed, "habitual hour", who)) + between(-0.4, 0.4, draw(seed, "job jitter", job))
    night = between(6, 13, draw(seed, "night length", who)) * between(0.85, 1.15, draw(seed, "job length", job))
    weekend = between(36, 58, draw(seed, "weekend length", job))
    hours = np.where(weekday_of(when) == 4, weekend, night)
    hours = np.where(draw(seed, "crash", job) < 0.06, hours * draw(seed, "crashes at", job), hours)
    start = seconds_of(when, hour)
    elsewhere = (users.second[row] >= 0) & (draw(seed, "runs elsewhere", who, when // 7) < 0.35)
    cluster = np.where(elsewhere, users.second[row], users.home[row])
    return Jobs(row, cluster, start, start + (hours * HOUR).astype(np.int64), job)


def in_campaign(seed: int, user: Ints, day: Ints) -> NDArray[np.bool_]:
    """Whether the user (by key) is in a training campaign on that day."""
    phase = (draw(seed, "campaign phase", user) * CAMPAIGN_DAYS).astype(np.int64)
    zeal = between(0.45, 0.9, draw(seed, "zeal", user))
    return np.asarray(draw(seed, "campaign", user, (day + phase) // CAMPAIGN_DAYS) < zeal)


def checkpoints(seed: int, jobs: Jobs, users: Users, rows: Ints) -> Bursts:
    """The checkpoints of each job on storage area `rows` (-1: left out), as a share of the area.

    One is written every interval, the last few are kept, and all are deleted when the job ends, or when its user
    is back at the desk.
    """
    here = rows >= 0
    who = users.key[jobs.user[here]]
    start, stop, key = jobs.start[here], jobs.stop[here], jobs.key[here]
    interval = np.array([1.0, 1.5, 2.0, 3.0])[(draw(seed, "checkpoint interval", who) * 4).astype(np.int64)] * HOUR
    keep = 2 + (draw(seed, "checkpoints kept", who) * 3).astype(np.int64)
    size = between(0.03, 0.09, draw(seed, "checkpoint share", who)) / keep
    size = size * between(0.85, 1.15, draw(seed, "model size", key))
    write = between(300, 1500, draw(seed, "write speed", who))
    leaves_tidy = draw(seed, "deletes at the end", who) < 0.6
    back = seconds_of(day_of(stop) + (stop > seconds_of(day_of(stop), 10)), between(9, 11, draw(seed, "back", key)))
    gone = np.where(leaves_tidy, stop, np.maximum(back, stop))
    owner, number = ragged(((stop - start) // interval).astype(np.int64))
    written = start[owner] + (interval[owner] * (number + 1)).astype(np.int64)
    replaced = written + (interval[owner] * keep[owner] + write[owner]).astype(np.int64)
    dropped = np.where(replaced < stop[owner], replaced, gone[owner])
    return Bursts(rows[here][owner], written, write[owner], dropped, size[owner])


def sessions(seed: int, users: Users, window: Window) -> tuple[Ints, Ints, Ints, Ints]:
    """(K,) each: user row, day, start and stop of the hours that people work by hand, seldom on days off."""
    days = np.arange(int(day_of(window.start)) - 1, int(day_of(window.stop)) + 1)
    present = (days >= users.start[:, None]) & (days < users.stop[:, None])
    chance = np.where(is_workday(days), 0.8, 0.08)
    row, column = np.nonzero(present & (draw(seed, "at the desk", users.key[:, None], days[None, :]) < chance))
    who, when = users.key[row], days[column]
    begin = between(8.5, 10.5, draw(seed, "comes in", who)) + between(-0.5, 0.5, draw(seed, "comes in", who, when))
    end = between(17.5, 20.0, draw(seed, "goes home", who)) + between(-1.0, 1.0, draw(seed, "goes home", who, when))
    return row, when, seconds_of(when, begin), seconds_of(when, end)


def busy(row: Ints, start: Ints, stop: Ints, share: Floats) -> Bursts:
    """Work that keeps a machine busy from start to stop: its `rates` are `share`."""
    seconds = np.maximum(stop - start, 1).astype(np.float64)
    return Bursts(row, start, seconds, stop, share * seconds)


def join_bursts(parts: list[Bursts]) -> Bursts:
    """All of them, one after another."""
    return Bursts(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Bursts)))


def samples_of(start: Ints, stop: Ints, window: Window) -> tuple[Ints, Ints]:
    """(K,) each: the event and the step of every grid moment in start <= t < stop."""
    first = np.clip(-((window.start - start) // window.step), 0, window.count)
    last = np.clip(-((window.start - stop) // window.step), 0, window.count)
    event, position = ragged(np.maximum(last - first, 0))
    return event, first[event] + position


def levels(bursts: Bursts, rows: int, window: Window) -> Floats:
    """(rows, T) how much of the bursts lies there at each moment."""
    event, step = samples_of(bursts.start, bursts.stop + DELETE_SECONDS, window)
    time = window.start + window.step * step
    written = np.minimum((time - bursts.start[event]) / bursts.ramp[event], 1.0)
    left = np.minimum((bursts.stop[event] + DELETE_SECONDS - time) / DELETE_SECONDS, 1.0)
    return _summed(bursts.row[event], step, bursts.size[event] * written * left, rows, window)


def rates(bursts: Bursts, rows: int, window: Window) -> Floats:
    """(rows, T) how much of the bursts is being written per second at each moment."""
    end = np.minimum(bursts.start + bursts.ramp.astype(np.int64), bursts.stop)
    event, step = samples_of(bursts.start, end, window)
    return _summed(bursts.row[event], step, bursts.size[event] / bursts.ramp[event], rows, window)


def _summed(row: Ints, step: Ints, amount: Floats, rows: int, window: Window) -> Floats:
    flat = np.bincount(row * window.count + step, weights=amount, minlength=rows * window.count)
    return np.asarray(flat.reshape(rows, window.count), np.float64)
