"""reports/index.html: every task with its stages, what its model is worth and what is about to fill up."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from tsf.errors import FlowError, ParamsError
from tsf.io.files import read_json, replacing
from tsf.kinds import chance_text, figure_text, moment_text, urgent_first
from tsf.params import Params, effective, read_params
from tsf.project import STAGES, TaskPaths

__all__ = ["write_index"]


def write_index(root: Path) -> Path:
    """Write the index of what is there now; tasks that never ran are listed as such."""
    params = read_params(root)
    folder = Path(__file__).parent / "report"
    environment = Environment(loader=FileSystemLoader(folder), autoescape=True, undefined=StrictUndefined)
    environment.filters |= {"figure": figure_text, "chance": chance_text}
    tasks = [_row(TaskPaths(root, name), task.owner) for name, task in params.tasks.items()]
    page = environment.get_template("tasks.html.j2").render(
        tasks=tasks,
        urgent=_urgent(tasks),
        source=_source(params),
        until=moment_text(params.snapshot.until_seconds),
        stages=STAGES,
    )
    path = root / "reports" / "index.html"
    with replacing(path) as file:
        file.write(page.encode())
    return path


def _source(params: Params) -> str:
    try:
        return effective(params.prometheus, os.environ).base_url
    except ParamsError:  # it may hold a password
        return "an address in PROMETHEUS_URL that cannot be used"


def _row(paths: TaskPaths, owner: str) -> dict[str, Any]:
    return {
        "name": paths.task,
        "owner": owner,
        "stages": {stage: _state(paths, stage) for stage in STAGES},
        "metrics": _json(paths.evaluation / "metrics.json"),
        "receipt": _json(paths.pushed / "receipt.json"),
    }


def _urgent(tasks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The most urgent series of all tasks, each with its task and the moment of its forecast."""
    most = max(12 // (len(tasks) or 1), 3)  # of each, or the one with most series at their limit would hide the others
    found = [
        {**series, "task": task["name"], "origin": task["receipt"].get("origin")}
        for task in tasks
        if task["receipt"]
        for series in task["receipt"]["most_urgent"][:most]
    ]
    left, chance = np.array([[row.get(key) for row in found] for key in ("seconds_left", "p_breach")], np.float64)
    return [found[row] for row in urgent_first(left, chance, np.full(len(found), np.nan))]


def _state(paths: TaskPaths, stage: Any) -> dict[str, str]:
    report, failed = paths.report(stage), paths.failed_notebook(stage)
    state = "failed" if failed.exists() else "done" if report.exists() else "not run"
    when = moment_text(report.stat().st_mtime) if report.exists() else ""
    link = f"{paths.task}/{stage}.html" if report.exists() else ""
    return {"state": state, "when": when, "link": link}


def _json(path: Path) -> dict[str, Any] | None:
    try:
        content = read_json(path)
    except FlowError:
        return None
    return content if isinstance(content, dict) else None
