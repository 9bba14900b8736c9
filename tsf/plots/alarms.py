"""Figures of alarms: can the chance be believed, what a threshold costs, and what each rule did to a series."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from tsf.kinds import chance_text, count_text, share_text
from tsf.plots.style import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PALETTE,
    RED,
    SKY,
    WIDTH,
    clock,
    date_axis,
    nothing,
    panels,
    plain,
    share_axis,
    styled,
)  # fmt: skip

__all__ = ["Timeline", "plot_audit", "plot_policy", "plot_reliability", "plot_rules", "plot_timelines"]

MANY = 30  # cases; a share of fewer says little
LONGEST = 44  # signs of the name of a rule


@dataclass(frozen=True, eq=False)
class Timeline:
    """One series over T steps: times, share of the limit, and where breaches and rules are on.

    low, high: the interval that had been forecast for each moment before, line: where the limit counts as reached; all
    as shares of the limit.
    """

    title: str
    times: NDArray[np.int64]
    share: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    breach: NDArray[np.bool_]
    fires: dict[str, NDArray[np.bool_]]
    line: NDArray[np.float64]


@styled
def plot_rules(table: pd.DataFrame) -> Figure:
    """What each rule did (a row, ours first): left `false alarms`, right breaches `in time`, `too late`, `missed`."""
    breaches = int(table[["in time", "too late", "missed"]].iloc[0].sum())
    ours = table.iloc[0]
    false = count_text(ours["false alarms"], "false alarm", "false alarms")
    title = f"Ours announced {ours['in time']:,} of {count_text(breaches, 'breach', 'breaches')} in time, with {false}"
    figure = Figure(figsize=(WIDTH, 0.32 * len(table) + 1.3), layout="constrained")
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold")
    wrong, right = figure.subplots(1, 2, sharey=True)
    place = np.arange(len(table))
    wrong.barh(place, table["false alarms"], color=[ORANGE if row else RED for row in place])
    start = np.zeros(len(table))
    for name, colour in (("in time", GREEN), ("too late", SKY), ("missed", "#d9d9d9")):
        right.barh(place, table[name], left=start, color=colour, label=name)
        start += table[name].to_numpy(float)
    for row, (false, met) in enumerate(zip(table["false alarms"], table["in time"], strict=True)):
        wrong.annotate(
            f"{false:,}", (false, row), (-4, 0), textcoords="offset points", ha="right", va="center", fontsize=8
        )
        right.annotate(f"{met:,}", (0, row), (4, 0), textcoords="offset points", va="center", fontsize=8)
    most = max(int(table["false alarms"].max()), 1)
    wrong.set(xlim=(1.18 * most, 0), xlabel="false alarms: fewer is better")
    right.set(xlim=(0, max(breaches, 1)), xlabel="breaches: more in time is better")
    wrong.set_yticks(place, [plain(name, LONGEST) for name in table.index])
    wrong.get_yticklabels()[0].set_fontweight("bold")
    wrong.invert_yaxis()
    for axis in (wrong, right):
        axis.grid(visible=False, axis="y")
        axis.tick_params(axis="y", length=0)
        axis.xaxis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 5, 10], integer=True))
    wrong.xaxis.set_major_formatter("{x:,.0f}")
    figure.legend(*right.get_legend_handles_labels(), loc="outside lower right", ncols=3)
    return figure


@styled
def plot_reliability(table: pd.DataFrame) -> Figure:
    """What was said against what came: a row per tenth with `said`, `came` and `n`; few cases are drawn hollow."""
    if table.empty:
        return nothing("No breach probability could be judged")
    off, many = 100 * np.abs(table["said"] - table["came"]), table["n"] >= MANY
    title = f"The chance of a breach is off by {(off * table['n']).sum() / table['n'].sum():.1f} points on average"
    if many.any():  # most cases have next to no chance, and hide in the mean how far off the others are
        title += f", and by {off[many].max():.0f} at most"
    figure, (axis,) = panels(1, title, height=3.4)
    axis.plot([0, 1], [0, 1], color=GREY, ls="--", lw=1, label="right")
    axis.plot(table["said"][many], table["came"][many], color=BLUE, lw=1)
    size = 20 + 120 * np.sqrt(table["n"] / table["n"].max())
    for some, face, label in (
        (many, BLUE, "measured; larger: more cases"), (~many, "white", f"fewer than {MANY} cases: by chance"),
    ):  # fmt: skip
        if some.any():
            axis.scatter(table["said"][some], table["came"][some], s=size[some], facecolor=face, edgecolor=BLUE,
                         label=label, zorder=3, clip_on=False)  # fmt: skip
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
    """`alarms` a week and team against breaches met (`recall`), a point per choice; index: threshold; `chosen`: one."""
    if curve.empty:
        return nothing("The threshold was not chosen: it is as params.yaml sets it")
    if curve["recall"].isna().all():
        return nothing("There were no breaches to choose a threshold by")
    chosen = curve[curve["chosen"]]
    title = "No threshold was chosen"
    if len(chosen):
        point = chosen.iloc[0]
        title = (
            f"At {share_text(float(chosen.index[0]))}, {chance_text(point['recall'])} of the breaches are announced in "
            f"time with {point['alarms']:.1f} alarms a week and team"
        )
    figure, (axis,) = panels(1, title, height=3.2)
    axis.plot(
        curve["alarms"], curve["recall"], "o-", color=BLUE, ms=4, drawstyle="steps-post", label="the best choices"
    )
    every = max(1, len(curve) // 6)
    for number, (threshold, row) in enumerate(zip(curve.index.tolist(), curve.to_dict("records"), strict=True)):
        if number % every == 0:
            place = (row["alarms"], row["recall"])
            axis.annotate(share_text(threshold), place, (6, -10), textcoords="offset points", fontsize=8)
    axis.plot(chosen["alarms"], chosen["recall"], "o", ms=10, mfc="none", mec=RED, mew=2, label="chosen", clip_on=False)
    axis.axvline(budget, color=GREY, ls="--", lw=1, label=f"budget, {budget:g} a week")
    axis.set(xlabel="alarms a week and team", ylabel="breaches announced in time", ylim=(0, 1.02), xlim=(0, None))
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
        axis.set_xlabel(clock(time_zone))
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower left", ncols=4)
    return figure


@styled
def plot_timelines(timelines: Sequence[Timeline], *, time_zone: str = "UTC", ahead: str = "") -> Figure:
    """Usage, limit, the interval that was forecast and the breaches of each series, and below when each rule fired.

    ahead: how long before the interval was forecast, in words.
    """
    if not timelines:
        return nothing("No breach began in the weeks that were judged")
    figure, axes = panels(len(timelines), "When the rules fired, and when the breaches came", columns=1, height=2.6)
    for axis, one in zip(axes, timelines, strict=True):
        dates = one.times.astype("datetime64[s]")
        known = one.share[np.isfinite(one.share)]
        low, high = float(known.min(initial=1.0)), float(known.max(initial=1.0))  # a soft limit can be exceeded
        room, top = max(high + 0.02 - low, 0.05), high + 0.06
        bottom = low - room * (0.1 + 0.16 * len(one.fires))
        axis.fill_between(dates, one.low, one.high, color=SKY, alpha=0.4, lw=0,
                          label=f"80 % interval, forecast {ahead} before".replace("  ", " "))  # fmt: skip
        axis.plot(dates, one.share, color=BLUE, lw=1.3, label="used")
        axis.axhline(1, color=GREY, lw=1, label="limit")
        axis.plot(dates, one.line, color=GREY, ls="--", lw=1, label="alert line")
        axis.fill_between(dates, bottom, top, where=one.breach.tolist(), color=RED, alpha=0.25, lw=0, label="breach")
        for number, (name, fires) in enumerate(one.fires.items()):
            place, colour = low - room * (0.12 + 0.16 * number), GREY if number else GREEN
            axis.plot(dates, np.where(fires, place, np.nan), color=colour, lw=6, solid_capstyle="butt")
            axis.annotate(plain(name, LONGEST), (1.0, place), (4, -3), xycoords=("axes fraction", "data"),
                          textcoords="offset points", fontsize=8, color=colour)  # fmt: skip
        axis.set_ylim(bottom, top)
        axis.set_yticks([tick for tick in axis.get_yticks() if low - 0.02 <= tick <= high + 0.02])
        axis.set_title(plain(one.title), fontsize=9)
        axis.set_xlim(dates[0], dates[-1])
        share_axis(axis)
        date_axis(axis, time_zone)
    axes[-1].set_xlabel(clock(time_zone))
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower left", ncols=5)
    return figure
