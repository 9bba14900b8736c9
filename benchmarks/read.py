"""Time and memory of reading many series from a real Prometheus: `python -m benchmarks.read`.

The server's own time is that of downloading the same samples in chunks of 5 days and throwing the bytes away. Rounds of
both alternate, so that other work on the machine falls on either; where there is much of it, compare CPU time.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import requests

Row = dict[str, float]
UNTIL_SECONDS = 1_700_000_100  # a multiple of 5 minutes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--series", type=int, default=1000)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--step", type=int, default=300, help="seconds")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--client", metavar="URL", help="only read from there, and print time and memory as JSON")
    options = parser.parse_args()
    if options.client:
        print(json.dumps(read_all(options.client, options.days, options.step)))
    else:
        compare(options.series, options.days, options.step, options.rounds)


def compare(n_series: int, days: int, step_seconds: int, rounds: int) -> None:
    from tests.servers import running_prometheus

    with tempfile.TemporaryDirectory() as folder:
        samples = Path(folder) / "samples.txt"
        write_samples(samples, n_series, days, step_seconds)
        with running_prometheus(Path(folder) / "server", samples=samples) as server:
            samples.unlink()
            raw, read = [], []
            for number in range(rounds):
                raw.append(download_all(server.url, days, step_seconds))
                child = [sys.executable, "-m", "benchmarks.read", "--client", server.url]
                child += ["--days", str(days), "--step", str(step_seconds)]
                before = cpu_seconds(server.process.pid)
                read.append(json.loads(subprocess.run(child, check=True, capture_output=True, text=True).stdout))
                read[-1]["server_cpu"] = cpu_seconds(server.process.pid) - before
                print(f"round {number + 1}: {raw[-1]['seconds']:.2f} s, {read[-1]['seconds']:.2f} s", file=sys.stderr)
    show(n_series, days, step_seconds, raw, read)


def show(n_series: int, days: int, step_seconds: int, raw: list[Row], read: list[Row]) -> None:
    n_samples = n_series * days * 86_400 // step_seconds
    least = [min(one["seconds"] for one in rows) for rows in (raw, read)]
    middle = [statistics.median(one["seconds"] for one in rows) for rows in (raw, read)]
    cpu = {name: statistics.median(one[name] for one in read) for name in ("client_cpu", "server_cpu")}
    print(f"{n_series} series x {days} d x {step_seconds} s = {n_samples / 1e6:.1f} M samples, {len(raw)} rounds\n")
    print("| | fastest | median |\n|---|---|---|")
    print(f"| server and loopback, nothing parsed, s | {least[0]:.2f} | {middle[0]:.2f} |")
    print(f"| fetch_series, s | {least[1]:.2f} | {middle[1]:.2f} |")
    print(f"| ratio | {least[1] / least[0]:.2f} | {middle[1] / middle[0]:.2f} |")
    print(f"| CPU time of fetch_series, s | | {cpu['client_cpu']:.2f} |")
    print(f"| CPU time of the server meanwhile, s | | {cpu['server_cpu']:.2f} |")
    print(f"| JSON, MB | {raw[0]['bytes'] / 1e6:.0f} | |")
    print(f"| peak memory of the client, MB | {max(one['peak_mb'] for one in read):.0f} | |")
    print(f"| of it before the first request, MB | {max(one['start_mb'] for one in read):.0f} | |")


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def read_all(url: str, days: int, step_seconds: int) -> Row:
    from tsf.io.prometheus import fetch_series
    from tsf.params import FetchParams, PrometheusParams

    start_mb = peak_mb()
    fetch = FetchParams(metric_query="bench_used_bytes", step=f"{step_seconds}s", history=f"{days}d")
    begin, cpu = time.perf_counter(), time.process_time()
    _, quality = fetch_series(PrometheusParams(base_url=url), fetch, UNTIL_SECONDS)
    seconds = time.perf_counter() - begin
    assert quality.missing == 0
    return {
        "seconds": seconds,
        "client_cpu": time.process_time() - cpu,
        "start_mb": start_mb,
        "peak_mb": peak_mb(),
    }


def download_all(url: str, days: int, step_seconds: int) -> Row:
    begin, n_bytes = time.perf_counter(), 0
    with requests.Session() as session:
        for day in range(days, 0, -5):
            start = UNTIL_SECONDS - day * 86_400 + step_seconds
            end = UNTIL_SECONDS - max(day - 5, 0) * 86_400
            form = {"query": "bench_used_bytes", "start": start, "end": end, "step": step_seconds}
            headers = {"Accept-Encoding": "identity"}
            with session.post(
                f"{url}/api/v1/query_range", data=form, headers=headers, stream=True, timeout=300
            ) as reply:
                n_bytes += sum(len(piece) for piece in reply.iter_content(1 << 20))
    return {"seconds": time.perf_counter() - begin, "bytes": n_bytes}


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def write_samples(path: Path, n_series: int, days: int, step_seconds: int) -> None:
    """OpenMetrics text of bytes used, a random walk for each user, with the digits that real usage has."""
    rng = np.random.default_rng(0)
    n_steps = days * 86_400 // step_seconds
    times = (UNTIL_SECONDS - step_seconds * np.arange(n_steps)[::-1]).tolist()
    with path.open("w") as file:
        for i in range(n_series):
            head = (
                f'bench_used_bytes{{group="group-{i % 8}",user="user-{i:04d}",storage_type="{["ssd", "hdd"][i % 2]}",'
                f'cluster="east-{i % 3}"}} '
            )
            values = np.round(5e12 + np.cumsum(rng.normal(0, 2e9, n_steps)))
            file.writelines(f"{head}{value} {moment}\n" for value, moment in zip(values.tolist(), times, strict=True))
        file.write("# EOF\n")


if __name__ == "__main__":
    main()
