"""What alarms the owners of tasks had to bear in the last week, against what they said they would."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from tsf.errors import TsfError
from tsf.io.alerts import count_alarms
from tsf.io.registry import champion_metrics
from tsf.params import TaskParams, effective, read_params
from tsf.project import TaskPaths

__all__ = ["find_alarms", "noise_of"]

NOT_YET = "the alarms of the week are being counted"
NO_LIMIT = "the task has no limit, so nothing fires"
NO_ALERTS = "the demo fleet has no Prometheus that could fire alerts"
NOT_LOADED = "Prometheus does not evaluate rules/{task}.yml: name it in rule_files"


def find_alarms(root: Path) -> dict[str, int | str]:
    """The alarms of each task with a limit in the last seven days, or why they are unknown."""
    params = read_params(root)
    horizons = {name: max(task.push.horizons) for name, task in params.tasks.items() if task.fetch.limit is not None}
    server = effective(params.prometheus, os.environ)
    if server.base_url == "demo":
        return dict.fromkeys(horizons, NO_ALERTS)
    try:
        counts = count_alarms(server, horizons, int(time.time())) if horizons else {}
    except TsfError as fault:
        return dict.fromkeys(horizons, str(fault))
    return {name: counts.get(name, NOT_LOADED.format(task=name)) for name in horizons}


def noise_of(task: TaskParams, paths: TaskPaths, teams: int, found: int | str | None) -> dict[str, Any]:
    """A task's noise, of all its `teams` together: counted, as the replay expects it, and what they will bear."""
    if task.fetch.limit is None:
        return {"alarms": None, "expected": None, "budget": None, "reason": NO_LIMIT}
    weekly = _weekly(paths)
    return {
        "alarms": found if isinstance(found, int) else None,
        "expected": None if weekly is None else weekly * teams,
        "budget": task.alert.budget * teams,
        "reason": NOT_YET if found is None else found if isinstance(found, str) else "",
    }


def _weekly(paths: TaskPaths) -> float | None:
    """Alarms a week and team in the replay of the model in use."""
    try:
        return float(champion_metrics(paths)["alarms"]["alarms_per_week"])
    except (TsfError, LookupError, TypeError, ValueError):
        return None
