"""Fetch: read a task's metric, limit and covariates up to snapshot.until, count what is odd, and keep them."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd

from tsf.io.artifacts import write_json, write_series
from tsf.io.logs import start_log
from tsf.io.quality import Quality
from tsf.io.source import fetch_from_source, source_name
from tsf.kinds import figure_text, span_text
from tsf.params import TaskParams, read_params
from tsf.project import TaskPaths, find_root
from tsf.series import SeriesSet

__all__ = ["Fetched", "fetch"]


@dataclass(frozen=True)
class Fetched:
    """What a fetch brought, and where from."""

    task: TaskParams
    series: SeriesSet
    quality: Quality
    source: str

    @property
    def summary(self) -> str:
        """One sentence for the head of the report."""
        first, last = pd.to_datetime(self.series.times[[0, -1]], unit="s").strftime("%Y-%m-%d %H:%M")
        step = span_text(self.series.step_seconds)
        missing = self.quality.missing / self.series.values.size
        return (
            f"{self.series.n_series:,} series of {self.series.n_steps:,} steps of {step}, {first} to {last} UTC, "
            f"read from {self.source}; {figure_text(missing, '.1%')} of the samples are missing."
            + (
                " The task has no limit, so it gets forecasts but no breach output."
                if self.series.limit is None
                else ""
            )
        )

    @property
    def queries(self) -> pd.DataFrame:
        """What was asked for, a row per query."""
        rows = {"metric": self.task.fetch.metric_query, "limit": self.task.fetch.limit} | self.task.fetch.covariates
        queries = ["none" if query is None else str(query) for query in rows.values()]
        return pd.DataFrame({"query": queries}, index=[*rows]).rename_axis("input")

    @property
    def counts(self) -> pd.DataFrame:
        """Every count of the quality report, in words."""
        counts = asdict(self.quality)
        counts.pop("warnings")
        longest = span_text(counts.pop("longest_gap_seconds"))
        words = {
            "n_series": "series",
            "n_steps": "steps of each",
            "missing": "missing samples",
            "nan_samples": "NaN samples",
        }
        rows = {words.get(name, name.replace("_", " ")): f"{count:,}" for name, count in counts.items()}
        return pd.DataFrame({"count": [*rows.values(), longest]}, index=[*rows, "longest gap"]).rename_axis("what")

    @property
    def warnings(self) -> pd.DataFrame:
        """What the source warned of, a row per sentence; empty where it warned of nothing."""
        numbers = pd.RangeIndex(1, len(self.quality.warnings) + 1, name="no.")
        return pd.DataFrame({"warning": self.quality.warnings}, index=numbers)

    @property
    def dimensions(self) -> pd.DataFrame:
        """How many values each label has, and whether the model learns from it."""
        labels, learnt = self.series.labels, self.task.train.dimensions
        rows = {
            "values": [len(set(column.tolist()) - {""}) for column in labels.values()],
            "learnt": ["yes" if name in learnt else "no" for name in labels],
        }
        return pd.DataFrame(rows, index=[*labels]).rename_axis("label")


def fetch(name: str, root: Path | None = None) -> Fetched:
    """Read task `name` of the project at `root` and write its data; raises TsfError and then leaves the old data."""
    root = root or find_root()
    params = read_params(root)
    start_log(params.logging, os.environ)
    task = params.task(name)
    series, quality = fetch_from_source(params, task.fetch, until_seconds=params.snapshot.until_seconds)
    paths = TaskPaths(root, name)
    write_series(series, paths.series)
    write_json(asdict(quality), paths.quality)
    return Fetched(task, series, quality, source_name(params))
