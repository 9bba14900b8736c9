"""What commands print: sentences, tables and changes, for a person at a terminal."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from tsf.io.files import read_json
from tsf.kinds import duration_text, figure_text, horizon_text, stamp_text
from tsf.params import Params, read_params
from tsf.project import TaskPaths

if TYPE_CHECKING:
    import pandas as pd

    from tsf.doctor import Finding

__all__ = [
    "clock",
    "say",
    "show_diff",
    "show_findings",
    "show_frame",
    "show_results",
    "show_table",
    "show_tasks",
    "warn",
]

out, err = Console(soft_wrap=True), Console(stderr=True, soft_wrap=True)


def say(text: str) -> None:
    """Print a sentence as it is."""
    out.print(text, markup=False, highlight=False)


def warn(text: str, style: str = "red") -> None:
    """Print a sentence on stderr."""
    err.print(text, markup=False, highlight=False, style=style)


def clock() -> str:
    """The moment, for lines of a process that stays."""
    return stamp_text(time.time())


def show_table(heads: Iterable[str], rows: Iterable[Sequence[str]], title: str = "") -> None:
    """Print cells, whose text is data and no markup."""
    table = _table(heads, title)
    for row in rows:
        table.add_row(*map(escape, row))
    out.print(table)


def show_frame(frame: pd.DataFrame, title: str = "") -> None:
    """Print the columns of a frame."""
    show_table(map(str, frame.columns), ([str(cell) for cell in row] for row in frame.itertuples(index=False)), title)


def show_diff(diff: str) -> None:
    """Print what a change of params.yaml takes away and adds."""
    for line in diff.splitlines():
        out.print(line, style={"+": "green", "-": "red"}.get(line[:1], ""), markup=False, highlight=False)


def show_tasks(params: Params) -> None:
    """Print a line per task."""
    rows = []
    for name, task in params.tasks.items():
        limit = "none" if task.fetch.limit is None else str(task.fetch.limit).removesuffix(".0")
        ahead = horizon_text(task.train.prediction_steps * task.fetch.step)
        step, history = duration_text(task.fetch.step), duration_text(task.fetch.history)
        rows.append((name, task.owner, task.fetch.metric_query, limit, step, history, task.train.model_type, ahead))
    show_table(("task", "owner", "query", "limit", "step", "history", "model", "ahead"), rows)


def show_findings(findings: Iterable[Finding]) -> None:
    """Print what the doctor found, states in colour."""
    table = _table(("check", "state", "found", "cure"))
    for one in findings:
        colour = {"ok": "green", "warn": "yellow", "fail": "red"}[one.state]
        table.add_row(escape(one.name), f"[{colour}]{one.state}[/]", escape(one.detail), escape(one.cure))
    out.print(table)


def show_results(root: Path) -> None:
    """Print the tables that the index shows, and where the index is."""
    forecasts, alarms = [], []
    for name in read_params(root).tasks:
        path = TaskPaths(root, name).evaluation / "metrics.json"
        if not path.exists():
            continue
        m = read_json(path)
        best = m["best_baseline"].replace("_", " "), figure_text(m["wql_best_baseline"])
        held = figure_text(m["coverage_80"], ".1%")
        forecasts.append((name, figure_text(m["wql"]), *best, figure_text(m["mase"], ".3f"), held))
        if a := m.get("alarms"):
            keys = ("breaches", "met", "false", "met_production", "false_production")
            alarms.append((name, *(f"{a[key]:,}" for key in keys)))
    show_table(("task", "WQL", "best baseline", "its WQL", "MASE", "coverage of 80 %"), forecasts)
    if alarms:
        heads = ("task", "breaches", "in time", "false alarms", "production rule: in time", "its false alarms")
        show_table(heads, alarms)
    out.print(f"Reports: {root / 'reports' / 'index.html'}", highlight=False)


def _table(heads: Iterable[str], title: str = "") -> Table:
    """An empty table whose cells go on in the next line where they are too long: half an id or path is of no use."""
    return Table(*(Column(head, overflow="fold") for head in heads), title=escape(title) or None)
