"""The rule file of a task, from its parameters and what the replay of the model in use chose."""

from __future__ import annotations

from pathlib import Path

from tsf.alarm.rulecases import rule_tests
from tsf.alarm.rulefile import RuleTerms, rule_file
from tsf.io.exposition import output_names
from tsf.io.files import replacing
from tsf.io.owners import Owners, read_owners
from tsf.io.registry import alert_in_force, push_in_force
from tsf.kinds import duration_text, horizon_text
from tsf.params import AlertParams, PushParams, read_params
from tsf.project import TaskPaths, find_root

__all__ = ["write_rules"]


def write_rules(
    name: str,
    root: Path | None = None,
    owners: Owners | None = None,
    push: PushParams | None = None,
    alert: AlertParams | None = None,
) -> Path:
    """Write rules/TASK.yml for Prometheus, and rules/tests/TASK.yml for `promtool test rules`; the path of the first.

    A task without a limit gets those that watch its forecasts. Without an evaluation the threshold is that of
    params.yaml. owners: the map of alert.owners, by default read anew; then SourceError may be raised. push: what was
    pushed, by default what the champion has learnt of it. alert: that in force, by default with what the replay of the
    champion chose.
    """
    root = root or find_root()
    params = read_params(root)
    task = params.task(name)
    owners = owners or read_owners(task.alert.owners, root, params.prometheus)
    names = output_names([*task.train.dimensions, *owners.columns])
    paths = TaskPaths(root, name)
    alert, push = alert or alert_in_force(paths, task.alert), push or push_in_force(paths, task.push)
    terms = RuleTerms(
        task=name,
        horizons=[horizon_text(seconds) for seconds in sorted(push.horizons)],
        limited=task.fetch.limit is not None,
        threshold=alert.probability,
        for_text=duration_text(alert.hold * task.fetch.step),
        gate=alert.gate,
        confidence=task.alert.confidence,
        quantiles=sorted(push.quantiles),
        owner=task.owner,
        owner_labels=[names[column] for column in owners.columns],
        runbook=task.alert.runbook,
        labels=[names[label] for label in task.train.dimensions],
        query=task.fetch.metric_query,
    )
    beside = f"../{paths.rules.name}"
    for place, text in ((paths.rules, rule_file(terms)), (paths.rule_tests, rule_tests(terms, beside))):
        with replacing(place) as file:
            file.write(text.encode())
    return paths.rules
