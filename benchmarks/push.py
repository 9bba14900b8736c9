"""Writing 100,000 series to a real Pushgateway: the client's own time beside the server's for the same bytes."""

from __future__ import annotations

import http.client
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.servers import running_pushgateway
from tsf.io.exposition import ModelInfo, Present, forecast_exposition, output_cardinality
from tsf.io.pushgateway import delete_task, group_url, push_text
from tsf.params import PrometheusParams, PushParams
from tsf.series import Forecast

N_SERIES, ROUNDS = 6_249, 5  # 16 output series each, and 4 of the task: 99,988
INFO = ModelInfo("model_20261101_000000", "0123456789ab", "feed" * 16, "c0ffee")


def fleet_forecast(n: int) -> Forecast:
    random = np.random.default_rng(7)
    columns = {
        "cluster": [f"cluster-{i % 3}" for i in range(n)],
        "group": [f"group-{i % 97:03d}" for i in range(n)],
        "storage_type": [("scratch", "project", "home")[i % 3] for i in range(n)],
        "user": [f"user-{i:05d}" for i in range(n)],
    }
    return Forecast(
        labels={name: np.array(column, object) for name, column in columns.items()},
        origin_seconds=1_793_491_200,
        step_seconds=3600,
        levels=np.array([0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99]),
        quantiles=np.sort(random.random((n, 24, 7)) * 1e13, axis=2),
        p_breach=np.sort(random.random((n, 24)), axis=1),
        limit_time=np.where(random.random(n) < 0.9, np.inf, 1_793_500_000.0),
    )


def raw_put_seconds(url: str, task: str, body: bytes) -> float:
    """What the server takes for `body` from a client that does nothing but write the socket and wait."""
    target = urlsplit(group_url(url, task))
    started = time.perf_counter()
    connection = http.client.HTTPConnection(target.netloc)
    connection.request("PUT", target.path, body)
    reply = connection.getresponse()
    reply.read()
    connection.close()
    assert reply.status == 200, reply.status
    return time.perf_counter() - started


def main() -> None:
    push, forecast = PushParams(), fleet_forecast(N_SERIES)
    present = Present(np.full(N_SERIES, 1e12), np.full(N_SERIES, 2e12), np.zeros(N_SERIES))
    rows = []
    with tempfile.TemporaryDirectory() as folder, running_pushgateway(Path(folder)) as server:
        gateway = PrometheusParams(pushgateway_url=server.url, timeout=60)
        for _ in range(ROUNDS):
            started, cpu = time.perf_counter(), time.process_time()
            body = forecast_exposition(forecast, present, "storage", push, INFO, int(time.time()))
            built = time.perf_counter()
            push_text(body, gateway, "storage", {})
            whole, cpu = time.perf_counter() - started, time.process_time() - cpu
            delete_task(gateway, "storage", {})
            raw = raw_put_seconds(server.url, "storage", body)
            delete_task(gateway, "storage", {})
            rows.append((built - started, whole, cpu, raw, whole / raw))
    build, whole, cpu, raw, ratio = np.median(rows, axis=0)
    print(f"{output_cardinality(N_SERIES, push, True):,} series, {len(body) / 1e6:.1f} MB, median of {ROUNDS} rounds")
    print("| what | seconds |")
    print("|---|---|")
    print(f"| client: build the text | {build:.2f} |")
    print(f"| client: build and push | {whole:.2f} |")
    print(f"| client: processor time of both | {cpu:.2f} |")
    print(f"| server: the same bytes by a bare PUT | {raw:.2f} |")
    print(f"| ratio of build and push to the bare PUT | {ratio:.2f} |")


if __name__ == "__main__":
    main()
