"""The threshold is the cheapest that people can bear, and the gate says so when the old rule should stay."""

from __future__ import annotations

import numpy as np

from tsf.alarm.policy import FEWEST, Policy, choose_policy, frontier, gates_of, in_hindsight, judge_policy
from tsf.alarm.replay import Breaches, Score, Terms, find_breaches, replay, score
from tsf.alarm.rivals import firing

TERMS = Terms(horizon_steps=12, act_steps=2)
SET = Policy(0.5, 0, 0.0, "as params.yaml sets it", ())
FULL = np.full((40, 400), 0.99)  # in use: no gate tells anything


def fleet(n: int = 40, steps: int = 400, seed: int = 0) -> tuple[np.ndarray, Breaches]:
    """Breaches, and a chance that rises before most of them and sometimes for nothing."""
    rng = np.random.default_rng(seed)
    used, chance = np.full((n, steps), 0.5), rng.beta(1, 12, (n, steps))
    for row, step in zip(rng.integers(0, n, 60), rng.integers(20, steps - 20, 60), strict=True):
        used[row, step : step + 3] = 1.0
        chance[row, step - 6 : step] = np.maximum(chance[row, step - 6 : step], rng.beta(4, 2))
    return chance, find_breaches(used, np.ones_like(used), rest_steps=12)


def test_the_choice_is_the_cheapest_within_the_budget() -> None:
    chance, breaches = fleet()
    policy = choose_policy(chance, FULL, breaches, TERMS, weeks=2.0, budget=30.0, as_set=SET)
    said = [choice for choice in policy.curve if choice.score.weekly <= 30.0]
    assert policy.chosen
    assert min(choice.score.cost for choice in said) == next(
        choice.score.cost
        for choice in said
        if (choice.threshold, choice.for_steps) == (policy.threshold, policy.for_steps)
    )


def test_of_equal_cost_the_choice_that_announces_more_wins() -> None:
    used, chance = np.full((20, 400), 0.5), np.full((20, 400), 0.01)
    used[:10, 100:103] = used[10, 300:303] = 1.0
    chance[:10, 95:100] = 0.9  # ten breaches are easy, one more comes with 20 false alarms, which a miss is worth
    chance[10, 295:300] = chance[:, 200:203] = 0.4
    terms, breaches = Terms(horizon_steps=12, act_steps=2), find_breaches(used, np.ones_like(used), rest_steps=12)
    policy = choose_policy(chance, FULL[:20], breaches, terms, weeks=2.0, budget=99.0, as_set=SET)
    assert {(one.score.met, one.score.false, one.score.cost) for one in policy.curve if one.for_steps == 0} >= {
        (10, 0, 20.0), (11, 20, 20.0)
    }  # fmt: skip
    assert (score_of(policy).met, score_of(policy).false) == (11, 20)


def test_a_smaller_budget_never_makes_more_alarms() -> None:
    chance, breaches = fleet()
    weekly = []
    for budget in (1000.0, 50.0, 20.0, 5.0):
        policy = choose_policy(chance, FULL, breaches, TERMS, weeks=2.0, budget=budget, as_set=SET)
        outcome = replay(firing(chance >= policy.threshold, policy.for_steps), breaches, TERMS)
        weekly.append(score(outcome, TERMS, n_series=len(chance), weeks=2.0).weekly)
    assert weekly == sorted(weekly, reverse=True)


def test_where_no_choice_keeps_the_budget_the_quietest_one_wins() -> None:
    chance, breaches = fleet()
    chance[:5] = 1.0  # whatever the threshold, these fire
    policy = choose_policy(chance, FULL, breaches, TERMS, weeks=2.0, budget=0.5, as_set=SET)
    assert policy.chosen
    assert policy.reason == "no choice keeps to 0.5 alarms a week; this is the quietest"
    weekly = [choice.score.weekly for choice in policy.curve]
    assert score_of(policy).weekly == min(weekly) < max(weekly)


def test_with_few_breaches_all_stays_as_set() -> None:
    used, as_set = np.full((3, 100), 0.5), Policy(0.4, 3, 0.3, "", ())
    breaches = find_breaches(used, np.ones_like(used))
    policy = choose_policy(used, used, breaches, TERMS, weeks=1, budget=5, as_set=as_set)
    assert (policy.threshold, policy.for_steps, policy.gate, policy.chosen) == (0.4, 3, 0.3, False)


def test_gates_are_parts_of_the_line_that_most_series_have() -> None:
    assert gates_of(np.array([0.98, 0.8, 0.8, 0.1, 0.8]), 0.5) == gates_of(0.8, 0.5)
    assert max(gates_of(0.8, 0.5)) < 0.8


def score_of(policy: Policy) -> Score:
    own = (policy.threshold, policy.for_steps, policy.gate)
    return next(one.score for one in policy.curve if (one.threshold, one.for_steps, one.gate) == own)


def test_a_gate_is_chosen_where_it_keeps_false_alarms_away_and_no_other() -> None:
    """Long false alarms come while little is in use; then nothing tells them apart, and a gate could only miss."""
    used = np.full((10, 200), 0.7)
    used[:, 150:155] = 1.0
    breaches, chance = find_breaches(used, np.ones_like(used), rest_steps=12), np.full_like(used, 0.01)
    chance[:, 140:150] = chance[:, 50:60] = 0.9
    chosen = choose_policy(
        chance, np.where(used < 1, np.where(chance > 0.5, 0.85, 0.7), 1), breaches, TERMS, weeks=2, budget=99,
        as_set=Policy(0.5, 0, 0.5, "", ()),
    )  # fmt: skip
    assert (chosen.gate, score_of(chosen).false) == (0.0, 10)
    empty = np.where(np.arange(200) < 100, 0.4, 0.85) * np.ones_like(used)
    gated = choose_policy(chance, empty, breaches, TERMS, weeks=2, budget=99, as_set=SET)
    assert 0.4 < gated.gate <= 0.85
    assert (score_of(gated).false, score_of(gated).met) == (0, 10)


def test_no_choice_on_the_frontier_is_beaten_by_another() -> None:
    chance, breaches = fleet()
    best = frontier(choose_policy(chance, FULL, breaches, TERMS, weeks=2.0, budget=30.0, as_set=SET).curve)
    assert [one.score.met for one in best] == sorted({one.score.met for one in best})


def test_the_frontier_shows_the_choice_that_was_taken_of_those_that_did_the_same() -> None:
    used = np.full((10, 200), 0.9)
    used[:, 100:103] = 1.0
    chance = np.zeros_like(used)
    chance[:, 94:100] = 0.7
    breaches = find_breaches(used, np.ones_like(used), rest_steps=12)
    policy = choose_policy(chance, used, breaches, TERMS, weeks=2.0, budget=30.0, as_set=SET)
    assert (policy.threshold, policy.gate) == (0.7, 0.0)
    assert (0.7, 0.0) in [(one.threshold, one.gate) for one in frontier(policy.curve)]


def scored(met: int, missed: int, false: int, weekly: float = 1.0) -> Score:
    nothing, cost = (np.nan, np.nan), false + 20.0 * missed
    return Score(met, 0, false, met, 0, missed, np.nan, nothing, np.nan, nothing, 1, 1, weekly, weekly, 0, cost)


def test_the_gate_asks_for_no_less_recall_and_half_the_false_alarms() -> None:
    rivals = {"cheap": scored(9, 1, 40), "dear": scored(10, 0, 500)}
    assert judge_policy(scored(9, 1, 20), rivals, 5).passed
    assert not judge_policy(scored(8, 2, 0), rivals, 5).passed
    assert "does not halve" in judge_policy(scored(10, 0, 21), rivals, 5).sentence
    assert judge_policy(scored(9, 1, 20), rivals, 5).rival == "cheap"
    assert not judge_policy(scored(FEWEST - 1, 0, 0), {"cheap": scored(0, FEWEST - 1, 9)}, 5).passed


def test_a_rule_over_the_budget_is_named_but_only_holds_the_place_where_none_keeps_it_or_ours_is_as_loud() -> None:
    rivals = {"loud": scored(9, 1, 40, weekly=12), "quiet": scored(4, 6, 12), "silent": scored(0, 10, 0, weekly=0)}
    said = judge_policy(scored(6, 4, 6, weekly=3), rivals, 5)
    assert (said.passed, said.rival) == (True, "quiet")
    assert said.sentence.startswith("Yes, within the budget: ")
    assert said.answer == "yes, within the budget"
    assert said.sentence.endswith(
        "Outside of the budget of 5 alarms a week and team, loud announced 9 with 40: 12.0 a week and team."
    )
    assert judge_policy(scored(10, 0, 6), rivals, 5).sentence.startswith("Yes: ")  # nothing speaks for the loud one
    assert judge_policy(scored(6, 4, 6, weekly=12), rivals, 5).rival == "loud"
    assert judge_policy(scored(6, 4, 6, weekly=0.4), rivals, 0.5).rival == "loud"


def test_who_does_the_same_as_the_old_rule_or_was_too_loud_is_told_so() -> None:
    same = judge_policy(scored(10, 0, 0), {"old": scored(10, 0, 0)}, 5)
    assert (same.passed, same.answer) == (False, "keep it")
    assert "the forecast's alarm did the same." in same.sentence
    rivals = {"loud": scored(9, 1, 40, weekly=12), "quiet": scored(4, 6, 30)}
    loud = judge_policy(scored(8, 2, 6, weekly=7.91), rivals, 5)
    assert (loud.passed, loud.answer, loud.rival) == (True, "yes", "quiet")
    assert " It was louder than the budget of 5 alarms a week and team: 7.9." in loud.sentence


def test_a_rule_that_never_fires_is_no_rule_that_could_stay() -> None:
    rivals = {"silent": scored(0, 10, 0), "poor": scored(2, 8, 90)}
    assert (rivals["silent"].cost, rivals["poor"].cost) == (200, 250)
    assert judge_policy(scored(5, 5, 45), rivals, 5).rival == "poor"
    assert judge_policy(scored(5, 5, 0), {"silent": rivals["silent"]}, 5).rival == "silent"


def test_a_verdict_of_one_breach_and_one_alarm_reads_as_people_write() -> None:
    said = judge_policy(scored(1, 0, 1, weekly=2), {"old": scored(0, 1, 0)}, 1).sentence
    assert said.startswith("1 breach is too few to tell")
    assert "Of 1 breach it announced 1 in time, with 1 false alarm; " in said
    assert "the budget of 1 alarm a week" in said


def test_hindsight_tells_a_poor_choice_from_breaches_that_cannot_be_foreseen() -> None:
    chance, breaches = fleet()
    every = choose_policy(chance, FULL, breaches, TERMS, weeks=2.0, budget=30.0, as_set=SET).curve
    curve = [one for one in every if one.score.false > 1]
    best = max(one.score.met for one in curve)
    false = min(one.score.false for one in curve if one.score.met == best)
    total = curve[0].score.breaches
    assert "would have passed" in in_hindsight(curve, scored(best, total - best, 2 * false))
    assert f"{best} in time with {false} false alarms" in in_hindsight(curve, scored(best, total - best, 2 * false - 1))
    assert "no threshold would have announced as many" in in_hindsight(curve, scored(best + 1, 0, 10_000))
    assert in_hindsight(curve, scored(FEWEST - 1, 0, 9)) == ""
    same = max((one.score for one in every if not one.score.false), key=lambda one: one.met)
    assert in_hindsight(every, scored(same.met, same.missed, 0)).endswith("0 false alarms where as many are announced.")
    assert not judge_policy(same, {"old": scored(same.met, same.missed, 0)}, 30.0).passed
