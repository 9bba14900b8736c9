"""Numbers and times as people and Prometheus write them, and where a limit counts as reached."""

from datetime import datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsf.kinds import (
    AlertLine,
    chance_text,
    count_text,
    figure_text,
    moment_text,
    parse_amount,
    plain_address,
    share_in_use,
    share_text,
    span_text,
    urgent_first,
)

AMOUNTS = st.floats(1e-3, 1e18)
SHARES = st.floats(0.01, 10)


@pytest.mark.parametrize(
    ("chance", "text"),
    [
        (0.0, "0 %"),
        (0.0012, "<1 %"),
        (0.01, "1 %"),
        (0.5, "50 %"),
        (0.9976, ">99 %"),
        (1.0, "100 %"),
        (float("nan"), "–"),
    ],
)
def test_nothing_is_made_certain_by_rounding(chance: float, text: str) -> None:
    assert chance_text(chance) == text


def test_what_somebody_has_set_keeps_its_digits() -> None:
    assert [share_text(share) for share in (0.8, 0.98, 0.985, 0.025, 0.07, 1.0)] == [
        "80 %", "98 %", "98.5 %", "2.5 %", "7 %", "100 %"
    ]  # fmt: skip


def test_a_figure_that_is_unknown_is_a_dash() -> None:
    assert (figure_text(None), figure_text(0.12345), figure_text(0.8, ".1%")) == ("–", "0.1235", "80.0 %")
    assert figure_text(float("nan"), ",") == "–"
    assert [figure_text(value) for value in (9999.4, 9999.6, 12345.6, -2.5e14, 3e15, 1e-9)] == [
        "9,999", "10,000", "12,346", "-250,000,000,000,000", "3e+15", "1e-09"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (61, "1 min 1 s"),
        (5_400, "1 h 30 min"),
        (86_399.7, "24 h"),
        (129_600, "36 h"),
        (172_800, "2 d"),
        (171 * 3_600, "7 d 3 h"),
        (10 * 86_400 + 300, "10 d"),
    ],
)
def test_a_span_is_told_by_its_largest_unit_and_the_one_below(seconds: float, text: str) -> None:
    assert span_text(seconds) == text


def test_an_address_is_shown_without_what_may_be_secret() -> None:
    assert plain_address("https://a:b@host:9/path?key=1#x") == "https://host:9/path"
    assert plain_address("lists/owners.csv") == "lists/owners.csv"
    assert plain_address("http://[::1") == "an address that cannot be read"


def test_one_is_told_apart_from_many() -> None:
    told = [count_text(number, "breach", "breaches") for number in (0, 1, np.int64(1), 1.0, 0.5, 2, 1234567)]
    assert told == ["0 breaches", *["1 breach"] * 3, "0.5 breaches", "2 breaches", "1,234,567 breaches"]


def test_a_moment_is_told_in_utc() -> None:
    moment = datetime(2026, 11, 1, 17, 30, 59, tzinfo=timezone(timedelta(hours=8)))
    assert moment_text(moment.timestamp()) == "2026-11-01 09:30 UTC"


@given(SHARES, AMOUNTS, AMOUNTS)
def test_a_limit_counts_as_reached_at_its_share_or_when_so_little_is_left_whichever_comes_first(
    share: float, left: float, limit: float
) -> None:
    level = float(AlertLine(share, left).level(np.array(limit)))
    assert level == min(share * limit, max(limit - left, 0.0))
    assert 0 <= level <= float(AlertLine(share).level(np.array(limit)))
    assert limit - level >= left * (1 - 1e-9) - 1e-9 * limit or level == 0


@given(SHARES, st.none() | AMOUNTS, st.lists(AMOUNTS, min_size=2, max_size=9))
def test_a_larger_limit_never_counts_as_reached_sooner(share: float, left: float | None, limits: list[float]) -> None:
    line, sorted_limits = AlertLine(share, left), np.array(sorted(limits))
    level = line.level(sorted_limits)
    assert (np.diff(level) >= 0).all()
    np.testing.assert_allclose(line.shares(sorted_limits) * sorted_limits, level, rtol=1e-9, atol=1e-9 * limits[0])


def test_without_an_amount_the_share_alone_says_it_to_the_last_bit() -> None:
    limits = np.array([3.3, 0.0, -1.0, np.nan, 2e12])
    np.testing.assert_array_equal(AlertLine(0.98).level(limits), 0.98 * limits)
    assert AlertLine(0.98).shares(limits).tolist() == [0.98] * 5
    assert AlertLine(0.98, 1.0).shares(limits)[1:4].tolist() == [0.98] * 3  # where there is no limit


@pytest.mark.parametrize(
    ("text", "amount"), [("500GiB", 500 * 2**30), ("1.5TiB", 1.5 * 2**40), ("1KiB", 1024), (2, 2), (0.05, 0.05)]
)
def test_an_amount_is_a_size_in_bytes_or_a_number_in_the_unit_of_the_metric(text: object, amount: float) -> None:
    assert parse_amount(text) == amount


@pytest.mark.parametrize("text", [0, -1, 10**400, float("nan"), float("inf"), "5", "500 GiB", "GiB", "500GB", None])
def test_what_is_no_amount_is_refused_with_an_example(text: object) -> None:
    with pytest.raises(
        ValueError, match="is no amount; write a number above 0 in the metric's unit, or a size such as"
    ):
        parse_amount(text)


KNOWN_OR_NOT = st.sampled_from([0.0, 0.5, 1.0, np.inf, np.nan])


@given(st.lists(st.tuples(*[KNOWN_OR_NOT] * 4), max_size=20))
def test_the_soonest_is_the_most_urgent_then_the_likeliest_the_fullest_and_the_steepest(
    series: list[tuple[float, float, float, float]],
) -> None:
    def rank(row: int) -> list[tuple[bool, float]]:
        left, *others = series[row]
        return [(key != key, 0.0 if key != key else key) for key in (left, *(-other for other in others))]

    columns = np.array(series).reshape(-1, 4).T
    assert urgent_first(*columns) == sorted(
        range(len(series)), key=rank
    )  # what is unknown last, equal ones as they are
    assert urgent_first(*columns[:3]) == sorted(range(len(series)), key=lambda row: rank(row)[:3])


def test_a_share_is_of_a_limit_above_zero() -> None:
    used = np.array([1.0, 1.0, 0.0, np.nan, 1.0])
    np.testing.assert_array_equal(
        share_in_use(used, np.array([2.0, 0.0, 0.0, 1.0, np.nan])), [0.5, np.nan, np.nan, np.nan, np.nan]
    )
    assert np.isnan(share_in_use(used, None)).all()
