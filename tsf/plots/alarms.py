"""Figures of alarms: can the chance be believed, what a threshold costs, and what each rule did to a series."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from tsf.plots.style import BLUE, GREEN, GREY, PALETTE, RED, date_axis, nothing, panels, plain, share_axis, styled

__all__ = ["Timeline", "plot_audit", "plot_policy", "plot_reliability", "plot_timelines"]


@dataclass(frozen=True, eq=False)
class Timeline:
    """One series over T steps: times, share of the limit, breach probability, and where breaches and rules are on."""

    title: str
    times: NDArray[np.int64]
    share: NDArray[np.float64]
    chance: NDArray[np.float64]
    breach: NDArray[np.bool_]
    fires: dict[str, NDArray[np.bool_]]
    line: float


@styled
def plot_reliability(table: pd.DataFrame) -> Figure:
    """What was said against what came: a row per tenth with `said`, `came` and `n`."""
    if table.empty:
        return nothing("No breach probability could be judged")
    off = float((np.abs(table["said"] - table["came"]) * table["n"]).sum() / table["n"].sum())
    figure, (axis,) = panels(1, f"The chance of a breach is off by {100 * off:.1f} points on average", height=3.4)
    axis.plot([0, 1], [0, 1], color=GREY, ls="--", lw=1, label="right")
    axis.plot(table["said"], table["came"], color=BLUE, lw=1)
    size = 20 + 120 * np.sqrt(table["n"] / table["n"].max())
    axis.scatter(table["said"], table["came"], s=size, color=BLUE, label="measured; larger: more cases", zorder=3)
    for _, row in table.iterrows():
        axis.annotate(f"{row['n']:,.0f}", (row["said"], row["came"]), (7, -9), textcoords="offset points", fontsize=8)
    axis.set(xlabel="chance that was said", ylabel="share of breaches that came", xlim=(0, 1), ylim=(0, 1))
    axis.set_aspect("equal")
    share_axis(axis, "x")
    share_axis(axis, "y")
    axis.legend(loc="upper left", bbox_to_anchor=(1.02, 1))
    return figure


@styled
def plot_policy(curve: pd.DataFrame, budget: float) -> Figure:
    """Alarms against breaches met, a point per threshold (the index): `alarms` a week and team, `recall`, `chosen`."""
    if curve.empty or curve["recall"].isna().all():
        return nothing("There were no breaches to choose a threshold by")
    chosen = curve[curve["chosen"]]
    title = "No threshold was chosen"
    if len(chosen):
        point = chosen.iloc[0]
        title = (
            f"At {chosen.index[0]:.0%}, {point['recall']:.0%} of the breaches are met in time with "
            f"{point['alarms']:.1f} alarms a week and team"
        )
    figure, (axis,) = panels(1, title, height=3.2)
    axis.plot(curve["alarms"], curve["recall"], "o-", color=BLUE, ms=4, label="threshold")
    for number, (threshold, row) in enumerate(curve.iterrows()):
        if number % 3 == 0:
            place = (row["alarms"], row["recall"])
            axis.annotate(f"{threshold:.0%}", place, (6, -10), textcoords="offset points", fontsize=8)
    axis.plot(chosen["alarms"], chosen["recall"], "o", ms=10, mfc="none", mec=RED, mew=2, label="chosen")
    axis.axvline(budget, color=GREY, ls="--", lw=1, label=f"budget, {budget:g} a week")
    axis.set(xlabel="alarms a week and team", ylabel="breaches met in time", ylim=(0, 1.02), xlim=(0, None))
    share_axis(axis)
    axis.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
    return figure


@styled
def plot_audit(moments: pd.DataFrame, names: Sequence[str], *, time_zone: str = "UTC") -> Figure:
    """Over time: the share of values inside the interval that was forecast for them, and how far off the median was.

    moments: a row per `horizon` and `time` with `inside`, `error` and `promised`; names: of the horizons, in order.
    """
    if moments.empty:
        return nothing("No forecast is old enough to be compared with what came")
    figure, axes = panels(2, "What the forecasts of the last days were worth", height=2.4)
    for (_, part), name, colour in zip(moments.groupby("horizon"), names, cycle(PALETTE), strict=False):
        dates = part["time"].to_numpy().astype("datetime64[s]")
        for axis, column in zip(axes, ("inside", "error"), strict=True):
            axis.plot(dates, part[column], ".-", color=colour, ms=4, label=f"{name} ahead")
    axes[0].axhline(moments["promised"].iloc[0], color=GREY, ls="--", lw=1, label="promised")
    axes[0].set(title="values inside the interval", ylim=(0, 1.02))
    axes[1].set(title="distance from the median", ylim=(0, None))
    for axis in axes:
        share_axis(axis)
        date_axis(axis, time_zone)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower left", ncols=4)
    return figure


@styled
def plot_timelines(timelines: Sequence[Timeline], *, time_zone: str = "UTC") -> Figure:
    """Usage, its line and the breaches of each series, and below it when each rule fired."""
    if not timelines:
        return nothing("No series breached its limit")
    figure, axes = panels(len(timelines), "When the rules fired, and when the breaches came", columns=1, height=2.6)
    for axis, one in zip(axes, timelines, strict=True):
        dates = one.times.astype("datetime64[s]")
        low = float(np.nanmin(one.share)) if np.isfinite(one.share).any() else 0.0
        room = max(1.02 - low, 0.05)
        axis.plot(dates, one.share, color=BLUE, lw=1.2, label="used")
        axis.axhline(one.line, color=GREY, ls="--", lw=1, label="alert line")
        axis.fill_between(
            dates, low - room, 1.04, where=one.breach.tolist(), color=RED, alpha=0.2, lw=0, label="breach"
        )
        for number, (name, fires) in enumerate(one.fires.items()):
            place = low - room * (0.12 + 0.16 * number)
            axis.plot(dates, np.where(fires, place, np.nan), color=GREEN if number == 0 else GREY, lw=5,
                      solid_capstyle="butt")  # fmt: skip
            axis.annotate(plain(name, 34), (1.0, place), (4, -3), xycoords=("axes fraction", "data"),
                          textcoords="offset points", fontsize=8, color=GREEN if number == 0 else GREY)  # fmt: skip
        axis.set_ylim(low - room * (0.3 + 0.16 * len(one.fires)), 1.04)
        axis.set_title(plain(one.title), fontsize=9)
        axis.set_xlim(dates[0], dates[-1])
        share_axis(axis)
        date_axis(axis, time_zone)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower left", ncols=3)
    return figure
