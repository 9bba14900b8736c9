import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from tsf.learn import metrics

LEVELS = np.array([0.1, 0.5, 0.9])
BENCH = Path(__file__).parents[2] / ".." / "shared" / "bench"


def test_pinball_punishes_a_low_high_quantile_more_than_a_high_one():
    assert metrics.pinball(np.array([10.0]), np.array([[8.0, 8.0, 8.0]]), LEVELS).tolist() == [[0.4, 2.0, 3.6]]
    assert metrics.pinball(np.array([8.0]), np.array([[10.0, 10.0, 10.0]]), LEVELS) == pytest.approx(
        np.array([[3.6, 2.0, 0.4]])
    )


def losses_of(truth, quantiles, levels):
    return metrics.pinball(truth, quantiles, levels).mean(-1)


def test_wql_is_the_mean_over_levels_of_the_loss_per_unit_of_truth():
    truth = np.array([10.0, 30.0, np.nan])
    quantiles = np.array([[8.0, 8.0, 8.0], [30.0, 30.0, 30.0], [1.0, 2.0, 3.0]])
    assert metrics.wql(truth, losses_of(truth, quantiles, LEVELS)) == pytest.approx((0.4 + 2.0 + 3.6) / 3 / 40)


def test_wql_is_unknown_where_the_truth_is_zero():
    assert np.isnan(metrics.wql(np.zeros(2), np.zeros(2)))


def test_seasonal_error_leaves_gaps_out_and_falls_back_on_one_step():
    past = np.array([[1.0, 2.0, 4.0, np.nan, 5.0], [np.nan] * 5])
    assert metrics.seasonal_error(past, 2)[0] == pytest.approx((3 + 1) / 2)
    assert metrics.seasonal_error(past, 9)[0] == pytest.approx((1 + 2) / 2)
    assert np.isnan(metrics.seasonal_error(past, 2)[1])


def test_mase_counts_errors_in_units_of_the_scale_and_skips_series_without_one():
    truth, median = np.array([[1.0, 5.0], [7.0, np.nan]]), np.array([[2.0, 2.0], [0.0, 0.0]])
    assert metrics.mase(truth, median, np.array([[2.0, 2.0], [0.0, 0.0]])) == pytest.approx((0.5 + 1.5) / 2)


def test_coverage_counts_the_ends_and_leaves_gaps_out():
    truth = np.array([1.0, 2.0, 3.0, np.nan])
    assert metrics.coverage(truth, np.array([1.0, 0.0, 0.0, 0.0]), np.array([2.0, 1.0, 3.0, 9.0])) == 2 / 3


def test_points_are_percent_of_the_limit():
    assert metrics.points_of_limit(np.array([80.0, 5.0]), np.array([90.0, 5.0]), np.array([200.0, 0.0])) == 5.0


@pytest.mark.skipif(not BENCH.is_dir(), reason="../shared/bench is not there")
def test_the_metrics_agree_with_the_published_protocols():
    spec = importlib.util.spec_from_file_location("scoring", BENCH / "scoring.py")
    scoring = importlib.util.module_from_spec(spec)
    sys.modules["scoring"] = scoring
    spec.loader.exec_module(scoring)
    random = np.random.default_rng(1)
    levels, past = np.array(scoring.QS), random.normal(5, 2, (7, 60))
    truth, quantiles = random.normal(5, 2, (7, 12)), np.sort(random.normal(5, 2, (7, 12, 9)), axis=2)
    truth[0, 3] = np.nan
    judge = scoring.Acc()
    judge.add(truth, quantiles, scoring.seasonal_error(past, 24))
    theirs = judge.out()
    scale = np.repeat(metrics.seasonal_error(past, 24)[:, None], 12, 1)
    losses = losses_of(truth, quantiles, levels)
    assert metrics.wql(truth, losses) == pytest.approx(theirs["WQL"], rel=1e-12)
    assert metrics.mase(truth, quantiles[..., 4], scale) == pytest.approx(theirs["MASE"], rel=1e-12)
    assert metrics.coverage(truth, quantiles[..., 0], quantiles[..., -1]) == pytest.approx(theirs["cov80"], rel=1e-12)
