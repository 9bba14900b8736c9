"""A JupyterLab with the built pages, and pages of a browser in it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests
from playwright.sync_api import BrowserContext, Page, Route, expect

from tests.pipeline.conftest import Project
from tests.servers import free_port

ROOT = Path(__file__).parents[2]
TOKEN = "browser"
HEADERS = {"Authorization": f"token {TOKEN}"}
RUN_MILLISECONDS = 600_000  # that a run may take on a busy machine
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
class LabServer:
    """JupyterLab with the built pages, as `pip install` leaves them, in a project; its settings lie in `folder`."""

    project: Project
    folder: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def root(self) -> Path:
        return self.project.root

    def prepare(self) -> None:
        """Install the pages into a folder of its own, without the news that JupyterLab would ask the network for."""
        shutil.copytree(ROOT / "ui" / "labextension", self.folder / "share" / "labextensions" / "tsf-lab")
        config = self.folder / "config" / "labconfig"
        config.mkdir(parents=True)
        shutil.copy(ROOT / "deploy" / "page_config.json", config)

    def start(self) -> None:
        """Start it and wait until it answers."""
        folders = {"PATH": "share", "CONFIG_DIR": "config", "DATA_DIR": "data", "RUNTIME_DIR": "runtime"}
        environment = self.project.environment | {
            **{f"JUPYTER_{name}": str(self.folder / folder) for name, folder in folders.items()},
            "JUPYTERLAB_WORKSPACES_DIR": str(self.folder / "workspaces"),
            "JUPYTERLAB_SETTINGS_DIR": str(self.folder / "settings"),
        }
        options = [f"--port={self.port}", "--ServerApp.port_retries=0", "--no-browser", "--allow-root"]
        options += [f"--IdentityProvider.token={TOKEN}", "--ServerApp.jpserver_extensions={'tsf.server': True}"]
        command = [sys.executable, "-m", "jupyterlab", *options]
        log = self.folder / "log"
        with log.open("ab") as sink:
            self.process = subprocess.Popen(command, cwd=self.root, env=environment, stdout=sink, stderr=sink)
        deadline = time.monotonic() + 180
        while not self.answers():
            assert self.process.poll() is None, log.read_text()[-3000:]
            assert time.monotonic() < deadline, log.read_text()[-3000:]
            time.sleep(0.2)

    def stop(self) -> None:
        """End it, as a person does."""
        assert self.process
        self.process.terminate()
        self.process.wait(60)

    def answers(self) -> bool:
        try:
            return requests.get(f"{self.url}/api", timeout=5).ok
        except (requests.ConnectionError, requests.Timeout):
            return False

    def ask(self, method: str, path: str, json: object = None) -> Any:
        """What a route of Jupyter answers, such as /tsf/api/tasks."""
        reply = requests.request(method, self.url + path, json=json, headers=HEADERS, timeout=60)
        reply.raise_for_status()
        return reply.json() if reply.content else None


@contextmanager
def serving(project: Project, folder: Path) -> Iterator[LabServer]:
    """A JupyterLab in `project` that is gone at the end."""
    server = LabServer(project, folder)
    server.prepare()
    server.start()
    try:
        yield server
    finally:
        server.stop()


@dataclass
class Lab:
    """A page of a browser in a running JupyterLab."""

    server: LabServer
    page: Page
    asked: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return self.server.url

    def open(self, name: str = "") -> Page:
        """Load JupyterLab anew with this page of tsf and the side-bar in front."""
        self.page.goto(f"{self.url}/lab?token={TOKEN}&reset" + (f"&tsf={name}" if name else ""))
        self.page.locator("#jp-main-dock-panel").wait_for()
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
        self.server.ask("PUT", f"/lab/api/settings/{plugin}", {"raw": raw})

    def await_layout(self, tab: str, fits: Callable[[dict[str, Any]], bool]) -> None:
        """Until JupyterLab has saved that this tab is open, with what `fits`: some time after the last change of it."""
        deadline = time.monotonic() + 90
        while not self._kept(tab, fits):
            assert time.monotonic() < deadline, f"JupyterLab has not saved {tab}"
            self.page.wait_for_timeout(200)

    def _kept(self, tab: str, fits: Callable[[dict[str, Any]], bool]) -> bool:
        found = self.server.ask("GET", "/lab/api/workspaces")["workspaces"]["values"]
        kept = next((one["data"] for one in found if one["metadata"]["id"] == "default"), {})
        dock = kept.get("layout-restorer:data", {}).get("main", {}).get("dock") or {}
        state = kept.get(f"tsf:{tab}")
        return f"tsf:{tab}" in dock.get("widgets", []) and state is not None and fits(state["data"])

    def choose_theme(self, name: str) -> None:
        """Choose a theme in JupyterLab's menu, as a person does."""
        self.page.locator(".lm-MenuBar-item", has_text="Settings").click()
        self.page.locator(".lm-Menu-itemLabel").get_by_text("Theme", exact=True).hover()
        self.page.locator(".lm-Menu-itemLabel").get_by_text(name, exact=True).click()
        expect(self.page.locator("body")).to_have_attribute("data-jp-theme-name", name)  # the splash is there by then
        expect(self.page.locator("#jupyterlab-splash")).to_have_count(0)

    @property
    def strangers(self) -> list[str]:
        """What was asked of anybody but the Jupyter server."""
        return [url for url in self.asked if not url.startswith((self.url, "data:", "blob:", "about:"))]


def opened(server: LabServer, context: BrowserContext) -> Lab:
    """A new page that keeps what it asks for and what goes wrong in it, in English and in the light theme."""
    page = context.new_page()
    made = Lab(server, page)
    page.on("request", lambda request: made.asked.append(request.url))
    page.on("pageerror", lambda error: made.errors.append(str(error)))
    made.set("@jupyterlab/apputils-extension:themes", theme="JupyterLab Light")
    made.set("tsf-lab:plugin", language="en")
    return made


def multiply(lab: Lab, count: int) -> None:
    """Let the server answer with so many tasks and series, each like one that it has."""
    tasks, series = (lab.server.ask("GET", f"/tsf/api/{name}") for name in ("tasks", "series"))
    many = [{**series["items"][i % len(series["items"])], "row": i, "title": f"series {i}"} for i in range(count)]
    names = [{**tasks["items"][0], "id": f"task{i}", "name": f"task{i}"} for i in range(count)]
    lab.answer("/series", json={"items": many, "total": count})
    lab.answer("/tasks", json={**tasks, "items": names, "total": count})


def picture(page: Page, name: str) -> None:
    """Keep a picture where TSF_PICTURES names a folder: somebody wants to look at the pages."""
    if folder := os.environ.get("TSF_PICTURES"):
        page.screenshot(path=Path(folder) / f"{name}.png")
