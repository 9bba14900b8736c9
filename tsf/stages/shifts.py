"""Which series have left the range that the model knows of them: why a forecast may be odd, and when to train anew."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from tsf.kinds import figure_text, span_text
from tsf.series import Floats, SeriesSet, label_rows, title_of
from tsf.units import Unit, amount_text

__all__ = ["Shifts"]

DAY_SECONDS = 86_400
FAR = 0.5  # widths of its range that the newest day's median may lie outside of it
NARROW = 0.05  # of its level: a range that is narrower counts as this wide


@dataclass(frozen=True, eq=False)
class Shifts:
    """The newest day of each series beside the days before it in `context`; unit: that of its values, for the table."""

    context: SeriesSet
    unit: Unit = ""

    @cached_property
    def days(self) -> Floats:
        """(3, N) the median of the newest day, and the ends of the middle nine tenths of the values before it.

        NaN where either part has no sample.
        """
        values = self.context.values
        day = max(1, DAY_SECONDS // self.context.step_seconds)
        found = np.full((3, len(values)), np.nan)
        known = np.isfinite(values[:, -day:]).any(axis=1) & np.isfinite(values[:, :-day]).any(axis=1)
        if known.any():
            found[0, known] = np.nanmedian(values[known, -day:], axis=1)
            found[1:, known] = np.nanquantile(values[known, :-day], (0.05, 0.95), axis=1)
        return found

    @cached_property
    def away(self) -> Floats:
        """(N,) how far the newest day lies outside, in widths of that range: 0 inside it, below 0 for a fall."""
        now, low, high = self.days
        width = np.maximum(high - low, NARROW * np.maximum(np.abs(low), np.abs(high)))
        out = np.maximum(now - high, 0) + np.minimum(now - low, 0)
        return np.asarray(out / np.where(width > 0, width, 1.0))

    @property
    def count(self) -> int:
        """How many series have shifted."""
        return int((np.abs(np.nan_to_num(self.away)) > FAR).sum())

    @property
    def summary(self) -> str:
        """One sentence: does the model still know these series?"""
        n, before = self.context.n_series, self.context.n_steps * self.context.step_seconds - DAY_SECONDS
        missing = 1 - float(np.isfinite(self.context.values).mean())
        have = "has" if self.count == 1 else "have"
        return (
            f"{self.count:,} of {n:,} series {have} left, by the median of the newest day, the range of the "
            f"{span_text(max(before, self.context.step_seconds))} before it; {figure_text(missing, '.1%')} of the "
            "samples that the forecast reads are missing."
        )

    def table(self, n: int = 10) -> pd.DataFrame:
        """The series that shifted farthest: their newest day, the range before it, and the share of samples missing."""
        away, (now, low, high) = np.nan_to_num(self.away), self.days
        rows = [int(row) for row in np.argsort(-np.abs(away), kind="stable")[:n] if abs(away[row]) > FAR]
        gaps = 1 - np.isfinite(self.context.values).mean(axis=1)
        names = [title_of(row) for row in label_rows(self.context.take(rows).labels)] if rows else []
        return pd.DataFrame(
            {
                "newest day": [amount_text(now[row], self.unit) for row in rows],
                "before": [
                    f"{amount_text(low[row], self.unit)} to {amount_text(high[row], self.unit)}" for row in rows
                ],
                "samples missing": [figure_text(gaps[row], ".0%") for row in rows],
            },
            index=pd.Index(names, name="series"),
        )
