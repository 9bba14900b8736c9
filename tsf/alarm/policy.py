"""Which breach probability an alarm should fire at, and for how long: least cost under a noise budget, by replay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from numpy.typing import NDArray

from tsf.alarm.replay import Breaches, Score, Terms, replay, score
from tsf.alarm.rivals import firing
from tsf.kinds import count_text, share_text
from tsf.series import Floats, carried

__all__ = [
    "THRESHOLDS",
    "Choice",
    "Policy",
    "Verdict",
    "choose_policy",
    "frontier",
    "gates_of",
    "in_hindsight",
    "judge_policy",
    "replay_choices",
]

Bools = NDArray[np.bool_]
THRESHOLDS = (0.02, *(step / 20 for step in range(1, 20)))
HOLDS = (0, 1, 2, 4)  # steps that the condition must hold
GATES = (0.0, 0.8, 0.85, 0.9, 0.93, 0.95, 0.97)  # of the line, that must be in use
FEWEST = 5  # breaches; with fewer nothing can be chosen or claimed
FEWER_FALSE = 0.5  # share of the old rule's false alarms that the gate allows


@dataclass(frozen=True)
class Choice:
    """A threshold, a `for` in steps and a share of the limit that must be in use, with what they would have done."""

    threshold: float
    for_steps: int
    gate: float
    score: Score


@dataclass(frozen=True)
class Policy:
    """The choice, why it was made, all others, and whether the history was what chose."""

    threshold: float
    for_steps: int
    gate: float
    reason: str
    curve: tuple[Choice, ...]
    chosen: bool = False


@dataclass(frozen=True)
class Verdict:
    """Whether the forecast's alarm should take the place of the old rule, in a word or two and in a sentence."""

    passed: bool
    rival: str
    answer: str
    sentence: str


def choose_policy(
    chance: Floats,
    share: Floats,
    breaches: Breaches,
    terms: Terms,
    *,
    weeks: float,
    budget: float,
    as_set: Policy,
    line: Floats | float = 1.0,
    teams: NDArray[np.int64] | None = None,
) -> Policy:
    """Replay (N, T) `chance` at every threshold, `for` and gate; the cheapest within `budget` alarms a week and team.

    share: (N, T) of the limit in use; line: shares at which it counts as reached. Pass the earlier part of a history
    alone, so that the choice can be judged on the later one. Of equal cost, the choice that meets more breaches wins,
    then the one with fewer alarms: the budget bounds the noise already. With fewer than 5 breaches threshold, `for` and
    gate stay `as_set`. Where no choice keeps the budget, the quietest one wins.
    """
    gates = gates_of(line, as_set.gate)
    curve = replay_choices(
        chance,
        share,
        breaches,
        terms,
        weeks=weeks,
        thresholds=sorted({*THRESHOLDS, as_set.threshold}),
        gates=gates,
        teams=teams,
    )
    found = curve[0].score.breaches
    if found < FEWEST:
        few = count_text(found, "breach in the earlier weeks is", "breaches in the earlier weeks are")
        few += " too few to choose from, so the threshold stays as set"
        return replace(as_set, reason=few, curve=curve)
    inside = [choice for choice in curve if choice.score.weekly <= budget]
    alarms = count_text(budget, "alarm", "alarms")
    if not inside:
        best = min(curve, key=lambda choice: (choice.score.weekly, choice.score.cost))
        reason = f"no choice keeps to {alarms} a week; this is the quietest"
    else:
        best = min(inside, key=_rank)
        choices = count_text(len(inside), "choice", "choices")
        reason = f"the cheapest of {choices} within {alarms} a week and team on the earlier weeks"
    return Policy(best.threshold, best.for_steps, best.gate, reason, curve, chosen=True)


def _rank(choice: Choice) -> tuple[float, ...]:
    """The cheaper of two choices comes first; of equal cost, as `choose_policy` says."""
    return choice.score.cost, -choice.score.met, choice.score.alarms, -choice.threshold


def gates_of(line: Floats | float, gate: float) -> list[float]:
    """Shares of the limit that are tried as a gate: the one that is set, and parts of the line, of its median."""
    middle = float(np.median(line))
    return sorted({gate, *(round(part * middle, 4) for part in GATES)})


def replay_choices(
    chance: Floats,
    share: Floats,
    breaches: Breaches,
    terms: Terms,
    *,
    weeks: float,
    thresholds: Sequence[float],
    gates: Sequence[float],
    teams: NDArray[np.int64] | None = None,
) -> tuple[Choice, ...]:
    """What each threshold on (N, T) `chance` would have done, with each gate on (N, T) `share` and each `for`."""
    known, curve = carried(share), []
    for threshold, least in product(thresholds, gates):
        condition = (chance >= threshold) & (known >= least)
        for hold in HOLDS if least == 0 else HOLDS[:1]:  # a gate calms as holding does; both would cost time
            outcome = replay(firing(condition, hold), breaches, terms)
            said = score(outcome, terms, n_series=len(chance), weeks=weeks, teams=teams, draws=1)
            curve.append(Choice(threshold, hold, least, said))
    return tuple(curve)


def judge_policy(ours: Score, rivals: Mapping[str, Score], budget: float) -> Verdict:
    """The gate: recall not below the best rival's, and at most half of its false alarms; with equal figures it is shut.

    The best rival is the one of least cost among those that announce something within `budget` alarms a week and team,
    which ours was chosen under, or are no louder than ours; without any of these it is the cheapest of all. Where a
    louder one is cheaper or announces more than ours, the sentence names it. Say that the old rule should stay where
    the gate holds not, and where ours itself was louder than the budget in the judged weeks.
    """
    cheapest = sorted(rivals, key=lambda rule: (rivals[rule].cost, rivals[rule].false))
    useful = [rule for rule in cheapest if rivals[rule].met] or cheapest
    name = next((rule for rule in useful if rivals[rule].weekly <= max(budget, ours.weekly)), useful[0])
    best, loud, within, alarms = rivals[name], rivals[useful[0]], "", count_text(budget, "alarm", "alarms")
    facts = (
        f"Of {count_text(ours.breaches, 'breach', 'breaches')} it announced {ours.met:,} in time, "
        f"with {count_text(ours.false, 'false alarm', 'false alarms')}; "
        f"the best old rule, {name}, {best.met:,} with {best.false:,}."
    )
    if ours.weekly > budget:
        facts += f" It was louder than the budget of {alarms} a week and team: {ours.weekly:.1f}."
    if best is not loud and (loud.met > ours.met or loud.cost < ours.cost):
        within = ", within the budget" if ours.weekly <= budget else ""
        facts += (
            f" Outside of the budget of {alarms} a week and team, {useful[0]} announced {loud.met:,} with "
            f"{loud.false:,}: {loud.weekly:.1f} a week and team."
        )
    if ours.breaches < FEWEST:
        few = f"{count_text(ours.breaches, 'breach is', 'breaches are')} too few to tell whether the forecast's alarm"
        return Verdict(False, name, "too few breaches", f"{few} is better. {facts}")
    same = (ours.met, ours.false) == (best.met, best.false)
    if ours.met >= best.met and ours.false <= FEWER_FALSE * best.false and not same:
        sentence = f"Yes{within}: the forecast's alarm can take the place of the old rule. {facts}"
        return Verdict(True, name, f"yes{within}", sentence)
    less = "announced fewer breaches" if ours.met < best.met else "does not halve the false alarms"
    why = "did the same" if same else less
    return Verdict(False, name, "keep it", f"No, keep the old rule: the forecast's alarm {why}. {facts}")


def in_hindsight(curve: Sequence[Choice], rival: Score) -> str:
    """One sentence: would a threshold chosen after the event have passed the gate that the chosen one has not?

    curve: on the very weeks that `rival` was judged on. Tells a poor choice from breaches that cannot be foreseen;
    nothing where the breaches are too few to tell.
    """
    if rival.breaches < FEWEST:
        return ""
    as_many = [choice for choice in curve if choice.score.met >= rival.met]
    if not as_many:
        return "Even chosen after the event, no threshold would have announced as many: the others come unforeseen."
    best = min(as_many, key=lambda choice: (choice.score.false, -choice.score.met))
    did = f"{best.score.met:,} in time with {count_text(best.score.false, 'false alarm', 'false alarms')}"
    same = (best.score.met, best.score.false) == (rival.met, rival.false)
    if best.score.false <= FEWER_FALSE * rival.false and not same:
        gate = f" while {share_text(best.gate)} of the limit or more is in use" if best.gate > 0 else ""
        return (
            f"Chosen after the event, a threshold of {share_text(best.threshold)}{gate} would have passed, with {did}: "
            "a longer holdout to choose from may find it."
        )
    why = ": what the forecast is made from does not tell these breaches from the rest" if best.score.false else ""
    return f"Even chosen after the event, no threshold does better than {did} where as many are announced{why}."


def frontier(curve: Sequence[Choice]) -> list[Choice]:
    """The choices that no other beats in both alarms a week and breaches met, fewest alarms first.

    Of several with the same of both, the one that `choose_policy` would take.
    """
    best, found = -1, []
    for choice in sorted(curve, key=lambda one: (one.score.weekly, -one.score.met, *_rank(one))):
        if choice.score.met > best:
            best = choice.score.met
            found.append(choice)
    return found
