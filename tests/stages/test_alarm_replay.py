"""The replay of a task: what is chosen on earlier weeks is judged on later ones, and nothing leaks between them."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from tests.learn.conftest import limited_series, series_of, small_model, small_params
from tsf.learn import Model
from tsf.params import TaskParams, parse_params
from tsf.series import SeriesSet
from tsf.stages import alarm_replay
from tsf.stages.alarms import AlarmReplay

__all__ = ["limited_series", "small_model"]

WEEK = 168
HELD, TOTAL = 4 * WEEK, 6 * WEEK
HALF = TOTAL - HELD - 1 + HELD // 2  # the first step that judges
TASK = {"fetch": {"metric_query": "x", "limit": 100}, "train": {"holdout": "4w", "prediction_steps": 12},
        "push": {"horizons": ["12h"]}, "alert": {"budget": 50, "act": "2h"}}  # fmt: skip


def replayed(
    values: np.ndarray, chance: np.ndarray, monkeypatch: pytest.MonkeyPatch, **alert: float | str
) -> AlarmReplay:
    """The replay of a model that says these (N, T) chances."""
    series = series_of(values, limit=np.full(values.shape, 100.0))
    task: TaskParams = parse_params({"tasks": {"a": TASK | {"alert": TASK["alert"] | alert}}}).tasks["a"]
    blank = np.full(values.shape, np.nan)

    def said(*_: object) -> tuple[np.ndarray, ...]:
        return chance[None], blank, blank, np.stack([blank, blank])

    monkeypatch.setattr(alarm_replay, "_forecasts", said)
    model = SimpleNamespace(params=small_params(holdout="4w", prediction_steps=12))
    # The stand-in has all that the replay asks of a model whose forecasts are given.
    found = alarm_replay.replay_alarms(task, series, model)  # type: ignore[arg-type]
    assert found is not None
    return found


def history(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Used and chance, (8, T): breaches that are foreseen, more or less."""
    random = np.random.default_rng(seed)
    values, chance = np.full((8, TOTAL), 60.0), random.beta(1, 9, (8, TOTAL))
    for row, step in zip(random.integers(0, 8, 120), random.integers(20, TOTAL - 4, 120), strict=True):
        values[row, step : step + 3] = 100.0
        chance[row, step - 8 : step] = random.beta(5, 2)
    return values, chance


def test_what_comes_in_the_judged_weeks_changes_nothing_of_the_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    values, chance = history()
    first = replayed(values, chance, monkeypatch).policy
    assert first.chosen
    other, others = history(seed=9)
    values[:, HALF:], chance[:, HALF:] = other[:, HALF:], others[:, HALF:]
    again = replayed(values, chance, monkeypatch).policy
    assert (again.threshold, again.for_steps, again.gate) == (first.threshold, first.for_steps, first.gate)
    assert [one.score.cost for one in again.curve] == [one.score.cost for one in first.curve]


def test_a_team_that_is_no_label_is_told_in_log_and_report(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    words = "No series has the label squad of alert.team: all alarms are counted as those of one team."
    assert replayed(*history(), monkeypatch, team="squad").summary.endswith(f". {words}")
    assert words in caplog.text
    assert "alert.team" not in replayed(*history(), monkeypatch, team="user").summary
    assert "alert.team" not in replayed(*history(), monkeypatch).summary


def test_nothing_is_judged_that_was_chosen_on(monkeypatch: pytest.MonkeyPatch) -> None:
    found = replayed(*history(), monkeypatch)
    assert found.terms.first_step == HALF
    assert found.weeks == pytest.approx(2, abs=0.02)
    for outcome in found.outcomes.values():
        assert outcome.alarm_steps.min(initial=HALF) >= HALF
        assert outcome.breach_steps.min(initial=HALF) >= HALF
    assert found.scores["tsf"].breaches > 20


def test_a_breach_is_where_no_more_than_the_amount_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    values, chance = history()
    by_share, lower = replayed(values, chance, monkeypatch), np.minimum(values, 90.0)
    assert not replayed(lower, chance, monkeypatch).breaches.steps.size
    by_left = replayed(lower, chance, monkeypatch, left=10.0)
    assert (by_left.breaches.steps == by_share.breaches.steps).all()
    assert {name: one.met for name, one in by_left.scores.items()}["last value"] == by_share.scores["last value"].met
    assert max(one.gate for one in by_left.policy.curve) == pytest.approx(0.97 * 0.9)
    assert all((line.line == 0.9).all() for line in by_left.timelines())


def test_what_nobody_measured_is_not_taken_for_a_quiet_time(monkeypatch: pytest.MonkeyPatch) -> None:
    values, chance = history()
    before = replayed(values, chance, monkeypatch)
    values[0, HALF + WEEK :] = np.nan
    after = replayed(values, chance, monkeypatch)
    assert after.reliability["n"].sum() < before.reliability["n"].sum() - 100
    whole = replayed(np.delete(values, 0, axis=0), np.delete(chance, 0, axis=0), monkeypatch)
    assert after.skill["base_rate"] == pytest.approx(whole.skill["base_rate"], rel=0.2)


def test_a_timeline_never_shows_what_was_before_the_held_out_data(monkeypatch: pytest.MonkeyPatch) -> None:
    found = replayed(*history(), monkeypatch)
    for line in found.timelines(weeks=5):
        assert line.times[0] == found.series.times[found.terms.first_step]
        assert line.times[-1] == found.series.times[-1]


@pytest.mark.models
def test_a_fleet_so_large_that_forecasts_are_farther_apart_than_they_reach_is_replayed(
    small_model: Model, limited_series: SeriesSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    ahead = small_model.params.prediction_steps
    held = small_model.params.holdout // limited_series.step_seconds
    monkeypatch.setattr(alarm_replay, "MOST_FORECASTS", limited_series.n_series * held // (ahead + 3))
    task = parse_params({"tasks": {"a": TASK | {"train": {"prediction_steps": ahead}}}}).tasks["a"]
    found = alarm_replay.replay_alarms(task, limited_series, small_model)
    assert found is not None
    assert found.every_steps >= ahead + 3
    upper = found.history.upper
    assert upper is not None
    first = limited_series.n_steps - held
    assert np.isfinite(upper[:, first : first + ahead]).all(axis=1).any()
    assert np.isnan(upper[:, first + ahead : first + found.every_steps]).all()  # nobody had spoken of these steps


def test_the_chance_is_judged_for_each_horizon_and_by_day_and_night(monkeypatch: pytest.MonkeyPatch) -> None:
    found = replayed(*history(), monkeypatch)
    table = found.skills
    assert table.index.tolist() == ["within 12 h", "within 12 h, said by day", "within 12 h, said by night"]
    counts = table["moments"].tolist()
    assert counts[0] == counts[1] + counts[2] == found.reliability["n"].sum()
    chance, came = found._judged_chances(12)
    assert found.skill["brier"] == pytest.approx(float(np.mean((chance - came) ** 2)))
    assert table["skill"].iloc[0] == f"{100 * found.skill['brier_skill']:.0f} %"


def test_where_no_chance_can_be_judged_none_is_right(monkeypatch: pytest.MonkeyPatch) -> None:
    found = replayed(np.full((2, TOTAL), 100.0), np.full((2, TOTAL), 0.9), monkeypatch)  # in breach all the time
    assert set(found.skills.drop(columns="moments").to_numpy().ravel()) == {"–"}
    assert not {"ece", "brier", "base_rate"} & found.metrics.keys()
