"""How JupyterLab with tsf feels: `python -m benchmarks.lab`. Needs Chromium; the journey needs Prometheus, too.

The wheel's size and how long pip needs to install it where there is no Node; how long JupyterLab takes to load; the
first paint and the scrolling of thousands of series; the steps of a newcomer's journey.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, CDPSession, expect, sync_playwright

from tests.browser.conftest import MOST_MILLISECONDS
from tests.browser.journey import demo_samples, journey
from tests.browser.lab import FLAGS, TOKEN, Lab, LabServer, multiply, opened, serving
from tests.pipeline.conftest import make_project
from tests.servers import running_prometheus, running_pushgateway

ROOT = Path(__file__).parents[1]
# Each frame's length while the list is moved by some rows per frame, for two seconds.
SCROLL = """box => new Promise(done => {
  const frames = [], begin = performance.now();
  let before = begin;
  const step = now => {
    frames.push(now - before);
    before = now;
    box.scrollTop += 150;
    now - begin < 2000 ? requestAnimationFrame(step) : done(frames.slice(2));
  };
  requestAnimationFrame(step);
})"""


def wheel(folder: Path) -> None:
    """Build it, and install it into an environment that has no Node in its PATH."""
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    [made] = folder.glob("*.whl")
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    bare = {"PATH": str(folder / "venv" / "bin"), "HOME": str(folder)}
    assert shutil.which("node", path=bare["PATH"]) is None
    start, before = time.monotonic(), os.times()
    command = [folder / "venv/bin/pip", "install", "--quiet", "--no-deps", "--no-index", made]
    subprocess.run(command, env=bare, check=True)
    took, after = time.monotonic() - start, os.times()
    computed = after.children_user + after.children_system - before.children_user - before.children_system
    pages = folder / "venv/share/jupyter/labextensions/tsf-lab/package.json"
    assert pages.is_file(), "the wheel does not bring the pages"
    print(f"wheel: {made.stat().st_size / 1000:.0f} kB")
    print(f"pip install of it, without Node and dependencies: {took:.1f} s, {computed:.1f} s of computing")


@contextmanager
def fresh(browser: Browser, server: LabServer) -> Iterator[Lab]:
    """A page in a profile that has seen nothing yet."""
    context = browser.new_context(viewport={"width": 1440, "height": 860})
    context.set_default_timeout(120_000)
    yield opened(server, context)
    context.close()


def loading(browser: Browser, server: LabServer, rounds: int) -> None:
    """From the address to JupyterLab's launcher and to rows in the side-bar, on the first visit and on the next."""
    times: dict[str, list[float]] = {}
    sizes: dict[str, int] = {}
    for _ in range(rounds):
        with fresh(browser, server) as lab:
            page = lab.page
            page.on("response", lambda reply: "tsf-lab" in reply.url and sizes.update({reply.url: len(reply.body())}))
            for visit in ("first", "next"):
                start = time.monotonic()
                page.goto(f"{server.url}/lab?token={TOKEN}&reset", wait_until="commit")
                for what, place in (("launcher", ".jp-LauncherCard"), ("series", ".tsf-entry")):
                    if what == "series" and not page.locator(".tsf-urgent").is_visible():
                        page.locator('.jp-SideBar [data-id="tsf-urgent"]').click()
                    page.locator(place).first.wait_for()
                    times.setdefault(f"{visit} visit, {what}", []).append(time.monotonic() - start)
            print(f"requests outside of the machine: {len(lab.strangers)} of {len(lab.asked)}")
    print(f"tsf's own files: {sum(sizes.values()) / 1000:.0f} kB")
    for what, seconds in times.items():
        print(f"{what}: {statistics.median(seconds):.1f} s")


def scrolling(browser: Browser, server: LabServer, count: int) -> None:
    """First paint and frames of the side-bar and the table of tasks with `count` rows each."""
    with fresh(browser, server) as lab:
        multiply(lab, count)
        page = lab.open("tasks")
        page.locator(".tsf-long tbody th").first.wait_for()
        page.wait_for_timeout(1000)
        painted = page.evaluate(
            """() => new Promise(done => {
              const begin = performance.now();
              const box = document.querySelector('.tsf-urgent input[type=search]');
              Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value').set.call(box, 'series 49');
              box.dispatchEvent(new Event('input', { bubbles: true }));
              requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - begin)));
            })"""
        )
        print(f"{count:,} series and tasks: a search in them is painted after {painted:.0f} ms")
        page.locator(".tsf-urgent input[type=search]").fill("")
        chrome = page.context.new_cdp_session(page)
        chrome.send("Performance.enable", {"timeDomain": "threadTicks"})  # computing only, whatever else runs
        for name, box in (("side-bar", ".tsf-urgent .tsf-scroll"), ("table of tasks", ".tsf-page .tsf-scroll")):
            before = computing(chrome)
            frames = sorted(page.locator(box).evaluate(SCROLL))
            each = 1000 * (computing(chrome) - before) / len(frames)
            drawn = page.locator(f"{box} li, {box} tbody tr").count()
            p95, rate = frames[int(0.95 * (len(frames) - 1))], 1000 * len(frames) / sum(frames)
            print(f"{name}, scrolled: {rate:.0f} frames a second, p95 {p95:.0f} ms, {each:.1f} ms of computing each")
            print(f"{name}: {drawn} rows in the page")
    times = []
    for _ in range(3):
        with fresh(browser, server) as lab:
            multiply(lab, count)
            lab.open()
            shown = lab.page.locator(".tsf-entry").first
            shown.wait_for()
            times.append(lab.page.evaluate("() => performance.now()") / 1000)
    print(f"{count:,} series: first rows painted {statistics.median(times):.1f} s after the load began")


def computing(chrome: CDPSession) -> float:
    """Seconds that the page's main thread has worked."""
    metrics = {one["name"]: one["value"] for one in chrome.send("Performance.getMetrics")["metrics"]}
    return float(metrics["TaskDuration"])


def newcomer(browser: Browser, folder: Path) -> None:
    """The journey of the tests with its steps timed."""
    with (
        running_pushgateway(folder / "gateway") as gateway,
        running_prometheus(folder / "prometheus", samples=demo_samples(), scrape=[gateway.url]) as prometheus,
    ):
        project = make_project(folder / "journey" / "project", ())
        project.edit(prometheus__base_url=prometheus.url, prometheus__pushgateway_url=gateway.url)
        with serving(project, folder / "journey") as server, fresh(browser, server) as lab:
            watch, _ = journey(lab, folder)
    for name, seconds in watch.steps.items():
        print(f"  {name}: {seconds:.1f} s")
    print(f"journey: {sum(watch.steps.values()):.0f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=5000, help="series and tasks to scroll through")
    parser.add_argument("--rounds", type=int, default=3, help="loads of the page")
    chosen = parser.parse_args()
    expect.set_options(timeout=MOST_MILLISECONDS)  # the first forecast waits for a process that loads torch
    program = shutil.which("chromium") or shutil.which("google-chrome")
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        folder = Path(name)
        print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before")
        (folder / "wheel").mkdir()
        wheel(folder / "wheel")
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        project = make_project(folder / "lab" / "project", ("storage",))
        assert project.tsf("run").returncode == 0
        with serving(project, folder / "lab") as server:
            loading(browser, server, chosen.rounds)
            scrolling(browser, server, chosen.count)
        newcomer(browser, folder)
        browser.close()


if __name__ == "__main__":
    main()
