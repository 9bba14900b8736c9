"""What Prometheus may know of tsf itself, counted when it asks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from tsf.errors import TsfError
from tsf.flow.queue import count_runs
from tsf.params import read_params
from tsf.project import TaskPaths
from tsf.server.service import Service

__all__ = ["ProjectCollector"]

ENDED = ("completed", "failed", "cancelled", "superseded")


class ProjectCollector(Collector):
    """Tasks by state, the queue, runs by outcome, and when each task last pushed."""

    def __init__(self, service: Service) -> None:
        self.service = service

    def describe(self) -> Iterator[Metric]:
        """Nothing is looked up when it is registered."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """One look at the project; without one there is nothing to say."""
        from tsf.server.tasks import task_states

        try:
            root = self.service.root
            params, counts = read_params(root), count_runs(root)
            states = Counter(task_states(root, params).values())
        except TsfError:
            return
        tasks = GaugeMetricFamily("tsf_tasks", "Tasks of params.yaml by state.", labels=["state"])
        for state, count in sorted(states.items()):
            tasks.add_metric([state], count)
        queue = GaugeMetricFamily("tsf_queue_runs", "Runs that wait or run.", labels=["state"])
        for state in ("pending", "running"):
            queue.add_metric([state], counts.get(state, 0))
        runs = CounterMetricFamily("tsf_runs", "Runs that have ended, by outcome.", labels=["state"])
        for state in ENDED:
            runs.add_metric([state], counts.get(state, 0))
        pushed = GaugeMetricFamily("tsf_last_push_timestamp_seconds", "When a task last pushed.", labels=["task"])
        for name in params.tasks:
            path = TaskPaths(root, name).pushed / "receipt.json"
            if path.exists():
                pushed.add_metric([name], path.stat().st_mtime)
        yield from (tasks, queue, runs, pushed)
