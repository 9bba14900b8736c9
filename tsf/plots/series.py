"""Figures of series: what was measured, what is missing, and what is forecast."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import fill
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from tsf.kinds import AlertLine, chance_text, figure_text, share_text, span_text
from tsf.plots.style import (
    BLUE,
    DARK_RED,
    GREEN,
    GREY,
    ORANGE,
    RED,
    clock,
    date_axis,
    nothing,
    panels,
    plain,
    share_axis,
    styled,
)
from tsf.series import Floats, Forecast, SeriesSet, title_of
from tsf.units import Unit, amount_text, scale_of
from tsf.words import Words

__all__ = ["pick_rows", "plot_forecast", "plot_quality", "plot_series"]

MOST_POINTS = 600  # per line; more cannot be seen and makes reports heavy


def pick_rows(series: SeriesSet, count: int = 6) -> list[int]:
    """Up to `count` rows with values, evenly from the fullest (by limit, else by size) to the emptiest."""
    share = np.where(np.isfinite(_share(series)), _share(series), -np.inf)
    level, known = share.max(axis=1), np.isfinite(share).mean(axis=1)
    least = 0.5 if (known >= 0.5).any() else 0.0  # those that are there most of the time tell most
    order = [int(row) for row in np.argsort(-level, kind="stable") if known[row] > 0 and known[row] >= least]
    places = np.linspace(0, len(order) - 1, min(count, len(order))).round().astype(int)
    return [order[place] for place in dict.fromkeys(places.tolist())]


@styled
def plot_series(
    series: SeriesSet,
    rows: Sequence[int],
    *,
    unit: Unit = "",
    time_zone: str = "UTC",
    title: str = "",
    words: Words = str,
) -> Figure:
    """Usage and limit of `rows`, a panel each; where samples are missing it is shaded."""
    if not rows:
        return nothing(words("No series has a sample"))
    if not title and series.limit is not None:
        reached = sum(bool((_share(series)[row] >= 1).any()) for row in rows)
        title = words("{reached} of these {n} series reached their limit").format(reached=reached, n=len(rows))
    title = title or words("{n} of {total:,} series").format(n=len(rows), total=series.n_series)
    figure, axes = panels(len(rows), title)
    for axis, row in zip(axes, rows, strict=True):
        values, limit = series.values[row], None if series.limit is None else series.limit[row]
        scale, name = scale_of(_largest(values, limit), unit)
        _gaps(axis, series.times, np.isnan(values), words)
        _line(axis, series.times, values / scale, color=BLUE, lw=1.1, label=words("used"))
        if limit is not None:
            _line(axis, series.times, limit / scale, color=GREY, ls="--", lw=1.2, label=words("limit"))
        _dress(axis, _title(series, row), name, series.times, time_zone, words)
    _legend(figure, axes, time_zone, words)
    return figure


@styled
def plot_quality(series: SeriesSet, *, time_zone: str = "UTC") -> Figure:
    """Share of the series that have a sample, over time: dips are outages, slopes late starts or early ends."""
    present = np.isfinite(series.values)
    figure, (axis,) = panels(1, f"{figure_text(present.mean(), '.1%')} of the samples are there", height=2.6)
    share = present.mean(axis=0)
    starts = np.arange(0, len(share), -(-len(share) // MOST_POINTS))
    times, low = series.times[starts], np.minimum.reduceat(share, starts)
    axis.fill_between(_dates(times), low, step="mid", color=BLUE, alpha=0.25, lw=0)
    axis.step(_dates(times), low, where="mid", color=BLUE, lw=1.1)
    axis.set(ylim=(0, 1.05), ylabel="series with a sample", xlabel=clock(time_zone))
    share_axis(axis)
    date_axis(axis, time_zone)
    return figure


@styled
def plot_forecast(
    series: SeriesSet,
    forecast: Forecast,
    rows: Sequence[int],
    *,
    line: AlertLine | float | None = None,
    unit: Unit = "",
    time_zone: str = "UTC",
    history_steps: int | None = None,
    title: str = "",
    words: Words = str,
) -> Figure:
    """History, forecast with its quantile bands, limit, and the chance of a breach, a panel for each of `rows`.

    The rows of `forecast` are those of `series`. Values of `series` after the origin are drawn as what came.
    line: where the limit counts as reached; a number is a share of it. history_steps: how much of the past is shown (3
    horizons).
    """
    if not rows:
        return nothing(words("No series to forecast"))
    line = AlertLine(line) if isinstance(line, float | int) else line
    ahead = forecast.quantiles.shape[1]
    known = int(np.searchsorted(series.times, forecast.origin_seconds, side="right"))
    shown = series.between(max(known - (history_steps or 3 * ahead), 0), min(known + ahead, series.n_steps))
    figure, axes = panels(len(rows), title or _forecast_title(forecast, rows, words), height=2.2)
    for axis, row in zip(axes, rows, strict=True):
        limit = None if shown.limit is None else shown.limit[row]
        scale, name = scale_of(_largest(shown.values[row], limit, forecast.quantiles[row]), unit)
        past = shown.times <= forecast.origin_seconds
        _line(axis, shown.times[past], shown.values[row, past] / scale, color=BLUE, lw=1.3, label=words("used"))
        _bands(axis, forecast, row, scale, words)
        if not past.all():
            truth = shown.values[row, ~past] / scale
            axis.plot(_dates(shown.times[~past]), truth, "o", ms=2.6, color="black", label=words("what came"))
        if limit is not None and np.isfinite(limit).any():
            _limit_lines(axis, limit[np.isfinite(limit)][-1], scale, line, unit, words)
        axis.axvspan(*_dates(forecast.times[[0, -1]]), color=GREY, alpha=0.06, lw=0, zorder=0)
        title = _title(series, row, 33)  # beside it stands the chance
        _dress(axis, title, name, np.union1d(shown.times, forecast.times), time_zone, words)
        _annotate(axis, forecast, row, words)
    _legend(figure, axes, time_zone, words)
    return figure


def _bands(axis: Axes, forecast: Forecast, row: int, scale: float, words: Words) -> None:
    times, levels = _dates(forecast.times), forecast.levels
    for outer, alpha in ((0.1, 0.22), (0.25, 0.35)):
        if levels[0] <= outer and 1 - outer <= levels[-1]:
            low, high = (forecast.at(level)[row] / scale for level in (outer, 1 - outer))
            name = words("{share} interval").format(share=share_text(1 - 2 * outer))
            axis.fill_between(times, low, high, color=ORANGE, alpha=alpha, lw=0, label=name)
    axis.plot(times, forecast.at(0.5)[row] / scale, color=RED, lw=1.5, label=words("median forecast"))


def _limit_lines(axis: Axes, limit: float, scale: float, line: AlertLine | None, unit: Unit, words: Words) -> None:
    axis.axhline(limit / scale, color=GREY, ls="--", lw=1.2, label=words("limit"))
    if line is None or line == AlertLine():
        return
    name = words("alert line, {share}").format(share=share_text(line.share))
    if line.left is not None:
        told = words("alert line, {share} or {left} left")
        name = told.format(share=share_text(line.share), left=amount_text(line.left, unit))
    axis.axhline(float(line.level(np.array(limit))) / scale, color=GREY, ls=":", lw=1.2, label=name)


def _annotate(axis: Axes, forecast: Forecast, row: int, words: Words) -> None:
    if forecast.abstained[row]:
        said = plain(words("no forecast: {reason}").format(reason=forecast.abstained[row]), 120)
        paper = {"facecolor": "white", "alpha": 0.8, "lw": 0, "pad": 1}
        axis.text(0.5, 0.04, fill(said, 48), transform=axis.transAxes, ha="center", fontsize=8, color=GREY, bbox=paper)
    elif forecast.p_breach is not None and np.isfinite(forecast.p_breach[row, -1]):
        said = words("chance of breach {chance}").format(chance=chance_text(float(forecast.p_breach[row, -1])))
        axis.set_title(said, loc="right", fontsize=9, color=DARK_RED)


def _forecast_title(forecast: Forecast, rows: Sequence[int], words: Words) -> str:
    ahead = span_text(forecast.quantiles.shape[1] * forecast.step_seconds, words)
    if forecast.p_breach is None:
        return words("Forecast of the next {span}").format(span=ahead)
    likely = int((np.nan_to_num(forecast.p_breach[list(rows), -1]) >= 0.5).sum())
    return words("More likely than not to reach the line within {span}: {likely} of these {n} series").format(
        likely=likely, n=len(rows), span=ahead
    )


def _dress(axis: Axes, title: str, unit: str, times: NDArray[np.int64], time_zone: str, words: Words) -> None:
    axis.set_title(title, fontsize=9)
    axis.set_ylabel(unit)
    axis.ticklabel_format(axis="y", useOffset=False)
    if len(times) > 1:
        axis.set_xlim(*_dates(times[[0, -1]]))
    if not axis.lines or all(np.isnan(np.asarray(line.get_ydata(), float)).all() for line in axis.lines):
        axis.set_yticks([])
        axis.text(0.5, 0.5, words("no samples here"), transform=axis.transAxes, ha="center", va="center", color=GREY)
    date_axis(axis, time_zone, words)


def _legend(figure: Figure, axes: NDArray[Any], time_zone: str, words: Words) -> None:
    pairs = [pair for axis in axes for pair in zip(*axis.get_legend_handles_labels(), strict=True)]
    handles = {label: handle for handle, label in reversed(pairs)}
    order = list(dict.fromkeys(label for _, label in pairs))
    figure.legend([handles[label] for label in order], order, loc="outside lower left", ncols=min(len(order), 4))
    for axis in axes[-2:]:
        axis.set_xlabel(clock(time_zone, words), fontsize=9)


def _title(series: SeriesSet, row: int, limit: int = 54) -> str:
    return plain(title_of({name: column[row] for name, column in series.labels.items() if column[row]}), limit)


def _share(series: SeriesSet) -> Floats:
    if series.limit is None:
        return series.values
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(series.values / np.where(series.limit > 0, series.limit, np.nan))


def _largest(*arrays: Floats | None) -> float:
    known = np.concatenate([array.ravel() for array in arrays if array is not None])
    return float(np.abs(known[np.isfinite(known)]).max(initial=0.0))


def _dates(times: NDArray[np.int64]) -> NDArray[Any]:
    return times.astype("datetime64[s]")


def _line(axis: Axes, times: NDArray[np.int64], values: Floats, **style: Any) -> None:
    """A line whose extremes survive thinning: of each run of points the lowest and the highest are drawn."""
    if len(times) > MOST_POINTS:
        size = -(-2 * len(times) // MOST_POINTS)
        starts = np.arange(0, len(times), size)
        rows = np.concatenate([_extremes(values[start : start + size]) + start for start in starts.tolist()])
        times, values = times[rows], values[rows]
    axis.plot(_dates(times), values, **style)


def _extremes(values: Floats) -> NDArray[np.int64]:
    if np.isnan(values).all():
        return np.array([0])
    return np.unique([np.nanargmin(values), np.nanargmax(values), *np.flatnonzero(np.isnan(values))[:1]])


def _gaps(axis: Axes, times: NDArray[np.int64], missing: NDArray[np.bool_], words: Words) -> None:
    edges = np.flatnonzero(np.diff(np.r_[False, missing, False].astype(int)))
    step = (times[1] - times[0]) if len(times) > 1 else 1
    spans = [(times[a] - step, times[b - 1] + step) for a, b in zip(edges[::2], edges[1::2], strict=True)]
    for number, (start, stop) in enumerate(spans[:200]):
        inside = _dates(np.clip(np.array([start, stop]), times[0], times[-1]))
        axis.axvspan(*inside, color=GREEN, alpha=0.18, lw=0, label="" if number else words("no samples"))
