"""What notebooks show: headings, sentences, tables and figures as safe, accessible HTML that needs no network."""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import pandas as pd

from tsf.kinds import figure_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Html", "figure", "heading", "sentence", "table"]

NUMBER = re.compile(r"[<>]?-?[\d.,]+( ?(%|[A-Za-z]+(/s)?)( \d+ [a-z]+)?)?|–")  # 1,234 and <1 %, 12.5 GiB/s, 1 h 30 min
ON_ONE_LINE = 17  # signs of a cell that no browser shall break, such as 100 % (100–100 %)


@dataclass(frozen=True)
class Html:
    """Markup that Jupyter shows as it is; only this module makes it, and escapes all that it is given."""

    markup: str

    def _repr_html_(self) -> str:
        return self.markup


def heading(title: str, lead: str = "") -> Html:
    """The head of a page, with one sentence that says the outcome."""
    return Html(f"<h1>{escape(title)}</h1>" + (f"<p><strong>{escape(lead)}</strong></p>" if lead else ""))


def sentence(text: str, *, strong: bool = False) -> Html:
    """One paragraph; strong: what a person should read if nothing else."""
    return Html(f"<p><strong>{escape(text)}</strong></p>" if strong else f"<p>{escape(text)}</p>")


def table(frame: pd.DataFrame, caption: str) -> Html:
    """A table with row and column heads and a caption; the index must be named, as a head without text helps nobody."""
    corner = str(frame.index.name or "row")
    aligned = [_alignment(frame[name]) for name in frame.columns]
    heads = "".join(
        f'<th scope="col"{how}>{escape(str(name))}</th>' for name, how in zip(frame.columns, aligned, strict=True)
    )
    rows = "".join(
        f'<tr><th scope="row">{escape(str(index))}</th>'
        + "".join(f"<td{how}>{escape(_text(cell))}</td>" for cell, how in zip(row, aligned, strict=True))
        + "</tr>"
        for index, row in zip(frame.index, frame.itertuples(index=False), strict=True)
    )
    return Html(
        f"<table><caption>{escape(caption)}</caption>"
        f'<thead><tr><th scope="col" class="text">{escape(corner)}</th>{heads}</tr></thead>'
        f"<tbody>{rows}</tbody></table>"
    )


def figure(drawn: Figure, caption: str, data: pd.DataFrame | None = None) -> Html:
    """A figure with its caption and the numbers behind it."""
    from tsf.plots import figure_html

    return Html(figure_html(drawn, caption, data))


def _text(cell: object) -> str:
    if isinstance(cell, float):
        return figure_text(cell, ",.4g")
    return f"{cell:,}" if isinstance(cell, int) else str(cell)


def _alignment(column: pd.Series[Any]) -> str:
    """The class of a column that reads as words; numbers, shares and amounts stand to the right without one."""
    words = any(isinstance(cell, str) and not NUMBER.fullmatch(cell) for cell in column)
    short = max((len(str(cell)) for cell in column), default=0) <= ON_ONE_LINE
    return f' class="text{" short" * short}"' if words else ""
