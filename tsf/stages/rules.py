"""The rule file of a task, from its parameters and what the replay of its last evaluation chose."""

from __future__ import annotations

from pathlib import Path

from tsf.alarm.rulefile import RuleTerms, rule_file, rule_tests
from tsf.errors import ParamsError
from tsf.io.files import read_json, replacing
from tsf.params import duration_text, horizon_text, read_params
from tsf.project import TaskPaths, find_root

__all__ = ["write_rules"]

TAKEN = {"task", "horizon", "quantile", "job"}  # written back as exported_<name>


def write_rules(name: str, root: Path | None = None) -> Path:
    """Write rules/TASK.yml for Prometheus, and rules/TASK.test.yml for `promtool test rules`; the path of the first.

    Without an evaluation the threshold is that of params.yaml. Raises ParamsError for a task without a limit.
    """
    root = root or find_root()
    task = read_params(root).task(name)
    if task.fetch.limit is None:
        raise ParamsError(f"task {name} has no limit, so nothing can breach", cure=f"set tasks.{name}.fetch.limit")
    scores = TaskPaths(root, name).evaluation / "metrics.json"
    chosen = read_json(scores).get("alarms", {}) if scores.exists() else {}
    held = chosen.get("hold_steps", task.alert.hold) * task.fetch.step
    terms = RuleTerms(
        task=name,
        horizon=horizon_text(max(task.push.horizons)),
        threshold=chosen.get("threshold", task.alert.probability),
        for_text=duration_text(held),
        owner=task.owner,
        runbook=task.alert.runbook,
        labels=tuple(label for label in task.train.dimensions if label not in TAKEN and not label.startswith("__")),
        query=task.fetch.metric_query,
    )
    path = root / "rules" / f"{name}.yml"
    for place, text in ((path, rule_file(terms)), (path.with_suffix(".test.yml"), rule_tests(terms, path.name))):
        with replacing(place) as file:
            file.write(text.encode())
    return path
