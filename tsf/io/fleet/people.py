"""Who works in the simulated fleet: groups and their users, where they work, and the calendar that they live by."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tsf.params import DemoParams

__all__ = [
    "CLUSTERS",
    "DAY",
    "HOUR",
    "TIME_ZONE",
    "Users",
    "Window",
    "between",
    "day_of",
    "draw",
    "group_names",
    "is_holiday",
    "is_workday",
    "places_of",
    "ragged",
    "seconds_of",
    "user_labels",
    "users_in",
    "weekday_of",
]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

HOUR, DAY = 3_600, 86_400
TIME_ZONE = "Asia/Shanghai"  # everybody lives by one clock; this one never changes for summer
ZONE_SECONDS = 8 * HOUR
CLUSTERS = ("east", "west", "north")
GROUPS = ("vision", "speech", "language", "robotics", "search", "ads", "genomics", "climate")
NAMES = ("an", "bo", "chen", "dai", "fang", "guo", "han", "jin", "kai", "lin", "mei", "ning", "ping", "qi", "rui",
         "song")  # fmt: skip
TENURE_DAYS = 1092  # a desk changes hands after that many days
HOLIDAYS = {1: 1, 5: 5, 10: 7}  # month -> its first days that are off: New Year, Labour Day, National Day


@dataclass(frozen=True)
class Window:
    """A uniform UTC grid: `count` moments `step` seconds apart from Unix time `start` on."""

    start: int
    step: int
    count: int

    @property
    def times(self) -> Ints:
        """(T,) Unix seconds."""
        return self.start + self.step * np.arange(self.count, dtype=np.int64)

    @property
    def stop(self) -> int:
        """The first moment after the window."""
        return self.start + self.step * self.count


@dataclass(frozen=True)
class Users:
    """U users. `key` names a person for ever, `slot` the desk; days are local, from 1970 on, `stop` is exclusive."""

    key: Ints
    slot: Ints
    group: Ints
    home: Ints
    second: Ints  # -1: works on one cluster only
    start: Ints
    stop: Ints

    def __len__(self) -> int:
        return len(self.key)


def draw(seed: int, cause: str, *keys: ArrayLike) -> Floats:
    """Uniform numbers in 0 … 1, one per broadcast entry of the integer `keys`.

    A pure function of its arguments (the finaliser of SplitMix64, Steele, Lea and Flood 2014, chained over the keys):
    a moment can be drawn without the moments before it, so every window of the fleet agrees with every other.
    """
    state = np.array([zlib.crc32(cause.encode())], np.uint64)
    for key in (seed % 2**63, *keys):
        state = state ^ np.asarray(key, np.int64).astype(np.uint64)
        state = state + np.uint64(0x9E3779B97F4A7C15)
        state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        state = state ^ (state >> np.uint64(31))
    return np.asarray((state >> np.uint64(11)) * 2.0**-53, np.float64)


def between(low: ArrayLike, high: ArrayLike, share: Floats) -> Floats:
    """The number at `share` (0 … 1) of the way from `low` to `high`."""
    bottom = np.asarray(low, np.float64)
    return np.asarray(bottom + (np.asarray(high, np.float64) - bottom) * share)


def ragged(counts: Ints) -> tuple[Ints, Ints]:
    """For `counts` [2, 0, 3]: the owner of each item, [0, 0, 2, 2, 2], and its number there, [0, 1, 0, 1, 2]."""
    owner = np.repeat(np.arange(len(counts)), counts)
    return owner, np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)


def day_of(seconds: ArrayLike) -> Ints:
    """The local day, counted from 1970, of Unix seconds."""
    return np.asarray((np.asarray(seconds, np.int64) + ZONE_SECONDS) // DAY)


def seconds_of(day: ArrayLike, hour: ArrayLike) -> Ints:
    """Unix seconds of a local day and (fractional) hour, whole seconds."""
    local = np.asarray(day, np.int64) * DAY + (np.asarray(hour, np.float64) * HOUR).astype(np.int64)
    return np.asarray(local - ZONE_SECONDS)


def is_holiday(day: Ints) -> Bools:
    """Whether the local day is a public holiday (fixed dates only, so that the fleet never changes)."""
    date = day.astype("datetime64[D]")
    month = date.astype("datetime64[M]")
    of_month = (date - month).astype(np.int64) + 1
    last = np.array([HOLIDAYS.get(number, 0) for number in range(13)])
    return np.asarray(of_month <= last[month.astype(np.int64) % 12 + 1])


def weekday_of(day: Ints) -> Ints:
    """0 for Monday … 6 for Sunday."""
    return np.asarray((day + 3) % 7)


def is_workday(day: Ints) -> Bools:
    """Monday to Friday, holidays apart."""
    return np.asarray((weekday_of(day) < 5) & ~is_holiday(day))


def slots_of(demo: DemoParams) -> tuple[Ints, Ints, Ints, Ints]:
    """(S,) each: key, group, home cluster and second cluster (-1: none) of every desk of the fleet."""
    groups = np.arange(demo.groups)
    spread = demo.users_per_group // 3
    sizes = demo.users_per_group - spread + (draw(demo.seed, "group size", groups) * (2 * spread + 1)).astype(np.int64)
    group, rank = ragged(sizes)
    slot = group * 4096 + rank
    away = draw(demo.seed, "works elsewhere", slot) < 0.3
    other = 1 + (draw(demo.seed, "other cluster", slot) * 2).astype(np.int64)
    home = (group + np.where(away, other, 0)) % len(CLUSTERS)
    has_second = draw(demo.seed, "second cluster", slot) < 0.6
    return slot, group, home, np.where(has_second, (home + other) % len(CLUSTERS), -1)


def places_of(demo: DemoParams) -> dict[tuple[int, int], int]:
    """(slot, cluster) -> place within the cluster: a desk keeps its place, and so many neighbours share a node."""
    slot, _, home, second = slots_of(demo)
    places: dict[tuple[int, int], int] = {}
    for cluster in range(len(CLUSTERS)):
        here = slot[(home == cluster) | (second == cluster)]
        places |= {(desk, cluster): place for place, desk in enumerate(here.tolist())}
    return places


def users_in(demo: DemoParams, window: Window) -> Users:
    """Everybody with an account in some part of `window`, ordered by desk and time."""
    slot, group, home, second = slots_of(demo)
    first, last = (int(day_of(moment)) for moment in (window.start, window.stop))
    phase = (draw(demo.seed, "tenure", slot) * TENURE_DAYS).astype(np.int64)
    oldest = (first - phase) // TENURE_DAYS
    desk, later = ragged((last - phase) // TENURE_DAYS - oldest + 1)
    tenure = oldest[desk] + later
    start = tenure * TENURE_DAYS + phase[desk]
    key = slot[desk] * 1024 + tenure
    vacancy = between(5, 45, draw(demo.seed, "vacancy", key)).astype(np.int64)
    users = Users(key, slot[desk], group[desk], home[desk], second[desk], start + vacancy, start + TENURE_DAYS)
    here = (users.start <= last) & (users.stop > first)
    return Users(**{name: column[here] for name, column in vars(users).items()})


def user_labels(demo: DemoParams, users: Users) -> dict[str, NDArray[np.object_]]:
    """The labels `group` and `user` of every user; nobody's name is used twice in a group."""
    desk, tenure = users.slot % 4096, users.key % 1024
    pick = ((draw(demo.seed, "name", users.slot) * len(NAMES)).astype(np.int64) + tenure) % len(NAMES)
    names = [f"{NAMES[name]}{number:02d}" for name, number in zip(pick, desk, strict=True)]
    return {"group": group_names(users.group), "user": np.array(names, object)}


def group_names(groups: Ints) -> NDArray[np.object_]:
    """`vision`, `speech`, …, then `vision2` and so on."""
    rounds, which = np.divmod(groups, len(GROUPS))
    names = [GROUPS[name] + (str(again + 1) if again else "") for name, again in zip(which, rounds, strict=True)]
    return np.array(names, object)
