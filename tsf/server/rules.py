"""The alert rules of a task: read as they lie there, and written anew."""

from __future__ import annotations

from tsf.errors import SeriesError
from tsf.project import TaskPaths
from tsf.server import worker
from tsf.server.answers import Answer, json_answer, time_text
from tsf.server.service import Service

__all__ = ["read_rules", "write_task_rules"]


def read_rules(service: Service, task_id: str) -> Answer:
    """What the last push or export wrote."""
    service.task(task_id)
    paths = TaskPaths(service.root, task_id)
    rules, tests = paths.rules, paths.rule_tests
    try:
        texts = {"rules": rules.read_text(encoding="utf-8"), "tests": tests.read_text(encoding="utf-8")}
        written_at = rules.stat().st_mtime
    except OSError:
        what = f"the alert rules of task {task_id!r} were never written"
        raise SeriesError(what, where=task_id, cure="write them, or run the task") from None
    shown = {"path": service.shown_path(rules), "tests_path": service.shown_path(tests)}
    return json_answer({"task": task_id, **shown, **texts, "written_at": time_text(written_at)})


def write_task_rules(service: Service, task_id: str) -> Answer:
    """Write them anew."""
    service.task(task_id)
    service.compute(worker.write_rules, service.root, task_id)
    return read_rules(service, task_id)
