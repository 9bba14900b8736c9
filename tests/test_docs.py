"""The documents say what is so: each command in them runs, and each command, flag, parameter and metric is in them."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import pytest
import requests
from promql_parser import parse
from ruamel.yaml import YAML

from tests.io.test_exposition import INFO, forecast_of, present_of, samples
from tests.servers import OpenMetric, Server, openmetrics, run_promtool
from tests.test_setup import load_tool
from tsf.flow.tasks import edit_params
from tsf.io.exposition import forecast_exposition
from tsf.io.runs import runs_exposition
from tsf.params import OVERRIDES, PushParams, parse_params
from tsf.server.handlers import SENTENCES, STATUS
from tsf.server.system import VARIABLES

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
VARIABLE = re.compile(r"""environ(?:\.get\(|\[)["']([A-Z_]+)["']""")
HANDLERS = (ROOT / "tsf/server/handlers.py").read_text(encoding="utf-8")
NOT_OURS = {"PATH", "DVC_NO_ANALYTICS"}  # set by tsf itself, not by a person
QUICK = {"epochs": 1, "hidden_dim": 8, "sequence_length": 24, "windows_per_epoch": 64, "holdout": "3d"}
SHIM = f"""#!{sys.executable}
# tsf as the reader has it, but each new task is made small.
import sys
from importlib.metadata import PackageNotFoundError, version

import tsf.doctor
from tsf import cli
from tsf.flow.tasks import set_values
from tsf.params import read_params
from tsf.project import find_root

root = find_root()
names = [name for name, task in read_params(root).tasks.items() if task.train.hidden_dim != {QUICK["hidden_dim"]}]
quick = {{f"tasks.{{name}}.train.{{key}}": value for name in names for key, value in {QUICK}.items()}}
set_values(root, quick | {{f"tasks.{{name}}.fetch.history": "15d" for name in names}})
try:
    version("tsf")
except PackageNotFoundError:  # the tests also run from a source tree, which the doctor rightly minds
    tsf.doctor.check_packages = lambda: []
sys.argv[0] = "tsf"
cli.main()
"""
MAKE = """#!/bin/sh -e
# make as the reader has it, without its set-up: that each target is there, and what the demo does to one task.
PATH="${PATH#*:}" make --no-print-directory --dry-run "$@"
[ "$1" != demo ] || tsf run --task storage
"""


class Block(NamedTuple):
    """A fenced block: its language, its text, and the line it starts at."""

    language: str
    text: str
    line: int


@cache
def blocks(page: Path, *languages: str) -> list[Block]:
    """The fenced blocks of `page` in these languages, in order."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(match[1], match[2], text.count("\n", 0, match.start()) + 1)
        for match in re.finditer(r"(?ms)^```(\w*)\n(.*?)^```$", text)
        if match[1] in languages
    ]


def reference() -> ModuleType:
    return load_tool("reference")


# What the code has is in the pages.


def test_the_reference_pages_are_those_of_the_code() -> None:
    pages = reference()
    made = {
        "parameters.md": pages.parameters_page(),
        "commands.md": pages.commands_page(),
        "rest.md": pages.rest_page(),
    }
    for name, text in made.items():
        assert (ROOT / "docs" / name).read_text(encoding="utf-8") == text, "run `python tools/reference.py`"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_lines_are_no_longer_than_an_editor_is_wide(page: Path) -> None:
    """Tables and pictures have their line to themselves."""
    lines = enumerate(page.read_text(encoding="utf-8").splitlines(), start=1)
    assert [number for number, line in lines if len(line) > 130 and not line.startswith(("|", "!"))] == []


def test_every_parameter_says_what_it_means() -> None:
    keys = list(reference().keys())
    assert {"prometheus.base_url", "snapshot.until", "tasks.NAME.train.night.start"} <= {key.path for key in keys}
    assert [key.path for key in keys if not key.schema.get("description")] == []


def test_every_command_and_option_says_what_it_does() -> None:
    commands = reference().commands()
    assert {"tsf demo", "tsf tasks add"} <= set(commands)
    for name, command in commands.items():
        assert command.help, f"{name} has no help"
        assert name in ("tsf", "tsf tasks") or command.epilog.startswith("Example: tsf "), f"{name} has no example"
        assert [option.name for option in command.params if not option.help] == [], f"{name} has options without help"


def test_every_variable_that_is_read_is_in_the_readme() -> None:
    code = "\n".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "tsf").rglob("*.py")))
    read = {*VARIABLE.findall(code), *OVERRIDES} - NOT_OURS
    assert {"PROMETHEUS_URL", "PUSHGATEWAY_USERNAME", "PROMETHEUS_BEARER_TOKEN_FILE", "LOG_LEVEL"} <= read
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [name for name in sorted(read) if f"`{name}`" not in text] == []


def test_every_variable_of_the_readme_is_told_by_stats() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8").partition("### Environment")[2].partition("\n## ")[0]
    table = "".join(line.split(" | ")[0] for line in text.splitlines() if line.startswith("| "))
    assert {*re.findall(r"`([A-Z_]+)`", table)} == {*VARIABLES}


def test_every_status_of_an_error_is_in_the_page_of_rest() -> None:
    listed = re.findall(r"(?m)^\| (\d{3}) \|", (ROOT / "docs/rest.md").read_text(encoding="utf-8"))
    told = {*SENTENCES, *(status for _, status, _ in STATUS), *map(int, re.findall(r"HTTPError\((\d+)", HANDLERS)), 500}
    assert {*map(int, listed)} == told


def written_metrics() -> dict[str, set[str]]:
    """Every metric that tsf can write, with the labels that it adds."""
    forecast = forecast_of({"group": ["vision", "speech"]}, abstained=np.array(["", "too short"], object))
    present = present_of(forecast, owners=[{"group": "vision", "owner": "ann"}])
    sums = forecast_of({"group": ["vision"]})
    totals = sums, present_of(sums, before_work=None)
    body = forecast_exposition(forecast, present, "storage", PushParams(alias="ALIAS"), INFO, 1_793_491_300, totals)
    with TemporaryDirectory() as folder:
        (Path(folder) / "reports/storage").mkdir(parents=True)
        (Path(folder) / "reports/storage/push.html").touch()
        body += runs_exposition(Path(folder), ["storage"])
    return {name: {*labels} - {"group"} for name, labels, _ in samples(body)}


def test_every_metric_that_is_written_is_documented_with_its_labels() -> None:
    rows = re.findall(r"(?m)^\| `(\w+)` \| ([^|]*) \|", (ROOT / "docs/metrics.md").read_text(encoding="utf-8"))
    documented = {name: set(re.findall(r"`(\w+)`", labels)) for name, labels in rows}
    assert documented == written_metrics()


# What is in the pages is so.


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_pictures_lead_somewhere(page: Path) -> None:
    text = re.sub(r"(?ms)^```.*?^```$", "", page.read_text(encoding="utf-8"))
    for target in LINK.findall(text):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.is_file(), f"{page.name} links to {target}"
        heads = re.findall(r"(?m)^#+ (.*)$", file.read_text(encoding="utf-8")) if anchor else []
        assert not anchor or anchor in {re.sub(r"[^\w -]", "", head).lower().replace(" ", "-") for head in heads}


@pytest.mark.parametrize("name", ["forecast", "alarms"])
def test_the_picture_is_light_and_loads_nothing(name: str) -> None:
    picture = (ROOT / f"docs/images/{name}.svg").read_bytes()
    assert len(picture) < 150_000
    assert b"<script" not in picture
    assert b"<image" not in picture


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_make_command_has_a_target(page: Path) -> None:
    targets = set(re.findall(r"(?m)^([a-z]+):", (ROOT / "Makefile").read_text()))
    named = set(re.findall(r"(?:`|^)make ([a-z]+)", page.read_text(encoding="utf-8"), re.MULTILINE))
    assert named <= targets


def test_the_site_shows_every_page_and_no_link_of_it_is_broken(tmp_path: Path) -> None:
    """`make docs`, but for the execution of the notebooks, which their own tests see to."""
    options = ["--quiet", "--fail-on-warning", "-D", "nb_execution_mode=off", "-d", tmp_path / "cache"]
    command = [sys.executable, "-m", "sphinx", *options, "-c", "docs", ".", tmp_path / "site"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    index = (tmp_path / "site/index.html").read_text(encoding="utf-8")
    pages = [*PAGES, *(ROOT / "notebooks" / f"{name}.ipynb" for name in ("explore", "federated"))]
    missing = {str(page.relative_to(ROOT).with_suffix(".html")) for page in pages} - {
        *re.findall('href="([^"#]+)', index)
    }
    assert missing == {"README.html"}  # which is this page


def queries() -> Iterator[str]:
    """Every PromQL expression of the pages, without comments."""
    for page in (ROOT / "README.md", ROOT / "docs/metrics.md"):
        for block in blocks(page, "promql"):
            lines = [line for line in block.text.splitlines() if not line.startswith("#")]
            yield from (
                "\n".join(part) for filled, part in groupby(lines, key=lambda line: bool(line.strip())) if filled
            )


@pytest.mark.parametrize("query", [*queries()])
def test_every_query_is_promql_about_metrics_that_are_written(query: str) -> None:
    parse(query)
    written = written_metrics()
    for name, matchers in re.findall(r"\b(tsf_\w+)(?:\{([^}]*)\})?", query):
        assert set(re.findall(r"(\w+)=", matchers)) <= written[name]


def merged(params: Mapping[str, Any], fragment: Mapping[str, Any]) -> dict[str, Any]:
    both = {**params}
    for key, value in fragment.items():
        both[key] = merged(both[key], value) if isinstance(value, Mapping) and key in both else value
    return both


def test_every_fragment_of_params_yaml_in_the_readme_is_valid() -> None:
    yaml = YAML(typ="safe")
    fragments = [yaml.load(block.text) for block in blocks(ROOT / "README.md", "yaml")]
    assert fragments
    for fragment in fragments:
        parse_params(merged(yaml.load((ROOT / "params.yaml").read_text(encoding="utf-8")), fragment))


def test_the_alert_rules_fire_when_they_should_and_only_then(tmp_path: Path) -> None:
    [scrape, _, rules] = blocks(ROOT / "docs/metrics.md", "yaml")
    (tmp_path / "prometheus.yml").write_text(scrape.text)
    (tmp_path / "rules.yml").write_text(rules.text)
    (tmp_path / "tests.yml").write_bytes((ROOT / "tests/golden/alerts.yml").read_bytes())
    for check in (
        ("check", "config", "prometheus.yml"),
        ("check", "rules", "--lint-fatal", "rules.yml"),
        ("test", "rules", "tests.yml"),
    ):
        done = run_promtool(*check[:-1], str(tmp_path / check[-1]))
        assert done.returncode == 0, done.stdout + done.stderr


# The journeys of the README, block by block, as a reader goes them: the tests share a project and run in order.


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone of the repository with a small demo fleet, an activated environment and no network."""
    folder = tmp_path_factory.mktemp("clone")
    command = ["git", "-C", ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    for name in listed.split("\0")[:-1]:
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes((ROOT / name).read_bytes())
            (folder / name).chmod((ROOT / name).stat().st_mode)
    params = folder / "params.yaml"
    params.write_text(edit_params(params.read_text(), {"demo.groups": 2, "demo.users_per_group": 2}))
    programs = folder / ".venv" / "bin"
    programs.mkdir(parents=True)
    texts = {"tsf": SHIM, "make": MAKE, "dvc": f'#!/bin/sh\nexec "{sys.executable}" -m dvc "$@"\n', "activate": ""}
    for name, text in texts.items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    for command in (
        ["init", "-q"],
        ["add", "-A"],
        ["-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "start"],
    ):
        subprocess.run(["git", *command], cwd=folder, check=True)
    return folder


@pytest.fixture(scope="module")
def servers(prometheus_server: Callable[..., Server], pushgateway: Server) -> dict[str, str]:
    """Example address -> a real server, with the metrics that the README names."""
    now = int(time.time()) // 3600 * 3600
    hourly, often = np.arange(now - 16 * 86_400, now + 1, 3600), np.arange(now - 16 * 86_400, now + 1, 300)
    metrics = []
    for number in range(4):
        labels = {"group": f"group-{number % 2}", "user": f"user-{number}", "storage_type": "ssd", "cluster": "east"}
        used = 1e12 * (80 + 5 * np.sin(2 * np.pi * hourly / 86_400 + number) + number)
        for name in ("storage", "home"):
            metrics += [
                OpenMetric(f"{name}_used_bytes", labels, hourly.tolist(), used.tolist()),
                OpenMetric(f"{name}_quota_bytes", labels, hourly.tolist(), [1e14] * len(hourly)),
            ]
        received = np.cumsum(300 * 1e6 * (1.5 + np.sin(2 * np.pi * often / 86_400)))
        metrics.append(OpenMetric("received_bytes_total", labels, often.tolist(), received.tolist()))
    prometheus = prometheus_server(samples=openmetrics(*metrics), scrape=[pushgateway.url])
    return {"http://prometheus.example:9090": prometheus.url, "http://pushgateway.example:9091": pushgateway.url}


def run(project: Path, script: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """A script as a reader's shell runs it in the project."""
    secret = re.compile(r"PROMETHEUS_|PUSHGATEWAY_|LOG_LEVEL|DEBUG")
    environ = {name: value for name, value in os.environ.items() if not secret.match(name)}
    environ |= {"PATH": f"{project}/.venv/bin:{os.environ['PATH']}", "PYTHONPATH": str(project), "COLUMNS": "200"}
    command = ["bash", "-euo", "pipefail", "-c", script]
    return subprocess.run(command, cwd=project, env=environ, capture_output=True, text=True, timeout=900, **options)


def apply_fragment(project: Path, fragment: Mapping[str, Any], path: str = "") -> None:
    """Do to params.yaml what a reader does with a fragment of it."""
    for key, value in fragment.items():
        if isinstance(value, Mapping):
            apply_fragment(project, value, f"{path}{key}.")
        else:
            params = project / "params.yaml"
            params.write_text(edit_params(params.read_text(), {f"{path}{key}": value}))


def test_what_cron_runs_is_what_the_reader_has_run() -> None:
    commands = {line for block in blocks(ROOT / "README.md", "sh") for line in block.text.splitlines()}
    [block] = blocks(ROOT / "README.md", "cron")
    for line in block.text.splitlines():
        *times, command = line.split(maxsplit=5)
        assert all(re.fullmatch(r"[\d*/,-]+", field) for field in times)
        assert "%" not in command  # cron takes it for a line end
        match = re.fullmatch(r"cd /path/to/project && \.venv/bin/(.*) >> tsf\.log 2>&1", command)
        assert match
        assert match[1] in commands


def test_the_examples_of_the_panel_work_in_a_project(project: Path) -> None:
    examples = blocks(ROOT / "docs/jupyterlab.md", "python")
    assert len(examples) == 2
    before = (project / "params.yaml").read_text()
    done = run(project, f"{shlex.quote(sys.executable)} -", input="".join(block.text for block in examples))
    assert done.returncode == 0, done.stderr
    assert "+      epochs: 20" in done.stdout
    assert (project / "params.yaml").read_text() == before


JOURNEY = blocks(ROOT / "README.md", "sh", "yaml", "python")


@pytest.mark.servers
@pytest.mark.parametrize("block", JOURNEY, ids=[f"{block.language}-line-{block.line}" for block in JOURNEY])
def test_a_block_of_the_readme_works(block: Block, project: Path, servers: dict[str, str], tmp_path: Path) -> None:
    text = block.text
    for example, real in servers.items():
        text = text.replace(example, real)
    if block.language == "yaml":
        if "ca_file" not in text:  # these files are the reader's own; that the keys are valid is tested above
            apply_fragment(project, YAML(typ="safe").load(text))
        return
    if block.language == "python":
        (tmp_path / "example.py").write_text(text)
        text = f"cd {shlex.quote(str(tmp_path))} && {shlex.quote(sys.executable)} -W error example.py"
    done = run(project, text, input="a password\n")
    assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
    assert not re.search("Traceback|WARNING|Error", done.stderr), done.stderr


@pytest.mark.servers
def test_at_the_end_of_the_readme_the_forecast_is_on_the_pushgateway_and_the_page_in_the_browser(
    project: Path, servers: dict[str, str]
) -> None:
    served = requests.get(f"{servers['http://pushgateway.example:9091']}/metrics", timeout=30).text
    for task in ("storage", "home"):
        assert re.search(rf'(?m)^tsf_breach_probability_ratio\{{.*task="{task}".*user="user-1"', served)
        assert (project / "reports" / task / "push.html").is_file()
    assert 'task="inflow"' not in served  # it was removed again
    assert (project / "reports" / "index.html").is_file()


@pytest.mark.servers
def test_the_pictures_of_the_readme_can_be_drawn_again(project: Path, servers: dict[str, str]) -> None:
    pictures = [project / f"docs/images/{name}.svg" for name in ("forecast", "alarms")]
    for picture in pictures:
        picture.unlink()
    done = run(project, f"{shlex.quote(sys.executable)} tools/picture.py")
    assert done.returncode == 0, done.stderr
    assert all(b"<svg" in picture.read_bytes()[:1000] for picture in pictures)
