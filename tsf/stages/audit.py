"""The live audit: what the forecasts of the last days said, against what came since."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tsf.errors import ModelError, SeriesError
from tsf.io.artifacts import read_series, write_series
from tsf.kinds import count_text, duration_text, figure_text, moment_text, share_text, span_text
from tsf.params import PushParams
from tsf.series import Floats, Forecast, SeriesSet, label_column, rows_in

__all__ = ["Audit", "Duel", "keep_issued", "within"]

Ints = NDArray[np.int64]
HORIZON, QUANTILE = "__horizon__", "__quantile__"  # labels that no series of Prometheus has
KEPT_STEPS = 168  # moments that are audited, at most


@dataclass(frozen=True, eq=False)
class Audit:
    """The forecasts that were issued before, beside the newest samples.

    issued: (N x horizons x quantiles, T) by the moment they were issued at, as Prometheus has them. truth: what came.
    """

    issued: SeriesSet
    truth: SeriesSet

    @cached_property
    def moments(self) -> pd.DataFrame:
        """A row per horizon and moment of which something had been said.

        horizon in seconds, time, n series, `inside` the outermost quantiles (NaN where there is but one), `error` from
        the median, as a share of the limit, or of all values where there is none; `promised`: what should be inside.
        """
        horizons, levels = (self.issued.labels[name].astype(float) for name in (HORIZON, QUANTILE))
        ends = np.unique(levels)
        wanted = ends[0], 0.5, ends[-1]
        parts = []
        for horizon in np.unique(horizons).astype(int).tolist():
            low, middle, high = (self._said(horizon, (horizons == horizon) & (levels == level)) for level in wanted)
            parts.append(self._judged(low, middle, high).assign(horizon=horizon))
        moments = pd.concat(parts, ignore_index=True).assign(promised=ends[-1] - ends[0])
        return moments if len(ends) > 1 else moments.assign(inside=np.nan)

    def _judged(self, low: Floats, middle: Floats, high: Floats) -> pd.DataFrame:
        truth, limit = self.truth.values, self.truth.limit
        known = np.isfinite(truth) & np.isfinite(low) & np.isfinite(high)
        away = np.where(known, np.abs(truth - middle), 0.0)
        steps = np.flatnonzero(known.any(axis=0))
        inside = (known & (truth >= low) & (truth <= high))[:, steps].sum(axis=0)
        count = known[:, steps].sum(axis=0)
        with np.errstate(divide="ignore", invalid="ignore"):  # NaN where no size is known
            if limit is None:  # of the sum: a share of each value would be without bounds where it is next to nothing
                off = away[:, steps].sum(axis=0) / np.where(known, np.abs(truth), 0.0)[:, steps].sum(axis=0)
            else:
                sized = known & (limit > 0)
                off = pd.DataFrame(np.where(sized, away / limit, np.nan)[:, steps]).mean().to_numpy()
        return pd.DataFrame({"time": self.truth.times[steps], "n": count, "inside": inside / count, "error": off})

    @property
    def table(self) -> pd.DataFrame:
        """A row per horizon, in words."""
        rows = {
            span_text(horizon): _in_words(self.moments[self.moments["horizon"] == horizon], self.truth)
            for horizon in self.moments["horizon"].drop_duplicates().tolist()
        }
        return pd.DataFrame.from_dict(rows, orient="index").rename_axis("ahead")

    @property
    def numbers(self) -> pd.DataFrame:
        """The newest 100 of `moments`, in words."""
        newest = self.moments.sort_values(["time", "horizon"]).tail(100)
        return pd.DataFrame(
            {
                "ahead": [span_text(seconds) for seconds in newest["horizon"].tolist()],
                "values": newest["n"].tolist(),
                "inside the interval": [figure_text(share, ".0%") for share in newest["inside"]],
                "off by": [figure_text(share, ".2%") for share in newest["error"]],
            },
            index=pd.Index([moment_text(seconds) for seconds in newest["time"]], name="moment"),
        )

    @property
    def summary(self) -> str:
        """One sentence: did the forecasts keep what they promised?"""
        if self.moments.empty:
            first = int(self.issued.times[0]) + int(self.issued.labels[HORIZON].astype(float).min())
            when = moment_text(first)
            return f"No forecast of this task is old enough to be compared with what came; the first will be at {when}."
        part = self.moments
        inside, promised = _mean(part, "inside"), part["promised"].iloc[0]
        if np.isnan(inside):
            return f"{part['n'].sum():,} values have come of which the median had been forecast."
        verdict = "as promised" if abs(inside - promised) <= 0.1 else "too often" if inside > promised else "too rarely"
        return (
            f"{figure_text(inside, '.0%')} of {part['n'].sum():,} values lay inside the interval that was forecast for "
            f"them before, {verdict}: it should hold {share_text(promised)}."
        )

    @cached_property
    def _rows(self) -> Ints:
        """Of each row of `issued` the row of the truth that it speaks of, -1 where that is not asked any more."""
        return rows_in(self.truth.labels, self.issued.labels, aside={HORIZON, QUANTILE})

    def _said(self, horizon: int, rows: NDArray[np.bool_]) -> Floats:
        """(N, T) what was said for each sample of the truth so long before, NaN where nothing was."""
        said = np.full(self.truth.values.shape, np.nan)
        column = (self.truth.times - horizon - self.issued.times[0]) // self.issued.step_seconds
        there = (column >= 0) & (column < self.issued.n_steps)
        known = np.flatnonzero(rows & (self._rows >= 0))
        said[np.ix_(self._rows[known], there)] = self.issued.values[np.ix_(known, column[there])]
        return said


@dataclass(frozen=True, eq=False)
class Duel:
    """The champion's audit and that of the challenger, whose forecasts nobody was told."""

    champion: Audit
    challenger: Audit

    @cached_property
    def shared(self) -> dict[str, pd.DataFrame]:
        """Model -> the rows of Audit.moments whose horizon and time the other model has, too."""
        both = {"champion": self.champion.moments, "challenger": self.challenger.moments}
        keys = ["horizon", "time"]
        shared = both["champion"][keys].merge(both["challenger"][keys], on=keys)
        return {model: shared.merge(moments, on=keys) for model, moments in both.items()}

    @property
    def table(self) -> pd.DataFrame:
        """A row per horizon and model, in words."""
        rows = {}
        for horizon in sorted(set(self.shared["champion"]["horizon"].tolist())):
            for model, moments in self.shared.items():
                name = f"{span_text(horizon)}, {model}"
                rows[name] = _in_words(moments[moments["horizon"] == horizon], self.champion.truth)
        return pd.DataFrame.from_dict(rows, orient="index").rename_axis("ahead, model")

    @property
    def summary(self) -> str:
        """One sentence: who was nearer to what came?"""
        mine, other = self.shared["champion"], self.shared["challenger"]
        if mine.empty:
            return "A challenger forecasts in shadow; there is nothing yet that both have foretold and that has come."
        ours, theirs = _mean(mine, "error"), _mean(other, "error")
        nearer = "nearer than" if theirs < ours else "no nearer than"
        moments = count_text(mine["time"].nunique(), "moment", "moments")
        told = (
            f"Over {moments} the challenger, in shadow, was {nearer} the champion: off by "
            f"{figure_text(theirs, '.2%')} against {figure_text(ours, '.2%')}."
        )
        if mine["inside"].isna().all():  # of one quantile, which is no interval
            return told
        return (
            f"{told} Its interval held {_share(other)}, the champion's {_share(mine)}; both should hold "
            f"{share_text(mine['promised'].iloc[0])}."
        )


def within(push: PushParams, forecast: Forecast) -> PushParams:
    """`push` with the horizons and quantiles that the forecast covers: a model may have learnt fewer.

    Raises ModelError where it covers none.
    """
    reach = forecast.step_seconds * forecast.quantiles.shape[1]
    levels = forecast.levels.tolist()
    kept = push.covered(reach, levels)
    if not kept.horizons:
        shortest = duration_text(min(push.horizons))
        cure = f"train the task again, or ask for {shortest}"
        raise ModelError(f"a forecast of {span_text(reach)} covers none of push.horizons", cure=cure)
    if not kept.quantiles:
        what = f"a forecast of the quantiles {levels[0]} to {levels[-1]} covers none of push.quantiles"
        raise ModelError(what, cure="train the task again, or add 0.5")
    return kept


def _in_words(moments: pd.DataFrame, truth: SeriesSet) -> dict[str, object]:
    """What rows of Audit.moments of one horizon say, for people."""
    return {
        "forecasts": int(moments["n"].sum()),
        "inside the interval": _share(moments),
        "promised": share_text(moments["promised"].iloc[0]),
        f"off by, of the {'values' if truth.limit is None else 'limit'}": figure_text(_mean(moments, "error"), ".2%"),
    }


def _share(moments: pd.DataFrame) -> str:
    return figure_text(_mean(moments, "inside"), ".0%")


def _mean(moments: pd.DataFrame, column: str) -> float:
    """Over all values; moments of which nothing is known are left out."""
    known = moments[moments[column].notna()]
    return float(np.average(known[column], weights=known["n"])) if len(known) else np.nan


def keep_issued(forecast: Forecast, push: PushParams, path: Path, *, anew: bool = False) -> SeriesSet:
    """Add what is pushed of `forecast`, and its median, to the file of those before it, and return all.

    The oldest are let go; those of horizons that this forecast does not reach stay. anew: forget the others, because
    they speak about something else. Raises ModelError where it reaches no horizon or no quantile.
    """
    told = within(push, forecast)
    levels, reached = sorted({*told.quantiles, 0.5}), told.horizons
    steps = [seconds // forecast.step_seconds for seconds in reached]
    pairs = [(seconds, level) for seconds in reached for level in levels]
    n = len(forecast.quantiles)
    labels = {name: np.tile(column, len(pairs)) for name, column in forecast.labels.items()}
    for number, name in enumerate((HORIZON, QUANTILE)):
        labels[name] = np.repeat(np.array([repr(pair[number]) for pair in pairs], object), n)
    values = np.concatenate([forecast.at(level)[:, step - 1] for step in steps for level in levels])
    new = SeriesSet(labels, np.array([forecast.origin_seconds]), forecast.step_seconds, values[:, None])
    try:
        old = None if anew else read_series(path)
    except SeriesError:  # the first forecast, or a file that is damaged: the audit begins again
        old = None
    if old is not None:  # of other horizons or quantiles there is nothing more to compare
        horizons, quantiles = (pd.Index(old.labels[name]) for name in (HORIZON, QUANTILE))
        asked = horizons.isin([repr(seconds) for seconds in push.horizons]) & quantiles.isin([repr(q) for q in levels])
        old = old.take(asked) if asked.any() else None
    most = KEPT_STEPS + max(push.horizons) // forecast.step_seconds
    kept = new if old is None else _joined(old, new, most)
    write_series(kept, path)
    return kept


def _joined(old: SeriesSet, new: SeriesSet, most: int) -> SeriesSet:
    """Both on one grid, up to the moment of the new; what is new wins.

    What is said to be younger was issued while the clock was wrong, or until an older snapshot was asked for.
    """
    ahead, off = divmod(int(new.times[0] - old.times[0]), old.step_seconds)
    if off or old.step_seconds != new.step_seconds or not 0 <= ahead < old.n_steps + most:
        return new
    start, stop = max(0, ahead + 1 - most), ahead + 1
    past = old.values[:, start:stop]
    place = rows_in(new.labels, old.labels)
    gone = np.flatnonzero(place < 0)
    place[gone] = new.n_series + np.arange(len(gone))
    values = np.full((new.n_series + len(gone), stop - start), np.nan)
    values[place, : past.shape[1]] = past
    values[: new.n_series, -1] = new.values[:, 0]
    kept = np.isfinite(values).any(axis=1)  # series that are gone for long are let go
    kept[: new.n_series] = True
    names = sorted({*new.labels, *old.labels})
    pairs = {name: (label_column(new.labels, name), label_column(old.labels, name)[gone]) for name in names}
    columns = {name: np.concatenate(pair) for name, pair in pairs.items()}
    labels = {name: column[kept] for name, column in columns.items() if column.any()}
    times = old.times[0] + old.step_seconds * np.arange(start, stop, dtype=np.int64)
    return SeriesSet(labels, times, new.step_seconds, values[kept])
