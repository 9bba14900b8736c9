"""Episodes counted by hand, and the vectorised replay against a plain reading of its own definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from tsf.alarm.replay import Kind, Outcome, Terms, find_breaches, replay, score, unseen
from tsf.alarm.rivals import firing

TERMS = Terms(horizon_steps=6, act_steps=2, cost_false=1, cost_miss=20, cost_late=5)


def row(text: str) -> NDArray[np.bool_]:
    """One series: `x` where something is so."""
    return np.array([[letter == "x" for letter in text]])


def judged(fires: str, over: str, terms: Terms = TERMS) -> Outcome:
    return replay(row(fires), breaches_of(over), terms)


def breaches_of(over: str, rest_steps: int = 2):  # type: ignore[no-untyped-def]
    used = np.where(row(over), 1.0, 0.5)
    return find_breaches(used, np.ones_like(used), rest_steps=rest_steps)


def test_an_alarm_with_notice_is_true_and_its_lead_is_the_time_to_the_breach() -> None:
    found = judged("...xx...........", ".......xx.......")
    assert (found.alarm_kinds.tolist(), found.breach_kinds.tolist()) == ([Kind.TRUE], [Kind.TRUE])
    assert found.leads.tolist() == [4.0]


def test_an_alarm_without_enough_notice_is_late_and_so_is_its_breach() -> None:
    found = judged("......xx........", ".......xx.......")
    assert (found.alarm_kinds.tolist(), found.breach_kinds.tolist()) == ([Kind.LATE], [Kind.LATE])


def test_an_alarm_during_the_breach_makes_it_late_and_is_no_alarm_of_its_own() -> None:
    found = judged("........x.......", ".......xx.......")
    assert (found.alarm_kinds.tolist(), found.breach_kinds.tolist()) == ([], [Kind.LATE])


def test_an_alarm_without_a_breach_is_false_and_a_breach_without_alarm_is_missed() -> None:
    found = judged("x...............", "............x...")
    assert (found.alarm_kinds.tolist(), found.breach_kinds.tolist()) == ([Kind.FALSE], [Kind.MISSED])


def test_a_rule_that_always_fires_is_wrong_once_per_horizon() -> None:
    found = judged("x" * 20, "." * 20)
    assert found.alarm_steps.tolist() == [0, 6, 12]  # the one at 18 is open: its horizon is not over
    assert set(found.alarm_kinds.tolist()) == {Kind.FALSE}


def test_flapping_within_the_horizon_is_one_alarm_with_flaps() -> None:
    found = judged("x.x.x...........", "................")
    assert (found.alarm_steps.tolist(), found.flap_steps.tolist()) == ([0], [2, 4])


def test_an_alarm_too_near_to_the_end_or_to_a_gap_is_not_judged() -> None:
    assert not len(judged("...........x....", "................").alarm_steps)
    used = np.array([[0.5] * 4 + [np.nan] * 12])
    breaches = find_breaches(used, np.ones_like(used))
    assert not len(replay(row("...x............"), breaches, TERMS).alarm_steps)


def test_a_breach_begins_with_the_last_of_k_samples_and_ends_after_a_rest() -> None:
    used = np.array([[0, 1, 0, 1, 1, 1, 0, 1, 1, 0, 0, 0, 1, 1]], float)
    breaches = find_breaches(used, np.ones_like(used), samples=2, rest_steps=3)
    assert breaches.steps.tolist() == [4, 13]


def test_the_limit_may_change_under_way() -> None:
    used, limit = np.full((1, 6), 8.0), np.array([[10, 10, 8, 8, 10, 10.0]])
    breaches = find_breaches(used, limit)
    assert breaches.steps.tolist() == [2]
    assert breaches.under_way[0].tolist() == [False, False, True, True, True, False]  # one step of rest


def test_breaches_before_any_rule_could_act_are_not_judged() -> None:
    assert not len(judged("................", "...x............", Terms(6, 2, first_step=2)).breach_steps)
    assert len(judged("................", "....x...........", Terms(6, 2, first_step=2)).breach_steps)


def test_a_condition_fires_once_it_has_held_for_long_enough() -> None:
    held = firing(row(".xx.xxxx"), 2)
    assert held[0].tolist() == [False] * 6 + [True, True]


def test_score_counts_costs_and_weeks() -> None:
    found = judged("x.x.......x.x.........", "............x.........")
    said = score(found, TERMS, n_series=1, weeks=0.5)
    assert (said.true, said.late, said.false, said.met, said.missed, said.flaps) == (1, 0, 1, 1, 0, 1)
    assert (said.precision, said.recall, said.median_lead, said.cost, said.weekly) == (0.5, 1.0, 2.0, 1.0, 4.0)
    silent = score(judged("." * 22, "............x........."), TERMS, n_series=1, weeks=0.5)
    assert (silent.missed, silent.cost, silent.recall) == (1, 20.0, 0.0)
    assert np.isnan(silent.precision)


def test_an_alarm_that_nobody_can_judge_yet_still_rings() -> None:
    found = judged("...........x....", "................")
    said = score(found, TERMS, n_series=1, weeks=0.5)
    assert (said.alarms, said.weekly) == (0, 2.0)


def test_alarms_are_counted_per_team_and_moments_can_be_left_out() -> None:
    fires = np.zeros((3, 20), bool)
    fires[:2, 0] = fires[0, 7] = True
    used = np.full((3, 20), 0.5)
    found = replay(fires, find_breaches(used, np.ones_like(used)), TERMS)
    said = score(found, TERMS, n_series=3, weeks=1, teams=np.array([0, 0, 1]))
    assert (said.weekly, said.weekly_worst) == (1.5, 3.0)
    early = np.zeros((3, 20), bool)
    early[:, :5] = True
    assert score(found, TERMS, n_series=3, weeks=1, keep=early).alarms == 2
    assert score(found, TERMS, n_series=3, weeks=1, keep=np.array([False, True, True])).alarms == 1


def test_what_no_rule_met_is_listed() -> None:
    over = "......x.......x....."
    outcomes = {"a": judged("..x.................", over), "b": judged("....................", over)}
    assert unseen(outcomes).tolist() == [False, True]


def test_the_bootstrap_interval_holds_the_estimate_and_narrows_with_more_series() -> None:
    rng = np.random.default_rng(1)
    widths = []
    for n in (20, 500):
        fires, used = rng.random((n, 200)) < 0.05, np.where(rng.random((n, 200)) < 0.02, 1.0, 0.5)
        found = replay(fires, find_breaches(used, np.ones_like(used)), TERMS)
        said = score(found, TERMS, n_series=n, weeks=1)
        assert said.precision_range[0] <= said.precision <= said.precision_range[1]
        widths.append(said.precision_range[1] - said.precision_range[0])
    assert widths[1] < widths[0] / 2


def test_terms_refuse_a_time_to_act_beyond_the_horizon() -> None:
    with pytest.raises(ValueError, match="act_steps 7"):
        Terms(horizon_steps=6, act_steps=7)


def plainly(fires: list[bool], over: list[bool], known: list[bool], terms: Terms, rest: int) -> tuple[object, ...]:
    """The definition, read step by step for one series."""
    total, newest = len(fires), None
    under_way, begins = [], []
    for step in range(total):
        newest = step if over[step] and known[step] else newest
        under_way.append(newest is not None and step - newest <= rest)
        if under_way[step] and not (step and under_way[step - 1]):
            begins.append(step)
    alarms, free = [], 0
    for step in range(terms.first_step, total):
        if fires[step] and not under_way[step] and step >= free:
            free = step + terms.horizon_steps
            coming = [b - step for b in begins if b > step]
            if coming and coming[0] <= terms.horizon_steps:
                alarms.append((step, Kind.TRUE if coming[0] >= terms.act_steps else Kind.LATE))
            elif free < total and any(known[step + 1 : free + 1]):
                alarms.append((step, Kind.FALSE))
    met = []
    for begin in begins:
        if begin < terms.first_step + terms.act_steps:
            continue
        before = [
            begin - step
            for step in range(max(begin - terms.horizon_steps, terms.first_step), begin)
            if fires[step] and not under_way[step]
        ]
        end = next((step for step in range(begin, total) if not under_way[step]), total)
        if before and before[0] >= terms.act_steps:
            met.append((begin, Kind.TRUE, before[0]))
        else:
            met.append((begin, Kind.LATE if before or any(fires[begin:end]) else Kind.MISSED, None))
    return alarms, met


masks = hnp.arrays(bool, st.tuples(st.integers(1, 3), st.just(40)))


@given(data=st.data(), horizon=st.integers(1, 8), first=st.integers(0, 5), rest=st.integers(0, 6))
def test_the_replay_does_what_its_definition_says(data: st.DataObject, horizon: int, first: int, rest: int) -> None:
    fires = data.draw(masks)
    over = data.draw(hnp.arrays(bool, fires.shape)) & data.draw(hnp.arrays(bool, fires.shape))
    known = data.draw(hnp.arrays(bool, fires.shape)) | data.draw(hnp.arrays(bool, fires.shape))
    terms = Terms(horizon, data.draw(st.integers(1, horizon)), first)
    used = np.where(known, np.where(over, 1.0, 0.5), np.nan)
    found = replay(fires, find_breaches(used, np.ones_like(used), rest_steps=rest), terms)
    for number in range(len(fires)):
        alarms, met = plainly(*(m[number].tolist() for m in (fires, over, known)), terms, rest)
        mine = found.alarm_rows == number
        assert list(zip(found.alarm_steps[mine].tolist(), found.alarm_kinds[mine].tolist(), strict=True)) == alarms
        mine = found.breach_rows == number
        leads = [None if np.isnan(lead) else lead for lead in found.leads[mine].tolist()]
        columns = (found.breach_steps[mine].tolist(), found.breach_kinds[mine].tolist(), leads)
        assert list(zip(*columns, strict=True)) == met


@given(fires=masks, data=st.data())
def test_no_rule_profits_from_what_comes_later(fires: NDArray[np.bool_], data: st.DataObject) -> None:
    """Whether an alarm is raised does not depend on anything after it."""
    used = np.where(data.draw(hnp.arrays(bool, fires.shape)), 1.0, 0.5)
    whole = replay(fires, find_breaches(used, np.ones_like(used), rest_steps=2), TERMS)
    cut = replay(fires[:, :30], find_breaches(used[:, :30], np.ones_like(used[:, :30]), rest_steps=2), TERMS)
    sure = whole.alarm_steps + TERMS.horizon_steps < 30
    pairs = list(zip(whole.alarm_rows[sure].tolist(), whole.alarm_steps[sure].tolist(), strict=True))
    again = cut.alarm_steps + TERMS.horizon_steps < 30
    assert list(zip(cut.alarm_rows[again].tolist(), cut.alarm_steps[again].tolist(), strict=True)) == pairs
