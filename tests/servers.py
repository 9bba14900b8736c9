"""Real servers for tests: Prometheus, Pushgateway and Alertmanager, and what they are filled with."""

from __future__ import annotations

import os
import re
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from itertools import chain, cycle, islice
from pathlib import Path
from typing import Any

import pytest
import requests

from tsf.doctor.project import program_of

__all__ = [
    "OpenMetric",
    "Server",
    "bitbrains_openmetrics",
    "find_server",
    "free_port",
    "left_open",
    "openmetrics",
    "run_promtool",
    "running_alertmanager",
    "running_jupyter",
    "running_nginx",
    "running_node_exporter",
    "running_prometheus",
    "running_pushgateway",
    "running_victoriametrics",
    "shared_file",
    "version_of",
]

ROOT = Path(__file__).parents[1]
DEBIAN_SHARE = b"/usr/share/prometheus/alertmanager"


def find_server(name: str) -> Path:
    """The program `name`, or as Debian calls it, from PATH or `.servers`; where it is absent, skip, or fail on CI."""
    if found := program_of(name, ROOT, os.environ):
        return found
    reason = f"{name} is neither in PATH nor in .servers; install it by the system's package manager"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def shared_file(name: str) -> Path:
    """A file of real data beside the repository; where it is absent, skip."""
    path = ROOT.parent / "shared" / name
    if not path.exists():
        pytest.skip(f"the real data {name} is not beside this repository")
    return path


@cache
def _own_ports() -> Iterator[int]:
    """Ports below those that the system itself hands out; each worker of the tests has others."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    own = range(20_000 + worker % 16, 32_768, 16)
    begin = secrets.randbelow(len(own))
    return cycle(chain(own[begin:], own[:begin]))


def free_port() -> int:
    """A TCP port of this machine that nobody listens on, and that nobody is given before its server begins to."""
    for port in islice(_own_ports(), 800):  # as many as a worker has
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no port of this worker is free")


@dataclass(frozen=True)
class Server:
    """A running server: its address, its folder (data, configuration, log) and its process."""

    url: str
    folder: Path
    process: subprocess.Popen[bytes]

    def query(self, promql: str, **parameters: str | float) -> list[dict[str, Any]]:
        """The result of an instant query to a Prometheus, as its JSON has it."""
        reply = requests.post(f"{self.url}/api/v1/query", data={"query": promql, **parameters}, timeout=30)
        reply.raise_for_status()
        result: list[dict[str, Any]] = reply.json()["data"]["result"]
        return result


@contextmanager
def _running(
    program: Path, arguments: Sequence[str], url: str, folder: Path, environ: Mapping[str, str] = os.environ
) -> Iterator[Server]:
    log = folder / "log"
    with (
        log.open("wb") as sink,
        subprocess.Popen([program, *arguments], stdout=sink, stderr=sink, cwd=folder, env=environ) as process,
    ):
        try:
            deadline = time.monotonic() + 180
            while not _ready(url):
                if process.poll() is not None or time.monotonic() > deadline:
                    pytest.fail(f"{program.name} did not start:\n{log.read_text()[-3000:]}")
                time.sleep(0.05)
            yield Server(url, folder, process)
        finally:
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()


def _ready(url: str) -> bool:
    try:
        # One with TLS or passwords says 400, 401; one that leads elsewhere 308.
        return requests.get(f"{url}/-/ready", timeout=5, allow_redirects=False).status_code != 503
    except (requests.ConnectionError, requests.Timeout):
        return False


@contextmanager
def running_pushgateway(folder: Path, *, flags: Iterable[str] = ()) -> Iterator[Server]:
    """A Pushgateway that keeps its data in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    arguments = [f"--web.listen-address=127.0.0.1:{port}", f"--persistence.file={folder / 'pushgateway.data'}", *flags]
    with _running(find_server("pushgateway"), arguments, f"http://127.0.0.1:{port}", folder) as server:
        yield server


@contextmanager
def running_alertmanager(folder: Path, config: str, *, flags: Iterable[str] = ()) -> Iterator[Server]:
    """An Alertmanager alone (no cluster) with `config`, its YAML."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "alertmanager.yml").write_text(config, encoding="utf-8")
    port = free_port()
    arguments = [
        f"--config.file={folder / 'alertmanager.yml'}",
        f"--storage.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
        *flags,
    ]
    program = _movable(find_server("alertmanager"), folder)
    with _running(program, arguments, f"http://127.0.0.1:{port}", folder) as server:
        yield server


@contextmanager
def running_node_exporter(folder: Path, textfiles: Path) -> Iterator[Server]:
    """A node_exporter that serves the files of the folder `textfiles` and nothing else."""
    folder.mkdir(parents=True, exist_ok=True)
    url = f"http://127.0.0.1:{free_port()}"
    arguments = ["--collector.disable-defaults", "--collector.textfile", f"--collector.textfile.directory={textfiles}",
                 f"--web.listen-address={url.removeprefix('http://')}"]  # fmt: skip
    with _running(find_server("node_exporter"), arguments, url, folder) as server:
        yield server


@contextmanager
def running_nginx(folder: Path, config: str, url: str) -> Iterator[Server]:
    """An nginx with `config`, what stands inside of its `http`, which listens at `url`."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = "".join(
        f"{name}_temp_path {folder / name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    text = f"daemon off; pid {folder / 'pid'}; events {{}} http {{ access_log off; {paths}\n{config} }}"
    (folder / "nginx.conf").write_text(text, encoding="utf-8")
    own = ["-g", "user root;"] if os.geteuid() == 0 else []  # its workers must get at `folder`
    arguments = ["-p", str(folder), "-e", "stderr", "-c", str(folder / "nginx.conf"), *own]
    with _running(find_server("nginx"), arguments, url, folder) as server:
        yield server


@contextmanager
def running_jupyter(folder: Path, token: str, base_url: str = "/") -> Iterator[Server]:
    """A Jupyter Server in `folder` with the options of the container, its token in a file."""
    (folder / "token").write_text(token)
    environ = os.environ | {"JUPYTER_TOKEN_FILE": str(folder / "token")}
    environ |= {f"JUPYTER_{name}_DIR": str(folder / name) for name in ("CONFIG", "DATA", "RUNTIME")}
    port = free_port()
    arguments = ["-m", "jupyter_server", f"--port={port}", "--ServerApp.port_retries=0", "--no-browser", "--allow-root",
                 f"--ServerApp.base_url={base_url}", "--ServerApp.trust_xheaders=True"]  # fmt: skip
    with _running(Path(sys.executable), arguments, f"http://127.0.0.1:{port}", folder, environ) as server:
        yield server


def _movable(program: Path, folder: Path) -> Path:
    """Debian's Alertmanager starts only with templates below /usr; where none are, a copy that looks in `folder`."""
    if Path(DEBIAN_SHARE.decode()).exists() or DEBIAN_SHARE not in (content := program.read_bytes()):
        return program
    for name in ("default.tmpl", "email.tmpl"):
        template = folder / DEBIAN_SHARE.decode()[1:] / name
        template.parent.mkdir(parents=True, exist_ok=True)
        template.write_text('{{ define "none" }}{{ end }}')
    copy = folder / program.name
    copy.write_bytes(content.replace(DEBIAN_SHARE, DEBIAN_SHARE[1:].replace(b"/", b"//", 1)))  # as long, and relative
    copy.chmod(0o755)
    return copy


@contextmanager
def running_prometheus(
    folder: Path,
    *,
    samples: str | Path = "",
    scrape: Iterable[str] = (),
    rules: str = "",
    config: str = "",
    flags: Iterable[str] = (),
) -> Iterator[Server]:
    """A Prometheus that keeps everything for ever.

    samples: OpenMetrics text, or a file of it, that is loaded as blocks before it starts.
    scrape: addresses (http://host:port) it scrapes each second, keeping their labels, as a Pushgateway needs it.
    rules: a rule file's YAML. config: a whole prometheus.yml instead of `scrape` and `rules`.
    """
    scrape = list(scrape)
    (folder / "data").mkdir(parents=True, exist_ok=True)
    if samples:
        source = samples if isinstance(samples, Path) else folder / "samples.txt"
        if isinstance(samples, str):
            source.write_text(samples, encoding="utf-8")
        _backfill(source, folder / "data")
    (folder / "rules.yml").write_text(rules or "groups: []\n", encoding="utf-8")
    (folder / "prometheus.yml").write_text(config or _scrape_config(scrape), encoding="utf-8")
    port = free_port()
    arguments = [
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        "--storage.tsdb.retention.time=100y",
        f"--web.listen-address=127.0.0.1:{port}",
        "--web.enable-lifecycle",
        *flags,
    ]
    with _running(find_server("prometheus"), arguments, f"http://127.0.0.1:{port}", folder) as server:
        _await_first_scrapes(server, len(scrape))
        yield server


@contextmanager
def running_victoriametrics(folder: Path, *, samples: str = "", scrape: Iterable[str] = ()) -> Iterator[Server]:
    """A single-node VictoriaMetrics that keeps everything for ever; `samples` and `scrape` as in running_prometheus."""
    scrape = list(scrape)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "scrape.yml").write_text(_scrape_config(scrape), encoding="utf-8")
    url = f"http://127.0.0.1:{free_port()}"
    arguments = [
        f"-storageDataPath={folder / 'data'}",
        f"-httpListenAddr={url.removeprefix('http://')}",
        f"-promscrape.config={folder / 'scrape.yml'}",
        "-promscrape.config.strictParse=false",  # it has no rules to evaluate
        "-retentionPeriod=100y",
        "-search.latencyOffset=1s",  # by default it holds the newest half minute back
    ]
    with _running(find_server("victoria-metrics"), arguments, url, folder) as server:
        lines = re.sub(r"(?m)^(.+ \d+)$", r"\g<1>000", samples.removesuffix("# EOF\n"))  # its times are milliseconds
        requests.post(f"{url}/api/v1/import/prometheus", data=lines.encode(), timeout=60).raise_for_status()
        requests.get(f"{url}/internal/force_flush", timeout=60).raise_for_status()
        _await_first_scrapes(server, len(scrape))
        yield server


def _await_first_scrapes(server: Server, n_targets: int) -> None:
    deadline = time.monotonic() + 120  # a new Prometheus looks at its targets only after 5 s
    while n_targets and len(server.query("up == 1")) < n_targets:
        assert time.monotonic() < deadline, "Prometheus does not reach its targets"
        time.sleep(0.1)


def _scrape_config(addresses: Iterable[str]) -> str:
    hosts = ", ".join(f"'{address.split('://')[-1]}'" for address in addresses)
    return (
        "global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}\n"
        "rule_files: [rules.yml]\n"
        "scrape_configs:\n"
        "  - job_name: pushed\n    honor_labels: true\n"
        f"    static_configs: [{{targets: [{hosts}]}}]\n"
    )


def _backfill(source: Path, data: Path) -> None:
    # Blocks of the default 2 h would parse the whole text again for each of them.
    flags = ["--max-block-duration=744h", "--quiet"]
    done = run_promtool("tsdb", "create-blocks-from", "openmetrics", *flags, str(source), str(data))
    assert done.returncode == 0, done.stderr


def run_promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    """What `promtool` says to `arguments`."""
    return subprocess.run([find_server("promtool"), *arguments], capture_output=True, text=True, timeout=600)


@cache
def version_of(program: str) -> tuple[int, ...]:
    """The version of the program that the tests find: (2, 42, 0)."""
    said = subprocess.run([find_server(program), "--version"], capture_output=True, text=True, timeout=60)
    return tuple(map(int, re.findall(r"version (\d+)\.(\d+)\.(\d+)", said.stdout + said.stderr)[0]))


def left_open(program: str = "prometheus") -> bool:
    """Whether ranges leave out their left edge, as from Prometheus 3 on."""
    return version_of(program) >= (3,)


@dataclass(frozen=True)
class OpenMetric:
    """One series: metric name, labels, Unix seconds and values of the same length."""

    name: str
    labels: Mapping[str, str]
    times: Sequence[float]
    values: Sequence[float]


def openmetrics(*series: OpenMetric) -> str:
    """OpenMetrics text of `series`, which may hold NaN and infinities."""
    lines = []
    for one in series:
        inside = ",".join(f'{name}="{_escaped(value)}"' for name, value in one.labels.items())
        head = f"{one.name}{{{inside}}}" if inside else one.name
        lines += [
            f"{head} {_number(float(value))} {moment}" for moment, value in zip(one.times, one.values, strict=True)
        ]
    return "\n".join([*lines, "# EOF", ""])


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _number(value: float) -> str:
    return {"nan": "NaN", "inf": "+Inf", "-inf": "-Inf"}.get(repr(value), repr(value))


def bitbrains_openmetrics(n_vms: int, days: float, *, end_seconds: int | None = None) -> str:
    """Memory of real VMs as `vm_memory_used_bytes` and `vm_memory_provisioned_bytes`, by `vm` and invented labels.

    The first `n_vms` machines over the first `days` days of August 2013, one sample in about 5 minutes; `end_seconds`
    moves the last of these days so that it ends there. `group`, `user`, `storage_type` and `cluster` follow from the
    machine's number: the data has none. Skips where the data is absent.
    """
    import pyarrow.parquet as parquet

    first_day = 1_375_308_000
    frame = parquet.read_table(
        shared_file("data/bitbrains_rnd/rnd_2013-8.parquet"),
        columns=["vm", "ts", "mem_kb", "mem_cap_kb"],
        filters=[("vm", "<=", n_vms), ("ts", "<=", int(first_day + days * 86_400))],
    ).to_pandas()
    moved = 0 if end_seconds is None else int(end_seconds - first_day - days * 86_400)
    series = []
    for vm, rows in frame.groupby("vm"):
        labels = {
            "vm": f"vm-{vm:03d}",
            "group": f"group-{vm % 5}",
            "user": f"user-{vm % 20:02d}",
            "storage_type": ["ssd", "hdd"][vm // 5 % 2],
            "cluster": ["east", "west"][vm // 10 % 2],
        }
        moments = (rows["ts"] + moved).tolist()
        for name, column in {"used": "mem_kb", "provisioned": "mem_cap_kb"}.items():
            values = (rows[column].astype(float) * 1024).tolist()
            series.append(OpenMetric(f"vm_memory_{name}_bytes", labels, moments, values))
    return openmetrics(*series)
