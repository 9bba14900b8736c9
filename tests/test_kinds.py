"""Numbers and times as people and Prometheus write them."""

import pytest

from tsf.kinds import chance_text, figure_text


@pytest.mark.parametrize(
    ("chance", "text"),
    [(0.0, "0%"), (0.0012, "<1%"), (0.01, "1%"), (0.5, "50%"), (0.9976, ">99%"), (1.0, "100%"), (float("nan"), "–")],
)
def test_nothing_is_made_certain_by_rounding(chance: float, text: str) -> None:
    assert chance_text(chance) == text


def test_a_figure_that_is_unknown_is_a_dash() -> None:
    assert (figure_text(None), figure_text(0.12345), figure_text(0.8, ".1%")) == ("–", "0.1235", "80.0 %")
