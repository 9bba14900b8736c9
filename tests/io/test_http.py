from __future__ import annotations

import base64
import json
import logging
import ssl
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import trustme

from tests.faults import Answer, FaultServer
from tests.servers import Server, free_port
from tsf.errors import AuthError, ConnectError, ParamsError, QueryError, ServerError, TsfError
from tsf.io import http
from tsf.io.hints import check_no_counters, short_ranges
from tsf.io.http import TooMuchError, opened
from tsf.io.lineage import pushed_version
from tsf.io.prometheus import check_data
from tsf.params import PrometheusParams

Faults = Callable[..., FaultServer]
FINE = Answer(body=b'{"status":"success","data":{"version":"2.42.0"}}')
SECRET = "s3cret-token"


def said(kind: str, message: str) -> bytes:
    return json.dumps({"status": "error", "errorType": kind, "error": message}).encode()


def ask(address: str, environ: Mapping[str, str] | None = None, **more: object) -> object:
    server = PrometheusParams.model_validate({"base_url": address, **more})
    with opened(server, environ or {}) as client:
        return client.ask_data("/api/v1/query", {"query": "up"}, "fetch.metric_query 'up'")


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "FIRST_PAUSE_SECONDS", 0.001)


@pytest.mark.parametrize(
    "passing", [Answer(500), Answer(503, said("unavailable", "starting")), Answer(body=b"{}" * 99, cut=True)]
)
def test_what_passes_is_tried_again(passing: Answer, fault_server: Faults, caplog: pytest.LogCaptureFixture) -> None:
    server = fault_server(passing, passing, FINE)
    with caplog.at_level(logging.WARNING):
        assert ask(server.url) == {"version": "2.42.0"}
    assert len(server.requests) == 3
    assert "Attempt 3 of 4" in caplog.text


def test_a_slow_answer_is_tried_again(fault_server: Faults) -> None:
    server = fault_server(Answer(delay_seconds=20), FINE)
    assert ask(server.url, timeout=0.2) == {"version": "2.42.0"}


def test_pauses_double_and_scatter(fault_server: Faults, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(http, "FIRST_PAUSE_SECONDS", 1.0)
    monkeypatch.setattr("tsf.io.http.time.sleep", pauses.append)
    with pytest.raises(ServerError, match="failed with 502"):
        ask(fault_server(Answer(502)).url)
    assert len(pauses) == 3
    assert all(0.5 * 2**i <= pause <= 1.5 * 2**i for i, pause in enumerate(pauses))


FAULTS: dict[str, tuple[Answer, type[TsfError], str, int]] = {
    "503 for ever": (Answer(503, said("unavailable", "starting up")), ServerError, "failed with 503 starting up", 4),
    "400": (Answer(400, said("bad_data", "parse error: bad")), QueryError, "says: parse error: bad; mend the query", 1),
    "422": (Answer(422, said("execution", "found duplicate series")), QueryError, "duplicate series; mend", 1),
    "too much": (
        Answer(422, said("execution", "query processing would load too many samples")),
        TooMuchError,
        "aggreg",
        1,
    ),
    "too long": (Answer(503, said("timeout", "query timed out")), TooMuchError, "time-out", 1),
    "401": (Answer(401, b"Unauthorized"), AuthError, r"\(401\); set PROMETHEUS_BEARER_TOKEN, or", 1),
    "403": (Answer(403), AuthError, "403", 1),
    "404": (Answer(404, b"404 page not found"), ServerError, "status is 404; it begins '404 page not", 1),
    "429": (Answer(429), ServerError, "too many requests", 1),
    "a page": (
        Answer(body=b"<!doctype html>\n<title>Grafana"),
        ServerError,
        "not JSON with data; it begins '<!doctype",
        1,
    ),
    "nothing": (Answer(), ServerError, "cannot be read", 1),
    "400 of no Prometheus": (Answer(400, b"Client sent an HTTP request to an HTTPS server."), ServerError, "HTTPS", 1),
}


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_has_its_own_words(name: str, fault_server: Faults) -> None:
    answer, kind, words, n_requests = FAULTS[name]
    server = fault_server(answer)
    with pytest.raises(kind, match=words) as caught:
        ask(server.url)
    assert type(caught.value) is kind
    assert str(caught.value).startswith(f"{server.url}, fetch.metric_query 'up': ")
    assert caught.value.cure
    assert len(server.requests) == n_requests


@pytest.mark.parametrize("data", [b"{}", b'{"result": [{"metric": {}}]}', b"[]", b"null"])
def test_an_answer_without_series_is_one_sentence(data: bytes, fault_server: Faults) -> None:
    server = PrometheusParams(base_url=fault_server(Answer(body=b'{"data": ' + data + b"}")).url)
    for ask_it in (
        lambda: check_data(server, "up", {}),
        lambda: pushed_version(server, "storage", "2026-11-01T00:00:00Z"),
    ):
        with pytest.raises(ServerError, match="cannot be read, it holds no series; it begins"):
            ask_it()


def test_a_hanging_server_is_left_after_the_time_out(fault_server: Faults) -> None:
    with pytest.raises(ConnectError, match=r"no answer within 0.1 s; raise prometheus.timeout"):
        ask(fault_server(Answer(delay_seconds=30)).url, timeout=0.1)


@pytest.mark.parametrize("drips", ["all", "body"])
@pytest.mark.parametrize("secure", [False, True])
def test_a_dripping_server_is_left_after_ten_times_the_time_out(
    drips: str, secure: bool, authority: trustme.CA, ca_file: str, fault_server: Faults
) -> None:
    server = fault_server(Answer(body=b" " * 999, drips=drips), tls=tls_of(authority) if secure else None)
    start = time.monotonic()
    with pytest.raises(ConnectError, match=r"no whole answer within 5 s; raise prometheus.timeout"):
        ask(server.url, timeout=0.5, **({"ca_file": ca_file} if secure else {}))
    assert 5 <= time.monotonic() - start < 15  # all of its bytes would take 20 s
    assert len(server.requests) == 1  # another attempt would take as long


def test_what_is_only_advice_is_asked_for_once(fault_server: Faults) -> None:
    server = fault_server(Answer(503))
    with opened(PrometheusParams(base_url=server.url), {}) as client:
        check_no_counters(client, "used_bytes", "fetch.metric_query")
        assert len(server.requests) == 1
        assert short_ranges(client, ["rate(used_bytes[1m])"], 1_700_000_000) == []
        assert len(server.requests) == 2


def test_an_answer_that_comes_slowly_is_read_to_its_end(fault_server: Faults) -> None:
    server = fault_server(Answer(body=FINE.body, drips="body"))
    start = time.monotonic()
    assert ask(server.url, timeout=0.5) == {"version": "2.42.0"}
    assert time.monotonic() - start > 0.5


def test_a_refused_connection_and_an_unknown_name_are_told_apart() -> None:
    port = free_port()
    with pytest.raises(ConnectError, match=rf"nothing listens at localhost:{port} \(Connection refused\); start"):
        ask(f"http://localhost:{port}")
    with pytest.raises(ConnectError, match=r"the name 'prometheus\.invalid' is not known to DNS; mend"):
        ask("http://prometheus.invalid:9090")
    with pytest.raises(ConnectError, match="cannot be asked"):
        ask("http://localhost:99999")


def test_a_proxy_that_is_away_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://localhost:{free_port()}")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with pytest.raises(ConnectError, match="proxy cannot be reached"):
        ask("http://prometheus.invalid:9090")


def test_a_redirect_is_not_followed_with_credentials(fault_server: Faults) -> None:
    other = fault_server(FINE)
    login = fault_server(Answer(302, headers={"Location": f"{other.url}/login?next={SECRET}"}))
    with pytest.raises(ServerError, match=r"sends us on to .*/login'; .*login page") as caught:
        ask(login.url, {"PROMETHEUS_BEARER_TOKEN": SECRET})
    assert SECRET not in str(caught.value)
    assert other.requests == []
    for status in (300, 302):
        nowhere = fault_server(Answer(status, headers={"Location": "http://[sso"}))
        with pytest.raises(ServerError, match="sends us on to 'an address that cannot be read'"):
            ask(nowhere.url)


@pytest.mark.parametrize(
    ("environ", "header"),
    [
        ({}, None),
        ({"PROMETHEUS_BEARER_TOKEN": SECRET}, f"Bearer {SECRET}"),
        (
            {"PROMETHEUS_USERNAME": "jürgen", "PROMETHEUS_PASSWORD": SECRET},
            "Basic " + base64.b64encode(f"jürgen:{SECRET}".encode()).decode(),
        ),
    ],
)
def test_credentials_come_from_the_environment_and_from_nowhere_else(
    environ: dict[str, str],
    header: str | None,
    fault_server: Faults,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "netrc").write_text("machine localhost login other password other\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    server = fault_server(FINE)
    ask(server.url, environ, headers={"X-Scope-OrgID": "team-a"})
    assert server.requests[0].headers.get("Authorization") == header
    assert server.requests[0].headers["X-Scope-OrgID"] == "team-a"


def test_a_token_may_be_in_a_file(fault_server: Faults, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(SECRET + "\n")
    server = fault_server(FINE)
    ask(server.url, {"PROMETHEUS_BEARER_TOKEN_FILE": str(tmp_path / "token")})
    assert server.requests[0].headers["Authorization"] == f"Bearer {SECRET}"
    with pytest.raises(ParamsError, match="absent' cannot be read"):
        ask(server.url, {"PROMETHEUS_BEARER_TOKEN_FILE": str(tmp_path / "absent")})


def test_refused_credentials_are_not_shown(fault_server: Faults) -> None:
    environ = {"PROMETHEUS_BEARER_TOKEN": SECRET}
    with pytest.raises(AuthError, match="refuses these credentials") as caught:
        ask(fault_server(Answer(401)).url, environ)
    assert SECRET not in str(caught.value)
    with opened(PrometheusParams(base_url="http://localhost:1"), environ) as client:
        assert SECRET not in repr(client) + repr(client.session.auth)


@pytest.mark.parametrize("token", [f"{SECRET}\nX-Evil: 1", f"{SECRET} two", f"{SECRET}é"])
def test_a_token_that_no_header_may_hold_is_refused_unseen(token: str) -> None:
    with pytest.raises(ParamsError, match="holds what no token holds") as caught:
        ask("http://localhost:1", {"PROMETHEUS_BEARER_TOKEN": token})
    assert SECRET not in str(caught.value)


def test_contradicting_credentials_are_refused() -> None:
    with pytest.raises(ParamsError, match="several credentials"):
        ask("http://localhost:1", {"PROMETHEUS_BEARER_TOKEN": SECRET, "PROMETHEUS_USERNAME": "me"})


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def tls_of(authority: trustme.CA, name: str = "localhost", *, clients: bool = False) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    if clients:
        authority.configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> str:
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return str(tmp_path / "ca.pem")


def test_a_private_authority_is_trusted_by_its_file_alone(
    authority: trustme.CA, ca_file: str, fault_server: Faults, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = fault_server(FINE, tls=tls_of(authority))
    with pytest.raises(
        ConnectError, match=r"TLS failed \(.*issuer.*\); put the certificate .* into prometheus.ca_file"
    ):
        ask(server.url)
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "other.pem"))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "other.pem"))
    assert ask(server.url, ca_file=ca_file) == {"version": "2.42.0"}


def test_a_certificate_for_another_name_is_refused(authority: trustme.CA, ca_file: str, fault_server: Faults) -> None:
    server = fault_server(FINE, tls=tls_of(authority, "elsewhere.example"))
    with pytest.raises(ConnectError, match="write the name that its certificate is made for"):
        ask(server.url, ca_file=ca_file)


def test_a_client_proves_itself_by_its_certificate(
    authority: trustme.CA, ca_file: str, fault_server: Faults, tmp_path: Path
) -> None:
    server = fault_server(FINE, tls=tls_of(authority, clients=True))
    client = authority.issue_cert("me@example.org")
    client.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    client.cert_chain_pems[0].write_to_path(str(tmp_path / "cert.pem"))
    client.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "both.pem"))
    with pytest.raises(ConnectError, match=r"client whose certificate it does not trust\); set prometheus.client_"):
        ask(server.url, ca_file=ca_file)
    certificate, key = str(tmp_path / "cert.pem"), str(tmp_path / "key.pem")
    assert ask(server.url, ca_file=ca_file, client_cert_file=certificate, client_key_file=key)
    assert ask(server.url, ca_file=ca_file, client_cert_file=str(tmp_path / "both.pem"))


def test_https_to_a_server_without_tls_is_named(fault_server: Faults) -> None:
    plain = fault_server(FINE)
    with pytest.raises(ConnectError, match="speaks no TLS; write http://"):
        ask(plain.url.replace("http:", "https:"))


@pytest.mark.servers
def test_a_prometheus_with_passwords_and_certificates_is_read(
    authority: trustme.CA, ca_file: str, prometheus_server: Callable[..., Server], tmp_path: Path
) -> None:
    both = tmp_path / "both.pem"
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(both))
    tls = (
        f"cert_file: {both}, key_file: {both}, client_ca_file: {ca_file}, client_auth_type: RequireAndVerifyClientCert"
    )
    users = "me: $2b$04$duVePeuhVWicCAbkhTTyieaSFQAM.oleuTtpo0S0EGCjCpzNKZkSC"  # the hash of "secret"
    (tmp_path / "web.yml").write_text(f"tls_server_config: {{{tls}}}\nbasic_auth_users: {{{users}}}\n")
    plain = prometheus_server(flags=[f"--web.config.file={tmp_path / 'web.yml'}"]).url
    address = plain.replace("http://127.0.0.1", "https://localhost")
    with pytest.raises(ServerError, match="HTTP request to an HTTPS server"):
        ask(plain)
    for _ in range(10):  # the server closes the connection before or after we have read its refusal
        with pytest.raises(TsfError, match=r"certificate it does not trust|broke off"):
            ask(address, ca_file=ca_file)
    with pytest.raises(AuthError, match="401"):
        ask(address, ca_file=ca_file, client_cert_file=str(both))
    with pytest.raises(AuthError, match="refuses these credentials"):
        ask(
            address,
            {"PROMETHEUS_USERNAME": "me", "PROMETHEUS_PASSWORD": "wrong"},
            ca_file=ca_file,
            client_cert_file=str(both),
        )
    environ = {"PROMETHEUS_USERNAME": "me", "PROMETHEUS_PASSWORD": "secret"}
    answer = ask(address, environ, ca_file=ca_file, client_cert_file=str(both))
    assert answer == {"resultType": "vector", "result": []}


def test_files_that_are_not_there_are_named() -> None:
    with pytest.raises(ParamsError, match=r"prometheus.ca_file: there is no file 'nowhere.pem'"):
        ask("https://localhost:1", ca_file="nowhere.pem")
    with pytest.raises(ParamsError, match="the key has no certificate"):
        ask("https://localhost:1", client_key_file=__file__)
    with pytest.raises(TsfError):
        ask("https://localhost:1", ca_file=__file__)
