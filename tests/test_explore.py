"""The example notebooks run as they are in the repository, and show what they promise."""

from __future__ import annotations

import re
from pathlib import Path

import papermill

ROOT = Path(__file__).parents[1]


def test_the_example_notebook_goes_from_a_frame_to_a_forecast_without_touching_a_file(tmp_path: Path) -> None:
    source = ROOT / "notebooks" / "explore.ipynb"
    executed = papermill.execute_notebook(source, None, kernel_name="python3", cwd=tmp_path, progress_bar=False)
    outputs = [output for cell in executed.cells for output in cell.get("outputs", [])]
    pages = [output["data"]["text/html"] for output in outputs]  # no cell prints or warns
    assert ["<table>" in page for page in pages[:2]] == [True, True]
    assert "p_breach" in pages[1]
    assert "chance of breach" in pages[2]
    assert list(tmp_path.iterdir()) == []


def test_a_new_cluster_gains_from_the_others_without_their_samples(tmp_path: Path) -> None:
    source = ROOT / "notebooks" / "federated.ipynb"
    executed = papermill.execute_notebook(source, None, kernel_name="python3", cwd=tmp_path, progress_bar=False)
    outputs = [output for cell in executed.cells for output in cell.get("outputs", [])]
    (page,) = [output["data"]["text/html"] for output in outputs]
    cells = re.findall(r"<t[hd][^>]*>([^<]*)</t[hd]>", page)
    names, rows = cells[:5], [cells[start : start + 5] for start in range(5, len(cells), 5)]
    assert names == ["cluster", "days", "alone", "federated", "all samples"]
    wql = {row[0]: dict(zip(names[2:], map(float, row[2:]), strict=True)) for row in rows}
    assert wql.keys() == {"east", "north", "west"}
    assert wql["north"]["federated"] < 0.95 * wql["north"]["alone"]
    assert all(row["federated"] < 1.05 * row["all samples"] for row in wql.values())
    assert list(tmp_path.iterdir()) == []
