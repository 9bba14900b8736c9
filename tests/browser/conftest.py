"""One JupyterLab in a project of the demo fleet, and one Chromium; each test has a new page."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, expect, sync_playwright

from tests.browser.lab import FLAGS, Lab, LabServer, opened, serving
from tests.pipeline.conftest import make_project

MOST_MILLISECONDS = 90_000  # that a page may take for anything: a busy machine is no failure


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabServer]:
    """The server: storage went through all its stages, lost failed in its first, cpu never ran."""
    folder = tmp_path_factory.mktemp("lab")
    made = make_project(folder / "project", ("storage", "cpu"))
    added = made.tsf("tasks", "add", "lost", "--metric-query", "nobody_has_this")
    assert added.returncode == 0, added.stderr
    ran = made.tsf("run", "--task", "storage", "--task", "lost")
    assert "fetch@lost failed" in ran.stderr, ran.stderr + ran.stdout
    with serving(made, folder) as server:
        yield server


# Not longer than the package: while Playwright lives its asyncio loop runs in this thread; others need theirs.
@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    program = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chromium-browser")
    if not program:
        reason = "there is no Chromium in PATH; install it by the system's package manager"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield started
        started.close()


@pytest.fixture(scope="package")
def context(browser: Browser) -> Iterator[BrowserContext]:
    """One profile for all tests, as a person has: what JupyterLab is made of is loaded once."""
    made = browser.new_context(viewport={"width": 1440, "height": 860})
    made.set_default_timeout(MOST_MILLISECONDS)
    expect.set_options(timeout=MOST_MILLISECONDS)
    yield made
    made.close()


@pytest.fixture
def lab(running: LabServer, context: BrowserContext) -> Iterator[Lab]:
    made = opened(running, context)
    yield made
    made.page.close()
