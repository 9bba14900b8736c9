"""How often the alert of a task has fired, counted from what Prometheus itself keeps of its alerts."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping

from tsf.errors import ServerError
from tsf.io.http import Client, opened
from tsf.params import PrometheusParams, effective

__all__ = ["WEEK_SECONDS", "count_alarms"]

WEEK_SECONDS = 7 * 86_400
STEP_SECONDS = 600
ALERT, RECORD = "TsfBreachSoon", "task:tsf_forecast_fresh:bool"  # of the rule file of each task


def count_alarms(server: PrometheusParams, horizon_seconds: Mapping[str, int], until_seconds: int) -> dict[str, int]:
    """Alarms of each task in the seven days up to `until_seconds`, counted almost as the replay counts them.

    horizon_seconds: of each task; what fires within it after an alarm is the same alarm, what still fires then is a new
    one. While a series is over its line the replay counts nothing, but Prometheus goes on firing, and is counted here.
    A task whose rule file the server has not evaluated in these days is left out: that it was quiet says nothing.
    Raises SourceError.
    """
    tasks = f"task=~{json.dumps('|'.join(horizon_seconds))}"  # names of tasks hold nothing but a-z, 0-9 and _
    firing = f'ALERTS{{alertname="{ALERT}",alertstate="firing",{tasks}}}'
    times = {"start": until_seconds - WEEK_SECONDS, "end": until_seconds, "step": STEP_SECONDS}
    with opened(effective(server, os.environ), os.environ) as client:
        watched = _matrix(client, f"max_over_time({RECORD}{{{tasks}}}[{STEP_SECONDS}s])", times)
        series = f"max without (severity) (max_over_time({firing}[{STEP_SECONDS}s]))"  # a ticket may become a page
        fired = _matrix(client, series, times)
    counts = Counter({labels["task"]: 0 for labels, _ in watched})
    for labels, moments in fired:
        counts[labels["task"]] += _alarms(moments, horizon_seconds[labels["task"]])
    return dict(counts)


def _alarms(moments: Iterable[float], horizon_seconds: int) -> int:
    count, quiet_until = 0, float("-inf")
    for moment in moments:
        if moment >= quiet_until:
            count, quiet_until = count + 1, moment + horizon_seconds
    return count


def _matrix(client: Client, query: str, times: Mapping[str, int]) -> list[tuple[dict[str, str], list[float]]]:
    """Labels of each series and the times at which it has a sample."""
    result = client.ask_data("/api/v1/query_range", {"query": query, **times}, "alarms of the last week")
    try:
        return [(one["metric"], [float(moment) for moment, _ in one["values"]]) for one in result["result"]]
    except (LookupError, TypeError, ValueError):
        raise ServerError(
            "its answer is not that of a Prometheus", where=client.server.base_url, cure="check prometheus.base_url"
        ) from None
