"""The whole pipeline on the demo fleet, driven by its commands. The tests run in order and share one project."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from html.parser import HTMLParser
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright

from tests.pipeline.conftest import ROOT, Project
from tsf.io.artifacts import read_forecast, read_series
from tsf.params import read_params
from tsf.project import STAGES

TASKS = ("storage", "cpu")


def contents(project: Project, *patterns: str) -> dict[str, bytes]:
    return {
        str(path.relative_to(project.root)): path.read_bytes()
        for pattern in patterns
        for path in sorted(project.root.glob(pattern))
        if path.is_file()
    }


class Page(HTMLParser):
    """What a browser would load, and whether tables and figures say what they are."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []
        self.tags: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        given = dict(attrs)
        self.loads += [given[name] or "" for name in ("src", "srcset", "data") if name in given]
        if tag == "link":
            self.loads.append(given.get("href") or "")
        if tag == "a":
            self.links.append(given.get("href") or "")


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_leaves_a_report_that_needs_no_network_and_is_small(
    project: Project, task: str, stage: str
) -> None:
    path = project.root / "reports" / task / f"{stage}.html"
    page = Page(path)
    assert path.stat().st_size < 250_000
    assert page.loads == []
    assert "script" not in page.tags
    assert page.tags.count("table") == page.tags.count("caption")
    assert page.tags.count("figure") == page.tags.count("figcaption")
    assert not path.with_name(f"{stage}.failed.ipynb").exists()


def test_the_index_links_to_reports_that_are_there(project: Project) -> None:
    index = project.root / "reports" / "index.html"
    links = Page(index).links
    assert {f"{task}/{stage}.html" for task in TASKS for stage in STAGES} <= set(links)
    assert all((index.parent / link).is_file() for link in links)


def test_no_page_has_a_barrier_for_anybody_or_asks_the_network_for_anything(project: Project) -> None:
    program = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chromium-browser")
    if program is None:
        pytest.fail("there is no Chromium") if os.environ.get("CI") else pytest.skip("there is no Chromium")
    asked: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--headless", "--no-sandbox"])
        page = browser.new_context(bypass_csp=True).new_page()  # axe is a script, and the pages allow none
        page.on("request", lambda request: asked.append(request.url))
        for path in sorted((project.root / "reports").rglob("*.html")):
            page.goto(path.as_uri())
            found = Axe().run(page)
            assert found.violations_count == 0, f"{path}: {found.generate_report()}"
        browser.close()
    assert asked
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []


def test_the_table_of_metrics_is_shown(project: Project) -> None:
    shown = project.dvc("metrics", "show")
    assert shown.returncode == 0, shown.stderr
    assert "wql_best_baseline" in shown.stdout


def test_metrics_stand_beside_their_baselines_for_dvc(project: Project) -> None:
    shown = json.loads(project.dvc("metrics", "show", "--json").stdout)
    files = shown[""]["data"]
    for task in TASKS:
        metrics = files[f"evaluation/{task}/metrics.json"]["data"]
        assert metrics["wql"] > 0
        assert metrics["wql_best_baseline"] > 0
        assert 0 <= metrics["coverage_80"] <= 1
        assert metrics["origins"] > 5


def test_plots_are_there_for_dvc(project: Project) -> None:
    shown = project.dvc("plots", "show", "--json")
    assert shown.returncode == 0, shown.stderr
    assert "evaluation/storage/training.csv" in shown.stdout
    assert "evaluation/storage/by_horizon.csv" in shown.stdout


def test_experiments_are_shown_with_their_metrics(project: Project) -> None:
    shown = project.dvc("exp", "show", "--csv", "--only-changed")
    assert shown.returncode == 0, shown.stderr
    assert "wql" in shown.stdout.splitlines()[0]


def test_a_second_run_has_nothing_to_do(project: Project) -> None:
    before = contents(project, "reports/*/*.html", "models/*/*", "pushed/*/*")
    again = project.dvc("repro")
    assert again.returncode == 0, again.stderr
    assert re.findall(r"Running stage '(.*)'", again.stdout) == ["notebooks"]  # which sees what the environment names
    assert contents(project, "reports/*/*.html", "models/*/*", "pushed/*/*") == before


def test_a_notebook_saved_with_its_outputs_makes_no_task_run_again(project: Project) -> None:
    path = project.root / "notebooks" / "train.ipynb"
    notebook = json.loads(path.read_text())
    notebook["cells"][-1]["outputs"] = [{"output_type": "stream", "name": "stdout", "text": ["looked at\n"]}]
    notebook["cells"][-1]["execution_count"] = 7
    path.write_text(json.dumps(notebook))
    again = project.dvc("repro")
    assert again.returncode == 0, again.stderr
    assert re.findall(r"Running stage '(.*)'", again.stdout) == ["notebooks"]


def test_the_same_seed_gives_the_same_data_and_the_same_model(project: Project) -> None:
    before = contents(project, "data/cpu/*", "models/cpu/weights.safetensors")
    version = json.loads((project.root / "models/cpu/card.json").read_text())["version"]
    again = project.dvc("repro", "--force", "--single-item", "fetch@cpu", "train@cpu")
    assert again.returncode == 0, again.stderr
    assert contents(project, "data/cpu/*", "models/cpu/weights.safetensors") == before
    assert json.loads((project.root / "models/cpu/card.json").read_text())["version"] == version


def test_what_was_pushed_is_a_textfile_of_gauges_without_timestamps(project: Project) -> None:
    lines = (project.root / "textfile/storage.prom").read_text().splitlines()
    samples = [line for line in lines if not line.startswith("#")]
    receipt = json.loads((project.root / "pushed/storage/receipt.json").read_text())
    assert len(samples) == receipt["output_series"]
    assert all(len(line.rpartition("}")[2].split()) == 1 for line in samples)
    assert any(line.startswith('tsf_breach_probability_ratio{task="storage",horizon="6h"') for line in samples)


def test_the_forecast_starts_where_the_data_end(project: Project) -> None:
    series = read_series(project.root / "data/storage/series.parquet")
    forecast = read_forecast(project.root / "pushed/storage/forecast.parquet")
    assert forecast.origin_seconds == series.times[-1]
    assert forecast.model_version == json.loads((project.root / "models/storage/card.json").read_text())["version"]


def test_predict_shows_the_most_urgent_first_and_can_write_nothing(project: Project) -> None:
    before = contents(project, "textfile/*", "pushed/*/*")
    shown = project.tsf("predict", "--task", "storage", "--steps", "3", "--no-prometheus")
    assert shown.returncode == 0, shown.stderr
    assert "series were forecast 3 h ahead" in shown.stdout
    assert contents(project, "textfile/*", "pushed/*/*") == before


def test_why_a_forecast_is_what_it_is_can_be_asked_of_the_most_urgent_series_and_of_any_other(project: Project) -> None:
    told = project.tsf("explain", "--task", "storage")
    assert told.returncode == 0, told.stderr
    assert "would be" in told.stdout
    assert "median moves by" in told.stdout
    named = project.tsf("explain", "--task", "storage", "--label", "cluster=nowhere")
    assert (named.returncode, named.stdout) == (1, "")
    assert "error: labels: no series has the cluster 'nowhere'; see the values of each label" in named.stderr


def test_one_command_leads_from_a_pushed_forecast_to_model_data_commit_and_notebook(project: Project) -> None:
    told = project.tsf("lineage", "--task", "storage")
    assert told.returncode == 0, told.stderr
    card = json.loads((project.root / "models/storage/card.json").read_text())
    commit = subprocess.run(
        ["git", "rev-parse", "--short=12", "HEAD"], cwd=project.root, capture_output=True, text=True
    )
    folder = f"registry/storage/{card['version']}"
    for fact in (card["version"], card["data_hash"], commit.stdout.strip(), f"{folder}/train.ipynb"):
        assert fact in told.stdout
    assert "-dirty" not in told.stdout
    assert card["version"] in (project.root / folder / "train.ipynb").read_text()
    assert "storage" in project.tsf("lineage").stdout


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--task", "nothing"], "there is no task 'nothing'"),
        (["--task", "storage", "--model-name", "0123"], "there is no model '0123'"),
        (["--task", "storage", "--at", "yesterday"], "'yesterday' is not a time"),
        (["--task", "storage", "--at", "2026-11-01T00:00:00Z"], "the demo fleet holds no forecasts"),
    ],
)
def test_lineage_that_is_not_there_is_refused_in_one_sentence(project: Project, flags: list[str], words: str) -> None:
    refused = project.tsf("lineage", *flags)
    assert refused.returncode == 1
    assert words in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--steps", "7"], "7 steps were asked for; the model learnt 1 to 6"),
        (["--model-name", "model_20200101_000000"], "model_20200101_000000"),
        (["--user", "nobody"], "no series has the user 'nobody'"),
        (["--label", "team=a"], "no series has a label 'team'; they have cluster, group"),
        (["--label", "group"], "--label: 'group' is no name and value; write --label group=vision"),
        (["--label", "user=a", "--user", "b"], "--label: user has two values"),
    ],
)
def test_a_prediction_that_cannot_be_made_is_refused_in_one_sentence(
    project: Project, flags: list[str], words: str
) -> None:
    refused = project.tsf("predict", "--task", "storage", "--no-prometheus", *flags)
    assert refused.returncode == 1
    assert words in refused.stderr
    assert "Traceback" not in refused.stderr


def test_predict_takes_a_model_by_its_name_and_one_user(project: Project) -> None:
    card = next((project.root / "registry/storage").glob("*/card.json"))
    name = json.loads(card.read_text())["name"]
    assert re.fullmatch(r"model_\d{8}_\d{6}", name)
    user = read_series(project.root / "data/storage/series.parquet").labels["user"][0]
    shown = project.tsf("predict", "--task", "storage", "--model-name", name, "--user", user, "--no-prometheus")
    assert shown.returncode == 0, shown.stderr
    assert name in shown.stdout


def test_without_a_task_all_that_have_the_user_are_forecast(project: Project) -> None:
    user = read_series(project.root / "data/storage/series.parquet").labels["user"][0]
    shown = project.tsf("predict", "--user", user, "--no-prometheus")
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.count("series were forecast") == 1  # cpu has no users
    same = project.tsf("predict", "--label", f"user={user}", "--no-prometheus")
    assert same.stdout == shown.stdout
    refused = project.tsf("predict", "--user", "nobody", "--no-prometheus")
    assert refused.returncode == 1
    assert "no series of storage, cpu has the user 'nobody'; see the values" in refused.stderr


def test_the_owner_of_tasks_is_a_user_too_as_for_train(project: Project) -> None:
    owner = read_params(project.root).tasks["cpu"].owner
    shown = project.tsf("predict", "--user", owner, "--no-prometheus")
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout == project.tsf("predict", "--task", "cpu", "--no-prometheus").stdout


def test_a_prediction_for_one_user_leaves_what_is_written_of_the_others(project: Project) -> None:
    written = project.root / "textfile" / "storage.prom"
    before = {line.split(" ")[0] for line in written.read_text().splitlines() if line.startswith("tsf_")}
    user = read_series(project.root / "data/storage/series.parquet").labels["user"][0]
    shown = project.tsf("predict", "--task", "storage", "--user", user)
    assert shown.returncode == 0, shown.stderr
    after = {line.split(" ")[0] for line in written.read_text().splitlines() if line.startswith("tsf_")}
    assert len(before) > 100
    assert before - after == set()


def test_a_task_that_fails_stops_no_other_and_loses_nothing(project: Project) -> None:
    last_good = contents(project, "data/storage/*", "models/storage/*", "reports/storage/*.html", "pushed/storage/*")
    champion = contents(project, "registry/storage/aliases.json")
    project.edit(tasks__storage__fetch__metric_query="no_such_metric", tasks__cpu__train__epochs=3)
    failed = project.tsf("run")
    assert failed.returncode == 1
    assert "fetch@storage failed" in failed.stderr
    sentence = next(line for line in failed.stderr.splitlines() if line.startswith("error: fetch@storage"))
    assert "no_such_metric" in sentence
    assert "Traceback" not in failed.stderr
    assert (project.root / "reports/storage/fetch.failed.ipynb").is_file()
    assert "failed" in (project.root / "reports/index.html").read_text()
    assert json.loads((project.root / "models/cpu/card.json").read_text())["spec"]["params"]["epochs"] == 3
    assert {k: v for k, v in contents(project, *LAST_GOOD).items() if k in last_good} == last_good
    assert contents(project, "registry/storage/aliases.json") == champion


LAST_GOOD = ("data/storage/*", "models/storage/*", "reports/storage/*.html", "pushed/storage/*")


def test_another_server_in_the_environment_is_asked_though_no_file_has_changed(project: Project) -> None:
    failed = project.tsf("fetch", "--task", "cpu", PROMETHEUS_URL="http://127.0.0.1:1")
    assert failed.returncode == 1
    assert "nothing listens at 127.0.0.1:1" in failed.stderr


def test_mending_the_mistake_and_running_again_is_enough(project: Project) -> None:
    project.edit(tasks__storage__fetch__metric_query="storage_used_bytes")
    mended = project.tsf("run")
    assert mended.returncode == 0, mended.stderr
    assert not (project.root / "reports/storage/fetch.failed.ipynb").exists()


REPRO, RUN = ("dvc", "repro", "push@storage"), ("tsf.cli", "run", "--task", "storage")


@pytest.mark.parametrize(("command", "shell"), [(REPRO, "/bin/sh"), (REPRO, "/bin/bash"), (RUN, "/bin/sh")])
def test_a_run_killed_at_any_moment_leaves_nothing_that_the_next_cannot_mend(
    project: Project, command: tuple[str, ...], shell: str
) -> None:
    last_good = contents(project, *LAST_GOOD)
    project.edit(tasks__storage__train__epochs=200, tasks__storage__train__early_stopping_patience=200)
    running = project.root / "reports/storage/train.running.ipynb"
    whole = [sys.executable, "-m", *command]
    environment = project.environment | {"SHELL": shell}  # DVC runs a stage by the user's own shell
    with subprocess.Popen(whole, cwd=project.root, env=environment, stdout=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 120
        while not running.exists():
            assert time.monotonic() < deadline
            time.sleep(0.1)
        os.kill(process.pid, signal.SIGKILL)
    assert {k: v for k, v in contents(project, *LAST_GOOD).items() if k in last_good} == last_good
    deadline = time.monotonic() + 60
    while (found := stage_processes(project.root)) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not found, "the stage outlived its run"
    half = project.root / "models/storage/.weights.safetensors.1a2b3c4d.tmp"  # what a killed write leaves
    half.write_bytes(b"half")
    project.edit(tasks__storage__train__epochs=2)
    again = project.dvc("repro", "push@storage")
    assert again.returncode == 0, again.stderr
    assert not half.exists()


def stage_processes(root: Path) -> list[str]:
    """Processes whose working folder is the project: the stage and its kernel."""
    entries = [entry for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return [entry.name for entry in entries if working_folder(entry) == str(root)]


def working_folder(process: Path) -> str:
    """Where it runs; "" for one that has ended or belongs to somebody else."""
    try:
        return str((process / "cwd").readlink())
    except OSError:
        return ""


def test_train_flags_are_written_to_params_and_used(project: Project) -> None:
    done = project.tsf("train", "--task", "cpu", "--model-type", "gru", "--epochs", "1", "--hidden-dim", "4")
    assert done.returncode == 0, done.stderr
    params = json.loads((project.root / "models/cpu/card.json").read_text())["spec"]["params"]
    assert (params["model_type"], params["epochs"], params["hidden_dim"]) == ("gru", 1, 4)
    assert "model_type: gru" in (project.root / "params.yaml").read_text()


def test_push_alone_trains_nothing_and_writes_again(project: Project) -> None:
    before, models = (project.root / "textfile/storage.prom").stat().st_mtime_ns, contents(project, "models/*/*")
    done = project.tsf("push", "--task", "storage")
    assert done.returncode == 0, done.stderr
    assert (project.root / "textfile/storage.prom").stat().st_mtime_ns > before
    assert contents(project, "models/*/*") == models


def test_removing_a_task_retires_what_it_pushed(project: Project) -> None:
    done = project.tsf("tasks", "remove", "storage")
    assert done.returncode == 0, done.stderr
    assert not (project.root / "textfile/storage.prom").exists()
    assert "storage" not in project.tsf("tasks").stdout
    assert (project.root / "models/storage/card.json").is_file()


def test_parameters_that_were_found_are_an_experiment_that_can_be_applied(project: Project) -> None:
    params = (project.root / "params.yaml").read_text()
    champion = contents(project, "registry/cpu/aliases.json", "models/cpu/card.json")
    code = "from tsf.flow.experiments import *; run_experiment(find_root(), 'cpu', {'hidden_dim': 6}, 'tune-cpu')"
    code = f"from pathlib import Path; find_root = Path.cwd; {code}"
    place = project.root / ".tsf/experiments"
    killed = subprocess.Popen([sys.executable, "-c", code], cwd=project.root, env=project.environment)
    while not [*place.glob("tune-cpu.*/.dvc/tmp/exps/*/*")]:  # DVC has begun
        assert killed.poll() is None
        assert (project.root / "params.yaml").read_text() == params
        time.sleep(0.05)
    killed.kill()
    killed.wait()
    assert (project.root / "params.yaml").read_text() == params
    project.edit(tasks__cpu__owner="somebody")  # what nobody has committed goes along
    params = (project.root / "params.yaml").read_text()
    for _ in range(2):  # the second takes the place of the first
        done = project.run("-c", code)
        assert done.returncode == 0, done.stderr
        assert (project.root / "params.yaml").read_text() == params
    assert [left.name for left in place.iterdir()] == ["tune-cpu.lock"]
    assert contents(project, "registry/cpu/aliases.json", "models/cpu/card.json") == champion
    shown = project.dvc("exp", "show", "--csv")
    assert "tune-cpu" in shown.stdout
    applied = project.dvc("exp", "apply", "tune-cpu")
    assert applied.returncode == 0, applied.stderr
    assert "hidden_dim: 6" in (project.root / "params.yaml").read_text()
    assert json.loads((project.root / "models/cpu/card.json").read_text())["spec"]["params"]["hidden_dim"] == 6


def test_the_grid_of_the_documents_is_queued_with_every_combination(project: Project) -> None:
    page = (ROOT / "docs/forecaster.md").read_text()
    command = next(line for line in page.splitlines() if line.startswith("dvc exp run --queue"))
    project.edit(tasks__cpu__train__hidden_dim=8)
    queued = project.dvc(*shlex.split(command)[1:])
    assert queued.returncode == 0, queued.stderr
    assert queued.stdout.count("Queued experiment") == 4
    assert {(width, kind) for width in ("32", "64") for kind in ("lstm", "gru")} == set(
        re.findall(r"hidden_dim=(\d+)', '\+\+tasks\.cpu\.train\.model_type=(\w+)'", queued.stdout)
    )
    assert project.dvc("queue", "remove", "--all").returncode == 0
