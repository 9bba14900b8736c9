"""One JupyterLab with the built pages, in a project of the demo fleet, and one Chromium; each test has a new page."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import requests
from playwright.sync_api import Browser, BrowserContext, Page, Route, sync_playwright

from tests.pipeline.conftest import make_project
from tests.servers import free_port

ROOT = Path(__file__).parents[2]
TOKEN = "browser"
# What Chromium would ask the network for by itself is off; the tests look at every request.
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@dataclass
class Lab:
    """A running JupyterLab: its address, the project it serves, and a page of a browser in it."""

    url: str
    project: Path
    page: Page
    asked: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def open(self, name: str = "") -> Page:
        """Load JupyterLab anew with this page of tsf and the side-bar in front."""
        self.page.goto(f"{self.url}/lab?token={TOKEN}&reset" + (f"&tsf={name}" if name else ""))
        self.page.locator("#jp-main-dock-panel").wait_for(timeout=60_000)
        tab = self.page.locator('.jp-SideBar [data-id="tsf-urgent"]')
        tab.wait_for()
        if not self.page.locator(".tsf-urgent").is_visible():
            tab.click()
        self.page.locator(".tsf-urgent").wait_for()
        return self.page

    def answer(self, path: str, status: int = 200, json: object = None) -> None:
        """Let the route `path` of the server's API answer this."""

        def fulfil(route: Route) -> None:
            route.fulfill(status=status, json=json)

        self.page.route(re.compile(re.escape(f"{self.url}/tsf/api{path}") + r"(\?.*)?$"), fulfil)

    def set(self, plugin: str, **values: str) -> None:
        """Set settings of a plugin of JupyterLab."""
        raw = "{" + ", ".join(f'"{key}": "{value}"' for key, value in values.items()) + "}"
        head = {"Authorization": f"token {TOKEN}"}
        requests.put(f"{self.url}/lab/api/settings/{plugin}", json={"raw": raw}, headers=head, timeout=30)


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The server: storage went through all its stages, cpu never ran."""
    folder = tmp_path_factory.mktemp("lab")
    made = make_project(folder / "project", ("storage", "cpu"))
    ran = made.tsf("run", "--task", "storage")
    assert ran.returncode == 0, ran.stderr + ran.stdout
    extensions = folder / "share" / "labextensions" / "tsf-lab"
    shutil.copytree(ROOT / "ui" / "labextension", extensions)
    config = folder / "config" / "labconfig"
    config.mkdir(parents=True)
    (config / "page_config.json").write_text(
        '{"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": true}}'
    )
    port = free_port()
    environment = made.environment | {
        "JUPYTER_PATH": str(folder / "share"),
        "JUPYTER_CONFIG_DIR": str(folder / "config"),
        "JUPYTER_DATA_DIR": str(folder / "data"),
        "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
        "JUPYTERLAB_WORKSPACES_DIR": str(folder / "workspaces"),
        "JUPYTERLAB_SETTINGS_DIR": str(folder / "settings"),
    }
    options = [f"--port={port}", "--ServerApp.port_retries=0", "--no-browser", "--allow-root"]
    options += [f"--IdentityProvider.token={TOKEN}", "--ServerApp.jpserver_extensions={'tsf.server': True}"]
    command = [sys.executable, "-m", "jupyterlab", *options]
    log = folder / "log"
    with log.open("wb") as sink:
        server = subprocess.Popen(command, cwd=made.root, env=environment, stdout=sink, stderr=sink)
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 60
        while not _answers(url):
            assert server.poll() is None, log.read_text()[-3000:]
            assert time.monotonic() < deadline, log.read_text()[-3000:]
            time.sleep(0.2)
        yield url, made.root
    finally:
        server.terminate()
        server.wait(30)


def _answers(url: str) -> bool:
    try:
        return requests.get(f"{url}/api", timeout=5).ok
    except requests.ConnectionError:
        return False


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


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    made = browser.new_context(viewport={"width": 1440, "height": 860})
    yield made
    made.close()


@pytest.fixture
def lab(running: tuple[str, Path], context: BrowserContext) -> Lab:
    page = context.new_page()
    made = Lab(*running, page)
    page.on("request", lambda request: made.asked.append(request.url))
    page.on("pageerror", lambda error: made.errors.append(str(error)))
    made.set("@jupyterlab/apputils-extension:themes", theme="JupyterLab Light")
    made.set("tsf-lab:plugin", language="en")
    return made
