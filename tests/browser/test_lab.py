"""What a person meets: every page with the real server, and what the pages do where something is amiss."""

from __future__ import annotations

import os
import re
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, Locator, Page, Route, expect

from tests.browser.lab import RUN_MILLISECONDS, Lab, multiply, opened, picture

PAGES = {
    "tasks": ".tsf-long tbody th",
    "dashboard:storage": ".tsf-drawing .tsf-curve-median",
    "models:storage": ".tsf-figure",
    "report:storage": ".tsf-report iframe",
    "rules:storage": ".tsf-rules",
    "log": ".tsf-page h1",
    "setup:storage": ".tsf-setup .widget-checkbox",  # they come with the look at the data
}
START = re.compile("(Run|Retry) cpu")
HOSTILE = '<img src=x onerror="window.hurt=1"> {{7*7}} ${window.hurt=1} </script><b>bold</b> \u202egpj.exe'


def check_access(page: Page) -> None:
    """Fail where axe finds anything in the side-bar or in the page."""
    # JupyterLab's body is 0 px high and hides what overflows: axe would take every text for invisible.
    page.add_style_tag(content="html, body { height: 100% }")
    parts = {"include": [[".tsf-urgent"], [".tsf-page, .tsf-setup"]], "exclude": [["iframe"]]}
    deadline = time.monotonic() + 90  # until the colours of the last theme have faded and the page has its new height
    while True:
        found = Axe().run(page, context=parts, options={})
        looked_at = {rule["id"]: len(rule["nodes"]) for rule in found.response["passes"]}
        calm = found.violations_count == 0 and looked_at.get("color-contrast", 0) > 5
        if calm or time.monotonic() > deadline:
            break
        page.wait_for_timeout(500)
    assert found.violations_count == 0, found.generate_report()
    assert looked_at.get("color-contrast", 0) > 5, sorted(looked_at)


@pytest.mark.parametrize("name", PAGES)
def test_every_page_can_be_used_without_eyes_or_mouse(lab: Lab, name: str) -> None:
    page = lab.open(name)
    page.locator(PAGES[name]).first.wait_for()
    for theme in ("light", "dark"):
        if theme == "dark":
            lab.choose_theme("JupyterLab Dark")
        expect(page.locator("body")).to_have_attribute("data-jp-theme-light", "true" if theme == "light" else "false")
        picture(page, f"{name.replace(':', '-')}-{theme}")
        page.evaluate("for (const one of document.querySelectorAll('.tsf-numbers')) one.open = true")
        check_access(page)
    assert lab.errors == []
    assert lab.strangers == []


def test_the_most_urgent_series_opens_its_chart_with_a_table(lab: Lab) -> None:
    page = lab.open()
    entry = page.locator(".tsf-urgent .tsf-entry").first
    title = entry.locator(".tsf-entry-title").inner_text()
    entry.focus()
    page.keyboard.press("Enter")
    expect(page.locator(".tsf-main h2")).to_have_text(title)
    expect(page.locator(".tsf-figure figcaption").first).to_contain_text("Time (Asia/Shanghai)")
    expect(page.locator(".tsf-facts")).to_contain_text(re.compile(r"Forecast from\s*1 Nov, 08:00 GMT\+8"))
    page.locator(".tsf-numbers summary").first.click()
    expect(page.locator(".tsf-numbers table").first).to_contain_text("actual")


def test_a_forecast_is_made_at_once_and_says_how_far_it_can_be_trusted(lab: Lab) -> None:
    page = lab.open("dashboard:storage")
    status = page.locator(".tsf-main [role=status]")
    with page.expect_response(re.compile("/tsf/api/predict$")) as answered:
        page.get_by_role("button", name="Predict now").click()
    expect(status).to_contain_text("on windows that did not teach")
    [alone] = answered.value.json()["predictions"]
    expect(page.locator(".tsf-main h2")).to_have_text(alone["title"])
    page.locator(".tsf-picker .tsf-entry").nth(1).click()  # for which nothing was asked
    expect(status).to_be_empty()
    page.locator(".tsf-picker .tsf-entry").nth(0).click()
    expect(status).to_contain_text("interval held")
    page.get_by_label("Steps").fill("999")
    page.get_by_role("button", name="Predict now").click()
    expect(page.locator(".Toastify")).to_contain_text("999")
    page.get_by_role("button", name="Back to the pushed forecast").click()
    expect(page.locator(".tsf-main [role=status]")).to_be_empty()
    page.get_by_label("Steps").fill("")
    page.get_by_role("button", name="Predict now").click()
    expect(page.locator(".tsf-main [role=status]")).to_contain_text("interval held")
    tasks = lab.server.ask("GET", "/tsf/api/tasks")
    items = [{**task, "last_push": "2099-01-01T00:00:00Z"} for task in tasks["items"]]
    lab.answer("/tasks", json={**tasks, "items": items})  # somebody has pushed: what was tried is older than that
    expect(page.locator(".tsf-main [role=status]")).to_be_empty()


def test_a_chosen_series_stays_chosen_when_a_push_gives_it_another_row_and_is_missed_when_it_is_gone(lab: Lab) -> None:
    tasks, series = (lab.server.ask("GET", f"/tsf/api/{name}") for name in ("tasks", "series"))
    other, chosen, *rest = series["items"]
    page = lab.open("dashboard:storage")
    page.locator(".tsf-picker .tsf-entry").nth(1).click()
    expect(page.locator(".tsf-main h2")).to_have_text(chosen["title"])
    swapped = [{**chosen, "row": other["row"]}, {**other, "row": chosen["row"]}, *rest]
    with page.expect_request(re.compile(rf"/tsf/api/tasks/storage/chart\?row={other['row']}&")):
        lab.answer("/series", json={**series, "items": swapped})
    expect(page.locator(".tsf-picker [aria-current=true]")).to_contain_text(chosen["title"])
    lab.await_layout("tsf-dashboard", lambda kept: kept.get("labels") == chosen["labels"])
    page.goto(f"{lab.url}/lab")  # the tab is there again, with the series
    expect(page.locator(".tsf-picker [aria-current=true]")).to_contain_text(chosen["title"])
    lab.answer("/series", json={**series, "items": [other, *rest]})
    expect(page.locator(".tsf-main")).to_contain_text(f"is not among the {len(rest) + 1} most urgent")
    for task in tasks["items"]:
        if task["name"] == "storage":
            task["urgency"]["total"] -= 1
    lab.answer("/tasks", json=tasks)
    expect(page.locator(".tsf-main")).to_contain_text("is no longer in the forecast of storage")
    picture(page, "gone")
    page.locator(".tsf-picker .tsf-entry").first.click()
    expect(page.locator(".tsf-main h2")).to_have_text(other["title"])


def test_a_chart_that_was_asked_for_while_the_server_was_away_comes_once_it_is_back(lab: Lab) -> None:
    page = lab.open("dashboard:storage")
    page.locator(".tsf-main h2").wait_for()
    chart = re.compile("/tsf/api/tasks/storage/chart")
    page.route(chart, lambda route: route.abort())
    entry = page.locator(".tsf-picker .tsf-entry").nth(1)
    entry.click()
    expect(page.locator(".tsf-main .tsf-note")).to_contain_text("does not answer")
    page.unroute(chart)
    expect(page.locator(".tsf-main h2")).to_have_text(entry.locator(".tsf-entry-title").inner_text())


def test_on_a_slow_server_nothing_of_before_stands_under_what_was_chosen_since(lab: Lab) -> None:
    held: list[Route] = []
    page = lab.open("dashboard:storage")
    page.locator(".tsf-main h2").wait_for()
    page.route(re.compile("/tsf/api/(tasks/storage/chart|reports/storage/train)"), lambda route: held.append(route))
    entry = page.locator(".tsf-picker .tsf-entry").nth(1)
    entry.click()
    expect(page.locator(".tsf-main")).to_contain_text("Loading…")
    expect(page.locator(".tsf-main h2, .tsf-main figure")).to_have_count(0)
    expect(page.get_by_role("button", name="Predict now")).to_be_disabled()
    held.pop().continue_()
    expect(page.locator(".tsf-main h2")).to_have_text(entry.locator(".tsf-entry-title").inner_text())
    page.locator(".tsf-urgent").get_by_role("button", name="Tasks").click()
    page.get_by_role("button", name="Report of storage").click()
    page.locator(".tsf-report iframe").wait_for()
    page.locator(".tsf-report").get_by_role("button", name="train").click()
    expect(page.locator(".tsf-report")).to_contain_text("Loading…")
    expect(page.locator(".tsf-report iframe")).to_have_count(0)
    held.pop().continue_()
    page.locator(".tsf-report iframe").wait_for()


@pytest.mark.parametrize(
    ("name", "asked"), [("models:storage", "models/task/storage"), ("rules:storage", "tasks/storage/rules")]
)
def test_a_page_that_waits_for_a_slow_server_says_so(lab: Lab, name: str, asked: str) -> None:
    held: list[Route] = []
    lab.page.route(re.compile(f"/tsf/api/{asked}"), lambda route: held.append(route))
    page = lab.open(name)
    expect(page.locator(".tsf-page")).to_contain_text("Loading…")
    expect(page.locator(".tsf-page table")).to_have_count(0)
    held.pop().continue_()
    page.locator(PAGES[name]).first.wait_for()
    expect(page.locator(".tsf-page")).not_to_contain_text("Loading…")


def test_values_that_are_written_from_right_to_left_keep_their_places(lab: Lab) -> None:
    series = lab.server.ask("GET", "/tsf/api/series")
    first = {**series["items"][0], "title": "צוות · עידן · north"}
    lab.answer("/series", json={**series, "items": [first, *series["items"][1:]]})
    values = lab.open("dashboard:storage").locator(".tsf-picker .tsf-entry").first.locator("bdi")
    expect(values).to_have_count(3)
    places = [values.nth(i).evaluate("one => one.getBoundingClientRect().left") for i in range(3)]
    assert places == sorted(places)


@pytest.mark.parametrize("name", ["dashboard", "models"])
def test_no_other_task_stands_in_the_place_of_one_that_is_gone(lab: Lab, name: str) -> None:
    page = lab.open(f"{name}:deleted_elsewhere")
    expect(page.locator(".tsf-page")).to_contain_text("There is no task deleted_elsewhere. Choose another.")
    page.locator(".tsf-page").get_by_label("Task").select_option("storage")
    page.locator(PAGES[f"{name}:storage"]).first.wait_for()


def test_why_a_series_is_forecast_so_is_asked_for_when_it_is_opened_and_anew_for_another(lab: Lab) -> None:
    page = lab.open("dashboard:storage")
    why = page.locator(".tsf-main details", has_text="Why it is forecast so")
    why.locator("summary").click()
    rows = why.locator("tbody tr")
    expect(rows).to_have_count(8)
    expect(rows.first).to_contain_text("B")  # in the unit of the metric
    asked = lab.server.ask("POST", "/tsf/api/explain", {"task": "storage"})
    rows.last.scroll_into_view_if_needed()
    picture(page, "why")
    with page.expect_request(re.compile("/tsf/api/explain$")) as other:
        page.locator(".tsf-picker .tsf-entry").nth(1).click()
    assert other.value.post_data_json["labels"] != asked["labels"]
    expect(rows).to_have_count(8)
    lab.answer("/explain", status=502, json={"message": "the server is away; start it.", "reason": "failed"})
    page.locator(".tsf-picker .tsf-entry").nth(2).click()
    expect(why).to_contain_text("the server is away; start it.")


@pytest.mark.parametrize("width", [900, 1000, 1400])
def test_pages_leave_room_for_what_matters_in_any_width(lab: Lab, width: int) -> None:
    lab.page.set_viewport_size({"width": width, "height": 860})
    page = lab.open("dashboard:storage")
    page.locator(PAGES["dashboard:storage"]).first.wait_for()
    expect(page.locator(".tsf-drawing").first).to_be_in_viewport(ratio=0.8)
    picture(page, f"dashboard-{width}")
    inner = page.locator(".tsf-dashboard").evaluate("one => one.clientWidth") - 32
    drawing = page.locator(".tsf-drawing").first.evaluate("one => one.clientWidth")
    assert drawing > 0.6 * inner, "the list leaves no room for the chart"
    for box in (".tsf-main", ".tsf-facts"):
        assert page.locator(box).evaluate("one => one.scrollWidth - one.clientWidth") <= 0, f"{box} is clipped"
    page = lab.open("tasks")
    heads = page.locator(".tsf-long thead th")
    heads.first.wait_for()
    picture(page, f"tasks-{width}")
    assert heads.filter(has_text="Limit reached").evaluate("one => one.clientWidth") > 140
    room = page.locator(".tsf-page .tsf-scroll").evaluate("one => one.clientWidth - one.scrollWidth")
    assert width < 1000 or room >= 0, "in a common window no button is out of sight"


def test_where_no_limit_is_known_nothing_is_said_about_it(lab: Lab) -> None:
    tasks, series = (lab.server.ask("GET", f"/tsf/api/{name}") for name in ("tasks", "series"))
    chart = lab.server.ask("GET", "/tsf/api/tasks/storage/chart")
    unknown = {"p_breach": None, "limit_time": None}
    task = next(one for one in tasks["items"] if one["name"] == "storage")
    task = {**task, "limit": None, "urgency": {**task["urgency"], **unknown, "seconds_to_limit": None, "likely": 0}}
    rows = [{**row, **unknown, "limit": None, "seconds_to_limit": None, "alarm": False} for row in series["items"]]
    lab.answer("/tasks", json={**tasks, "items": [task], "total": 1})
    lab.answer("/series", json={"items": rows, "total": 20_000})
    chart |= {"limit": None, "level": None, "breaches": [], "alarms": [], "forecast": {**chart["forecast"], **unknown}}
    lab.answer("/tasks/storage/chart", json=chart)
    page = lab.open("dashboard:storage")
    expect(page.locator(".tsf-facts")).to_contain_text("no limit")
    expect(page.locator(".tsf-facts")).not_to_contain_text("Chance")
    expect(page.locator(".tsf-figure")).to_have_count(1)
    expect(page.get_by_role("button", name="Alert rules")).to_be_enabled()
    expect(page.locator(".tsf-urgent")).to_contain_text("of 20000 series")
    expect(page.locator(".tsf-urgent")).to_contain_text(f"Listed are the {len(rows)} most urgent.")
    picture(page, "without-limit")
    page = lab.open("tasks")
    expect(page.locator(".tsf-long tbody tr", has_text="storage")).to_contain_text("no limit")
    assert "not in sight" not in page.locator("#main").inner_text()
    assert "in alarm" not in page.locator("#main").inner_text()


def test_why_a_task_failed_is_there_to_read(lab: Lab) -> None:
    tasks = lab.server.ask("GET", "/tsf/api/tasks")
    storage = next(one for one in tasks["items"] if one["name"] == "storage")
    fault = "series 'nobody_has_this' has no samples between 2026-10-01 and 2026-11-01; ask for another metric " * 3
    failed = {**storage, "state": "failed", "error": fault, "run": None}  # nobody has queued it
    failed |= {"failed_notebook": "reports/storage/fetch.ipynb"}
    lab.answer("/tasks", json={**tasks, "items": [failed], "total": 1})
    page = lab.open("tasks")
    told = page.locator(".tsf-long .tsf-error")
    expect(told).to_have_text(fault.strip())
    picture(page, "failed")
    cell, text = told.locator("xpath=..").bounding_box(), told.bounding_box()
    assert cell
    assert text
    assert text["height"] > 30
    assert text["y"] + text["height"] <= cell["y"] + cell["height"]
    lab.page.set_viewport_size({"width": 1000, "height": 860})
    text = told.bounding_box()
    assert text
    assert text["y"] + text["height"] <= cell["y"] + cell["height"]
    page = lab.open("dashboard:storage")  # whose forecast is one of before
    expect(page.locator(".tsf-dashboard .tsf-problem")).to_contain_text("nobody_has_this")


def unrun(lab: Lab) -> None:
    """Change a setting of cpu, so that a run of it takes its time."""
    epochs = lab.server.ask("GET", "/tsf/api/tasks/cpu")["config"]["train.epochs"]
    lab.server.ask("PUT", "/tsf/api/tasks/cpu", {"config": {"train.epochs": epochs + 1}})


def row_of_cpu(page: Page) -> Locator:
    """The row of the task cpu; another one's error names its metric, too."""
    return page.locator(".tsf-long tbody tr").filter(has=page.get_by_title("cpu_usage_percent", exact=True))


def test_a_run_is_watched_to_its_end_though_the_server_is_started_anew_meanwhile(lab: Lab) -> None:
    unrun(lab)
    page = lab.open("tasks")
    row = row_of_cpu(page)
    row.get_by_role("button", name=START).click()
    expect(row.locator(".tsf-chip")).to_have_text("running")
    expect(row.get_by_role("button", name="Cancel cpu")).to_be_visible()
    run = lab.server.ask("GET", "/tsf/api/tasks/cpu")["run"]["id"]
    lab.server.stop()
    expect(page.locator(".tsf-urgent [role=alert]")).to_contain_text("does not answer")
    expect(row).to_be_visible()  # what was known stays
    lab.server.start()
    expect(page.locator(".tsf-urgent [role=alert]")).to_have_count(0)
    away(page)
    expect(row.locator(".tsf-chip")).to_have_text("completed", timeout=RUN_MILLISECONDS)
    after = lab.server.ask("GET", "/tsf/api/tasks/cpu")["run"]
    assert (after["id"], after["state"], after["attempts"]) == (run, "completed", 1)
    row.get_by_role("button", name="Log of cpu").click()
    expect(page.locator(".tsf-log")).to_contain_text("push")


def test_a_second_tab_sees_what_the_first_has_started_and_can_stop_it(lab: Lab, context: BrowserContext) -> None:
    unrun(lab)
    other = opened(lab.server, context)
    rows = [row_of_cpu(one.open("tasks")) for one in (lab, other)]
    rows[0].get_by_role("button", name=START).click()
    expect(rows[1].locator(".tsf-chip")).to_have_text(re.compile("pending|running"))
    rows[1].get_by_role("button", name="Cancel cpu").click()
    for row in rows:
        expect(row.locator(".tsf-chip")).to_have_text("cancelled")
        expect(row.get_by_role("button", name="Retry cpu")).to_be_visible()
    other.page.close()


def test_a_run_that_is_being_cancelled_says_so_and_enter_deletes_no_task(lab: Lab) -> None:
    tasks = lab.server.ask("GET", "/tsf/api/tasks")
    run = {"id": 8, "task": "storage", "state": "running", "cancelling": True, "progress": None}
    storage = {**next(one for one in tasks["items"] if one["name"] == "storage"), "state": "running", "run": run}
    lab.answer("/tasks", json={**tasks, "items": [storage], "total": 1})
    page = lab.open("tasks")
    expect(page.locator(".tsf-long .tsf-chip")).to_have_text("being cancelled")
    page.get_by_role("button", name="Delete storage").click()
    expect(page.locator(".jp-Dialog").get_by_role("button", name="Keep")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator(".jp-Dialog")).to_have_count(0)
    assert lab.server.ask("GET", "/tsf/api/tasks/storage")["name"] == "storage"


def test_what_failed_opens_at_the_cell_that_failed(lab: Lab) -> None:
    page = lab.open("tasks")
    row = page.locator(".tsf-long tbody tr", has_text="nobody_has_this")
    expect(row.locator(".tsf-chip")).to_have_text("failed")
    expect(row.get_by_role("button", name="Run lost")).to_be_visible()
    row.get_by_role("button", name="open the cell that failed").click()
    cell = page.locator(".jp-Notebook .jp-Cell.jp-mod-active")
    expect(cell.locator(".jp-OutputArea")).to_contain_text("nobody_has_this")


class TestThePanelInATabOfItsOwn:
    """No notebook, a kernel of its own."""

    def shown(self, lab: Lab, name: str) -> Locator:
        panel = lab.open(name).locator(".tsf-setup")
        expect(panel.get_by_label("Metric (PromQL)")).to_be_visible(timeout=90_000)
        return panel

    def test_it_is_there_again_after_a_reload_and_its_kernel_ends_with_the_tab(self, lab: Lab) -> None:
        panel = self.shown(lab, "setup:storage")
        expect(panel.get_by_label("Name")).to_have_value("storage")
        before = kernels(lab)
        lab.await_layout("tsf-setup-storage", lambda kept: "session" in kept)
        lab.page.goto(f"{lab.url}/lab")
        expect(panel.get_by_label("Name")).to_have_value("storage")
        assert kernels(lab) == before, "the reload has started a kernel and left one behind"
        lab.page.locator(".lm-TabBar-tab", has_text="Edit storage").locator(".lm-TabBar-tabCloseIcon").click()
        deadline = time.monotonic() + 60
        while len(kernels(lab)) != len(before) - 1:
            assert time.monotonic() < deadline, "the kernel lives on"
            time.sleep(0.3)

    def test_a_new_task_is_open_by_its_name_after_it_was_saved(self, lab: Lab) -> None:
        panel = self.shown(lab, "setup")
        name = panel.get_by_label("Name")
        name.fill("saved_here")
        expect(panel.get_by_role("button", name="Save")).to_be_enabled()
        panel.get_by_role("button", name="Save").click()
        expect(name).to_be_disabled()
        lab.await_layout("tsf-setup", lambda kept: "session" in kept)
        lab.page.goto(f"{lab.url}/lab")
        expect(name).to_have_value("saved_here")
        expect(name).to_be_disabled()
        expect(lab.page.locator(".lm-TabBar-tab", has_text="Edit saved_here")).to_be_visible()
        assert not lab.page.locator(".lm-TabBar-tab", has_text="New task").count()
        lab.server.ask("DELETE", "/tsf/api/tasks/saved_here")

    def test_who_asks_for_a_new_task_gets_an_empty_form_and_loses_nothing_that_was_typed(self, lab: Lab) -> None:
        panel = self.shown(lab, "setup")
        name, again = panel.get_by_label("Name"), lab.page.locator(".tsf-urgent").get_by_role("button", name="New task")
        name.fill("first_one")
        again.click()
        lab.page.wait_for_timeout(1000)
        expect(name).to_have_value("first_one")
        expect(panel.get_by_role("button", name="Save")).to_be_enabled()
        panel.get_by_role("button", name="Save").click()
        expect(name).to_be_disabled()
        again.click()
        expect(name).to_be_enabled()
        expect(name).to_have_value("storage_2")
        name.press("Tab")
        assert panel.get_by_label("Owner", exact=True).evaluate("one => getComputedStyle(one).outlineWidth") == "2px"
        lab.server.ask("DELETE", "/tsf/api/tasks/first_one")

    def test_it_speaks_the_language_of_the_pages(self, lab: Lab) -> None:
        lab.set("tsf-lab:plugin", language="zh_CN")
        panel = lab.open("setup:storage").locator(".tsf-setup[lang=zh-CN]")
        expect(panel.get_by_role("button", name="保存")).to_be_visible(timeout=90_000)
        expect(panel.get_by_label("名称")).to_have_value("storage")
        picture(lab.page, "setup-chinese")

    @pytest.mark.parametrize("how", ["restarted", "shut down"])
    def test_a_kernel_that_somebody_takes_away_is_told_too(self, lab: Lab, how: str) -> None:
        before = kernels(lab)
        panel = self.shown(lab, "setup")
        lab.await_layout("tsf-setup", lambda kept: "session" in kept)  # the panel is there, with all that it says
        if how == "restarted":
            [kernel] = kernels(lab) - before
            lab.server.ask("POST", f"/api/kernels/{kernel}/restart", {})
        else:
            lab.page.locator(".lm-MenuBar-item", has_text="Kernel").click()
            lab.page.get_by_text("Shut Down All Kernels").click()
            lab.page.locator(".jp-Dialog").get_by_role("button", name="Shut Down All").click()
        expect(panel.locator("[role=status]")).to_contain_text("The kernel has died")

    def test_a_kernel_that_dies_is_told_in_a_sentence(self, lab: Lab) -> None:
        before = kernels(lab)
        panel = self.shown(lab, "setup")
        for kernel in kernels(lab) - before:
            os.kill(process_of(kernel), signal.SIGKILL)
        expect(panel.locator("[role=status]")).to_contain_text("The kernel has died")
        picture(lab.page, "setup-dead")


def kernels(lab: Lab) -> set[str]:
    return {kernel["id"] for kernel in lab.server.ask("GET", "/api/kernels")}


def process_of(kernel: str) -> int:
    """The process of a kernel, by the name of its connection file."""
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if f"kernel-{kernel}".encode() in place.read_bytes():
                return int(place.parent.name)
    raise AssertionError(f"there is no process of kernel {kernel}")


def away(page: Page) -> None:
    """Close the dialog by which JupyterLab itself says that the server was gone."""
    if page.locator(".jp-Dialog").is_visible():
        page.keyboard.press("Escape")


def test_the_keyboard_passes_a_list_of_any_length_by_one_key_and_walks_it_by_arrows(lab: Lab) -> None:
    multiply(lab, 5000)
    page = lab.open()
    focused = page.locator(".tsf-urgent .tsf-entry:focus .tsf-entry-title")
    expect(page.locator(".tsf-urgent .tsf-entry").first).to_contain_text("series 0")
    page.locator(".tsf-urgent .tsf-search").focus()
    page.keyboard.press("Tab")
    expect(focused).to_have_text("series 0")
    for row in range(1, 31):
        page.keyboard.press("ArrowDown")
        expect(focused).to_have_text(f"series {row}")
    page.keyboard.press("ArrowUp")
    expect(focused).to_have_text("series 29")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('.tsf-urgent')") is None
    page.keyboard.press("Shift+Tab")
    expect(focused).to_have_text("series 29")


def test_the_log_that_opens_is_of_what_runs_and_not_of_what_waits(lab: Lab) -> None:
    running = {"id": 8, "task": "cpu", "state": "running", "started_at": "2026-11-01T00:00:00Z", "error": ""}
    waiting = {**running, "id": 9, "state": "pending", "started_at": None}
    lab.answer("/runs", json={"items": [waiting, running], "total": 2})
    lab.answer("/runs/8/log", json={"text": "epoch 1/40", "next_offset": 10, "ended": True})
    lab.answer("/runs/9/log", json={"text": "", "next_offset": 0, "ended": True})
    page = lab.open("log")
    expect(page.locator(".tsf-log")).to_contain_text("epoch 1/40")
    page.locator(".tsf-page").get_by_label("Run").select_option("9")
    expect(page.locator(".tsf-log")).to_have_text("It waits in the queue.")


def test_a_model_leads_to_the_notebook_that_has_trained_it(lab: Lab) -> None:
    page = lab.open("models:storage")
    page.get_by_role("button", name=re.compile("train.ipynb$")).click()
    expect(page.locator(".jp-Notebook")).to_contain_text("storage")


def test_pages_are_there_again_after_a_reload(lab: Lab) -> None:
    page = lab.open("models:storage")
    page.locator(".tsf-table").first.wait_for()
    lab.await_layout("tsf-models", lambda kept: kept.get("task") == "storage")
    page.goto(f"{lab.url}/lab")
    expect(page.locator(".tsf-page h1")).to_have_text("Models")


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
    multiply(lab, 5000)
    page = lab.open("tasks")
    expect(page.locator(".tsf-count")).to_contain_text("5000 of 5000")
    assert page.locator(".tsf-entry").count() < 60
    assert page.locator(".tsf-long tbody tr").count() < 60
    page.locator(".tsf-urgent .tsf-scroll").evaluate("box => box.scrollTo(0, box.scrollHeight)")
    expect(page.locator(".tsf-entry").last).to_contain_text("series 4999")
    page.locator(".tsf-page .tsf-scroll").evaluate("box => box.scrollTo(0, box.scrollHeight)")
    expect(page.locator(".tsf-long tbody tr[aria-rowindex='5001']")).to_be_visible()
