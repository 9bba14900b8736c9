"""What the fetch report tells of the data."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tsf.io.quality import measure_quality
from tsf.params import TaskParams
from tsf.series import SeriesSet
from tsf.stages.fetch import Fetched


def fetched(*warnings: str) -> Fetched:
    values = np.array([[1.0, np.nan, np.nan, np.nan, 5.0, 6.0]])
    series = SeriesSet({"user": np.array(["a"], object)}, np.arange(6) * 3600, 3600, values)
    task = TaskParams.model_validate({"fetch": {"metric_query": "used_bytes", "history": "60d"}})
    return Fetched(task, series, measure_quality(series, warnings=warnings), "a source")


def test_counts_are_in_words_and_gaps_in_a_unit() -> None:
    counts = fetched().counts["count"].to_dict()
    assert counts["steps of each"] == "6"
    assert counts["missing samples"] == "3"
    assert counts["longest gap"] == "4 h"
    assert not [name for name in counts if "_" in name]


def test_every_warning_of_the_source_has_its_row() -> None:
    assert fetched().warnings.empty
    said = fetched("2 series have a limit of 0 or less", "the server says that its answer is partial").warnings
    assert said["warning"].tolist() == [
        "2 series have a limit of 0 or less",
        "the server says that its answer is partial",
    ]
    assert said.index.name
    notebook = (Path(__file__).parents[2] / "notebooks/fetch.ipynb").read_text(encoding="utf-8")
    assert "fetched.warnings" in notebook
