"""How full the quotas of the simulated fleet are: hour by hour, with what people do when one gets full."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tsf.io.fleet.areas import SCRATCH, TYPES, Areas, areas_of, bursts_of
from tsf.io.fleet.people import (
    CLUSTERS,
    HOUR,
    Window,
    between,
    day_of,
    draw,
    is_workday,
    seconds_of,
    user_labels,
    users_in,
)
from tsf.io.fleet.work import Bursts, in_campaign, levels, rates
from tsf.params import DemoParams

__all__ = ["simulate_storage"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

GIB = 2.0**30
BLOCK = 4096.0
TERM_DAYS = 273  # an allocation is granted for 39 weeks; then old data are archived and the quota is set anew
CHUNK_DAYS = 28
NEVER = 2**62
MAIL_HOUR = 7
PURGE_DAY = 3  # of days counted from 1970: Sunday
STRIKES = 3  # a quota that was full so often is worth a ticket
HOURS = np.arange(24)
PROFILE = np.where((HOURS >= 9) & (HOURS < 20), 0.075, 0.175 / 13)  # most data are kept by day; sums to 1
PACES = (0.008, 0.006, 0.005)  # what the fastest users keep per workday, as a share of scratch, project, home


@dataclass
class State:
    """What the areas carry from hour to hour: (A,) each, data and quota as shares of the area's size."""

    kept: Floats
    quota: Floats
    cleanup: Ints  # when it is due, Unix seconds
    lift: Ints  # when its quota is raised
    strikes: Floats  # how often it was full since the last rise
    was_full: Bools


@dataclass(frozen=True)
class Day:
    """What one local day brings each area: (A,) each."""

    number: int
    fresh: Bools  # an allocation starts: by a new user, or anew
    newcomer: Bools
    growth: Floats  # data kept for good
    copied: Floats  # share of the free room that is filled by a copy
    copy_hour: Ints
    answers: Bools  # would read a mail about a full quota and act
    answer: Ints  # when: Unix seconds
    lift: Ints  # when a ticket for a larger quota would be done
    chance: Floats


@dataclass(frozen=True)
class Habits:
    """How the owner of each area works: (A,) each."""

    notice: Floats  # share of the quota from which the daily mail is sent
    tidy: Floats  # share that is left after a cleanup
    pace: Floats
    care: Floats  # how often a mail is answered
    scratch: Bools


def simulate_storage(demo: DemoParams, window: Window) -> tuple[dict[str, NDArray[np.object_]], dict[str, Floats]]:
    """Labels (A,) and the three metrics (A, T) of every storage area, NaN while it does not exist."""
    users = users_in(demo, window)
    areas = areas_of(demo.seed, users)
    begin = areas.start + np.maximum(day_of(window.start) - areas.start, 0) // TERM_DAYS * TERM_DAYS
    first = int(seconds_of(min(begin.min(initial=NEVER), day_of(window.start)), 0))
    lived = Window(first, HOUR, (window.stop - window.step - first) // HOUR + 1)
    bursts = bursts_of(demo.seed, users, areas, lived)
    kept, growth, quota = _live(demo.seed, users.key[areas.user], areas, bursts, lived, window.start)
    hour = window.times // HOUR - window.start // HOUR
    part = window.times % HOUR / HOUR
    size = areas.size[:, None]
    demand = kept[:, hour] + growth[:, hour] * part + levels(bursts, len(areas), window)
    allowed = np.round(quota[:, hour] * size / GIB) * GIB
    written = rates(bursts, len(areas), window) + growth[:, hour] / HOUR
    chatter = 1e-7 * between(0.2, 2.0, draw(demo.seed, "chatter", areas.key[:, None], window.times[None, :]))
    metrics = {
        "storage_used_bytes": np.minimum(np.floor(demand * size / BLOCK) * BLOCK, allowed),
        "storage_quota_bytes": allowed,
        "io_throughput_bytes_per_second": np.floor((np.where(demand * size < allowed, written, 0.0) + chatter) * size),
    }
    day = day_of(window.times)[None, :]
    absent = (day < areas.start[:, None]) | (day >= areas.stop[:, None])
    labels = {name: column[areas.user] for name, column in user_labels(demo, users).items()}
    labels |= {
        "cluster": np.array(CLUSTERS, object)[areas.cluster],
        "storage_type": np.array(TYPES, object)[areas.type],
    }
    return labels, {name: np.where(absent, np.nan, array) for name, array in metrics.items()}


def _live(
    seed: int, user: Ints, areas: Areas, bursts: Bursts, lived: Window, record_from: int
) -> tuple[Floats, Floats, Floats]:
    """(A, hours) from the hour of `record_from` on: data kept for good, its growth in the hour, and the quota.

    Every area starts anew with its term, so the result does not depend on where `lived` starts before that.
    """
    n, skip = len(areas), (record_from - lived.start) // HOUR
    habits = Habits(
        notice=between(0.9, 0.945, draw(seed, "notice", areas.key)),
        tidy=between(0.84, 0.90, draw(seed, "tidy", user)),
        pace=np.array(PACES)[areas.type] * between(0.2, 1.0, draw(seed, "pace", areas.key)),
        care=between(0.4, 0.95, draw(seed, "care", user)),
        scratch=areas.type == SCRATCH,
    )
    state = State(np.zeros(n), np.ones(n), np.full(n, NEVER), np.full(n, NEVER), np.zeros(n), np.zeros(n, np.bool_))
    record = np.zeros((3, n, lived.count - skip))
    for first in range(0, lived.count, CHUNK_DAYS * 24):
        chunk = Window(lived.start + first * HOUR, HOUR, min(CHUNK_DAYS * 24, lived.count - first))
        lying = np.ascontiguousarray(levels(bursts, n, chunk).T)  # (hours, A)
        for index, moment in enumerate(chunk.times.tolist()):
            if index % 24 == 0:
                today = _day(seed, int(day_of(moment)), user, areas, habits)
            growth = _hour(state, today, habits, lying[index], moment, index % 24)
            if first + index >= skip:
                record[:, :, first + index - skip] = state.kept, growth, state.quota
            state.kept = state.kept + growth
    return record[0], record[1], record[2]


def _day(seed: int, number: int, user: Ints, areas: Areas, habits: Habits) -> Day:
    """Draw the local day `number` of all areas."""

    def chance(cause: str) -> Floats:
        return draw(seed, cause, areas.key, number)

    workdays = number + np.flatnonzero(is_workday(number + np.arange(40)))
    workday = bool(workdays[0] == number)
    vigour = np.where(in_campaign(seed, user, np.array(number)), 1.6, 0.6) * (1.0 if workday else 0.3)
    reads = np.array([workdays[workdays >= number + delay][0] for delay in range(3)])
    age = number - areas.start
    return Day(
        number=number,
        fresh=(age >= 0) & (age % TERM_DAYS == 0),
        newcomer=age == 0,
        growth=habits.pace * vigour * 4.0 * chance("kept") * chance("kept too"),
        copied=np.where(workday & (chance("copy") < 0.4), 0.1 + 0.3 * chance("copied"), 0.0),
        copy_hour=9 + (8 * chance("copy hour")).astype(np.int64),
        answers=chance("answers") < habits.care,
        answer=seconds_of(reads[(3 * chance("delay")).astype(np.int64)], 9 + np.floor(9 * chance("answer hour"))),
        lift=seconds_of(workdays[2], np.full(len(user), 10)),
        chance=chance("what happens"),
    )


def _hour(state: State, today: Day, habits: Habits, lying: Floats, moment: int, clock: int) -> Floats:
    """Let one hour of the local `clock` begin: change `state` in place and return (A,) what is kept more in it."""
    if clock == 0 and today.fresh.any():
        _start_term(state, today)
    if clock == 3 and today.number % 7 == PURGE_DAY:  # the weekly cron job that deletes old files
        old = habits.scratch & (state.kept > 0.75 * state.quota)
        state.kept = np.where(old, state.kept - between(0.005, 0.03, today.chance), state.kept)
    lifted = state.lift <= moment
    if lifted.any():
        state.quota = np.where(lifted, state.quota * np.where(today.chance < 0.5, 1.125, 1.25), state.quota)
        state.lift = np.where(lifted, NEVER, state.lift)
    cleaned = state.cleanup <= moment
    if cleaned.any():
        left = (habits.tidy + between(-0.02, 0.02, today.chance)) * state.quota - lying
        state.kept = np.where(cleaned, np.minimum(state.kept, np.maximum(left, 0.5 * state.quota)), state.kept)
        state.cleanup = np.where(cleaned, NEVER, state.cleanup)
    used = state.kept + lying
    full = used >= state.quota
    failed = full & ~state.was_full
    if failed.any():
        _react(state, today, failed, moment, clock)
    if clock == MAIL_HOUR:
        due = (used >= habits.notice * state.quota) & today.answers
        state.cleanup = np.where(due, np.minimum(state.cleanup, today.answer), state.cleanup)
    state.was_full = full
    copying = (clock >= today.copy_hour) & (clock < today.copy_hour + 4)
    room = np.maximum((habits.tidy + 0.03) * state.quota - state.kept, 0.0)
    growth = today.growth * PROFILE[clock] + copying * today.copied / 4 * room
    return np.where(full, 0.0, growth)


def _start_term(state: State, today: Day) -> None:
    """A new allocation: the quota is set anew, old data are archived; a newcomer brings little."""
    fresh, chance = today.fresh, today.chance
    quota = np.array([0.75, 1.0, 1.0, 1.0, 1.25])[(chance * 5).astype(np.int64)]
    level = np.where(today.newcomer, between(0.2, 0.45, chance), between(0.7, 0.82, chance))
    state.quota = np.where(fresh, quota, state.quota)
    state.kept = np.where(fresh, level * quota, state.kept)
    state.strikes = np.where(fresh, 0.0, state.strikes)
    state.cleanup = np.where(fresh, NEVER, state.cleanup)
    state.lift = np.where(fresh, NEVER, state.lift)
    state.was_full = state.was_full & ~fresh


def _react(state: State, today: Day, failed: Bools, moment: int, clock: int) -> None:
    """Writes fail: somebody notices within hours by day and in the morning by night, and may ask for more quota."""
    awake = 8 <= clock < 22
    hours = np.floor(between(2, 7, today.chance)) if awake else (33 - clock) % 24 + np.floor(3 * today.chance)
    noticed = moment + (hours * HOUR).astype(np.int64)
    state.cleanup = np.where(failed, np.minimum(state.cleanup, noticed), state.cleanup)
    state.strikes = np.where(failed, state.strikes + 1, state.strikes)
    asks = failed & (state.strikes >= STRIKES) & (state.quota < 1.5) & (state.lift == NEVER)
    state.lift = np.where(asks, today.lift, state.lift)
    state.strikes = np.where(asks, 0.0, state.strikes)
