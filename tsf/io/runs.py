"""What Prometheus may know of the stages: which fail, and when each last succeeded; it survives a run that fails.

It is a group of its own, beside those of the tasks: a stage that fails must not replace the forecast that is served.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tsf.io.pushgateway import send
from tsf.params import PrometheusParams
from tsf.project import STAGES, TaskPaths

__all__ = ["runs_exposition", "send_runs"]


def runs_exposition(root: Path, tasks: Iterable[str]) -> bytes:
    """The state of each stage of `tasks`, as it lies on disk; a stage that never ran has no line."""
    failed, success = [], []
    for paths in (TaskPaths(root, name) for name in tasks):
        for stage in STAGES:
            labels = f'{{task="{paths.task}",stage="{stage}"}}'
            fails, report = paths.failed_notebook(stage).exists(), paths.report(stage)
            failed += [f"tsf_stage_failed{labels} {int(fails)}"] if fails or report.exists() else []
            if report.exists():
                success.append(f"tsf_stage_success_timestamp_seconds{labels} {report.stat().st_mtime:.0f}")
    return "\n".join([
        "# HELP tsf_stage_failed Whether the newest run of a stage failed.", "# TYPE tsf_stage_failed gauge", *failed,
        "# HELP tsf_stage_success_timestamp_seconds Unix time when a stage last succeeded.",
        "# TYPE tsf_stage_success_timestamp_seconds gauge", *success, "",
    ]).encode()  # fmt: skip


def send_runs(root: Path, server: PrometheusParams, tasks: Iterable[str]) -> str:
    """Write that to where forecasts go; return where. Raises SinkError."""
    return send(runs_exposition(root, tasks), server, root / "textfile", None)
