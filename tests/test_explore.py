"""The example notebook runs as it is in the repository, and shows a forecast."""

from __future__ import annotations

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
