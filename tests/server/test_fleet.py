"""The demo fleet as an exporter says what the embedded one says, and a real Prometheus understands it."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from tests.servers import free_port, running_prometheus
from tsf.io.demo import METRICS, fetch_demo
from tsf.params import DemoParams, FetchParams
from tsf.series import label_rows
from tsf.server.fleet import FleetCollector

ROOT = Path(__file__).parents[2]
NOW = 1_790_000_000 // 3_600 * 3_600


def test_a_scrape_gives_each_series_the_value_that_the_embedded_fleet_has() -> None:
    registry = CollectorRegistry()
    registry.register(FleetCollector(DemoParams(), clock=lambda: NOW + 0.9))
    families = {family.name: family for family in text_string_to_metric_families(generate_latest(registry).decode())}
    assert {*families} == {*METRICS}
    for name, family in families.items():
        # A name that ends in _total is taken for a counter, but may be a limit.
        query, limit = ("gpu_memory_used", name) if name.endswith("_total") else (name, None)
        series, _ = fetch_demo(DemoParams(), FetchParams(metric_query=query, limit=limit, history="2h"), NOW)
        values = series.values if series.limit is None else series.limit
        embedded = {
            frozenset(labels.items()): value
            for labels, value in zip(label_rows(series.labels), values[:, -1].tolist(), strict=True)
            if np.isfinite(value)
        }
        scraped = {frozenset(sample.labels.items()): sample.value for sample in family.samples}
        assert scraped == pytest.approx(embedded)


@pytest.mark.servers
def test_a_prometheus_scrapes_the_fleet(tmp_path: Path) -> None:
    port = free_port()
    command = [sys.executable, "-m", "tsf.server.fleet", "--port", str(port)]
    with subprocess.Popen(command, cwd=ROOT) as exporter:
        try:
            scrape = (
                "global: {scrape_interval: 1s}\nscrape_configs:\n"
                f"  - {{job_name: fleet, scrape_timeout: 1s, static_configs: [{{targets: ['127.0.0.1:{port}']}}]}}\n"
            )
            with running_prometheus(tmp_path, config=scrape) as server:
                deadline = time.monotonic() + 60
                while not (found := server.query("storage_used_bytes / storage_quota_bytes")):
                    assert time.monotonic() < deadline
                    time.sleep(0.2)
        finally:
            exporter.terminate()
    assert len(found) > 100
    assert all({"group", "user", "storage_type", "cluster"} <= {*one["metric"]} for one in found)
