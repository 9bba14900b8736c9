"""What each route answers about a real project, and what it says to a mistake."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ruamel.yaml import YAML

from tests.faults import Answer as FaultAnswer
from tests.faults import FaultServer
from tests.server.conftest import Call
from tsf.flow.queue import claim, enqueue, finish, list_runs
from tsf.flow.tasks import set_values
from tsf.io.artifacts import write_series
from tsf.io.lineage import lineage
from tsf.io.registry import NOTEBOOK
from tsf.project import TaskPaths
from tsf.series import SeriesSet, label_rows, title_of
from tsf.server import runs as run_routes
from tsf.server import tasks as task_routes
from tsf.server.openapi import operations
from tsf.server.service import OWN_SECONDS
from tsf.stages.push import push
from tsf.units import amount_text

READING = {  # path -> schema of its answer
    "/": "About",
    "/health": "Health",
    "/stats": "Stats",
    "/users": "Users",
    "/users/1": "User",
    "/users/username/storage-oncall": "User",
    "/tasks": "Tasks",
    "/tasks/storage": "TaskDetail",
    "/tasks/cpu": "TaskDetail",
    "/tasks/user/storage-oncall": "Tasks",
    "/tasks/storage/runs": "Runs",
    "/tasks/storage/series": "SeriesRows",
    "/tasks/storage/chart": "Chart",
    "/tasks/storage/evaluation": "Evaluation",
    "/tasks/storage/rules": "Rules",
    "/series": "SeriesRows",
    "/runs": "Runs",
    "/presets": "Presets",
    "/params/schema": "ParamsSchema",
    "/models": "Models",
    "/models/user/storage-oncall": "Models",
    "/models/task/storage": "Models",
    "/data/metrics/storage-oncall": "UserMetrics",
    "/reports": "Reports",
}


@pytest.fixture(autouse=True)
def no_runner(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs stay in the queue: what becomes of them is tested with the queue itself."""
    for module in (task_routes, run_routes):
        monkeypatch.setattr(module, "start_runner", lambda root: None)
    monkeypatch.setattr("tsf.server.service.start_runner", lambda root: None)


def params_of(project: Path) -> Any:
    return YAML(typ="safe").load((project / "params.yaml").read_text())


async def test_every_reading_route_answers_as_the_contract_says(call: Call, project: Path) -> None:
    for path, schema in READING.items():
        status, _ = await call("GET", path, as_=schema)
        assert status == 200, path
    reading = {re.sub(r"\{\w+\}", "[^/]+", operation.path) for operation in operations() if operation.method == "get"}
    tried = {*READING, "/docs", "/openapi.json", "/metrics", "/runs/1/log", "/models/0", "/reports/storage/push"}
    assert not [route for route in reading if not any(re.fullmatch(route, path) for path in tried)]


async def test_the_list_of_tasks_says_what_is_urgent_and_what_never_ran(call: Call) -> None:
    _, answer = await call("GET", "/tasks")
    first, second = answer["items"]
    assert (first["name"], second["name"]) == ("storage", "cpu")
    assert (first["state"], second["state"]) == ("completed", "new")
    assert first["urgency"]["total"] > first["urgency"]["silent"] >= 0
    assert 0 <= first["urgency"]["p_breach"] <= 1
    assert second["urgency"] is None
    assert first["model"]
    assert first["metrics"]["version"] == first["model"]


async def test_a_damaged_list_of_aliases_hides_no_other_task(call: Call, jp_fetch: Any, project: Path) -> None:
    (project / "registry/storage/aliases.json").write_text("{")
    _, tasks = await call("GET", "/tasks", as_="Tasks")
    assert {task["name"]: task["model"] for task in tasks["items"]} == {"storage": None, "cpu": None}
    assert sum((await call("GET", "/stats", as_="Stats"))[1]["tasks"].values()) == 2
    assert b"tsf_tasks{" in (await jp_fetch("tsf/api", "metrics")).body
    assert (await call("GET", "/models/task/storage"))[1]["message"].startswith(str(project / "registry/storage"))


async def test_models_are_listed_and_found_though_the_aliases_of_another_task_are_damaged(
    call: Call, project: Path
) -> None:
    shutil.copytree(project / "registry/storage", project / "registry/cpu")
    (project / "registry/storage/aliases.json").write_text("{")
    status, models = await call("GET", "/models", as_="Models")
    assert (status, [model["task"] for model in models["items"]]) == (200, ["cpu"])
    [fault] = models["faults"]
    assert fault["task"] == "storage"
    assert "aliases.json: it is damaged; restore it" in fault["message"]
    _, card = await call("GET", f"/models/{models['items'][0]['id']}", as_="ModelCard")
    assert card["task"] == "cpu"
    assert (await call("GET", "/models/nowhere"))[1]["message"] == fault["message"]


async def test_rows_come_the_most_urgent_first_and_pages_join(call: Call) -> None:
    _, whole = await call("GET", "/tasks/storage/series")
    left = [float("inf") if row["seconds_to_limit"] is None else row["seconds_to_limit"] for row in whole["items"]]
    assert left == sorted(left)
    parts = [(await call("GET", "/tasks/storage/series", offset=start, limit=4))[1]["items"] for start in (0, 4)]
    assert parts[0] + parts[1] == whole["items"][:8]
    assert whole["total"] == len(whole["items"])


async def test_the_chart_of_a_row_is_the_series_of_that_row(call: Call) -> None:
    _, rows = await call("GET", "/tasks/storage/series")
    row = rows["items"][2]
    _, chart = await call("GET", "/tasks/storage/chart", row=row["row"], hours=48)
    assert chart["labels"] == row["labels"]
    assert chart["unit"] == "bytes"
    assert len(chart["times"]) == len(chart["actual"]) == 48
    assert chart["actual"][-1] == row["used"]
    assert set(chart["forecast"]["quantiles"]) >= {"0.1", "0.5", "0.9"}
    assert chart["forecast"]["times"][0] > chart["times"][-1] - 1
    status, fault = await call("GET", "/tasks/storage/chart", row=10_000)
    assert (status, fault["reason"]) == (404, "not_found")


async def test_a_task_without_data_says_that_it_must_run_first(call: Call) -> None:
    for path in ("/tasks/cpu/series", "/tasks/cpu/chart", "/tasks/cpu/evaluation"):
        status, fault = await call("GET", path)
        assert (status, fault["reason"]) == (409, "not_run"), path
    status, fault = await call("POST", "/predict", {"task": "cpu"})
    assert (status, fault["reason"]) == (409, "no_model")


@pytest.mark.parametrize(
    ("path", "params", "status", "reason"),
    [
        ("/tasks/nothing", {}, 404, "not_found"),
        ("/tasks/nothing/series", {}, 404, "not_found"),
        ("/users/99", {}, 404, "not_found"),
        ("/users/first", {}, 404, "not_found"),
        ("/users/username/nobody", {}, 404, "not_found"),
        ("/models/000000000000", {}, 404, "not_found"),
        ("/models/..%2F..%2Fetc", {}, 404, "not_found"),
        ("/runs/7/log", {}, 404, "not_found"),
        ("/reports/storage/nothing", {}, 404, "not_found"),
        ("/reports/cpu/push", {}, 404, "not_found"),
        ("/data/metrics/nobody", {}, 404, "not_found"),
        ("/data/metrics/storage-oncall", {"hours": "0"}, 422, "invalid"),
        ("/tasks", {"limit": "many"}, 422, "invalid"),
        ("/tasks", {"state": "lost"}, 422, "invalid"),
        ("/tasks", {"ofset": "3"}, 422, "invalid"),
    ],
)
async def test_a_wrong_address_is_told_in_a_sentence(
    call: Call, path: str, params: dict[str, str], status: int, reason: str
) -> None:
    code, fault = await call("GET", path, **params)
    assert (code, fault["reason"]) == (status, reason)
    assert fault["message"].endswith(".")


async def test_an_owner_is_added_once_and_found_by_number_and_name(call: Call) -> None:
    status, added = await call("POST", "/users", {"username": "alice", "email": "alice@example.com"}, as_="User")
    assert status == 201
    assert (await call("GET", f"/users/{added['id']}"))[1] == added
    assert (await call("GET", "/users/username/alice"))[1] == added
    assert (await call("POST", "/users", {"username": "alice", "email": "a@example.com"}))[0] == 409
    for wrong in (
        "bob at example",
        "<bob@example.com>",
        "bob@example.com;",
        "b@example.com, a@example.com",
        "\ud800@b.c",
    ):
        status, fault = await call("POST", "/users", {"username": "bob", "email": wrong})
        assert (status, fault["where"]) == (422, "email")
    assert (await call("POST", "/users", {"username": "bob"}))[0] == 422


async def test_an_owner_of_params_yaml_gets_an_address_without_being_a_duplicate(call: Call) -> None:
    _, before = await call("GET", "/users/username/storage-oncall")
    assert (before["email"], before["tasks"]) == ("", ["storage"])
    status, after = await call("POST", "/users", {"username": "storage-oncall", "email": "s@example.com"})
    assert (status, after["id"], after["email"]) == (201, before["id"], "s@example.com")


async def test_a_task_is_added_with_its_comments_around_it_kept_and_waits_in_the_queue(
    call: Call, project: Path
) -> None:
    comments = [line for line in (project / "params.yaml").read_text().splitlines() if "#" in line]
    body = {"name": "home", "user": "alice", "preset": "storage", "metric_query": "storage_used_bytes"}
    config = {"epochs": 3, "train.night.start": "21:00", "fetch": {"history": "30d"}, "covariates": {"jobs": "jobs"}}
    status, saved = await call("POST", "/tasks", body | {"config": config}, as_="SavedTask")
    assert (status, saved["id"], saved["state"]) == (202, "home", "pending")
    assert "+  home:" in saved["diff"]
    block = params_of(project)["tasks"]["home"]
    assert block["owner"] == "alice"
    assert block["train"]["epochs"] == 3
    assert block["fetch"]["covariates"] == {"jobs": "jobs"}
    assert block["train"]["night"] == {"start": "21:00"}
    assert [line for line in (project / "params.yaml").read_text().splitlines() if "#" in line] == comments
    _, task = await call("GET", "/tasks/home", as_="TaskDetail")
    assert (task["state"], task["run"]["position"], task["config"]["train.epochs"]) == ("pending", 1, 3)
    assert "train.epochs" in task["set"]
    assert "train.dropout" not in task["set"]
    assert (await call("POST", "/tasks", body))[0] == 409


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({"name": "x", "metric_query": "sum("}, "fetch.metric_query"),
        ({"name": "x", "metric_query": "requests_total"}, "fetch.metric_query"),
        ({"name": "../x", "metric_query": "up"}, "tasks"),
        ({"name": "x", "metric_query": "up", "config": {"epocs": 3}}, "epocs"),
        ({"name": "x", "metric_query": "up", "config": {"quantiles": [0.5]}}, "quantiles"),
        ({"name": "x", "metric_query": "up", "config": {"epochs": 0}}, "train.epochs"),
        ({"name": "x", "metric_query": "up", "colour": "red"}, "body"),
        ({"name": "x"}, "metric_query"),
        ({"name": "user", "metric_query": "up"}, "tasks.user"),
        ({"metric_query": "up"}, "body"),
    ],
)
async def test_a_wrong_task_is_refused_before_anything_is_written_or_queued(
    call: Call, project: Path, body: dict[str, Any], where: str
) -> None:
    before = (project / "params.yaml").read_bytes()
    status, fault = await call("POST", "/tasks", body)
    assert (status, fault["reason"]) == (422, "invalid")
    assert where in fault["where"]
    assert (project / "params.yaml").read_bytes() == before
    assert not list_runs(project)


async def test_an_edit_is_shown_first_then_saved_and_refused_where_somebody_was_faster(
    call: Call, project: Path
) -> None:
    _, task = await call("GET", "/tasks/storage")
    before = (project / "params.yaml").read_bytes()
    edit = {"config": {"alert.line": 0.95}, "etag": task["etag"]}
    _, shown = await call("PUT", "/tasks/storage", edit | {"dry_run": True}, as_="SavedTask")
    assert "+      line: 0.95" in shown["diff"]
    assert (project / "params.yaml").read_bytes() == before
    status, saved = await call("PUT", "/tasks/storage", edit, as_="SavedTask")
    assert (status, saved["diff"], saved["run"]) == (200, shown["diff"], None)
    assert "# share of the limit" in (project / "params.yaml").read_text()
    status, fault = await call("PUT", "/tasks/storage", edit)
    assert (status, fault["reason"]) == (409, "conflict")
    assert (await call("PUT", "/tasks/nothing", edit))[0] == 404


async def test_a_task_whose_settings_have_changed_since_its_run_is_stale(call: Call, project: Path) -> None:
    enqueue(project, "storage")
    run = claim(project)
    assert run
    finish(project, run.id, "completed")
    assert (await call("GET", "/tasks/storage"))[1]["state"] == "completed"
    await call("PUT", "/tasks/storage", {"config": {"train.epochs": 7}})
    assert (await call("GET", "/tasks/storage"))[1]["state"] == "stale"


async def test_a_model_from_before_a_setting_existed_is_not_stale_for_it(call: Call, project: Path) -> None:
    for path in project.glob("registry/storage/*/card.json"):
        card = json.loads(path.read_text())
        del card["spec"]["params"]["schedule"], card["spec"]["params"]["derived"]
        path.write_text(json.dumps(card))
    assert (await call("GET", "/tasks/storage"))[1]["state"] == "completed"
    await call("PUT", "/tasks/storage", {"config": {"train.schedule": "cosine"}})
    assert (await call("GET", "/tasks/storage"))[1]["state"] == "stale"


async def test_a_task_that_was_run_by_hand_or_pushed_since_is_stale_until_it_is_trained_anew(
    call: Call, project: Path
) -> None:
    assert (await call("GET", "/tasks/storage"))[1]["state"] == "completed"
    await call("PUT", "/tasks/storage", {"config": {"train.epochs": 7}})
    assert (await call("GET", "/tasks/storage"))[1]["state"] == "stale"
    enqueue(project, "storage", alone=True)
    run = claim(project)
    assert run
    finish(project, run.id, "completed")
    assert (await call("GET", "/tasks/storage"))[1]["state"] == "stale"


async def test_tasks_that_are_added_at_once_are_all_added_and_one_of_two_same_edits_is_told(call: Call) -> None:
    bodies = [{"name": f"t{n}", "metric_query": "up", "queue": False} for n in range(6)]
    answers = await asyncio.gather(*(call("POST", "/tasks", body) for body in bodies))
    assert [status for status, _ in answers] == [202] * 6
    etag = (await call("GET", "/tasks/t0"))[1]["etag"]
    edits = [{"etag": etag, "config": {"train.epochs": epochs}} for epochs in (3, 4)]
    answers = await asyncio.gather(*(call("PUT", "/tasks/t0", edit) for edit in edits))
    assert sorted(status for status, _ in answers) == [200, 409]


async def test_between_two_fetches_the_pages_show_what_the_push_has_read(call: Call, project: Path) -> None:
    before = (await call("GET", "/tasks/storage/chart", row=0, hours=24))[1]
    set_values(project, {"snapshot.until": "2026-11-01T12:00:00Z"})
    pushed = push("storage", project)
    _, rows = await call("GET", "/tasks/storage/series")
    used = {
        title_of(row): value for row, value in zip(label_rows(pushed.forecast.labels), pushed.urgency.used, strict=True)
    }
    assert len(rows["items"]) > 3
    for row in rows["items"]:
        assert row["used"] == used[row["title"]]
    after = (await call("GET", "/tasks/storage/chart", row=0, hours=24))[1]
    assert after["times"][-1] == before["times"][-1] + 12 * 3600
    assert set(np.diff(after["times"]).tolist()) == {3600}  # fetch and push join without a gap or a step twice
    assert len(after["times"]) == len(after["actual"]) == len(after["limit"]) == 24


async def test_a_page_has_its_line_and_its_breaches_where_an_amount_is_left(call: Call, project: Path) -> None:
    before = (await call("GET", "/tasks/storage/chart", row=0, hours=24))[1]
    assert (before["left"], before["level"]) == (None, [0.98 * limit for limit in before["limit"]])
    left = before["limit"][-1] - max(before["actual"])
    set_values(project, {"tasks.storage.alert.left": left})
    after = (await call("GET", "/tasks/storage/chart", row=0, hours=24))[1]
    assert after["left"] == left
    _, rows = await call("GET", "/tasks/storage/series")
    for row in rows["items"]:
        assert row["seconds_to_limit"] != 0 or row["used"] >= min(0.98 * row["limit"], row["limit"] - left)
    reached = [row for row in rows["items"] if row["limit"] - row["used"] <= left]
    assert reached
    assert all(row["seconds_to_limit"] == 0 for row in reached)
    assert (
        f"have reached 98 % of their limit, or the last {amount_text(left, 'bytes')} of it, or may do so, with"
        in push("storage", project).summary
    )


async def test_alarms_of_pages_and_report_look_as_far_ahead_as_the_rules(call: Call, project: Path) -> None:
    alert = {"policy": "fixed", "gate": 0.0}
    set_values(
        project, {"tasks.storage.push.horizons": ["1h"]} | {f"tasks.storage.alert.{k}": v for k, v in alert.items()}
    )
    chance = push("storage", project).forecast.p_breach
    assert chance is not None
    row = int(np.nanargmax(chance[:, -1] - chance[:, 0]))
    between = float(
        chance[row, [0, -1]].mean()
    )  # within an hour it is not that likely, within the whole forecast it is
    set_values(project, {"tasks.storage.alert.probability": between})
    due = int((chance[:, 0] >= between).sum())
    assert due < int((chance[:, -1] >= between).sum())
    assert f"; {due} ha" in push("storage", project).summary
    assert "or may do so within 1 h, with" in push("storage", project).summary
    _, rows = await call("GET", "/tasks/storage/series")
    assert sum(one["alarm"] for one in rows["items"]) == due
    assert (await call("GET", "/tasks/storage/chart", row=row, hours=24))[1]["alarms"] == []
    likely = int(np.nanargmax(chance[:, 0]))
    set_values(project, {"tasks.storage.alert.probability": float(chance[likely, 0]) / 2})
    [alarm] = (await call("GET", "/tasks/storage/chart", row=likely, hours=24))[1]["alarms"]
    assert (alarm["horizon"], alarm["p_breach"]) == ("1h", chance[likely, 0])


@pytest.mark.parametrize(("age", "state"), [(60, "ok"), (7_200, "warn"), (40 * 86_400, "fail")])
async def test_health_minds_the_age_of_the_last_forecast(
    call: Call, project: Path, monkeypatch: pytest.MonkeyPatch, age: int, state: str
) -> None:
    monkeypatch.setenv("PROMETHEUS_URL", "http://127.0.0.1:1")  # the demo fleet has no clock
    await call("DELETE", "/tasks/cpu")
    moment = time.time() - age
    os.utime(project / "pushed/storage/receipt.json", (moment, moment))
    checks = (await call("GET", "/health"))[1]["checks"]
    assert {check["state"] for check in checks if check["name"] == "last run"} == {state}


async def test_health_sees_a_project_as_it_is_and_not_as_it_was(call: Call, project: Path) -> None:
    async def said() -> dict[str, str]:
        return {check["name"]: check["detail"] for check in (await call("GET", "/health", as_="Health"))[1]["checks"]}

    assert (await said())["last run"] == "cpu never pushed a forecast"
    shutil.copytree(project / "pushed/storage", project / "pushed/cpu")
    await asyncio.sleep(OWN_SECONDS)
    assert (await said())["last run"].startswith("every task has pushed")
    (project / "params.yaml").write_text("tasks: [")
    await asyncio.sleep(OWN_SECONDS)
    assert set(await said()) == {"project"}


async def test_an_address_that_is_none_is_told_in_our_own_form(call: Call) -> None:
    assert (await call("GET", "/no/such/thing"))[0] == 404


async def test_a_run_is_queued_superseded_cancelled_and_retried(call: Call) -> None:
    assert (await call("POST", "/tasks/cpu/cancel"))[0] == 409
    assert (await call("POST", "/tasks/cpu/retry"))[0] == 409
    status, first = await call("POST", "/tasks/cpu/run", {"stage": "train", "force": True}, as_="Run")
    assert (status, first["state"], first["position"]) == (202, "pending", 1)
    _, second = await call("POST", "/tasks/cpu/run", {"stage": "fetch"}, as_="Run")
    _, runs = await call("GET", "/tasks/cpu/runs", as_="Runs")
    assert [(run["id"], run["state"]) for run in runs["items"]] == [
        (second["id"], "pending"),
        (first["id"], "superseded"),
    ]
    assert (await call("POST", "/tasks/cpu/retry"))[0] == 409
    _, cancelled = await call("POST", "/tasks/cpu/cancel", as_="Run")
    assert cancelled["state"] == "cancelled"
    _, again = await call("POST", "/tasks/cpu/retry", as_="Run")
    assert (again["state"], again["stage"]) == ("pending", "fetch")
    assert (await call("POST", "/tasks/nothing/run"))[0] == 404


async def test_a_run_that_failed_leads_to_the_cell_that_failed(call: Call, project: Path) -> None:
    enqueue(project, "storage")
    run = claim(project)
    assert run
    finish(project, run.id, "failed", "train@storage: it broke.")
    cells = [
        {"cell_type": "markdown", "source": "# Train", "metadata": {}},
        {"cell_type": "code", "source": "1/0", "metadata": {"papermill": {"status": "failed"}}, "outputs": []},
    ]
    (project / "reports/storage/train.failed.ipynb").write_text(json.dumps({"cells": cells}))
    _, task = await call("GET", "/tasks/storage", as_="TaskDetail")
    assert task["state"] == "failed"
    assert task["run"]["failed_notebook"] == "reports/storage/train.failed.ipynb"
    assert task["run"]["failed_cell"] == 1
    assert (task["failed_notebook"], task["failed_cell"]) == ("reports/storage/train.failed.ipynb", 1)
    assert task["run"]["error"] == task["error"] == "train@storage: it broke."
    cells[1]["outputs"] = [{"output_type": "error", "ename": "ModelError", "evalue": "it is <b>new</b>."}]
    (project / "reports/storage/train.failed.ipynb").write_text(json.dumps({"cells": cells}))  # by hand, since then
    _, task = await call("GET", "/tasks/storage", as_="TaskDetail")
    assert task["error"] == "train@storage: it is <b>new</b>."


async def test_a_stage_that_somebody_ran_by_hand_and_that_failed_leads_to_its_cell_too(
    call: Call, project: Path
) -> None:
    notebook = project / "reports/cpu/fetch.failed.ipynb"
    notebook.parent.mkdir(parents=True)
    notebook.write_text(json.dumps({"cells": []}))
    _, task = await call("GET", "/tasks/cpu", as_="TaskDetail")
    assert (task["state"], task["run"]) == ("failed", None)
    assert (task["failed_notebook"], task["failed_cell"]) == ("reports/cpu/fetch.failed.ipynb", None)
    assert task["error"] == ""
    error = {"output_type": "error", "ename": "ZeroDivisionError", "evalue": "division by zero\nat all"}
    cell = {"cell_type": "code", "execution_count": 3, "metadata": {}, "outputs": [error]}
    notebook.write_text(json.dumps({"cells": [cell]}))
    _, task = await call("GET", "/tasks/cpu", as_="TaskDetail")
    assert task["error"].startswith("fetch@cpu: cell 3 failed with ZeroDivisionError: division by zero; open ")


async def test_a_task_that_is_deleted_takes_what_it_pushed_along_and_leaves_its_reports(
    call: Call, project: Path
) -> None:
    assert (project / "textfile/storage.prom").exists()
    status, _ = await call("DELETE", "/tasks/storage", as_="SavedTask")
    assert status == 200
    assert not (project / "textfile/storage.prom").exists()
    assert 'task="storage"' not in (project / "textfile/tsf-runs.prom").read_text()
    assert "storage" not in params_of(project)["tasks"]
    assert (project / "reports/storage/push.html").exists()
    assert (await call("DELETE", "/tasks/storage"))[0] == 404
    await call("POST", "/tasks", {"name": "storage", "preset": "storage", "queue": False})
    assert (await call("GET", "/tasks/storage"))[1]["state"] == "new"  # what it had pushed is gone: it must run again


async def test_the_alert_rules_of_a_task_are_read_and_written_anew(call: Call, project: Path) -> None:
    _, found = await call("GET", "/tasks/storage/rules")
    assert found["path"] == "rules/storage.yml"
    assert found["rules"] == (project / "rules/storage.yml").read_text()
    assert "rule_files: ['../storage.yml']" in found["tests"]
    status, fault = await call("GET", "/tasks/cpu/rules")
    assert (status, fault["reason"]) == (409, "not_run")
    await call("PUT", "/tasks/storage", {"user": "somebody-else"})
    _, written = await call("POST", "/tasks/storage/rules", as_="Rules")
    assert "somebody-else" in written["rules"]
    await call("PUT", "/tasks/cpu", {"limit": None})
    _, watching = await call("POST", "/tasks/cpu/rules", as_="Rules")  # without a limit nothing can breach, but fail
    assert "TsfForecasterFails" in watching["rules"]
    assert "TsfBreachSoon" not in watching["rules"]
    assert (await call("POST", "/tasks/nothing/rules"))[0] == 404


async def test_noise_is_what_the_teams_will_bear_and_why_nobody_counted(call: Call) -> None:
    async def noise(task: str) -> dict[str, Any]:
        answer: dict[str, Any] = (await call("GET", f"/tasks/{task}"))[1]["noise"]
        return answer

    end = time.monotonic() + 30
    while "being counted" in (storage := await noise("storage"))["reason"]:
        assert time.monotonic() < end
        await asyncio.sleep(0.05)
    _, rows = await call("GET", "/tasks/storage/series")
    teams = len({row["labels"]["group"] for row in rows["items"]})
    assert (storage["alarms"], storage["budget"]) == (None, 5.0 * teams)
    assert "demo fleet" in storage["reason"]
    assert storage["expected"] >= 0
    assert await noise("cpu") == {"alarms": None, "expected": None, "budget": 15.0, "reason": storage["reason"]}
    await call("PUT", "/tasks/cpu", {"limit": None})
    assert (await noise("cpu"))["budget"] is None


async def test_a_model_tells_where_it_comes_from_and_can_be_promoted_and_rolled_back(call: Call, project: Path) -> None:
    _, models = await call("GET", "/models/task/storage")
    [model] = models["items"]
    assert model["aliases"] == ["champion"]
    _, card = await call("GET", f"/models/{model['id']}", as_="ModelCard")
    assert card["params"]["sequence_length"] == 24
    assert card["metrics"]["version"] == card["version"]
    assert card["lineage"]["report"] == "/reports/storage/train"
    own = project / "registry/storage" / card["version"] / NOTEBOOK
    assert card["lineage"]["notebook"] is None  # its stage was called without one
    own.write_text(f"kept as version {card['version']}")
    newer = project / "models/storage/card.json"  # another model has been trained since, and evaluated
    newer.write_text(newer.read_text().replace(card["version"], "0" * 12))
    (project / "evaluation/storage/metrics.json").write_text(json.dumps({**card["metrics"], "version": "0" * 12}))
    (project / "reports/storage/train.ipynb").write_text("kept as version 000000000000")
    _, old = await call("GET", f"/models/{model['id']}", as_="ModelCard")
    assert (old["metrics"], old["lineage"]["report"]) == (card["metrics"], None)
    assert project / old["lineage"]["notebook"] == own
    assert old["lineage"]["notebook"] == lineage(project, "storage", card["version"])["executed notebook"]
    assert card["lineage"]["data_hash"] == model["data_hash"]
    assert card["history_of_aliases"][0]["act"] == "promote"
    _, promoted = await call("POST", f"/models/{model['id']}/promote", {"alias": "challenger"}, as_="ModelCard")
    assert promoted["aliases"] == ["champion", "challenger"]
    _, challengers = await call("GET", "/models", stage="challenger")
    assert challengers["total"] == 1
    assert (await call("POST", "/models/task/storage/rollback"))[0] == 409
    assert (await call("POST", f"/models/{model['id']}/promote", {"alias": "hero"}))[0] == 422


async def test_a_prediction_says_which_model_made_it_and_how_honest_its_interval_is(call: Call) -> None:
    body = {"user": "storage-oncall", "metric_query": " storage_used_bytes ", "prediction_steps": 4.0, "limit": 9.0}
    status, answer = await call("POST", "/predict", body, as_="Prediction")
    assert status == 200
    assert len(answer["timestamps"]) == 4
    assert answer["timestamps"][0].endswith("Z")
    assert answer["model"]["version"] == (await call("GET", "/tasks/storage"))[1]["model"]
    assert 0 < answer["coverage"]["measured"] <= 1
    assert answer["coverage"]["n"] > 100
    one = next(row for row in answer["predictions"] if not row["abstained"])
    assert one["predictions"] == one["quantiles"]["0.5"]
    chances = one["p_breach"]
    assert chances == sorted(chances)
    labelled = next(row["labels"]["user"] for row in answer["predictions"])
    _, some = await call("POST", "/predict", {"task": "storage", "user": labelled}, as_="Prediction")
    assert {row["labels"]["user"] for row in some["predictions"]} == {labelled}
    chosen = {name: some["predictions"][0]["labels"][name] for name in ("group", "user")}
    for body in ({"labels": chosen}, {"labels": {"group": chosen["group"]}, "user": labelled}):
        _, one_group = await call("POST", "/predict", {"task": "storage", **body}, as_="Prediction")
        assert one_group["total"] == len(one_group["predictions"]) >= 1
        for row in one_group["predictions"]:
            assert row["labels"].items() >= chosen.items()


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 422),
        ({"metric_query": "sum("}, 422),
        ({"metric_query": "another_metric"}, 404),
        ({"task": "nothing"}, 404),
        ({"task": "storage", "prediction_steps": 0}, 422),
        ({"task": "storage", "prediction_steps": 99}, 422),
        ({"task": "storage", "model": "model_20000101_000000"}, 404),
        ({"task": "storage", "user": "nobody"}, 422),
        ({"task": "storage", "labels": {"user": "nobody"}}, 422),
        ({"task": "storage", "labels": {"no_such_label": "x"}}, 422),
        ({"task": "storage", "labels": {"group": 7}}, 422),
        ({"task": "storage", "labels": {"user": "a"}, "user": "b"}, 422),
    ],
)
async def test_a_prediction_that_cannot_be_made_says_why(call: Call, body: dict[str, Any], status: int) -> None:
    code, fault = await call("POST", "/predict", body)
    assert code == status, fault
    assert "\n" not in fault["message"]
    if "no_such_label" in body.get("labels", {}):
        assert fault["message"].startswith("labels: no series has a label 'no_such_label'; they have cluster, group")


async def test_a_forecast_is_explained_part_by_part(call: Call) -> None:
    _, rows = await call("GET", "/tasks/storage/series")
    user = rows["items"][-1]["labels"]
    status, one = await call("POST", "/explain", {"task": "storage", "labels": user}, as_="Explanation")
    assert status == 200
    assert (one["labels"], one["unit"]) == (user, "bytes")
    assert (one["past"][0]["from_hours"], one["past"][-1]["to_hours"]) == (24, 0)
    assert one["inputs"]["limit"] >= 0
    _, prediction = await call("POST", "/predict", {"task": "storage"})
    same = next(row for row in prediction["predictions"] if row["labels"] == user)
    assert one["predictions"] == pytest.approx(same["predictions"], rel=1e-6)
    _, most_urgent = await call("POST", "/explain", {"task": "storage"}, as_="Explanation")
    assert most_urgent["labels"] == prediction["predictions"][0]["labels"]


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"task": "nothing"}, 404, "there is no task"),
        ({"task": "storage", "model": "model_20000101_000000"}, 404, "there is no model"),
        ({"task": "storage", "labels": {"user": "nobody"}}, 422, "no series has the user 'nobody'"),
        ({"task": "storage", "labels": {"absent": "x"}}, 422, "no series has a label 'absent'"),
        ({"task": "storage", "labels": {"absent": ""}}, 422, "series have {absent="),
        ({"task": "storage", "labels": {"cluster": "east"}}, 422, "series have {cluster="),
        ({"task": "storage", "labels": "<b>"}, 422, "labels"),
    ],
)
async def test_an_explanation_that_cannot_be_given_says_why(
    call: Call, body: dict[str, Any], status: int, words: str
) -> None:
    code, fault = await call("POST", "/explain", body)
    assert (code, words in fault["message"]) == (status, True), fault


async def test_a_query_is_checked_by_the_parser_and_by_the_server(call: Call) -> None:
    async def check(**body: Any) -> dict[str, Any]:
        answer: dict[str, Any] = (await call("POST", "/query", body, as_="QueryAnswer"))[1]
        return answer

    assert (await check(query="storage_used_bytes"))["ok"]
    assert not (await check(query="sum("))["ok"]
    assert "rate(requests_total[5m])" in (await check(query="requests_total"))["message"]
    assert (await check(query="requests_total", kind="limit"))["ok"]
    found = await check(query="storage_used_bytes", ask=True)
    assert found["series"] > 5
    assert found["labels"]["group"] >= 2
    assert not (await check(query="no_such_metric", ask=True))["ok"]


async def test_a_plan_counts_what_a_task_would_cost_and_saves_nothing(call: Call, project: Path) -> None:
    before = (project / "params.yaml").read_bytes()
    config = {"sequence_length": 24, "prediction_steps": 6, "push.horizons": ["6h"], "hidden_dim": 8, "history": "20d"}
    status, plan = await call("POST", "/plan", {"name": "home", "preset": "storage", "config": config}, as_="Plan")
    assert status == 200
    assert plan["samples"] == plan["series"] * 20 * 24
    assert plan["output_series"] == plan["series"] * (1 * 3 + 5) + 4  # issued, shifted, abstained, model
    config["push.totals"] = [["group"], []]
    _, summed = await call("POST", "/plan", {"name": "home", "preset": "storage", "config": config}, as_="Plan")
    n_totals = summed["labels"]["group"] + 1
    assert summed["output_series"] == plan["output_series"] + n_totals * (1 * 3 + 4)  # nothing before work
    assert plan["parameters"] > 100
    assert plan["minutes"] > 0
    assert "+  home:" in plan["diff"]
    assert (project / "params.yaml").read_bytes() == before
    _, edited = await call("POST", "/plan", {"name": "storage", "config": {"hidden_dim": 16}}, as_="Plan")
    assert "hidden_dim: 16" in edited["diff"]
    assert edited["parameters"] > plan["parameters"]


async def test_newest_samples_come_with_a_gap_report(call: Call, project: Path) -> None:
    _, answer = await call("GET", "/data/metrics/storage-oncall", hours=12, limit=3, as_="UserMetrics")
    [task] = answer["tasks"]
    assert len(task["times"]) == 12
    assert len(task["series"]) == 3 < task["total"]
    assert {"gaps", "longest_gap_seconds", "missing"} <= task["quality"].keys()
    name = task["series"][0]["labels"]["user"]
    _, own = await call("GET", f"/data/metrics/{name}", as_="UserMetrics")
    assert {row["labels"]["user"] for row in own["tasks"][0]["series"]} == {name}
    assert own["tasks"][0]["quality"]["n_series"] == own["tasks"][0]["total"] < task["quality"]["n_series"]
    past = SeriesSet({"user": np.array([name], object)}, 3600 * np.arange(5), 3600, np.ones((1, 5)))
    write_series(past, TaskPaths(project, "cpu").series)  # of a user who has none there any more
    _, both = await call("GET", f"/data/metrics/{name}", as_="UserMetrics")
    assert both["tasks"][0] == own["tasks"][0]
    gone = both["tasks"][1]
    assert (gone["task"], gone["series"], gone["total"], gone["error"]) == ("cpu", [], 0, "")


async def test_a_report_is_shown_and_its_scripts_are_not_run(jp_fetch: Any) -> None:
    reply = await jp_fetch("tsf/api/reports/storage/push")
    assert reply.headers["Content-Type"].startswith("text/html")
    assert "default-src 'none'" in reply.headers["Content-Security-Policy"]
    assert "sandbox" in reply.headers["Content-Security-Policy"]
    assert "script-src" not in reply.headers["Content-Security-Policy"]
    assert b"<nav" not in reply.body


async def test_metrics_tell_of_requests_tasks_and_the_queue(jp_fetch: Any, call: Call) -> None:
    await call("GET", "/tasks")
    text = (await jp_fetch("tsf/api/metrics")).body.decode()
    assert "http_request_duration_seconds_bucket" in text
    assert 'tsf_tasks{state="completed"} 1.0' in text
    assert 'tsf_queue_runs{state="pending"} 0.0' in text
    assert 'tsf_last_push_timestamp_seconds{task="storage"}' in text


async def test_no_secret_of_the_environment_is_ever_told(
    call: Call, jp_fetch: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROMETHEUS_PASSWORD", "hunter2hunter2")
    monkeypatch.setenv("PROMETHEUS_USERNAME", "tsf")
    _, stats = await call("GET", "/stats")
    assert stats["environment"]["PROMETHEUS_PASSWORD"] == "set"
    for path in (*READING, "/metrics", "/docs"):
        reply = await jp_fetch("tsf/api", path.strip("/"))
        assert b"hunter2" not in reply.body, path


async def test_health_hides_a_secret_that_stands_in_a_sentence(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROMETHEUS_PASSWORD", "hunter2")
    monkeypatch.setenv("PROMETHEUS_URL", "http://127.0.0.1:1/hunter2")
    told = json.dumps((await call("GET", "/health"))[1])
    assert "http://127.0.0.1:1/***" in told
    assert "hunter2" not in told


class TestLog:
    """The server logs as params.yaml says, and starts also where that cannot be."""

    @pytest.fixture
    def jp_root_dir(self, project: Path, no_log_yet: None) -> Path:
        set_values(project, {"logging.level": "DEBUG", "logging.file": "tsf.log"})
        return project

    async def test_requests_to_prometheus_stand_in_the_file(
        self, call: Call, project: Path, fault_server: Callable[..., FaultServer], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PROMETHEUS_URL", fault_server(FaultAnswer(404)).url)
        await call("POST", "/query", {"query": "up", "ask": True})
        assert "DEBUG tsf.io.http" in (project / "tsf.log").read_text()


class TestOutsideOfAProject:
    """Lab may be started anywhere; then tsf says what it needs."""

    @pytest.fixture
    def jp_root_dir(self, tmp_path: Path) -> Path:
        (tmp_path / "elsewhere").mkdir()
        return tmp_path / "elsewhere"

    async def test_every_route_says_so(self, call: Call) -> None:
        status, about = await call("GET", "/", as_="About")
        assert (status, about["project"]) == (200, None)
        assert "params.yaml" in about["message"]
        _, health = await call("GET", "/health", as_="Health")
        assert health["status"] == "fail"
        for path in ("/tasks", "/stats", "/models", "/users"):
            code, fault = await call("GET", path)
            assert (code, fault["reason"]) == (409, "no_project")


async def test_a_body_that_is_no_json_object_is_a_bad_request(jp_fetch: Any) -> None:
    from tornado.httpclient import HTTPClientError

    for body in ("{", "[]", '{"name": NaN}', "[" * 100_000):
        with pytest.raises(HTTPClientError) as fault:
            await jp_fetch("tsf/api/tasks", method="POST", body=body)
        assert fault.value.code == 400
        assert json.loads(fault.value.response.body)["reason"] == "bad_json"


async def test_broken_params_are_told_and_not_a_fault_of_the_server(call: Call, project: Path) -> None:
    (project / "params.yaml").write_text("tasks: [")
    code, fault = await call("GET", "/tasks")
    assert (code, fault["reason"]) == (422, "invalid")
    assert "params.yaml" in fault["where"]
