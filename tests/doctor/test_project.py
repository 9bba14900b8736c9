"""What the doctor says of the project folder."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest

from tests.test_setup import load_tool
from tsf import doctor
from tsf.doctor import Finding, project

PARAMS = "tasks:\n  storage:\n    fetch:\n      metric_query: storage_used_bytes\n"


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run(["git", "-C", folder, *identity, *arguments], check=True, capture_output=True)


def test_a_folder_outside_git_fails_and_a_commit_mends_it(tmp_path: Path) -> None:
    assert project.check_git(tmp_path).state == "fail"
    git(tmp_path, "init")
    assert project.check_git(tmp_path).state == "fail"  # no commit: a model could not say where it comes from
    git(tmp_path, "commit", "--allow-empty", "-m", "chore: begin")
    assert project.check_git(tmp_path).state == "ok"


def test_dvc_must_be_set_up_and_silent(tmp_path: Path) -> None:
    assert project.check_dvc(tmp_path, {}).state == "fail"
    config = tmp_path / ".dvc" / "config"
    config.parent.mkdir()
    config.write_text("[core]\n    autostage = false\n")
    assert project.check_dvc(tmp_path, {}).state == "warn"
    assert project.check_dvc(tmp_path, {"DVC_NO_ANALYTICS": "1"}).state == "ok"
    config.write_text("[core]\n    analytics = false\n")
    assert project.check_dvc(tmp_path, {}).state == "ok"


@pytest.mark.parametrize(
    ("text", "state"),
    [(PARAMS, "ok"), ("tasks: {}\n", "warn"), (PARAMS.replace("fetch", "fech"), "fail"), ("[", "fail")],
)
def test_params_are_read_or_their_fault_is_shown(tmp_path: Path, no_log_yet: None, text: str, state: str) -> None:
    (tmp_path / "params.yaml").write_text(text)
    finding = project.check_params(tmp_path, {})
    assert (finding.state, bool(finding.cure)) == (state, state != "ok")


def test_a_log_that_cannot_be_written_or_is_misnamed_is_found(tmp_path: Path, no_log_yet: None) -> None:
    (tmp_path / "params.yaml").write_text(PARAMS)
    assert project.check_params(tmp_path, {"LOG_LEVEL": "loud"}).detail == "LOG_LEVEL: 'loud' is no level"
    (tmp_path / "params.yaml").write_text(PARAMS + "logging:\n  file: nowhere/tsf.log\n")
    assert "nowhere/tsf.log' cannot be written" in project.check_params(tmp_path, {}).detail
    (tmp_path / "params.yaml").write_text(PARAMS + "logging:\n  file: tsf.log\n")
    assert project.check_params(tmp_path, {"DEBUG": "1"}).state == "ok"
    logging.getLogger("tsf.io.http").debug("what the doctor asked for")
    assert "what the doctor asked for" in (tmp_path / "tsf.log").read_text()


def test_a_task_that_was_renamed_by_hand_is_told_with_what_it_has_left(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text(PARAMS)
    receipt = tmp_path / "pushed" / "before" / "receipt.json"
    receipt.parent.mkdir(parents=True)
    receipt.write_text("{}")
    finding = project.check_params(tmp_path, {})
    assert (finding.state, finding.cure) == ("warn", "run `tsf tasks remove before`")


@pytest.mark.parametrize(("program", "state"), [(sys.executable, "ok"), ("python", "ok"), ("/other/python", "fail")])
def test_the_kernel_must_be_this_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, state: str
) -> None:
    spec = tmp_path / "kernels" / "python3" / "kernel.json"
    spec.parent.mkdir(parents=True)
    spec.write_text(
        json.dumps({"argv": [program, "-m", "ipykernel_launcher"], "display_name": "x", "language": "python"})
    )
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    assert project.check_kernel().state == state


def test_servers_for_tests_are_found_under_both_names(tmp_path: Path) -> None:
    folder = tmp_path / ".servers" / "usr" / "bin"
    folder.mkdir(parents=True)
    for name in ("prometheus", "promtool", "prometheus-pushgateway", "prometheus-node-exporter"):
        (folder / name).touch(mode=0o755)
    said = "absent: alertmanager, victoria-metrics, nginx; only tests need them"
    assert project.check_test_servers(tmp_path, {"PATH": ""}) == Finding(
        "test servers", "ok", said, "run `make servers`"
    )


def test_the_servers_for_tests_are_those_that_make_servers_gets() -> None:
    assert {*project.TEST_SERVERS} == {*load_tool("servers").PACKAGES}


def test_a_broken_project_gives_findings_and_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "check_torch", lambda _: [])  # it takes seconds, and has a test of its own
    findings = doctor.run_doctor(tmp_path, {"PATH": ""})
    states = {finding.name: finding.state for finding in findings}
    assert states["git"] == states["DVC"] == states["params.yaml"] == "fail"
    assert all(finding.cure for finding in findings if finding.state != "ok")
