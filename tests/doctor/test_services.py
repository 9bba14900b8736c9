"""What the doctor says of real and of failing servers."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.faults import Answer, FaultServer
from tests.servers import OpenMetric, Server, free_port, openmetrics
from tsf import doctor
from tsf.doctor import services
from tsf.doctor.finding import Finding
from tsf.doctor.services import check_services, check_tasks
from tsf.params import PrometheusParams, parse_params

BUILD_INFO = b'{"status": "success", "data": {"version": "2.42.0"}}'


def findings_of(root: Path, server: PrometheusParams, **environ: str) -> dict[str, Finding]:
    return {finding.name: finding for finding in check_services(root, server, environ)}


def test_the_embedded_source_and_sink_need_no_server(tmp_path: Path) -> None:
    findings = findings_of(tmp_path, PrometheusParams())
    assert {finding.state for finding in findings.values()} == {"ok"}
    assert "demo" in findings["Prometheus"].detail


@pytest.mark.servers
def test_real_servers_are_ready_and_share_this_clock(
    tmp_path: Path, prometheus_server: Callable[..., Server], pushgateway: Server
) -> None:
    addresses = {"PROMETHEUS_URL": prometheus_server().url, "PUSHGATEWAY_URL": pushgateway.url}
    findings = findings_of(tmp_path, PrometheusParams(), **addresses)
    assert {name: finding.state for name, finding in findings.items()} == {
        "Prometheus": "ok",
        "clock": "ok",
        "Pushgateway": "ok",
    }


def test_a_server_that_is_not_there_fails_with_its_address(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    findings = findings_of(tmp_path, PrometheusParams(base_url=url, pushgateway_url=url))
    assert {name: finding.state for name, finding in findings.items()} == {"Prometheus": "fail", "Pushgateway": "fail"}
    assert all(url in finding.detail for finding in findings.values())
    assert "PROMETHEUS_URL" in findings["Prometheus"].cure
    assert "PUSHGATEWAY_URL" in findings["Pushgateway"].cure


@pytest.mark.parametrize(("status", "words"), [(401, "refuses"), (404, "404"), (302, "redirects")])
def test_a_gateway_that_is_not_ready_says_why(
    tmp_path: Path, fault_server: Callable[..., FaultServer], status: int, words: str
) -> None:
    gateway = fault_server(Answer(status=status))
    finding = findings_of(tmp_path, PrometheusParams(pushgateway_url=gateway.url))["Pushgateway"]
    assert finding.state == "fail"
    assert words in finding.detail


@pytest.mark.parametrize(
    ("credentials", "header"),
    [
        ({"PUSHGATEWAY_BEARER_TOKEN": "abc"}, "Bearer abc"),
        ({"PUSHGATEWAY_USERNAME": "ann", "PUSHGATEWAY_PASSWORD": "pw"}, "Basic YW5uOnB3"),
    ],
)
def test_the_gateway_gets_its_own_credentials(
    tmp_path: Path, fault_server: Callable[..., FaultServer], credentials: dict[str, str], header: str
) -> None:
    gateway = fault_server(Answer())
    findings = findings_of(tmp_path, PrometheusParams(pushgateway_url=gateway.url), **credentials)
    assert findings["Pushgateway"].state == "ok"
    assert gateway.requests[0].headers["Authorization"] == header


def test_a_clock_that_differs_is_found(
    tmp_path: Path, fault_server: Callable[..., FaultServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = PrometheusParams(base_url=fault_server(Answer(body=BUILD_INFO)).url)
    assert findings_of(tmp_path, server)["clock"].state == "ok"
    monkeypatch.setattr(services, "time", SimpleNamespace(time=lambda: time.time() + 3600))
    finding = findings_of(tmp_path, server)["clock"]
    assert finding.state == "fail"
    assert "s ahead of Prometheus" in finding.detail


def test_a_wrong_address_in_the_environment_is_named(tmp_path: Path) -> None:
    [finding] = check_services(tmp_path, PrometheusParams(), {"PROMETHEUS_URL": "ftp://x"})
    assert finding.state == "fail"
    assert "PROMETHEUS_URL" in finding.detail


def test_no_secret_gets_into_a_finding(
    tmp_path: Path, no_log_yet: None, fault_server: Callable[..., FaultServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "check_torch", lambda _: [])  # it takes seconds, and has a test of its own
    echo = fault_server(Answer(status=400, body=b'{"status": "error", "error": "bad token s3cr3t-value"}'))
    (tmp_path / "params.yaml").write_text("prometheus:\n  base_url: " + echo.url + "\n")
    findings = doctor.run_doctor(tmp_path, {"PROMETHEUS_BEARER_TOKEN": "s3cr3t-value"})
    by_name = {finding.name: finding for finding in findings}
    assert by_name["Prometheus"].state == "fail"
    assert "bad token ***" in by_name["Prometheus"].detail
    assert "s3cr3t-value" not in repr(findings)


@pytest.mark.parametrize("token", ["s3cr3t\n", "s3cr3t€", "two words"])
def test_a_token_that_none_can_be_is_told_and_one_with_a_line_end_is_cut(
    tmp_path: Path, fault_server: Callable[..., FaultServer], token: str
) -> None:
    gateway = fault_server(Answer())
    server = PrometheusParams(pushgateway_url=gateway.url)
    finding = findings_of(tmp_path, server, PUSHGATEWAY_BEARER_TOKEN=token)["Pushgateway"]
    assert finding.state == ("ok" if token.strip() == "s3cr3t" else "fail")
    assert token.strip() not in finding.detail


def test_a_certificate_that_is_not_there_is_told(tmp_path: Path) -> None:
    server = PrometheusParams(pushgateway_url="https://127.0.0.1:1", ca_file="/nope.pem")
    finding = findings_of(tmp_path, server)["Pushgateway"]
    assert (finding.state, "/nope.pem" in finding.detail) == ("fail", True)


@pytest.mark.servers
def test_a_task_whose_metric_is_not_there_is_told_with_what_there_is(
    prometheus_server: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = int(time.time())
    ended = OpenMetric("ended_bytes", {"group": "a"}, [now - 1_200], [1.0])
    samples = openmetrics(OpenMetric("used_bytes", {"group": "a"}, [now - 60, now], [1.0, 2.0]), ended)
    server = prometheus_server(samples=samples)
    tasks = {
        name: {"fetch": {"metric_query": f"{query}_bytes"}}
        for name, query in {"here": "used", "gone": "usd", "silent": "ended"}.items()
    }
    params = parse_params({"prometheus": {"base_url": server.url}, "tasks": tasks})
    here, gone, silent = check_tasks(params, {})
    assert (here.state, here.detail) == ("ok", "1 series now")
    assert (gone.state, "there is used_bytes" in gone.cure) == ("warn", True)
    assert "ended_bytes has data from about" in silent.detail
    assert silent.cure == "see whether its exporter still runs"
    assert check_tasks(parse_params({"tasks": tasks}), {}) == []  # the demo fleet is asked by the stage alone
