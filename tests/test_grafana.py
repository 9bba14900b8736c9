"""The dashboard for Grafana asks only for what tsf writes, and each of its panels has something to show."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from ruamel.yaml import YAML

from tests.io.test_exposition import INFO, forecast_of, present_of, samples
from tests.servers import running_prometheus, running_pushgateway
from tsf.io.exposition import forecast_exposition
from tsf.params import PushParams
from tsf.promql import selectors

DEPLOY = Path(__file__).parents[1] / "deploy/grafana"
DASHBOARD: dict[str, Any] = json.loads((DEPLOY / "tsf.json").read_text("utf-8"))
PANELS: list[dict[str, Any]] = DASHBOARD["panels"]
CHOSEN = {"task": "storage", "horizon": "24h"}
NOT_PUSHED = {  # of Prometheus itself, and of the Jupyter server
    "ALERTS": {"alertname", "alertstate", "task"},
    "tsf_queue_runs": {"state"},
    "http_request_duration_seconds_bucket": {"handler", "le"},
}


def pushed() -> bytes:
    """Its first series reaches the limit two hours from this call, and not from when the tests were collected."""
    forecast = forecast_of(
        {"group": ["vision", "speech", "new"]},
        abstained=np.array(["", "", "too short"], object),
        limit_time=np.array([time.time() + 7200, np.inf, np.nan]),
    )
    return forecast_exposition(forecast, present_of(forecast), "storage", PushParams(), INFO, int(time.time()))


def written() -> dict[str, set[str]]:
    """Every metric that can be asked for, with its own labels."""
    return NOT_PUSHED | {name: {*labels} - {"group"} for name, labels, _ in samples(pushed())}


def queries() -> Iterator[tuple[str, str]]:
    """(panel, PromQL) with the variables chosen."""
    for panel in PANELS:
        for target in panel["targets"]:
            yield panel["title"], re.sub(r"\$(\w+)", lambda match: CHOSEN[match[1]], target["expr"])


def test_the_dashboard_is_whole_and_bound_to_no_installation() -> None:
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    for panel in PANELS:
        assert panel["title"]
        assert panel["description"]
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert {one["datasource"]["uid"] for one in [panel, *panel["targets"]]} == {"${datasource}"}
        assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24
    for one, other in combinations((panel["gridPos"] for panel in PANELS), 2):
        beside = any(one[a] + one[d] <= other[a] or other[a] + other[d] <= one[a] for a, d in (("x", "w"), ("y", "h")))
        assert beside, f"{one} lies on {other}"
    assert "id" not in DASHBOARD


def test_it_can_be_provisioned_as_it_is() -> None:
    """Nothing in it is filled in by a person who imports it, and the provider is of the one form that Grafana reads."""
    assert "__inputs" not in DASHBOARD
    provider = YAML(typ="safe").load((DEPLOY / "provisioning.yml").read_text("utf-8"))
    assert provider["apiVersion"] == 1
    [one] = provider["providers"]
    assert one["type"] == "file"
    assert Path(one["options"]["path"]).is_absolute()


@pytest.mark.parametrize(("panel", "query"), [*queries()], ids=[panel for panel, _ in queries()])
def test_a_query_names_only_metrics_that_are_written_and_their_labels(panel: str, query: str) -> None:
    known, found = written(), selectors(query)
    assert found
    for selector in found:
        assert selector.name in known, panel
        assert {one.name for one in selector.matchers.matchers} <= known[selector.name], panel


def test_a_variable_lists_values_of_a_label_that_is_written() -> None:
    known = written()
    lists = [one["query"]["query"] for one in DASHBOARD["templating"]["list"] if one["type"] == "query"]
    assert len(lists) == len(CHOSEN)
    for text in lists:
        match = re.fullmatch(r"label_values\((\w+)(?:\{.*\})?, (\w+)\)", text)
        assert match
        assert match[2] in known[match[1]]


@pytest.mark.servers
def test_each_panel_of_the_forecast_has_data_after_a_push(tmp_path: Path) -> None:
    with running_pushgateway(tmp_path / "gateway") as gateway:
        requests.put(f"{gateway.url}/metrics/job/tsf", data=pushed(), timeout=10).raise_for_status()
        with running_prometheus(tmp_path / "prometheus", scrape=[gateway.url]) as prometheus:
            for panel, query in queries():
                answer = prometheus.query(query)
                mine = (
                    not {selector.name for selector in selectors(query)} & {"tsf_queue_runs"} and "bucket" not in query
                )
                assert answer or not mine, f"{panel} is empty: {query}"
            [hours] = prometheus.query(next(query for panel, query in queries() if panel == "Soonest at the limit"))
            assert 1.9 < float(hours["value"][1]) < 2.1
            [at_risk] = prometheus.query(next(query for panel, query in queries() if panel == "Series at risk"))
            assert float(at_risk["value"][1]) == 2
