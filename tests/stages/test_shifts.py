"""What has left the range it had: level shifts and drift, not growth, noise or gaps."""

from __future__ import annotations

import numpy as np
import pytest

from tests.learn.conftest import series_of
from tsf.stages.shifts import Shifts

DAYS, HOURS = 7, 24


def fleet() -> np.ndarray:
    """Eight series of a week: daily waves with noise."""
    hours = np.arange(DAYS * HOURS)
    random = np.random.default_rng(3)
    return 50 + 10 * np.sin(2 * np.pi * hours / 24) + random.normal(0, 1, (8, DAYS * HOURS))


def test_waves_growth_noise_and_gaps_are_no_shift() -> None:
    values = fleet()
    values[1] += np.linspace(0, 30, DAYS * HOURS)  # fills up steadily
    values[2, 30:90] = np.nan
    values[3] = 7.0
    values[4] = 0.0
    shifts = Shifts(series_of(values))
    assert shifts.count == 0
    assert shifts.table().empty
    assert "0 of 8 series have left" in shifts.summary
    assert "the 6 d before it; 4.5 % of the samples" in shifts.summary


@pytest.mark.parametrize(("factor", "sign"), [(3.0, 1), (0.1, -1)])
def test_another_level_is_told_the_farthest_first(factor: float, sign: int) -> None:
    values = fleet()
    values[5, -HOURS:] *= factor
    values[6, -20:] += 35  # less far, and not for all of the day
    shifts = Shifts(series_of(values))
    assert shifts.count == 2
    table = shifts.table()
    assert table.index.tolist() == ["user5", "user6"]
    assert np.sign(shifts.away[5]) == sign
    assert float(table["newest day"].iloc[0]) == pytest.approx(50 * factor, rel=0.1)
    low, high = map(float, table["before"].iloc[0].split(" to "))
    assert (low, high) == pytest.approx((40, 60), abs=2)


def test_one_series_alone_has_left_its_range() -> None:
    values = fleet()
    values[5, -HOURS:] *= 3
    assert "1 of 8 series has left" in Shifts(series_of(values)).summary


def test_a_spike_of_some_hours_is_no_shift() -> None:
    values = fleet()
    values[0, -5:] = 500.0
    assert Shifts(series_of(values)).count == 0


def test_what_is_not_known_has_not_shifted() -> None:
    values = fleet()
    values[0, :-3] = np.nan  # new
    values[1, -HOURS:] = np.nan  # silent
    shifts = Shifts(series_of(values))
    assert np.isnan(shifts.away[:2]).all()
    assert shifts.count == 0
    assert Shifts(series_of(values[:, :5])).count == 0  # less than a day of samples
