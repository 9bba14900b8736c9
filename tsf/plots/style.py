"""One look for all figures: colours that colour-blind people tell apart, units that people read, text that is text."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from threading import RLock
from typing import Any, Literal, ParamSpec, TypeVar
from zoneinfo import ZoneInfo

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from numpy.typing import NDArray

from tsf.kinds import share_text
from tsf.words import Words

__all__ = [
    "BLUE",
    "DARK_RED",
    "GREEN",
    "GREY",
    "ORANGE",
    "PALETTE",
    "RED",
    "SKY",
    "WIDTH",
    "clock",
    "date_axis",
    "nothing",
    "panels",
    "plain",
    "settings",
    "share_axis",
    "styled",
]

P = ParamSpec("P")
R = TypeVar("R")

BLUE, RED, GREEN, ORANGE, PURPLE, SKY = "#0072B2", "#D55E00", "#009E73", "#E69F00", "#CC79A7", "#56B4E9"  # Okabe, Ito
GREY, DARK_RED = "#595959", "#A34700"  # dark enough for small text
PALETTE = (BLUE, RED, GREEN, ORANGE, PURPLE, SKY, "#000000")
STYLE: Any = {
    "font.family": "sans-serif",
    "font.size": 10.0,
    "axes.titlesize": 10.0,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#8c8c8c",
    "axes.labelcolor": GREY,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.facecolor": "white",
    "figure.facecolor": "white",
    "figure.titlesize": 12.0,
    "grid.color": "#e3e3e3",
    "grid.linewidth": 0.8,
    "legend.frameon": False,
    "legend.fontsize": 9.0,
    "lines.linewidth": 1.4,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "text.usetex": False,
}
WIDTH = 9.0
_alone = RLock()


@contextmanager
def settings(own: Any) -> Iterator[None]:
    """These settings of matplotlib inside, for one thread at a time: they are those of all threads."""
    with _alone, rc_context(own):
        yield


def styled(draw: Callable[P, R]) -> Callable[P, R]:
    """Draw in the style of this module, whatever the reader's own settings are."""

    @wraps(draw)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        with settings(STYLE):
            return draw(*args, **kwargs)

    return wrapper


def plain(text: object, limit: int = 70) -> str:
    """Foreign text as one line that matplotlib does not take for mathematics."""
    line = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in str(text))
    short = line if len(line) <= limit else line[: limit - 1] + "…"
    return short.replace("$", r"\$")


def panels(count: int, title: str, *, columns: int = 2, height: float = 1.9) -> tuple[Figure, NDArray[Any]]:
    """A figure of `count` panels with a common title that says the finding, and their axes in reading order."""
    columns = min(columns, count)
    rows = -(-count // columns)
    figure = Figure(figsize=(WIDTH, rows * height + 0.9), layout="constrained")
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for spare in axes[count:]:
        figure.delaxes(spare)
    return figure, axes[:count]


def nothing(title: str) -> Figure:
    """A figure that only says why there is nothing to see."""
    figure = Figure(figsize=(WIDTH, 0.7))
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold")
    return figure


def clock(time_zone: str, words: Words = str) -> str:
    """What stands below dates."""
    return words("time in {zone}").format(zone=time_zone)


def date_axis(axes: Axes, time_zone: str, words: Words = str) -> None:
    """Dates along x, in the clock of `time_zone`."""
    zone = ZoneInfo(time_zone)
    # Both ignores: matplotlib has not annotated these two constructors.
    locator: Any = AutoDateLocator(tz=zone, minticks=3, maxticks=7)  # type: ignore[no-untyped-call]
    month, day = words("%b"), words("%b-%d")  # a day alone would leave its month to be guessed
    form: Any = ConciseDateFormatter(  # type: ignore[no-untyped-call]
        locator,
        tz=zone,
        formats=["%Y", month, day, "%H:%M", "%H:%M", "%S.%f"],
        zero_formats=["", "%Y", day, day, "%H:%M", "%H:%M"],
        show_offset=False,
    )
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(form)


def share_axis(axes: Axes, which: Literal["x", "y"] = "y") -> None:
    """Shares 0 … 1 as per cent along one axis."""
    axis = axes.yaxis if which == "y" else axes.xaxis
    axis.set_major_formatter(lambda value, _: share_text(value))
