"""What notebooks show."""

import re
from pathlib import Path

import pandas as pd
import pytest

from tsf.project import find_root
from tsf.report import table


@pytest.mark.parametrize(
    "cells",
    [["0 %", "<1 %", ">99 %"], ["81.1 %", "–"], ["1.02 TiB", "571 GiB"], ["-0.5 points"], ["1,234", "1 h 30 min"]],
)
def test_numbers_stand_below_each_other_whatever_their_unit(cells: list[str]) -> None:
    markup = table(pd.DataFrame({"amount": cells}).rename_axis("n"), "amounts").markup
    assert "<td>" in markup
    assert not re.search(r'<td class="text', markup)


@pytest.mark.parametrize(
    "cells", [["none", "5 h"], ["1.8 TiB to 1.89 TiB"], ["2026-11-01 00:00 UTC"], ["216 steps (9 d)"], [""]]
)
def test_words_begin_at_the_left(cells: list[str]) -> None:
    assert '<td class="text' in table(pd.DataFrame({"said": cells}).rename_axis("n"), "words").markup


def test_shares_are_written_as_the_docs_write_them() -> None:
    """`80 %`, by figure_text, chance_text or share_text; a format of Python alone would write `80%`."""
    root: Path = find_root()
    written = [*root.glob("tsf/**/*.py"), *root.glob("notebooks/*.ipynb"), *root.glob("benchmarks/*.py")]
    assert len(written) > 100
    assert [str(file) for file in written if re.search(r":[+.,\d]*%\}", file.read_text("utf-8"))] == []
