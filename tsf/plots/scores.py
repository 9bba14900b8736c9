"""Figures of tables: how training went, and how good the forecasts are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from tsf.kinds import chance_text, figure_text, share_text, span_text
from tsf.plots.style import BLUE, GREY, PALETTE, RED, nothing, panels, plain, share_axis, styled

__all__ = [
    "plot_backtest",
    "plot_breach_urgency",
    "plot_by_horizon",
    "plot_coverage",
    "plot_past",
    "plot_training",
    "plot_tuning",
]

SCORES = {"wql": "weighted quantile loss", "mase": "error over the seasonal naive one (MASE)"}


@styled
def plot_training(epochs: pd.DataFrame) -> Figure:
    """Losses and learning rate over the epochs.

    epochs: a row per epoch with `epoch`, `train_loss`, `validation_loss`, `learning_rate` and `best` (best so far).
    """
    best = epochs[epochs["best"]].iloc[-1] if epochs["best"].any() else epochs.iloc[-1]
    number, loss = int(best["epoch"]), float(best["validation_loss"])
    title = f"Epoch {number:,} of {len(epochs):,} was best, with a validation loss of {loss:.4g}"
    if not epochs["best"].any():
        title = f"None of {len(epochs):,} epochs was better than the start; the last one gives {loss:.4g}"
    figure, (left, right) = panels(2, title, height=2.8)
    left.plot(epochs["epoch"], epochs["train_loss"], color=BLUE, label="training")
    left.plot(epochs["epoch"], epochs["validation_loss"], color=RED, label="validation")
    left.plot([number], [loss], "o", ms=7, mfc="white", mec=RED, mew=1.6, label="kept")
    left.set(xlabel="epoch", ylabel="loss", title="Loss: lower is better")
    left.legend()
    right.plot(epochs["epoch"], epochs["learning_rate"], color=GREY)
    right.set(xlabel="epoch", ylabel="learning rate", title="Learning rate", ylim=(0, None))
    for axis in (left, right):
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure


@styled
def plot_tuning(trials: pd.DataFrame) -> Figure:
    """The loss of each trial of a search and the best so far; the first trial is what was there before.

    trials: a row per trial with `wql`, NaN where the trial was cut short.
    """
    loss, number = trials["wql"].to_numpy(np.float64), np.arange(len(trials))
    gain = 1 - np.nanmin(loss) / loss[0]
    title = f"The best of {len(trials)} trials is {figure_text(gain, '.1%')} better than the present parameters"
    if gain <= 0:
        title = f"None of {len(trials)} trials is better than the present parameters"
    figure, (axis,) = panels(1, title, height=2.8)
    cut = np.isnan(loss)
    axis.plot(number[~cut], loss[~cut], "o", color=BLUE, ms=5, label="trial")
    axis.plot(number[cut], np.full(cut.sum(), np.nanmax(loss)), "x", color=GREY, ms=5, label="cut short")
    axis.step(number, np.fmin.accumulate(loss), where="post", color=RED, label="best so far")
    axis.axhline(loss[0], color=GREY, ls="--", lw=1, label="present parameters")
    axis.set(xlabel="trial", ylabel="weighted quantile loss")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.legend(loc="upper left", bbox_to_anchor=(1.01, 1))
    return figure


@styled
def plot_backtest(table: pd.DataFrame) -> Figure:
    """Bars of the WQL of every forecaster, and of its MASE where the table has it.

    table: a row per forecaster, the model first, with `wql` and perhaps `mase`.
    """
    model, rivals = str(table.index[0]), table["wql"].iloc[1:].dropna()
    title = f"{model} has a loss of {table['wql'].iloc[0]:.4g}"
    if len(rivals) and rivals.min() > 0:
        gain = 1 - table["wql"].iloc[0] / rivals.min()
        verdict = f"{chance_text(abs(gain))} {'better' if gain > 0 else 'worse'}" if gain else "no better"
        title = f"{model} is {verdict} than the best of the others, {rivals.idxmin()}"
    names = [name for name in SCORES if name in table]
    figure, axes = panels(len(names), plain(title, 110), height=0.5 + 0.36 * len(table))
    for axis, name in zip(axes, names, strict=True):
        ranked = table[name].sort_values(ascending=False)
        colours = [BLUE if index == table.index[0] else "#b8b8b8" for index in ranked.index]
        _bars(axis, ranked, colours)
        axis.set_xlabel(SCORES[name], loc="right")  # centred, the longer one would run off the page
    return figure


@styled
def plot_by_horizon(frame: pd.DataFrame) -> Figure:
    """WQL by how far ahead: hours as the index, a column per forecaster, the model first."""
    model = str(frame.columns[0])
    best = int((frame.iloc[:, 0] <= frame.min(axis=1)).sum())
    title = f"{model} is the best of all at {best} of {len(frame)} distances"
    figure, (axis,) = panels(1, plain(title, 110), height=3.2)
    for number, name in enumerate(frame.columns):
        colour, width = (PALETTE[number % len(PALETTE)], 2.4 if number == 0 else 1.3)
        marker = "osD^vPX"[number % 7]  # told apart without colour
        axis.plot(frame.index, frame[name], color=colour, lw=width, marker=marker, ms=5, label=plain(name, 40))
    if len(frame) <= 12:
        axis.set_xticks(frame.index, [f"{hours:.4g}" for hours in frame.index])
    axis.set(xlabel="hours ahead, up to", ylabel="weighted quantile loss", ylim=(0, None))
    axis.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
    return figure


@styled
def plot_coverage(frame: pd.DataFrame) -> Figure:
    """How often the truth lay below each quantile: nominal levels as the index, `measured` shares as the column."""
    nominal, measured = frame.index.to_numpy(np.float64), frame["measured"].to_numpy(np.float64)
    off = np.abs(measured - nominal)
    worst = int(np.nanargmax(off)) if np.isfinite(off).any() else 0
    title = f"Right to within {100 * off[worst]:.1f} points; the {share_text(nominal[worst])} quantile is furthest off"
    figure, (axis,) = panels(1, title, height=3.6)
    axis.plot([0, 1], [0, 1], color=GREY, ls="--", lw=1, label="right")
    axis.fill_between([0, 1], [-0.05, 0.95], [0.05, 1.05], color=GREY, alpha=0.12, lw=0, label="within 5 points")
    axis.plot(nominal, measured, "o-", color=BLUE, ms=5, label="measured")
    axis.set(xlabel="quantile", ylabel="share of values below it", xlim=(0, 1), ylim=(0, 1), aspect="equal")
    share_axis(axis, "x")
    share_axis(axis, "y")
    axis.legend(loc="upper left", bbox_to_anchor=(1.02, 1))
    return figure


@styled
def plot_past(frame: pd.DataFrame) -> Figure:
    """How far the forecast moves without a part of the past: hours before the origin, the oldest first, as the index.

    frame: shares, a column per series; the first, which is drawn broader, is the mean of all where there are several.
    """
    first = str(frame.columns[0])
    heaviest = float(frame.index[int(np.nanargmax(frame[first]))]) if frame[first].notna().any() else 0.0
    title = f"Of the past, what lay up to {span_text(3600 * heaviest)} back weighs most"
    figure, (axis,) = panels(1, title, height=3.0)
    edges = [*frame.index, 0.0]
    for number, name in enumerate(frame.columns):
        colour, width = PALETTE[number % len(PALETTE)], 2.4 if number == 0 else 1.2
        axis.stairs(frame[name], edges, color=colour, lw=width,
                    baseline=None, label=plain(str(name), 40))  # fmt: skip
    axis.set(xlabel="hours before the forecast", ylabel="forecast moves by", xlim=(edges[0], 0), ylim=(0, None))
    share_axis(axis, "y")
    axis.legend(loc="upper left", bbox_to_anchor=(1.01, 1))
    return figure


@styled
def plot_breach_urgency(frame: pd.DataFrame, probability: float = 0.5, gate: float = 0.0) -> Figure:
    """The chance of a breach of each series, most urgent first: a column per horizon (such as `6h`), shares 0 … 1.

    probability: from which on an alarm fires. gate: share of the limit that must be in use for it.
    """
    if frame.empty:
        return nothing("Without a limit there is no breach to expect")
    firing = int((frame.iloc[:, -1] >= probability).sum())
    title = f"At or over the alarm's {share_text(probability)}: {firing} of these {len(frame)} series"
    title += f"; it asks for {share_text(gate)} of the limit in use, too" if gate > 0 else ""
    figure, (axis,) = panels(1, title, height=0.7 + 0.3 * max(len(frame), 1))
    place = np.arange(len(frame))[::-1]
    axis.hlines(place, frame.min(axis=1), frame.max(axis=1), color="#c4c4c4", lw=2)
    for number, name in enumerate(frame.columns):
        colour = PALETTE[(2, 3, 1, 0, 4, 5, 6)[number % 7]]
        axis.plot(frame[name], place, "osD^vPX"[number % 7], color=colour, ms=6, label=f"within {plain(name, 20)}")
    axis.axvline(probability, color=RED, lw=1, ls="--")
    axis.set_yticks(place, [plain(name, 60) for name in frame.index])
    axis.set(xlabel="chance of a breach", xlim=(-0.02, 1.02), ylim=(-0.6, len(frame) - 0.4))
    share_axis(axis, "x")
    figure.legend(*axis.get_legend_handles_labels(), loc="outside lower left", ncols=len(frame.columns))
    return figure


def _bars(axis: Axes, ranked: pd.Series[float], colours: Sequence[str]) -> None:
    """Horizontal bars, the last on top, each with its number."""
    bars = axis.barh([plain(name, 40) for name in ranked.index], ranked.to_numpy(), color=colours, height=0.7)
    axis.bar_label(bars, fmt="%.3g", padding=3, fontsize=9, color=GREY)
    axis.margins(x=0.2)
    axis.grid(visible=False, axis="y")
