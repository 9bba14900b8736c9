from statistics import NormalDist

import numpy as np
import pytest

from tsf.learn.calibration import calibrate, stretched
from tsf.learn.forecast import exceedance
from tsf.learn.model import Calibration

LEVELS = (0.1, 0.3, 0.5, 0.7, 0.9)


def too_narrow(windows: int = 400, horizon: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """Normal quantiles half as wide as they should be, and targets."""
    random = np.random.default_rng(2)
    quantiles = np.broadcast_to(
        [0.5 * NormalDist().inv_cdf(level) for level in LEVELS], (windows, horizon, len(LEVELS))
    )
    return quantiles.copy(), random.normal(0, 1, (windows, horizon))


def measured_on(quantiles: np.ndarray, targets: np.ndarray, rows: np.ndarray, weeks: float = np.nan) -> Calibration:
    """What these windows calibrate; all quantiles of the weeks are `weeks`."""
    of_weeks = np.full(quantiles.shape, weeks)
    return calibrate(quantiles, targets, quantiles, targets, of_weeks, levels=LEVELS, rows=rows)


def test_too_narrow_quantiles_are_stretched_to_their_coverage():
    quantiles, targets = too_narrow()
    calibration = measured_on(quantiles, targets, np.arange(400) % 10)
    assert calibration.steps[:, [0, 4]] == pytest.approx(2.0, abs=0.2)
    assert calibration.coverage == pytest.approx(0.8, abs=0.02)
    assert calibration.n == targets.size
    assert calibration.interval == (0.1, 0.9)


def test_unknown_targets_do_not_count():
    quantiles, targets = too_narrow()
    targets[:, ::2] = np.nan
    assert measured_on(quantiles, targets, np.zeros(400, int)).n == targets.size // 2


def test_a_series_is_not_judged_by_its_own_windows():
    """Each of four series has a level of error of its own: what was measured on one says little of the others."""
    random, rows = np.random.default_rng(0), np.repeat(np.arange(4), 80)
    measured, fresh = [], []
    for _ in range(60):
        quantiles, _ = too_narrow(windows=320)
        targets = (random.normal(0, 2, 4)[rows] + random.normal(0, 0.3, 320))[:, None].repeat(8, axis=1)
        calibration = measured_on(quantiles, targets, rows)
        moved = stretched(quantiles[:1], calibration.steps, LEVELS)[0, 0]
        others = random.normal(0, 2, 1_000) + random.normal(0, 0.3, 1_000)
        measured.append(calibration.coverage)
        fresh.append(((moved[0] <= others) & (others <= moved[-1])).mean())
    assert np.mean(measured) < np.mean(fresh) + 0.02


def test_one_series_alone_is_judged_by_the_other_half_of_its_time():
    quantiles, targets = too_narrow()
    targets[:200] *= 10
    inside = measured_on(quantiles, targets, np.zeros(400, int)).coverage
    assert inside == pytest.approx((0.98 + 0.25) / 2, abs=0.12)


def test_a_few_windows_hardly_move_the_quantiles():
    quantiles, targets = too_narrow(windows=2)
    factors = measured_on(quantiles, 100 * targets, np.arange(2)).steps
    assert factors.max() < 4 ** (2 / 12) + 1e-9


def test_coverage_is_that_of_the_forecast_with_its_share_of_the_weeks():
    quantiles, targets = too_narrow()
    quantiles, rows = quantiles + 2, np.arange(400) % 10
    alone, both = (measured_on(quantiles, targets, rows, weeks) for weeks in (np.nan, -1.0))
    assert alone.week_share == 0
    assert both.week_share > 0.2
    assert both.steps == pytest.approx(alone.steps)
    moved = stretched(quantiles, both.steps, LEVELS)
    said = moved + both.week_share * (-1.0 - moved)
    inside = ((said[..., 0] <= targets) & (targets <= said[..., -1])).mean()
    assert both.coverage == pytest.approx(inside, abs=0.02)
    assert abs(both.coverage - alone.coverage) > 0.05


def test_stretched_quantiles_never_cross_and_keep_the_median():
    quantiles, _ = too_narrow(5)
    moved = stretched(quantiles, np.tile([0.3, 4.0, 1.0, 4.0, 0.3], (4, 1)), LEVELS)
    assert (np.diff(moved, axis=2) >= 0).all()
    assert moved[..., 2] == pytest.approx(quantiles[..., 2])


def test_exceedance_is_exact_at_the_quantiles_and_falls_beyond_them():
    quantiles = np.array([[[1.0, 2.0, 3.0, 4.0, 5.0]]])
    levels = np.array(LEVELS)
    for value, level in zip(quantiles[0, 0], levels, strict=True):
        assert exceedance(quantiles, levels, np.array([value]))[0, 0] == pytest.approx(1 - level)
    tail = [exceedance(quantiles, levels, np.array([value]))[0, 0] for value in (5.0, 6.0, 9.0, 1e9)]
    assert tail == sorted(tail, reverse=True)
    assert tail[0] == pytest.approx(0.1)
    assert tail[-1] == 0
    assert exceedance(quantiles, levels, np.array([-1e9]))[0, 0] == 1


def test_exceedance_never_falls_along_the_horizon_and_is_unknown_without_a_limit():
    quantiles = np.sort(np.random.default_rng(0).normal(0, 1, (20, 6, 5)), axis=2)
    chance = exceedance(quantiles, np.array(LEVELS), np.append(np.linspace(-1, 1, 19), np.nan))
    assert (np.diff(chance[:-1], axis=1) >= 0).all()
    assert np.isnan(chance[-1]).all()


@pytest.mark.parametrize(("threshold", "chance"), [(6.9, 1.0), (7.0, 1.0), (7.1, 0.0)])
def test_a_certain_maximum_is_above_or_below_the_limit_for_certain(threshold, chance):
    quantiles = np.full((1, 1, 5), 7.0)
    assert exceedance(quantiles, np.array(LEVELS), np.array([threshold]))[0, 0] == pytest.approx(chance, abs=1e-9)
