"""A figure as accessible HTML: vector graphics in the page itself, a caption, and the numbers behind it."""

from __future__ import annotations

import hashlib
import re
import warnings
from html import escape
from io import StringIO
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from tsf.kinds import figure_text
from tsf.plots.style import settings

__all__ = ["figure_html"]

SVG: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "tsf",
    "path.simplify": True,
    "font.sans-serif": ["DejaVu Sans", "Verdana"],
}
MOST_ROWS = 200  # of a data table
LINES = re.compile(r"\bM -?[\d.]+ -?[\d.]+(?: L -?[\d.]+ -?[\d.]+)+")  # of a path, up to its first curve


def figure_html(figure: Figure, caption: str, table: pd.DataFrame | None = None) -> str:
    """`figure` as an HTML figure element with inline SVG, `caption`, and `table` to unfold.

    The same figure gives the same bytes. Everything is escaped; nothing is loaded from anywhere. Text stays text, so
    that it can be searched, copied and read aloud.
    """
    parts = [_svg(figure, caption), f"<figcaption>{escape(caption)}</figcaption>"]
    if table is not None:
        parts.append(f"<details><summary>The numbers</summary>{_table(table, caption)}</details>")
    return f"<figure>{''.join(parts)}</figure>"


def _svg(figure: Figure, caption: str) -> str:
    buffer = StringIO()
    with settings(SVG), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")  # the browser has the font
        figure.savefig(buffer, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    markup = buffer.getvalue()
    markup = markup[markup.index("<svg") :]
    for dead in (r"<metadata>.*?</metadata>", r"<!--.*?-->", r"(?<=>)\s+(?=<)"):
        markup = re.sub(dead, "", markup, flags=re.DOTALL)
    prefix = "f" + hashlib.sha256((caption + markup).encode()).hexdigest()[:8]
    used = set(re.findall(r'(?:url\(#|href="#)([^)"]+)', markup))
    markup = re.sub(r"<[^<>]+>", lambda tag: _lean(tag[0], prefix, used), markup)
    name = escape("".join(letter if letter.isprintable() else " " for letter in caption))
    return markup.replace("<svg ", f'<svg role="img" aria-label="{name}" ', 1)


def _lean(tag: str, prefix: str, used: set[str]) -> str:
    """One tag with ids of its own, without those that nothing refers to, and with coordinates that can be seen."""
    tag = re.sub(r' id="([^"]*)"', lambda name: f' id="{prefix}{name[1]}"' if name[1] in used else "", tag)
    tag = re.sub(r'(url\(#|href="#)', rf"\g<1>{prefix}", tag)
    tag = re.sub(r' transform="rotate\(-0 [^"]*"', "", tag)
    return re.sub(r' (?:d|x|y|transform|points)="[^"]*"', _shorter, tag)


def _shorter(numbers: re.Match[str]) -> str:
    """To a hundredth of a point: nobody sees more, and it halves a report. A line goes on without being named again."""
    short = re.sub(r"-?\d+\.\d{3,}", lambda number: f"{float(number[0]):.2f}", numbers[0].replace("\n", ""))
    return LINES.sub(lambda line: line[0].replace(" L ", " "), short)


def _table(table: pd.DataFrame, caption: str) -> str:
    corner, heads = str(table.index.name or "row"), map(str, table.columns)
    rows = [
        f'<tr><th scope="row">{escape(_text(index))}</th>'
        + "".join(f"<td>{escape(_text(cell))}</td>" for cell in row)
        + "</tr>"
        for index, *row in table.head(MOST_ROWS).itertuples(name=None)
    ]
    left_out = f", the first {MOST_ROWS} of {len(table):,} rows" if len(table) > MOST_ROWS else ""
    return (
        f"<table><caption>{escape(caption)}{left_out}</caption>"
        f'<thead><tr><th scope="col" class="text">{escape(corner)}</th>'
        + "".join(f'<th scope="col">{escape(head)}</th>' for head in heads)
        + f"</tr></thead><tbody>{''.join(rows)}</tbody></table>"
    )


def _text(cell: object) -> str:
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    return figure_text(cell, ",.5g") if isinstance(cell, float) else f"{cell:,}" if isinstance(cell, int) else str(cell)
