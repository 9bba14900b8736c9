import tracemalloc
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tests.learn.conftest import daily_waves, series_of
from tsf.errors import HistoryError
from tsf.learn import backtest as module
from tsf.learn import default_baselines, last_value, model_forecaster, predict, rolling_origins, seasonal_naive
from tsf.learn.backtest import backtest
from tsf.params import NightParams

LEVELS = (0.1, 0.5, 0.9)


@pytest.fixture(scope="module")
def scored(small_model, limited_series):
    forecasters = {"model": model_forecaster(small_model)} | default_baselines(3_600, 480, LEVELS)
    origins = rolling_origins(480, 72, 12, 12)
    return backtest(forecasters, limited_series, origins, 12, LEVELS, dimensions=["user"])


def test_rolling_origins_leave_the_holdout_unseen_and_a_full_horizon():
    origins = rolling_origins(100, 24, 6, 6)
    assert origins == [75, 81, 87, 93]
    assert origins[-1] + 6 <= 99


def test_the_table_has_every_forecaster_over_the_same_values(scored):
    assert list(scored.table.index) == [
        "model", "last_value", "seasonal_naive_day", "seasonal_naive_week", "predict_linear_12h",
    ]  # fmt: skip
    assert scored.table["n"].nunique() == 1
    assert (scored.table["answered"] > 0.99).all()
    assert (scored.table[["wql", "mase", "points"]] > 0).all(axis=None)


def test_the_truth_and_the_forecasts_from_the_middle_origin_are_kept(scored, small_model, limited_series):
    assert scored.truth.shape == (6, 12, 12)
    assert np.array_equal(scored.truth[0], limited_series.values[:, 408:420], equal_nan=True)
    middle = predict(small_model, limited_series.between(0, 407 + 3 * 12 + 1), horizon=12)
    assert scored.examples["model"].origin_seconds == scored.origins_seconds[3] == middle.origin_seconds
    assert np.array_equal(scored.examples["model"].quantiles, middle.quantiles)
    assert np.array_equal(scored.examples["model"].p_breach, middle.p_breach)


def test_calibration_is_the_share_of_values_below_each_quantile(scored, small_model, limited_series):
    origins = rolling_origins(480, 72, 12, 12)
    said = [predict(small_model, limited_series.between(0, origin + 1)) for origin in origins]
    known = np.isfinite(scored.truth)
    shares = [(scored.truth <= np.stack([one.at(level) for one in said]))[known].mean() for level in LEVELS]
    assert scored.calibration["model"].tolist() == shares


def test_the_memory_does_not_grow_with_the_levels():
    """Quantiles of all origins would be most of it; three of them are kept whatever is asked."""
    series, peaks = series_of(daily_waves(40)), []
    for levels in (LEVELS, tuple(np.linspace(0.1, 0.9, 81))):
        tracemalloc.start()
        backtest({"last": last_value(levels)}, series, rolling_origins(480, 240, 12, 1), 12, levels, dimensions=[])
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 2 * peaks[0]


def test_scores_are_told_by_horizon_dimension_and_night(scored):
    assert scored.by_horizon[["first_step", "last_step"]].drop_duplicates().to_numpy().tolist() == [
        [1, 3], [4, 6], [7, 9], [10, 12],
    ]  # fmt: skip
    assert set(scored.by_dimension["value"]) == {f"user{row}" for row in range(12)}
    assert set(scored.by_night["time"]) == {"day", "night"}
    counts = scored.by_night.groupby("time")["n"].first()
    assert counts.sum() == scored.table["n"].iloc[0]


def test_a_label_value_is_scored_as_if_its_series_were_alone():
    values = daily_waves(9)
    values[[3, 7], 440:] = np.nan  # of one group nothing is known
    values[2, 400:500] = np.nan
    groups = np.array([f"g{row % 4}" for row in range(9)], object)
    series = series_of(values, limit=np.full(values.shape, 300.0))
    series = replace(series, labels={"group": groups, **series.labels})
    forecasters, origins = default_baselines(3_600, 480, LEVELS), rolling_origins(480, 36, 12, 6)
    found = backtest(forecasters, series, origins, 12, LEVELS, dimensions=["group"]).by_dimension
    assert found["value"].drop_duplicates().tolist() == ["g0", "g1", "g2", "g3"]
    for group, part in found.groupby("value"):
        rows = np.flatnonzero(series.labels["group"] == group)
        alone = backtest(forecasters, series.take(rows), origins, 12, LEVELS).table
        told = part.drop(columns=["dimension", "value"]).set_index("forecaster")
        pd.testing.assert_frame_equal(told, alone, rtol=1e-12, check_names=False)


def test_all_values_of_a_label_are_scored_at_once(monkeypatch):
    """One by one, each with a look at the whole, they would take time by the square of their number."""
    measured, calls = module.wql, []
    monkeypatch.setattr(module, "wql", lambda *given: calls.append(given) or measured(*given))
    counts = []
    for n in (2, 500):
        calls.clear()
        series = series_of(np.random.default_rng(1).random((n, 8)))
        found = backtest({"last": last_value(LEVELS)}, series, [5], 2, LEVELS, dimensions=["user"])
        assert len(found.by_dimension) == n
        counts.append(len(calls))
    assert counts[0] == counts[1]


def test_what_one_forecaster_does_not_answer_counts_for_none():
    values = daily_waves(3)
    values[0, 300:400] = np.nan
    forecasters = {"last": last_value(LEVELS)} | {"linear": default_baselines(3_600, 480, LEVELS)["predict_linear_12h"]}
    table = backtest(forecasters, series_of(values), [399], 24, LEVELS).table
    assert table["n"].nunique() == 1
    assert table.loc["linear", "answered"] < table.loc["last", "answered"] == 1


def test_a_perfect_season_has_no_error():
    values = np.tile(np.arange(24.0) + 1, 10)[None]
    table = backtest({"day": seasonal_naive(24, LEVELS)}, series_of(values), [200], 24, LEVELS).table
    assert table.loc["day", "wql"] == 0
    assert table.loc["day", "coverage"] == 1


def test_an_origin_without_its_horizon_is_refused(limited_series):
    with pytest.raises(HistoryError, match="do not leave 24 steps"):
        backtest({"last": last_value(LEVELS)}, limited_series, [470], 24, LEVELS)


def test_night_hours_follow_the_time_zone(limited_series):
    night = NightParams(start="00:00", end="01:00")
    found = [
        backtest({"last": last_value(LEVELS)}, limited_series, [400], 24, LEVELS, night=night, time_zone=zone)
        for zone in ("UTC", "Asia/Kolkata")
    ]
    counts = [one.by_night.set_index("time").loc["night", "n"] for one in found]
    assert counts == [12, 12]
    assert not np.allclose(*(one.by_night.set_index("time").loc["night", "wql"] for one in found))


@pytest.mark.parametrize("seed", range(3))
def test_values_after_an_origin_do_not_change_what_is_said_there(seed, small_model, limited_series):
    random = np.random.default_rng(seed)
    origin = int(random.integers(200, 440))
    values, limit = limited_series.values.copy(), limited_series.limit.copy()
    values[:, origin + 1 :] = random.normal(1e6, 1e5, values[:, origin + 1 :].shape)
    limit[:, origin + 1 :] = 3.0
    forecasters = {"model": model_forecaster(small_model)} | default_baselines(3_600, 480, LEVELS)
    said = [
        backtest(forecasters, series, [origin], 12, LEVELS, dimensions=[])
        for series in (limited_series, replace(limited_series, values=values, limit=limit))
    ]
    for name in forecasters:
        assert np.array_equal(*(one.examples[name].quantiles for one in said))
    assert np.array_equal(*(one.examples["model"].p_breach for one in said))
