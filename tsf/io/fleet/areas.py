"""The storage areas of the simulated fleet and everything that is written to them and deleted again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tsf.io.fleet.people import (
    CLUSTERS,
    HOUR,
    Users,
    Window,
    between,
    day_of,
    draw,
    is_workday,
    seconds_of,
    weekday_of,
)
from tsf.io.fleet.work import Bursts, checkpoints, join_bursts, sessions, training_jobs

__all__ = ["HOME", "PROJECT", "SCRATCH", "TYPES", "Areas", "areas_of", "bursts_of", "ingests"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

TYPES = ("scratch", "project", "home")
SCRATCH, PROJECT, HOME = range(3)
TIB, GIB = 2.0**40, 2.0**30
SIZES = (
    [4 * TIB, 8 * TIB, 16 * TIB, 32 * TIB],
    [10 * TIB, 20 * TIB, 50 * TIB, 100 * TIB],
    [200 * GIB, 500 * GIB, TIB, 2 * TIB],
)


@dataclass(frozen=True)
class Areas:
    """A storage areas, each with one quota. `start` and `stop` are local days; shares are of `size` bytes."""

    key: Ints
    user: Ints
    cluster: Ints
    type: Ints
    start: Ints
    stop: Ints
    size: Floats

    def __len__(self) -> int:
        return len(self.key)


def areas_of(seed: int, users: Users) -> Areas:
    """The areas of `users`: scratch, project and home on the home cluster, scratch and project on the second one."""
    plan = [(users.home, kind) for kind in (SCRATCH, PROJECT, HOME)]
    plan += [(users.second, kind) for kind in (SCRATCH, PROJECT)]
    user = np.tile(np.arange(len(users)), len(plan))
    cluster = np.concatenate([where for where, _ in plan])
    kind = np.repeat([kind for _, kind in plan], len(users))
    order = np.lexsort((kind, cluster, user))
    order = order[cluster[order] >= 0]
    user, cluster, kind = user[order], cluster[order], kind[order]
    key = users.key[user] * 16 + cluster * 4 + kind
    late = (cluster == users.second[user]) * (draw(seed, "second cluster later", key) * 250).astype(np.int64)
    size = np.array(SIZES)[kind, (draw(seed, "quota", key) * 4).astype(np.int64)]
    return Areas(key, user, cluster, kind, users.start[user] + late, users.stop[user], size)


def bursts_of(seed: int, users: Users, areas: Areas, window: Window) -> Bursts:
    """Everything that is written to the areas in `window` and deleted again, as shares of the areas."""
    area_of = np.full((3, len(users), len(CLUSTERS)), -1)
    area_of[areas.type, areas.user, areas.cluster] = np.arange(len(areas))
    jobs = training_jobs(seed, users, window)
    parts = [checkpoints(seed, jobs, users, area_of[SCRATCH, jobs.user, jobs.cluster])]
    user, day, begin, end = sessions(seed, users, window)
    row = area_of[HOME, user, users.home[user]]
    share = between(0.002, 0.012, draw(seed, "temporary files", areas.key[row], day))
    parts.append(Bursts(row, begin, np.asarray(0.8 * (end - begin), np.float64), end, share))
    days = np.arange(int(day_of(window.start)) - 7, int(day_of(window.stop)) + 1)
    parts += [ingests(seed, areas, days), _rebuilds(seed, areas, days), _runaways(seed, areas, days)]
    return join_bursts(parts)


def ingests(seed: int, areas: Areas, days: Ints) -> Bursts:
    """A new snapshot of a data set at a fixed weekly hour; the old one goes once the new one is validated."""
    key, kind = areas.key, areas.type
    ingesting = (kind == PROJECT) & (draw(seed, "ingests", key) < 0.75)
    weekday = np.where(ingesting, (draw(seed, "ingest day", key) * 7).astype(np.int64), -1)
    weekly = weekday_of(days)[None, :] == weekday[:, None]
    row, column = np.nonzero(weekly & (draw(seed, "ingest", key[:, None], days[None, :]) < 0.95))
    area, day = key[row], days[column]
    hour = between(0, 24, draw(seed, "ingest hour", area)) + 0.2 * draw(seed, "ingest late", area, day)
    start = seconds_of(day, hour)
    ramp = between(3, 8, draw(seed, "ingest hours", area)) * HOUR
    valid = between(8, 40, draw(seed, "validation", area)) * HOUR
    valid = valid * between(0.8, 1.2, draw(seed, "validation", area, day))
    size = between(0.02, 0.08, draw(seed, "data set", area)) * between(0.85, 1.15, draw(seed, "data set", area, day))
    return Bursts(row, start, ramp, start + (ramp + valid).astype(np.int64), size)


def _rebuilds(seed: int, areas: Areas, days: Ints) -> Bursts:
    """An environment is built anew in a home, beside the old one, on some workdays."""
    asked = draw(seed, "rebuild", areas.key[:, None], days[None, :]) < 0.12
    row, column = np.nonzero(asked & is_workday(days)[None, :] & (areas.type == HOME)[:, None])
    area, day = areas.key[row], days[column]
    start = seconds_of(day, between(10, 17, draw(seed, "rebuild hour", area, day)))
    stop = start + (between(4, 20, draw(seed, "old environment", area, day)) * HOUR).astype(np.int64)
    size = between(0.02, 0.06, draw(seed, "environment", area, day))
    return Bursts(row, start, np.full(len(row), 2400.0), stop, size)


def _runaways(seed: int, areas: Areas, days: Ints) -> Bursts:
    """A mistake fills an area within hours: logs, core dumps, a wrong path. Nobody can foresee these."""
    row, column = np.nonzero(draw(seed, "runaway", areas.key[:, None], days[None, :]) < 0.0012)
    area, day = areas.key[row], days[column]
    start = seconds_of(day, between(0, 24, draw(seed, "runaway hour", area, day)))
    ramp = between(1, 4, draw(seed, "runaway speed", area, day)) * HOUR
    seen = between(2, 12, draw(seed, "runaway seen", area, day)) * HOUR
    size = between(0.05, 0.2, draw(seed, "runaway size", area, day))
    return Bursts(row, start, ramp, start + (ramp + seen).astype(np.int64), size)
