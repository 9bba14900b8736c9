"""The first ten minutes of a newcomer, with a real Prometheus, a Pushgateway, and a name that nobody may trust."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext

from tests.browser.journey import HOSTILE, demo_samples, journey
from tests.browser.lab import LabServer, opened, serving
from tests.pipeline.conftest import make_project
from tests.servers import Server, run_promtool

pytestmark = pytest.mark.servers
TEN_MINUTES = 600


@pytest.fixture(scope="module")
def prometheus(prometheus_server: Callable[..., Server], pushgateway: Server) -> Server:
    return prometheus_server(samples=demo_samples(), scrape=[pushgateway.url])


@pytest.fixture(scope="module")
def empty(prometheus: Server, pushgateway: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabServer]:
    """A project without a task, pointed at the two servers."""
    folder = tmp_path_factory.mktemp("journey")
    made = make_project(folder / "project", ())
    made.edit(prometheus__base_url=prometheus.url, prometheus__pushgateway_url=pushgateway.url)
    with serving(made, folder) as server:
        yield server


def test_a_newcomer_goes_from_the_launcher_to_a_forecast_in_prometheus(
    empty: LabServer, prometheus: Server, context: BrowserContext, tmp_path: Path
) -> None:
    lab = opened(empty, context)
    watch, rules = journey(lab, tmp_path)
    assert sum(watch.steps.values()) < TEN_MINUTES, watch.steps
    assert lab.errors == []
    assert lab.strangers == []
    assert lab.page.evaluate("window.hurt") is None
    checked = run_promtool("check", "rules", str(rules))
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "storage-oncall" in rules.read_text()
    deadline = time.monotonic() + 90
    while not (found := prometheus.query('tsf_forecast{task="storage",horizon="6h",quantile="0.5"}')):
        assert time.monotonic() < deadline, "the forecast is not in Prometheus"
        time.sleep(0.3)
    assert HOSTILE in {one["metric"]["user"] for one in found}
