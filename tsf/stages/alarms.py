"""What the alarms of a task would have done on the held-out data: verdict, tables and figures of a replay."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tsf.alarm.policy import (
    THRESHOLDS,
    Policy,
    Verdict,
    frontier,
    gates_of,
    in_hindsight,
    judge_policy,
    replay_choices,
)
from tsf.alarm.replay import Breaches, Kind, Outcome, Score, Terms, score, unseen
from tsf.alarm.rivals import PRODUCTION, USES_FORECAST, History, Rule, evaluate_rule
from tsf.kinds import chance_text, count_text, figure_text, share_text, span_text
from tsf.learn import is_night
from tsf.learn.breach import reliability
from tsf.params import TaskParams
from tsf.plots import Timeline
from tsf.series import Floats, SeriesSet, label_column, label_rows, title_of

__all__ = ["OURS", "WEEK", "AlarmReplay", "no_team"]

WEEK = 604_800
OURS = "tsf"


def no_team(label: str) -> str:
    """What is said where no series has the label of alert.team."""
    return f"No series has the label {label} of alert.team: all alarms are counted as those of one team."


@dataclass(frozen=True, eq=False)
class AlarmReplay:
    """Every rule over the held-out data of a task with a limit.

    band: (2, N, T) the 80 % interval that had been forecast for each moment, `band_steps` before. chances: steps ahead,
    the longest of them last, -> (N, T) the breach probability within so many.
    """

    task: TaskParams
    series: SeriesSet
    history: History
    terms: Terms
    breaches: Breaches
    policy: Policy
    rules: tuple[Rule, ...]
    outcomes: dict[str, Outcome]
    every_steps: int
    teams: NDArray[np.int64]
    band: Floats
    band_steps: int
    chances: dict[int, Floats]

    @property
    def weeks(self) -> float:
        """How long the judged part is."""
        return (self.series.n_steps - self.terms.first_step) * self.series.step_seconds / WEEK

    @cached_property
    def scores(self) -> dict[str, Score]:
        """Every rule in numbers, ours first."""
        return {
            name: score(outcome, self.terms, n_series=self.series.n_series, weeks=self.weeks, teams=self.teams)
            for name, outcome in self.outcomes.items()
        }

    @property
    def verdict(self) -> Verdict:
        """Should the forecast's alarm take over from the best rule that needs no forecast and keeps to the budget?"""
        rivals = {name: said for name, said in self.scores.items() if name != OURS and name not in USES_FORECAST}
        return judge_policy(self.scores[OURS], rivals, self.task.alert.budget)

    @cached_property
    def hindsight(self) -> str:
        """Where the gate is not passed: whether any threshold could have; nothing otherwise."""
        alert = self.task.alert
        assert self.history.chance is not None  # noqa: S101 - made with it
        if self.verdict.passed:
            return ""
        curve = replay_choices(
            self.history.chance, self.history.share, self.breaches, self.terms, weeks=self.weeks, teams=self.teams,
            thresholds=sorted({*THRESHOLDS, alert.probability}), gates=gates_of(self.history.line_share, alert.gate),
        )  # fmt: skip
        return in_hindsight(curve, self.scores[self.verdict.rival])

    @property
    def summary(self) -> str:
        """What was replayed, and how the rule came about."""
        step = self.series.step_seconds
        gate = f" while {share_text(self.policy.gate)} of the limit or more is in use" if self.policy.gate > 0 else ""
        hold = f", held for {span_text(self.policy.for_steps * step)}" if self.policy.for_steps else ""
        team = self.task.alert.team
        teamless = f" {no_team(team)}" if team and team not in self.series.labels else ""
        return (
            f"{len(self.rules)} rules were replayed over {self.weeks:.1f} weeks and {self.series.n_series:,} series, "
            f"with a forecast every {span_text(self.every_steps * step)}. Ours fires at a breach probability of "
            f"{share_text(self.policy.threshold)} within {span_text(self.terms.horizon_steps * step)}{gate}{hold}: "
            f"{self.policy.reason}.{teamless}"
        )

    @property
    def against_production(self) -> str:
        """One sentence: what changes for those who have the production rule."""
        ours, old = self.scores[OURS], self.scores[PRODUCTION]
        change = f"{count_text(ours.false, 'false alarm', 'false alarms')} instead of {old.false:,}"
        if old.false:
            fewer = 1 - ours.false / old.false
            change = f"{chance_text(abs(fewer))} {'fewer' if fewer >= 0 else 'more'} false alarms "
            change += f"({ours.false:,} instead of {old.false:,})"
        return (
            f"Against the rule that many have in production, {PRODUCTION}: {change}, and "
            f"{count_text(ours.met, 'breach', 'breaches')} announced in time instead of {old.met:,}."
        )

    @property
    def outcomes_by_rule(self) -> pd.DataFrame:
        """A row per rule, ours first, then by cost: what became of the breaches, and how many alarms were false."""
        order = [OURS, *sorted((n for n in self.scores if n != OURS), key=lambda n: (self.scores[n].cost, n))]
        rows = {
            name: {"in time": one.met, "too late": one.met_late, "missed": one.missed, "false alarms": one.false}
            for name, one in ((name, self.scores[name]) for name in order)
        }
        return pd.DataFrame.from_dict(rows, orient="index").rename_axis("rule")

    @property
    def scoreboard(self) -> pd.DataFrame:
        """The same with all numbers; in brackets the range of nine of ten fleets like this one."""
        step, rows = self.series.step_seconds, {}
        for name in self.outcomes_by_rule.index:
            one = self.scores[name]
            rows[name] = {
                "in time": _with_range(one.recall, one.recall_range),
                "alarms that were right": _with_range(one.precision, one.precision_range),
                "notice (worst tenth)": _notice(one.median_lead * step, one.p10_lead * step),
                "alarms a week and team (worst team)": f"{one.weekly:.1f} ({one.weekly_worst:.1f})",
                "flaps": one.flaps,
                "cost": one.cost,
            }
        return self.outcomes_by_rule.drop(columns="in time").join(pd.DataFrame.from_dict(rows, orient="index"))

    @property
    def by_part(self) -> pd.DataFrame:
        """Ours by day and night and by the values of each dimension; the five with most breaches of each."""
        night = is_night(self.series.times, self.task.train.time_zone, self.task.train.night)
        shape = self.series.values.shape
        parts: dict[str, NDArray[np.bool_]] = {
            "by day": np.broadcast_to(~night, shape), "by night": np.broadcast_to(night, shape)
        }  # fmt: skip
        for name in self.task.train.dimensions:
            column = label_column(self.series.labels, name)
            counts = pd.Series(column[self.outcomes[OURS].breach_rows]).value_counts()
            for value in [value for value in counts.index if value][:5]:
                parts[f"{name} = {value}"] = np.asarray(column == value)
        rows = {}
        for name, keep in parts.items():
            one = score(
                self.outcomes[OURS], self.terms, n_series=len(self.teams), weeks=self.weeks, teams=self.teams,
                keep=keep, draws=1,
            )  # fmt: skip
            rows[name] = {
                "breaches": one.breaches, "in time": one.met, "too late": one.met_late, "missed": one.missed,
                "share in time": chance_text(one.recall), "false alarms": one.false,
                "alarms that were right": chance_text(one.precision),
            }  # fmt: skip
        return pd.DataFrame.from_dict(rows, orient="index").rename_axis("part")

    @property
    def unseen(self) -> pd.DataFrame:
        """The breaches that no rule saw, the newest 20: series and moment."""
        ours = self.outcomes[OURS]
        kept = np.flatnonzero(unseen(self.outcomes))[-20:]
        rows = label_rows(self.series.labels)
        moments = pd.to_datetime(self.series.times[ours.breach_steps[kept]], unit="s")
        names = [title_of(rows[row]) for row in ours.breach_rows[kept].tolist()]
        return pd.DataFrame(
            {"breach at (UTC)": moments.strftime("%Y-%m-%d %H:%M")}, index=pd.Index(names, name="series")
        )

    @property
    def curve(self) -> pd.DataFrame:
        """The trade-off on the weeks that the policy was chosen on: choices that no other beats, and the chosen one.

        The index is the threshold.
        """
        own = (self.policy.threshold, self.policy.for_steps, self.policy.gate)
        best = frontier(self.policy.curve)
        best += [
            one for one in self.policy.curve if (one.threshold, one.for_steps, one.gate) == own and one not in best
        ]
        rows = [
            {"threshold": one.threshold, "hold": one.for_steps, "gate": one.gate, "alarms": one.score.weekly,
             "recall": one.score.recall, "cost": one.score.cost,
             "chosen": (one.threshold, one.for_steps, one.gate) == own}
            for one in sorted(best, key=lambda one: (one.score.weekly, one.score.met))
        ]  # fmt: skip
        columns = ["threshold", "hold", "gate", "alarms", "recall", "cost", "chosen"]
        return pd.DataFrame(rows, columns=columns).set_index("threshold")

    @cached_property
    def reliability(self) -> pd.DataFrame:
        """Per tenth of the breach probability, over all judged moments: `said`, `came` and `n`; Brier skill beside."""
        chance, came = self._judged_chances(self.terms.horizon_steps)
        table = pd.DataFrame(reliability(chance, came), columns=["said", "came", "n"])
        return table[table["n"] > 0].reset_index(drop=True).rename_axis("tenth")

    @property
    def skill(self) -> dict[str, float]:
        """Brier score, its skill over the base rate, and expected calibration error of the breach probability."""
        return _skill(*self._judged_chances(self.terms.horizon_steps))

    @property
    def skills(self) -> pd.DataFrame:
        """The same in words, a row per horizon, and of the longest by whether it was said by day or by night."""
        step, longest = self.series.step_seconds, self.terms.horizon_steps
        night = is_night(self.series.times, self.task.train.time_zone, self.task.train.night)
        parts: dict[str, tuple[int, NDArray[np.bool_] | None]] = {
            f"within {span_text(ahead * step)}": (ahead, None) for ahead in self.chances
        }
        last = f"within {span_text(longest * step)}"
        parts |= {f"{last}, said by day": (longest, ~night), f"{last}, said by night": (longest, night)}
        rows = {}
        for name, (ahead, moments) in parts.items():
            chance, came = self._judged_chances(ahead, moments)
            said = _skill(chance, came)
            rows[name] = {
                "moments": len(came),
                "breach came": figure_text(said["base_rate"], ".2%"),
                "Brier score": figure_text(said["brier"], ".4f"),
                "skill": figure_text(said["brier_skill"], ".0%"),
                "points off, on average": figure_text(100 * said["ece"], ".1f"),
            }
        return pd.DataFrame.from_dict(rows, orient="index").rename_axis("chance of a breach")

    def _judged_chances(self, horizon: int, moments: NDArray[np.bool_] | None = None) -> tuple[Floats, Floats]:
        """Chances and whether the breach came, wherever none is under way and something of the horizon was measured.

        moments: (T,) those at which the chance was said that count, all by default.
        """
        steps = np.arange(self.terms.first_step, self.series.n_steps - horizon)
        steps = steps if moments is None else steps[moments[steps]]
        came, seen = (_within(part, steps, horizon) for part in (self.breaches.under_way, self.breaches.known))
        chance = self.chances[horizon][:, steps]
        kept = np.isfinite(chance) & ~self.breaches.under_way[:, steps] & seen
        return chance[kept], came[kept].astype(np.float64)

    def telling_rows(self) -> list[int]:
        """Up to three series that tell most: those with breaches and with rules that disagree about them."""
        weight = np.zeros(self.series.n_series)
        ours = self.outcomes[OURS]
        np.add.at(weight, ours.breach_rows, np.where(ours.breach_kinds == Kind.TRUE, 3.0, 2.0))
        rival = self.outcomes[self.verdict.rival]
        np.add.at(weight, rival.alarm_rows[rival.alarm_kinds == Kind.FALSE], 0.5)
        return [int(row) for row in np.argsort(-weight, kind="stable")[:3] if weight[row] > 0]

    def timelines(self, weeks: float = 2.0) -> list[Timeline]:
        """The most telling series around their breaches: ours, the best old rule and the production rule."""
        first, total = self.terms.first_step, self.series.n_steps
        found, length = [], min(int(weeks * WEEK / self.series.step_seconds), total - first)  # before it ours is silent
        names = list(dict.fromkeys([OURS, self.verdict.rival, PRODUCTION]))
        fires = {rule.name: evaluate_rule(rule, self.history) for rule in self.rules if rule.name in names}
        rows, ours = label_rows(self.series.labels), self.outcomes[OURS]
        for row in self.telling_rows():
            own = ours.breach_steps[ours.breach_rows == row]
            middle = int(own[len(own) // 2]) if len(own) else total
            start = int(np.clip(middle - length // 2, first, total - length))
            part = slice(start, start + length)
            limit = self.history.limit[row, part]
            found.append(Timeline(
                title_of(rows[row]), self.series.times[part], self.history.share[row, part],
                self.band[0, row, part] / limit, self.band[1, row, part] / limit, self.history.over[row, part],
                {name: fires[name][row, part] for name in names}, self.history.line_share[row, part],
            ))  # fmt: skip
        return found

    @property
    def metrics(self) -> dict[str, Any]:
        """What DVC compares between runs, and what the rule file is made from."""
        ours, verdict = self.scores[OURS], self.verdict
        plain = {
            "threshold": self.policy.threshold,
            "hold_steps": self.policy.for_steps,
            "gate": self.policy.gate,
            "passed": verdict.passed,
            "answer": verdict.answer,
            "best_rule": verdict.rival,
            "weeks": round(self.weeks, 2),
            "breaches": ours.breaches,
            "met": ours.met,
            "false": ours.false,
            "false_best_rule": self.scores[verdict.rival].false,
            "met_best_rule": self.scores[verdict.rival].met,
            "false_production": self.scores[PRODUCTION].false,
            "met_production": self.scores[PRODUCTION].met,
            "alarms_per_week": ours.weekly,
        }
        return plain | {name: value for name, value in self.skill.items() if value == value}


def _skill(chance: Floats, came: Floats) -> dict[str, float]:
    """`brier`, `brier_skill` over the base rate, `ece` and `base_rate` of M chances; NaN where there is none."""
    base = float(came.mean()) if len(came) else np.nan
    brier = float(((chance - came) ** 2).mean()) if len(came) else np.nan
    said, share, count = reliability(chance, came).T
    off = float(np.nansum(np.abs(said - share) * count) / len(came)) if len(came) else np.nan
    skill = 1 - brier / (base * (1 - base)) if 0 < base < 1 else np.nan  # over a certain outcome there is none
    return {"brier": brier, "brier_skill": skill, "ece": off, "base_rate": base}


def _within(true: NDArray[np.bool_], steps: NDArray[np.int64], horizon: int) -> NDArray[np.bool_]:
    """(N, S) whether (N, T) `true` holds at least once in the `horizon` steps after each of (S,) `steps`."""
    counted = np.pad(np.cumsum(true, axis=1), ((0, 0), (1, 0)))
    return np.asarray(counted[:, steps + 1 + horizon] > counted[:, steps + 1])


def _notice(median: float, least: float) -> str:
    return "–" if median != median else f"{span_text(median)} ({span_text(least)})"


def _with_range(value: float, limits: tuple[float, float]) -> str:
    return "–" if value != value else f"{chance_text(value)} ({100 * limits[0]:.0f}–{figure_text(limits[1], '.0%')})"
