"""The first ten minutes of a newcomer, from the launcher to alert rules and a forecast in Prometheus."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from playwright.sync_api import expect

from tests.browser.lab import RUN_MILLISECONDS, Lab, picture
from tests.servers import OpenMetric, openmetrics
from tsf.io.demo import fetch_demo
from tsf.params import DemoParams, FetchParams

HOSTILE = '<img src=x onerror="window.hurt=1"> {{7*7}} ${window.hurt=1} </script><b>bold</b> \u202egpj.exe'
SHOWN = HOSTILE.replace("\u202e", r"\u202e")  # it would turn round all that follows it
# A newcomer would leave the preset as it is and wait; this makes the same way in a minute.
QUICK = {
    "What is read": {"history": "15d"},
    "The model and how it learns": {
        "sequence_length": "24",
        "prediction_steps": "6",
        "epochs": "2",
        "hidden_dim": "8",
        "members": "1",
        "holdout": "3d",
    },
    "What is written back": {"horizons": "[1h, 6h]"},
}


def demo_samples(days: int = 16) -> str:
    """Storage areas of a small demo fleet up to this hour, one of whose users has a hostile name."""
    fetch = FetchParams(metric_query="storage_used_bytes", limit="storage_quota_bytes", history=f"{days}d")
    series, _ = fetch_demo(DemoParams(groups=2, users_per_group=2), fetch, int(time.time()) // 3600 * 3600)
    assert series.limit is not None
    odd = series.labels["user"][0]
    values = series.values.copy()
    values[0] = np.where(np.isfinite(values[0]), 0.99 * series.limit[0], np.nan)  # the most urgent of all
    metrics = []
    for row in range(series.n_series):
        labels = {name: str(column[row]) for name, column in series.labels.items()}
        labels["user"] = HOSTILE if labels["user"] == odd else labels["user"]
        for name, amounts in (("storage_used_bytes", values[row]), ("storage_quota_bytes", series.limit[row])):
            known = np.isfinite(amounts)
            metrics.append(OpenMetric(name, labels, series.times[known].tolist(), amounts[known].tolist()))
    return openmetrics(*metrics)


@dataclass
class Stopwatch:
    """How long each step took, in seconds."""

    steps: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        start = time.monotonic()
        yield
        self.steps[name] = time.monotonic() - start


def journey(lab: Lab, downloads: Path) -> tuple[Stopwatch, Path]:
    """Go the whole way; returns the times of its steps and the rule file that the browser has stored."""
    watch, page = Stopwatch(), lab.page
    with watch.step("open JupyterLab"):
        lab.open()
        card = page.locator(".jp-LauncherCard", has_text="New task")
        expect(card).to_be_visible()
        expect(page.locator(".tsf-urgent")).to_contain_text("There is no task yet")
        picture(page, "launcher")
    with watch.step("open the panel"):
        card.click()
        panel = page.locator(".tsf-setup")
        query = panel.get_by_label("Metric (PromQL)")
        expect(query).to_be_visible(timeout=90_000)
    with watch.step("choose a preset, see the data"):
        panel.get_by_label("Task", exact=True).select_option("new, from preset gpu")
        expect(panel).to_contain_text("GPU memory moves in plateaus")
        panel.get_by_label("Task", exact=True).select_option("new, from preset storage")
        expect(query).to_have_value("storage_used_bytes")
        expect(panel.locator(".tsf-paper svg").first).to_be_visible()
        expect(panel.get_by_label("group (2)")).to_be_checked()
    with watch.step("mend a wrong query"):
        query.fill("sum(storage_used_bytes")
        expect(panel.locator("[role=alert]")).to_contain_text("not PromQL")
        expect(panel.get_by_role("button", name="Run")).to_be_disabled()
        query.fill("storage_used_byte")
        expect(panel.locator("[role=status]")).to_contain_text("there is storage_used_bytes")
        query.fill("storage_used_bytes")
        expect(panel.get_by_role("button", name="Run")).to_be_enabled()
    with watch.step("fill in the form"):
        panel.get_by_label("Owner", exact=True).fill("storage-oncall")
        for section, fields in QUICK.items():
            panel.get_by_role("button", name=section).press("Enter")
            for label, text in fields.items():
                panel.get_by_label(label, exact=True).fill(text)
    with watch.step("plan"):
        panel.get_by_role("button", name="Plan").click()
        expect(panel).to_contain_text("minutes of training", timeout=120_000)
        expect(panel).to_contain_text("+  storage:")
        panel.get_by_text("The plan").evaluate("one => one.scrollIntoView()")
        picture(page, "plan")
    with watch.step("run: fetch, train, evaluate, push"):
        panel.get_by_role("button", name="Run").click()
        expect(panel.locator("[role=status]", has_text="Running:")).to_be_visible()
        expect(page.locator(".tsf-urgent .tsf-chip-running")).to_be_visible()
        expect(panel.locator("[role=status]", has_text="Completed.")).to_be_visible(timeout=RUN_MILLISECONDS)
        expect(panel).to_contain_text("that of the best baseline")
        expect(panel).to_contain_text(SHOWN)
        panel.locator("figure").last.scroll_into_view_if_needed()
        picture(page, "results")
    with watch.step("read the report"):
        page.locator(".tsf-urgent").get_by_role("button", name="Tasks").click()
        row = page.locator(".tsf-long tbody tr", has_text="storage_used_bytes")
        expect(row.locator(".tsf-chip")).to_have_text("completed")
        row.get_by_role("button", name="Report of storage").click()
        report = page.frame_locator(".tsf-report iframe")
        expect(report.locator("h1")).to_contain_text("what is about to fill up")
        expect(report.locator("table").first).to_contain_text(SHOWN)
    with watch.step("predict"):
        page.locator(".tsf-urgent").get_by_role("button", name="Dashboard").click()
        page.get_by_role("button", name="Predict now").click()
        expect(page.locator(".tsf-main [role=status]")).to_contain_text("interval held")
        page.get_by_label("Search series").last.fill("onerror")
        page.locator(".tsf-picker .tsf-entry").first.click()
        expect(page.locator(".tsf-main h2")).to_contain_text(SHOWN)
        picture(page, "predicted")
    with watch.step("export the alert rules"):
        page.get_by_role("button", name="Alert rules").click()
        with page.expect_download() as download:
            page.get_by_role("link", name="Download").click()
        rules = downloads / download.value.suggested_filename
        download.value.save_as(rules)
    with watch.step("push"):
        before = lab.server.ask("GET", "/tsf/api/tasks/storage")["last_push"]
        page.locator(".tsf-urgent").get_by_role("button", name="Dashboard").click()
        page.get_by_role("button", name="Push now").click()
        page.locator(".tsf-urgent").get_by_role("button", name="Tasks").click()
        expect(row.locator(".tsf-chip")).to_have_text("running")
        expect(row.locator(".tsf-chip")).to_have_text("completed", timeout=RUN_MILLISECONDS)
        assert lab.server.ask("GET", "/tsf/api/tasks/storage")["last_push"] > before
    return watch, rules
