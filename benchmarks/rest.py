"""How fast the REST routes answer: `python -m benchmarks.rest`.

A real Jupyter Server in a project of the demo fleet: /health under ab (1,000 requests, 10 at a time) and wrk (12
threads, 400 connections), /predict of one series with a warm model, one after the other, each forecast computed and
then asked for again, and the side-bar's rows for thousands of series.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import requests

from tests.pipeline.conftest import make_project
from tests.servers import free_port
from tsf.flow.tasks import set_values
from tsf.params import read_params
from tsf.stages.evaluate import evaluate
from tsf.stages.fetch import fetch
from tsf.stages.push import push
from tsf.stages.train import plan, train

ROOT = Path(__file__).parents[1]
TOKEN = "benchmark"  # noqa: S105 - of a server on this machine that lives for a minute
HEADERS = {"Authorization": f"token {TOKEN}"}


def made(folder: Path, groups: int) -> Path:
    """A project whose task has the model of the shipped parameters, and then many series."""
    root = make_project(folder, ("storage",)).root
    shutil.copy(ROOT / "params.yaml", root)
    fetch("storage", root)
    train(plan("storage", root), root)
    evaluate("storage", root)
    set_values(root, {"demo.groups": groups, "demo.users_per_group": 16})
    fetch("storage", root)
    push("storage", root)
    return root


@contextmanager
def served(root: Path, folder: Path) -> Iterator[str]:
    """The address of the API of a Jupyter Server in `root`."""
    config = folder / "config" / "jupyter_server_config.d"
    config.mkdir(parents=True)
    shutil.copy(ROOT / "tsf/server/tsf.json", config)
    port = free_port()
    command = [sys.executable, "-m", "jupyter_server", "--no-browser", "--allow-root", f"--port={port}"]
    environ = os.environ | {"JUPYTER_CONFIG_DIR": str(config.parent), "JUPYTER_TOKEN": TOKEN, "PYTHONPATH": str(ROOT)}
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen(
            [*command, "--ServerApp.port_retries=0"], cwd=root, env=environ, stdout=log, stderr=log
        ) as server,
    ):
        address = f"http://127.0.0.1:{port}/tsf/api"
        try:
            wait(f"{address}/health")
            yield address
        finally:
            server.terminate()


def wait(address: str) -> None:
    for _ in range(300):
        try:
            if requests.get(address, headers=HEADERS, timeout=5).ok:
                return
        except requests.ConnectionError:
            pass
        time.sleep(0.2)
    raise SystemExit(f"{address} does not answer")


def timed(method: str, address: str, bodies: Sequence[object]) -> list[float]:
    """Milliseconds of a request with each of the bodies, sorted."""
    times = []
    with requests.Session() as session:
        session.headers.update(HEADERS)
        for body in bodies:
            start = time.perf_counter()
            reply = session.request(method, address, timeout=300, json=body)
            times.append(1000 * (time.perf_counter() - start))
            reply.raise_for_status()
    return sorted(times)


def told(name: str, times: list[float]) -> None:
    p95 = times[int(0.95 * (len(times) - 1))]
    print(f"{name}: median {statistics.median(times):.1f} ms, p95 {p95:.1f} ms over {len(times)} requests")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=30, help="of load on /health")
    parser.add_argument("--groups", type=int, default=80, help="groups of the demo fleet, about 63 series each")
    parser.add_argument("--rounds", type=int, default=200, help="predictions")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        root = made(folder / "project", chosen.groups)
        with served(root, folder) as address:
            rows = requests.get(f"{address}/tasks/storage/series?limit=10000", headers=HEADERS, timeout=300).json()
            print(f"{rows['total']:,} series, {os.cpu_count()} cores, {os.getloadavg()[0]:.1f} load before")
            told("side-bar rows, all series", timed("GET", f"{address}/series?limit=10000", [None] * 20))
            told("task list", timed("GET", f"{address}/tasks", [None] * 50))
            told("chart of a series", timed("GET", f"{address}/tasks/storage/chart", [None] * 50))
            set_values(root, {"demo.groups": 3, "demo.users_per_group": 3})
            users = {row["labels"]["user"] for row in predict(address, {"task": "storage"})["predictions"]}
            steps = range(1, read_params(root).task("storage").train.prediction_steps + 1)
            asked = [{"task": "storage", "user": user, "prediction_steps": n} for n in steps for user in sorted(users)]
            for name in ("computed", "asked for again"):
                times = timed("POST", f"{address}/predict", asked[: chosen.rounds])
                told(f"/predict, warm model, one of {len(users)} users, {name}", times)
            loaded(address, chosen.seconds)


def predict(address: str, body: dict[str, object]) -> dict[str, list[dict[str, dict[str, str]]]]:
    reply = requests.post(f"{address}/predict", headers=HEADERS, json=body, timeout=300)
    reply.raise_for_status()
    answer: dict[str, list[dict[str, dict[str, str]]]] = json.loads(reply.content)
    return answer


def loaded(address: str, seconds: int) -> None:
    """What ab (of Debian's apache2-utils) and wrk say of /health."""
    header = ["-H", f"Authorization: token {TOKEN}", f"{address}/health"]
    light = ["ab", "-q", "-n", "1000", "-c", "10"]
    heavy = ["wrk", "-t12", "-c400", f"-d{seconds}s", "--latency", "--timeout", "10s"]
    for command in (light, heavy):
        print(subprocess.run([*command, *header], capture_output=True, text=True, check=True).stdout)


if __name__ == "__main__":
    main()
