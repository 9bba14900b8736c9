"""What a rule would have done: its alarms over weeks of history against the breaches that really came.

An alarm claims that a breach comes within the horizon. The first firing of a rule raises it, and whatever fires within
the horizon after that belongs to the same alarm; one that still fires then, without a breach, is raised again. So a
rule that always fires is wrong once per horizon, and one that flaps is not wrong more often for it: flaps are counted
by themselves. A breach is met in time, late or not at all, whatever the alarms before were worth.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from tsf.alarm.rivals import run_lengths

__all__ = ["Breaches", "Kind", "Outcome", "Score", "Terms", "find_breaches", "replay", "score", "unseen"]

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


class Kind(IntEnum):
    """What became of an alarm (TRUE, LATE, FALSE) or of a breach (TRUE, LATE, MISSED)."""

    TRUE = 0
    LATE = 1
    FALSE = 2
    MISSED = 3


@dataclass(frozen=True)
class Terms:
    """How alarms are judged, the same for every rule.

    horizon_steps: how far ahead a breach makes an alarm true. act_steps: the notice that people need. first_step: where
    the judging begins. cost_false, cost_miss, cost_late: what each costs.
    """

    horizon_steps: int
    act_steps: int = 1
    first_step: int = 0
    cost_false: float = 1.0
    cost_miss: float = 20.0
    cost_late: float = 10.0

    def __post_init__(self) -> None:
        if not 1 <= self.act_steps <= self.horizon_steps:
            raise ValueError(f"act_steps {self.act_steps} is not within 1 … horizon_steps {self.horizon_steps}")


@dataclass(frozen=True, eq=False)
class Breaches:
    """rows, steps: (E,) series and step at which each breach begins. under_way: (N, T), with the quiet after it.

    known: (N, T) where there is a sample.
    """

    rows: Ints
    steps: Ints
    under_way: Bools
    known: Bools


@dataclass(frozen=True, eq=False)
class Outcome:
    """What one rule did. alarm_*: (A,) per alarm; breach_*: (E,) per judged breach, lead in steps (NaN if not in time).

    raised_rows, raised_steps: (R,) all alarms, those too that are so near to the end that nobody can judge them.
    flap_rows, flap_steps: (F,) further firings that belong to an alarm already raised.
    """

    raised_rows: Ints
    raised_steps: Ints
    alarm_rows: Ints
    alarm_steps: Ints
    alarm_kinds: Ints
    breach_rows: Ints
    breach_steps: Ints
    breach_kinds: Ints
    leads: Floats
    flap_rows: Ints
    flap_steps: Ints


def find_breaches(used: Floats, line: Floats, *, samples: int = 1, rest_steps: int = 1) -> Breaches:
    """The breaches of (N, T) `used` against the (N, T) `line`: `samples` values in a row at or over it.

    A breach begins with the last of these; one that comes back within `rest_steps` is still the same.
    """
    known = np.isfinite(used) & np.isfinite(line)
    over = np.where(known, used >= line, False)
    hit = run_lengths(over) >= samples
    steps = np.arange(used.shape[1])
    newest = np.maximum.accumulate(np.where(hit, steps, -rest_steps - 1), axis=1)
    under_way = steps - newest <= rest_steps
    begins = under_way.copy()
    begins[:, 1:] &= ~under_way[:, :-1]
    rows, columns = np.nonzero(begins)
    return Breaches(rows, columns, under_way, known)


def replay(fires: Bools, breaches: Breaches, terms: Terms) -> Outcome:
    """Judge (N, T) `fires` of one rule.

    Alarms during a breach are not judged, nor those so near to the end, or to a gap, that nobody knows what came.
    Breaches before the first step plus the time to act are not judged either: no rule could have been in time.
    """
    n, total = fires.shape
    horizon, act, first = terms.horizon_steps, terms.act_steps, terms.first_step
    awake = fires & ~breaches.under_way
    awake[:, :first] = False
    starts = awake.copy()
    starts[:, 1:] &= ~awake[:, :-1]
    alarms, flaps = _episodes(awake, starts, horizon)
    alarm_rows, alarm_steps = np.nonzero(alarms)
    flap_rows, flap_steps = np.nonzero(flaps)

    begins = np.full((n, total + 1), total + horizon + 1)
    begins[breaches.rows, breaches.steps] = breaches.steps
    following = np.minimum.accumulate(begins[:, ::-1], axis=1)[:, ::-1]
    wait = following[alarm_rows, alarm_steps + 1] - alarm_steps
    seen = np.concatenate([np.zeros((n, 1), np.int64), np.cumsum(breaches.known, axis=1)], axis=1)
    until = np.minimum(alarm_steps + horizon, total - 1)
    judged = (wait <= horizon) | (
        (alarm_steps + horizon < total) & (seen[alarm_rows, until + 1] > seen[alarm_rows, alarm_steps + 1])
    )
    kinds = np.where(wait > horizon, Kind.FALSE, np.where(wait >= act, Kind.TRUE, Kind.LATE))

    counts = breaches.steps >= first + act
    rows, steps = breaches.rows[counts], breaches.steps[counts]
    met, leads = _met(fires, awake, breaches.under_way, rows, steps, terms)
    return Outcome(
        alarm_rows, alarm_steps, alarm_rows[judged], alarm_steps[judged], kinds[judged], rows, steps, met, leads,
        flap_rows, flap_steps,
    )  # fmt: skip


def _episodes(awake: Bools, starts: Bools, horizon: int) -> tuple[Bools, Bools]:
    """(N, T) where an alarm is raised, and where a firing begins that belongs to one."""
    by_time = np.ascontiguousarray(awake.T)
    raised = np.zeros_like(by_time)
    free = np.zeros(by_time.shape[1], np.int64)
    for step in np.flatnonzero(by_time.any(1)).tolist():
        new = by_time[step] & (free <= step)
        raised[step] = new
        free[new] = step + horizon
    alarms = np.ascontiguousarray(raised.T)
    return alarms, starts & ~alarms


def _met(fires: Bools, awake: Bools, under_way: Bools, rows: Ints, steps: Ints, terms: Terms) -> tuple[Ints, Floats]:
    """(E,) how each breach was met, and the lead of those in time."""
    total = fires.shape[1]
    upcoming = np.where(awake, np.arange(total), 2 * total)
    upcoming = np.minimum.accumulate(upcoming[:, ::-1], axis=1)[:, ::-1]
    found = upcoming[rows, np.maximum(steps - terms.horizon_steps, 0)]
    leads = (steps - found).astype(np.float64)
    in_time = leads >= terms.act_steps
    during = np.concatenate([np.cumsum(fires & under_way, axis=1), np.zeros((len(fires), 1), np.int64)], axis=1)
    ends = np.where(under_way, 2 * total, np.arange(total))
    ends = np.minimum(np.minimum.accumulate(ends[:, ::-1], axis=1)[:, ::-1][rows, steps], total)
    after = during[rows, ends - 1] > during[rows, steps - 1]  # at step 0 the zeros at the end
    late = ~in_time & ((leads > 0) | after)
    kinds = np.where(in_time, Kind.TRUE, np.where(late, Kind.LATE, Kind.MISSED))
    return kinds.astype(np.int64), np.where(in_time, leads, np.nan)


@dataclass(frozen=True)
class Score:
    """A rule in numbers. alarms: those judged; true, late, false: what became of them.

    met, met_late, missed: the breaches. median_lead, p10_lead: steps, of breaches met in time. weekly: alarms per week
    and team, judged or not; weekly_worst: of the team that gets most. low, high of precision and recall: 90 %
    bootstrap interval over series.
    """

    true: int
    late: int
    false: int
    met: int
    met_late: int
    missed: int
    precision: float
    precision_range: tuple[float, float]
    recall: float
    recall_range: tuple[float, float]
    median_lead: float
    p10_lead: float
    weekly: float
    weekly_worst: float
    flaps: int
    cost: float

    @property
    def alarms(self) -> int:
        """All that were judged."""
        return self.true + self.late + self.false

    @property
    def breaches(self) -> int:
        """All that were judged."""
        return self.met + self.met_late + self.missed


def score(
    outcome: Outcome,
    terms: Terms,
    *,
    n_series: int,
    weeks: float,
    teams: Ints | None = None,
    keep: Bools | None = None,
    draws: int = 400,
) -> Score:
    """Count an outcome over `weeks`.

    teams: (N,) number of the team that gets a series' alarms, one team by default. keep: (N,) or (N, T), the series (or
    moments) that count; weeks are not changed by it. draws: bootstrap samples of series.
    """
    teams = np.zeros(n_series, np.int64) if teams is None else teams
    r, a, b, f = (_kept(keep, rows, steps) for rows, steps in (
        (outcome.raised_rows, outcome.raised_steps), (outcome.alarm_rows, outcome.alarm_steps),
        (outcome.breach_rows, outcome.breach_steps), (outcome.flap_rows, outcome.flap_steps)))  # fmt: skip
    alarm_counts = _per_series(outcome.alarm_rows[a], outcome.alarm_kinds[a], n_series)  # (N, 4)
    breach_counts = _per_series(outcome.breach_rows[b], outcome.breach_kinds[b], n_series)
    true, late, false, _ = alarm_counts.sum(0).tolist()
    met, met_late, _, missed = breach_counts.sum(0).tolist()
    drawn = np.random.default_rng(0).multinomial(n_series, np.full(n_series, 1 / n_series), size=draws)
    leads = outcome.leads[b & np.isfinite(outcome.leads)]
    members = np.unique(teams if keep is None or keep.ndim == 2 else teams[keep])
    per_team = np.bincount(teams[outcome.raised_rows[r]], minlength=int(teams.max(initial=0)) + 1)[members]
    weeks = max(weeks, 1e-9)
    return Score(
        true=true, late=late, false=false, met=met, met_late=met_late, missed=missed,
        precision=_ratio(true + late, true + late + false),
        precision_range=_range(drawn @ (alarm_counts[:, 0] + alarm_counts[:, 1]), drawn @ alarm_counts.sum(1)),
        recall=_ratio(met, met + met_late + missed),
        recall_range=_range(drawn @ breach_counts[:, 0], drawn @ breach_counts.sum(1)),
        median_lead=float(np.median(leads)) if len(leads) else np.nan,
        p10_lead=float(np.quantile(leads, 0.1)) if len(leads) else np.nan,
        weekly=float(per_team.mean() / weeks) if len(members) else 0.0,
        weekly_worst=float(per_team.max(initial=0) / weeks),
        flaps=int(f.sum()),
        cost=terms.cost_false * false + terms.cost_miss * missed + terms.cost_late * met_late,
    )  # fmt: skip


def unseen(outcomes: Mapping[str, Outcome]) -> Bools:
    """(E,) the judged breaches that no rule met, not even late."""
    return np.asarray(np.all([outcome.breach_kinds == Kind.MISSED for outcome in outcomes.values()], axis=0))


def _kept(keep: Bools | None, rows: Ints, steps: Ints) -> Bools:
    if keep is None:
        return np.ones(len(rows), bool)
    kept: Bools = np.take(keep, rows) if keep.ndim == 1 else np.take(keep, rows * keep.shape[1] + steps)
    return kept


def _per_series(rows: Ints, kinds: Ints, n_series: int) -> Ints:
    return np.bincount(rows * 4 + kinds, minlength=4 * n_series).reshape(n_series, 4)


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")


def _range(part: NDArray[np.int64], whole: NDArray[np.int64]) -> tuple[float, float]:
    some = whole > 0
    if not some.any():
        return float("nan"), float("nan")
    low, high = np.quantile(part[some] / whole[some], (0.05, 0.95))
    return float(low), float(high)
