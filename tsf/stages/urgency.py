"""How urgent each series of a forecast is: how much and how long is left, the most urgent first."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from tsf.kinds import AlertLine, chance_text, figure_text, moment_text, share_in_use, span_text, urgent_first
from tsf.series import Floats, Forecast, SeriesSet, label_rows, newest, title_of
from tsf.units import Unit, amount_text

__all__ = ["Urgency"]


@dataclass(frozen=True, eq=False)
class Urgency:
    """The series of `context` in the light of their forecast. line: where their limits count as reached."""

    context: SeriesSet
    forecast: Forecast
    line: AlertLine
    unit: Unit = ""

    @cached_property
    def used(self) -> Floats:
        """(N,) newest known value."""
        return newest(self.context.values)

    @cached_property
    def limit(self) -> Floats | None:
        """(N,) newest known limit, None without one."""
        return None if self.context.limit is None else newest(self.context.limit)

    @cached_property
    def left(self) -> Floats:
        """(N,) how much may still be used up to the line; 0 where it is reached, NaN without a limit."""
        if self.limit is None:
            return np.full(len(self.used), np.nan)
        return np.maximum(self.line.level(self.limit) - self.used, 0)

    @cached_property
    def seconds_left(self) -> Floats:
        """(N,) time to the limit from the newest sample on: 0 where it is reached, +Inf where it is not in sight.

        NaN without a limit, or without a forecast.
        """
        moment = self.forecast.limit_time
        ahead = np.full(len(self.used), np.nan) if moment is None else moment - self.forecast.origin_seconds
        return np.where(self.left == 0, 0.0, ahead)

    @cached_property
    def chance(self) -> Floats:
        """(N,) breach probability over the whole horizon, 0 where it is unknown."""
        known = self.forecast.p_breach
        return np.zeros(len(self.used)) if known is None else np.nan_to_num(known[:, -1])

    @cached_property
    def rows(self) -> list[int]:
        """Indices of the series, the most urgent first."""
        share = share_in_use(self.used, self.limit)
        return urgent_first(self.seconds_left, self.chance, share, self.forecast.growth)

    def table(self, n: int) -> pd.DataFrame:
        """The first `n` rows in words and units that a person reads."""
        rows, middle = self.rows[:n], self.forecast.at(0.5)[:, -1]
        names = [title_of(row) for row in label_rows(self.context.take(rows).labels)]
        limit = np.full(len(self.used), np.nan) if self.limit is None else self.limit

        def share(value: float, row: int) -> str:
            if np.isnan(value):
                return "–"
            return amount_text(value, self.unit) if np.isnan(limit[row]) else figure_text(value / limit[row], ".1%")

        frame = pd.DataFrame(
            {"used": [share(self.used[row], row) for row in rows]}, index=pd.Index(names, name="series")
        )
        if self.forecast.p_breach is not None:
            frame["left to the line"] = [amount_text(self.left[row], self.unit) for row in rows]
        frame["forecast"] = [share(middle[row], row) for row in rows]
        if self.forecast.p_breach is not None:
            frame["chance of breach"] = [chance_text(float(self.forecast.p_breach[row, -1])) for row in rows]
            frame["time left"] = [self._time_left(row) for row in rows]
            frame["expected"] = [self._expected(row) for row in rows]
        return frame

    def _time_left(self, row: int) -> str:
        seconds = self.seconds_left[row]
        if not np.isfinite(seconds):
            return "–"
        return span_text(seconds) if seconds else "none"

    def _expected(self, row: int) -> str:
        seconds = self.seconds_left[row]
        if np.isnan(seconds):
            return "unknown"
        if not np.isfinite(seconds):
            return "not in sight"
        if not seconds:
            return "is there now"
        return moment_text(self.forecast.origin_seconds + int(seconds))
