"""Writing to a real Pushgateway: what arrives, what stays, and what is said when it fails."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest
import requests
import trustme
from prometheus_client.parser import text_string_to_metric_families

from tests.faults import Answer, FaultServer
from tests.servers import Server, find_server, free_port, running_pushgateway, version_of
from tsf.errors import SinkError
from tsf.io import pushgateway as module
from tsf.io.exposition import ModelInfo, Present, forecast_exposition, output_cardinality
from tsf.io.pushgateway import check_ready, delete_task, push_text, retire, send
from tsf.params import PrometheusParams, PushParams
from tsf.promql import quote
from tsf.series import Forecast

INFO = ModelInfo(model="lstm", version="0123456789ab", data="feed", commit="c0ffee")
HOSTILE = [
    'double " quotes "',
    "back\\slash\\n",
    "line\nend",
    "carriage\rreturn",
    "tab\tand nul \x00 and del \x7f",
    " spaces around ",
    "{braces}, commas=",
    "# HELP tsf_forecast no",
    "ü 日本 \U0001d11e \ufeff\u2028",
    "..",
    "a/b",
    "'",
]


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSES_SECONDS", (0.0, 0.0))


def forecast_of(groups: list[str], seed: int = 0) -> Forecast:
    random, n = np.random.default_rng(seed), len(groups)
    return Forecast(
        labels={"group": np.array(groups, object), "instance": np.array([f"node{i}:9100" for i in range(n)], object)},
        origin_seconds=1_793_491_200,
        step_seconds=3600,
        levels=np.array([0.1, 0.5, 0.9]),
        quantiles=np.sort(random.random((n, 24, 3)) * 1e12, axis=2),
        p_breach=np.sort(random.random((n, 24)), axis=1),
        limit_time=np.where(np.arange(n) % 2, 1_793_500_000.0, np.inf),
    )


def text_of(forecast: Forecast, task: str, **push: object) -> bytes:
    n = len(forecast.quantiles)
    present = Present(np.ones(n), np.ones(n), np.zeros(n))
    return forecast_exposition(forecast, present, task, PushParams.model_validate(push), INFO, int(time.time()))


def gateway(url: str, timeout: float = 30, **files: str) -> PrometheusParams:
    """The Pushgateway at `url` as params.yaml names it."""
    return PrometheusParams(pushgateway_url=url, timeout=timeout, **files)


def served(url: str, task: str) -> dict[tuple[str, ...], float]:
    """What the gateway at `url` serves of `task`: (name, sorted label values) -> value."""
    families = text_string_to_metric_families(requests.get(f"{url}/metrics", timeout=60).text)
    return {
        (one.name, *(value for _, value in sorted(one.labels.items()))): one.value
        for family in families
        for one in family.samples
        if one.labels.get("task") == task
    }


@pytest.mark.servers
def test_hostile_labels_are_found_by_promql_after_two_scrapes(
    pushgateway: Server, prometheus_server: Callable[..., Server]
) -> None:
    prometheus = prometheus_server(scrape=[pushgateway.url])
    forecast = forecast_of(HOSTILE)
    push_text(text_of(forecast, "hostile", alias="use_ratio"), gateway(pushgateway.url), "hostile", {})
    scrapes = "sum(count_over_time(up[1h]))"
    before = float(prometheus.query(scrapes)[0]["value"][1])
    while float(prometheus.query(scrapes)[0]["value"][1]) < before + 2:
        time.sleep(0.1)
    for row, group in enumerate(HOSTILE):
        own = f'group={quote(group)}, instance="node{row}:9100"'
        for query, value in {
            f'tsf_forecast{{horizon="12h", quantile="0.9", {own}}}': forecast.quantiles[row, 11, 2],
            f'ai_forecast_use_ratio{{horizon="24h", {own}}}': forecast.quantiles[row, 23, 1],
            f'tsf_breach_probability_ratio{{horizon="6h", {own}}}': forecast.p_breach[row, 5],
            f"tsf_limit_reached_timestamp_seconds{{{own}}}": forecast.limit_time[row],
        }.items():
            (found,) = prometheus.query(query)
            assert float(found["value"][1]) == value
            labels: dict[str, str] = found["metric"]
            assert (labels["group"], labels["instance"]) == (group, f"node{row}:9100")
            assert (labels["job"], labels["task"]) == ("tsf", "hostile")
    soon = prometheus.query('tsf_limit_reached_timestamp_seconds{task="hostile"} - 1793490000 < 43200')
    assert len(soon) == len(HOSTILE) // 2  # +Inf never looks urgent
    assert prometheus.query('time() - tsf_forecast_issued_timestamp_seconds{task="hostile"} < 3600')


@pytest.mark.servers
def test_a_push_replaces_the_task_and_leaves_other_tasks(pushgateway: Server) -> None:
    push_text(text_of(forecast_of(["a", "b"]), "first"), gateway(pushgateway.url), "first", {})
    push_text(text_of(forecast_of(["a", "b"]), "second"), gateway(pushgateway.url), "second", {})
    second = served(pushgateway.url, "second")
    push_text(text_of(forecast_of(["c"], seed=1), "first", horizons=["1h"]), gateway(pushgateway.url), "first", {})
    first = served(pushgateway.url, "first")
    forecasts = {key for key in first if key[0] == "tsf_forecast"}
    assert forecasts == {
        ("tsf_forecast", "c", "1h", "node0:9100", "tsf", level, "first") for level in ("0.1", "0.5", "0.9")
    }
    assert served(pushgateway.url, "second") == second


@pytest.mark.servers
def test_the_same_push_twice_is_the_same(pushgateway: Server) -> None:
    body = text_of(forecast_of(["a", "b"]), "twice")
    push_text(body, gateway(pushgateway.url), "twice", {})
    first = served(pushgateway.url, "twice")
    push_text(body, gateway(pushgateway.url), "twice", {})
    second = served(pushgateway.url, "twice")
    assert {key: value for key, value in first.items() if key[0] != "push_time_seconds"} == {
        key: value for key, value in second.items() if key[0] != "push_time_seconds"
    }


@pytest.mark.servers
def test_a_refused_push_leaves_what_was_served_and_says_why(pushgateway: Server) -> None:
    push_text(text_of(forecast_of(["a"]), "refused"), gateway(pushgateway.url), "refused", {})
    before = served(pushgateway.url, "refused")
    for body, reason in [
        (b'tsf_forecast{task="refused"} 1 1793491200000\n', "timestamp"),
        (b"# TYPE tsf_forecast gauge\ntsf_forecast 1\ntsf_forecast 2\n", "invalid or inconsistent"),
        (b"tsf_forecast 1", "unexpected end of input stream"),
        (b"this is no metric\n", "text format parsing error"),
    ]:
        words = rf"it refuses the metrics \(400: .*{reason}"
        if version_of("pushgateway") == (1, 11, 0):  # Debian 13's, which fails itself where it refuses
            words = "Remote end closed connection without response"
        with pytest.raises(SinkError, match=words) as caught:
            push_text(body, gateway(pushgateway.url), "refused", {})
        assert "\n" not in str(caught.value)
    after = served(pushgateway.url, "refused")
    failed = ("push_failure_time_seconds", "", "tsf", "refused")
    assert before.pop(failed) == 0
    assert after.pop(failed) > 0  # the gateway itself tells that a push failed
    assert after == before


@pytest.mark.servers
def test_delete_retires_a_task_and_only_that_one(pushgateway: Server) -> None:
    for task in ("retired", "kept"):
        push_text(text_of(forecast_of(["a"]), task), gateway(pushgateway.url), task, {})
    delete_task(gateway(pushgateway.url), "retired", {})
    delete_task(gateway(pushgateway.url), "retired", {})
    assert served(pushgateway.url, "retired") == {}
    assert served(pushgateway.url, "kept")


@pytest.mark.servers
@pytest.mark.parametrize("task", ["a b/c", "..", "ü\n\"'", "@base64", ""])
def test_any_task_name_makes_its_own_group(pushgateway: Server, task: str) -> None:
    push_text(text_of(forecast_of(["a"]), task), gateway(pushgateway.url), task, {})
    assert served(pushgateway.url, task) if task else requests.get(f"{pushgateway.url}/metrics", timeout=30).ok
    delete_task(gateway(pushgateway.url), task, {})
    assert not served(pushgateway.url, task)


@pytest.mark.servers
def test_a_hundred_thousand_series_arrive_in_one_push(tmp_path: Path) -> None:
    n = 99_997 // 16  # series of 9 quantiles, 3 probabilities, 1 more, 1 time, use and limit each, and 3 of the task
    body = text_of(forecast_of([f"group-{i:05d}" for i in range(n)]), "many")
    assert 99_900 < output_cardinality(n, PushParams(), True) <= 100_000
    with running_pushgateway(tmp_path) as server:
        push_text(body, gateway(server.url, 60), "many", {})
        text = requests.get(f"{server.url}/metrics", timeout=60).text
    assert text.count("\ntsf_forecast{") == 9 * n
    assert text.count("\ntsf_limit_reached_timestamp_seconds{") == n


USER, PASSWORD = "tsf", "pa ss:ü"
HASHED = "$2b$04$abcdefghijklmnopqrstuuckfLPeinthx.WGWPvn3hA87AzZyaU6."  # of the password, by bcrypt


@contextmanager
def guarded_pushgateway(folder: Path, config: str) -> Iterator[str]:
    """The host and port of a Pushgateway whose door is closed as `config` says."""
    (folder / "web.yml").write_text(config, encoding="utf-8")
    address = f"127.0.0.1:{free_port()}"
    flags = [
        f"--web.listen-address={address}",
        f"--web.config.file={folder}/web.yml",
        f"--persistence.file={folder}/data",
    ]
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen([find_server("pushgateway"), *flags], stdout=log, stderr=log) as process,
    ):
        try:
            while process.poll() is None:
                with suppress(OSError), socket.create_connection(("127.0.0.1", int(address.split(":")[1]))):
                    break
                time.sleep(0.05)
            yield address
        finally:
            process.terminate()


@pytest.mark.servers
def test_a_password_comes_from_the_environment(tmp_path: Path) -> None:
    body = text_of(forecast_of(["a"]), "closed")
    with guarded_pushgateway(tmp_path, f"basic_auth_users: {{{USER}: {HASHED}}}\n") as address:
        url = f"http://{address}"
        with pytest.raises(SinkError, match=r"refuses these credentials \(401\); set PUSHGATEWAY_USERNAME"):
            push_text(body, gateway(url), "closed", {})
        with pytest.raises(SinkError, match="401"):
            push_text(body, gateway(url), "closed", {"PUSHGATEWAY_USERNAME": USER, "PUSHGATEWAY_PASSWORD": "wrong"})
        environ = {"PUSHGATEWAY_USERNAME": USER, "PUSHGATEWAY_PASSWORD": PASSWORD}
        push_text(body, gateway(url), "closed", environ)
        delete_task(gateway(url), "closed", environ)


@pytest.mark.servers
def test_mutual_tls_works_and_its_faults_are_named(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    own, client = authority.issue_cert("127.0.0.1"), authority.issue_cert("client")
    own.cert_chain_pems[0].write_to_path(tmp_path / "server.pem")
    own.private_key_pem.write_to_path(tmp_path / "server.key")
    client.private_key_and_cert_chain_pem.write_to_path(tmp_path / "client.pem")
    config = (
        f"tls_server_config: {{cert_file: {tmp_path}/server.pem, key_file: {tmp_path}/server.key,"
        f" client_auth_type: RequireAndVerifyClientCert, client_ca_file: {tmp_path}/ca.pem}}\n"
    )
    ca, body = str(tmp_path / "ca.pem"), text_of(forecast_of(["a"]), "tls")
    with guarded_pushgateway(tmp_path, config) as address:
        certificate = str(tmp_path / "client.pem")
        push_text(body, gateway(f"https://{address}", ca_file=ca, client_cert_file=certificate), "tls", {})
        with pytest.raises(SinkError, match="certificate"):
            push_text(body, gateway(f"https://{address}", ca_file=ca), "tls", {})
        with pytest.raises(SinkError, match=r"the TLS handshake failed \(.*certificate verify failed.*ca_file"):
            push_text(body, gateway(f"https://{address}"), "tls", {})
        with pytest.raises(SinkError, match="cannot be asked"):
            push_text(body, gateway(f"https://{address}", ca_file=str(tmp_path / "absent.pem")), "tls", {})


def test_a_token_comes_from_the_environment_and_never_into_an_error(
    fault_server: Callable[..., FaultServer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("default login other password wrong\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("PUSHGATEWAY_BEARER_TOKEN", "t0ken")
    server = fault_server(Answer(200), Answer(403, b"go away"))
    push_text(b"x 1\n", gateway(server.url, 5), "task")
    assert server.requests[0].headers["Authorization"] == "Bearer t0ken"
    assert (server.requests[0].method, server.requests[0].path) == ("PUT", "/metrics/job/tsf/task/task")
    with pytest.raises(SinkError, match="403") as caught:
        push_text(b"x 1\n", gateway(server.url, 5), "task")
    assert "t0ken" not in str(caught.value)
    monkeypatch.setenv("PUSHGATEWAY_BEARER_TOKEN", "t0ken\r\nX-Evil: 1")
    with pytest.raises(SinkError, match="no token holds") as caught:
        push_text(b"x 1\n", gateway(server.url, 5), "task")
    assert "t0ken" not in str(caught.value)


def test_a_gateway_that_fails_is_asked_three_times(fault_server: Callable[..., FaultServer]) -> None:
    recovering = fault_server(Answer(500), Answer(503), Answer(202))
    push_text(b"x 1\n", gateway(recovering.url, 5), "task", {})
    assert [request.body for request in recovering.requests] == [b"x 1\n"] * 3
    broken = fault_server(Answer(500, b"out of\nmemory"))
    with pytest.raises(SinkError, match=r"it fails \(500: out of memory\); look at the Pushgateway's log"):
        push_text(b"x 1\n", gateway(broken.url, 5), "task", {})
    assert len(broken.requests) == 3


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (Answer(404, b"page not found"), r"there is no Pushgateway \(404\)"),
        (Answer(301, headers={"Location": "https://other/metrics"}), "it redirects to https://other/metrics; write"),
        (Answer(302, headers={"Location": "https://sso/in?key=S3#a"}), "it redirects to https://sso/in; write"),
        (Answer(302, headers={"Location": "http://[sso"}), r"it cannot be asked \(Invalid IPv6 URL\); mend"),
        (Answer(413, b"<html>too large</html>"), r"it refuses the metrics \(413: <html>too large</html>\)"),
        (Answer(400), r"it refuses the metrics \(400: Bad Request\)"),
        (Answer(200, b"Sign in", {"Content-Type": "text/html"}), r"a page \(200, HTML\).* this may be a login page"),
        (Answer(202, b"\n<!doctype html><title>Sign in</title>"), r"there is no Pushgateway, but a page \(202, HTML\)"),
        (Answer(204), r"it refuses the metrics \(204: No Content\)"),
    ],
)
def test_an_answer_that_is_no_success_is_one_sentence_at_once(
    fault_server: Callable[..., FaultServer], answer: Answer, message: str
) -> None:
    server = fault_server(answer)
    with pytest.raises(SinkError, match=message) as caught:
        push_text(b"x 1\n", gateway(server.url, 5), "task", {})
    assert caught.value.where == server.url
    assert len(server.requests) == 1


@pytest.mark.servers
def test_a_page_is_no_ready_gateway(pushgateway: Server, fault_server: Callable[..., FaultServer]) -> None:
    check_ready(PrometheusParams(pushgateway_url=pushgateway.url), {})
    check_ready(PrometheusParams(pushgateway_url=fault_server(Answer(200, b"OK")).url), {})
    page = fault_server(Answer(200, b"<html>Sign in</html>"))
    with pytest.raises(SinkError, match="there is no Pushgateway, but a page"):
        check_ready(PrometheusParams(pushgateway_url=page.url), {})


def test_a_gateway_that_cannot_be_reached_is_one_sentence(fault_server: Callable[..., FaultServer]) -> None:
    with pytest.raises(SinkError, match=r"nothing listens there \(connection refused\); start the Pushgateway"):
        push_text(b"x 1\n", gateway(f"http://127.0.0.1:{free_port()}", 5), "task", {})
    with pytest.raises(SinkError, match="its name is not known to DNS"):
        push_text(b"x 1\n", gateway("http://no-such-host.invalid", 5), "task", {})
    slow = fault_server(Answer(200, delay_seconds=30))
    with pytest.raises(SinkError, match=r"no answer within 0\.2 s; raise prometheus\.timeout"):
        push_text(b"x 1\n", gateway(slow.url, 0.2), "task", {})
    slow.await_requests(3)
    assert len(slow.requests) == 3
    for drips in ("all", "body"):
        dripping = fault_server(Answer(400, b" " * 999, drips=drips))
        with pytest.raises(SinkError, match=r"no whole answer within 5 s; raise prometheus\.timeout"):
            push_text(b"x 1\n", gateway(dripping.url, 0.5), "task", {})
        assert len(dripping.requests) == 1


@pytest.mark.servers
def test_send_and_retire_go_where_the_project_says(pushgateway: Server, tmp_path: Path) -> None:
    body = text_of(forecast_of(["a"]), "sent")
    files, network = PrometheusParams(), PrometheusParams(pushgateway_url=pushgateway.url)
    assert send(body, files, tmp_path, "sent") == str(tmp_path / "sent.prom")
    assert (tmp_path / "sent.prom").read_bytes() == body
    assert send(body, network, tmp_path, "sent") == f"{pushgateway.url}/metrics/job/tsf/task/sent"
    assert served(pushgateway.url, "sent")
    assert not list(tmp_path.iterdir())  # as old as it is, it would pass for as fresh as what the gateway has
    send(body, files, tmp_path, "sent")
    retire(files, tmp_path, "sent")
    assert not list(tmp_path.iterdir())
    assert served(pushgateway.url, "sent")
    retire(network, tmp_path, "sent")
    assert not served(pushgateway.url, "sent")


def test_what_a_netrc_holds_is_sent_to_no_gateway(
    fault_server: Callable[..., FaultServer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("default login ann password s3cr3t\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    server = fault_server(Answer())
    push_text(b"x 1\n", gateway(server.url, 5), "a", {})
    assert "Authorization" not in server.requests[0].headers
