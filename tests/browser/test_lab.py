"""What a person meets: every page with the real server, and what the pages do where something is amiss."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.browser.conftest import Lab

PAGES = {
    "tasks": ".tsf-long tbody th",
    "dashboard:storage": ".tsf-drawing .tsf-curve-median",
    "models:storage": ".tsf-figure",
    "report:storage": ".tsf-report iframe",
    "log": ".tsf-page h1",
}
HOSTILE = '<img src=x onerror="window.hurt=1"> {{7*7}} ${window.hurt=1} </script><b>bold</b> \u202egpj.exe'


def picture(page: Page, name: str) -> None:
    """Keep a picture where TSF_PICTURES names a folder: somebody wants to look at the pages."""
    if folder := os.environ.get("TSF_PICTURES"):
        page.screenshot(path=Path(folder) / f"{name}.png")


@pytest.mark.parametrize("theme", ["Light", "Dark"])
@pytest.mark.parametrize("name", PAGES)
def test_every_page_can_be_used_without_eyes_or_mouse(lab: Lab, name: str, theme: str) -> None:
    lab.set("@jupyterlab/apputils-extension:themes", theme=f"JupyterLab {theme}")
    page = lab.open(name)
    page.locator(PAGES[name]).first.wait_for()
    expect(page.locator("body")).to_have_attribute("data-jp-theme-light", "true" if theme == "Light" else "false")
    picture(page, f"{name.replace(':', '-')}-{theme.lower()}")
    for summary in page.locator(".tsf-numbers summary").all():
        summary.click()
    found = Axe().run(page, context={"include": [[".tsf-widget"]], "exclude": [["iframe"]]})
    assert found.violations_count == 0, found.generate_report()
    assert lab.errors == []
    assert [url for url in lab.asked if not url.startswith((lab.url, "data:", "blob:", "about:"))] == []


def test_the_most_urgent_series_opens_its_chart_with_a_table(lab: Lab) -> None:
    page = lab.open()
    entry = page.locator(".tsf-urgent .tsf-entry").first
    title = entry.locator(".tsf-entry-title").inner_text()
    entry.focus()
    page.keyboard.press("Enter")
    expect(page.locator(".tsf-main h2")).to_have_text(title)
    page.locator(".tsf-numbers summary").first.click()
    expect(page.locator(".tsf-numbers table").first).to_contain_text("actual")


def test_a_forecast_is_made_at_once_and_says_how_far_it_can_be_trusted(lab: Lab) -> None:
    page = lab.open("dashboard:storage")
    page.get_by_role("button", name="Predict now").click()
    expect(page.locator(".tsf-main [role=status]")).to_contain_text("interval held", timeout=60_000)
    page.get_by_label("Steps").fill("999")
    page.get_by_role("button", name="Predict now").click()
    expect(page.locator(".Toastify")).to_contain_text("999")


def test_a_task_is_run_and_watched_to_its_end(lab: Lab) -> None:
    page = lab.open("tasks")
    row = page.locator(".tsf-long tbody tr", has_text="cpu_usage_percent")
    row.get_by_role("button", name="Run cpu").click()
    expect(row.locator(".tsf-chip")).to_have_text(re.compile("pending|running"), timeout=20_000)
    expect(row.get_by_role("button", name="Cancel cpu")).to_be_visible()
    expect(row.locator(".tsf-chip")).to_have_text("completed", timeout=240_000)
    row.get_by_role("button", name="Log of cpu").click()
    expect(page.locator(".tsf-log")).to_contain_text("push")


def test_the_panel_of_a_task_lives_in_a_tab_with_its_own_kernel(lab: Lab) -> None:
    page = lab.open("setup:storage")
    panel = page.locator(".tsf-setup")
    expect(panel.locator(".widget-text, .widget-textarea, .jupyter-widgets").first).to_be_visible(timeout=60_000)
    expect(panel).not_to_contain_text("Traceback")
    picture(page, "setup-light")


def test_pages_are_there_again_after_a_reload(lab: Lab) -> None:
    page = lab.open("models:storage")
    page.locator(".tsf-table").first.wait_for()
    page.wait_for_timeout(1500)  # JupyterLab saves its layout when nothing has changed for a second
    page.goto(f"{lab.url}/lab")
    expect(page.locator(".tsf-page h1")).to_have_text("Models", timeout=60_000)


def test_the_pages_speak_chinese(lab: Lab) -> None:
    lab.set("tsf-lab:plugin", language="zh_CN")
    page = lab.open("tasks")
    expect(page.locator(".tsf-page h1")).to_have_text("任务")
    picture(page, "tasks-chinese")


def test_labels_and_names_from_outside_are_only_ever_text(lab: Lab) -> None:
    row = {
        "task": HOSTILE,
        "row": 0,
        "title": HOSTILE,
        "labels": {"user": HOSTILE},
        "used": 1,
        "limit": 2,
        "share": 0.5,
    }
    row |= {"p_breach": 0.9, "limit_time": None, "seconds_to_limit": 60, "alarm": True, "abstained": ""}
    lab.answer("/series", json={"items": [row], "total": 1})
    page = lab.open("tasks")
    expect(page.locator(".tsf-entry-title")).to_have_text(HOSTILE)
    assert page.locator(".tsf-urgent img, .tsf-urgent b").count() == 0
    assert page.evaluate("window.hurt") is None


@pytest.mark.parametrize(
    ("status", "answer", "words"),
    [
        (404, {"message": "Not Found"}, "The server part of tsf is not there"),
        (200, {"api_version": 99, "version": "9.9.9", "project": "p"}, "The server runs tsf 9.9.9"),
        (200, {"api_version": 1, "version": "0.1.0", "project": None, "message": "no project here"}, "no project here"),
        (403, {"message": "Forbidden"}, "You may not use tsf on this server"),
    ],
)
def test_a_server_that_does_not_fit_is_told_in_a_sentence(lab: Lab, status: int, answer: object, words: str) -> None:
    lab.answer("/", status, answer)
    page = lab.open("tasks")
    expect(page.locator(".tsf-urgent [role=alert]")).to_contain_text(words)
    expect(page.locator(".tsf-page [role=alert]")).to_contain_text(words)


def test_five_thousand_series_and_tasks_are_drawn_a_screen_at_a_time(lab: Lab) -> None:
    head = {"Authorization": "token browser"}
    tasks = lab.page.request.get(f"{lab.url}/tsf/api/tasks", headers=head).json()
    series = lab.page.request.get(f"{lab.url}/tsf/api/series", headers=head).json()["items"]
    many = [{**series[i % len(series)], "row": i, "title": f"series {i}"} for i in range(5000)]
    names = [{**tasks["items"][0], "id": f"task{i}", "name": f"task{i}"} for i in range(5000)]
    lab.answer("/series", json={"items": many, "total": 5000})
    lab.answer("/tasks", json={**tasks, "items": names, "total": 5000})
    page = lab.open("tasks")
    expect(page.locator(".tsf-count")).to_contain_text("5000 of 5000")
    assert page.locator(".tsf-entry").count() < 60
    assert page.locator(".tsf-long tbody tr").count() < 60
    page.locator(".tsf-urgent .tsf-scroll").evaluate("box => box.scrollTo(0, box.scrollHeight)")
    expect(page.locator(".tsf-entry").last).to_contain_text("series 4999")
    page.locator(".tsf-page .tsf-scroll").evaluate("box => box.scrollTo(0, box.scrollHeight)")
    expect(page.locator(".tsf-long tbody tr[aria-rowindex='5001']")).to_be_visible()
