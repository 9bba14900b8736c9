"""HTTP to a Prometheus: who asks, when to try again, and what went wrong in one sentence."""

from __future__ import annotations

import json
import logging
import random
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.auth import AuthBase, HTTPBasicAuth
from requests.exceptions import ChunkedEncodingError, ContentDecodingError, ProxyError, SSLError
from urllib3.exceptions import NameResolutionError, ProtocolError, ReadTimeoutError

from tsf.errors import AuthError, ConnectError, ParamsError, QueryError, ServerError, SourceError
from tsf.io.deadline import ANSWER_TIMEOUTS, overran, timed_session
from tsf.io.files import one_line
from tsf.kinds import UNREADABLE, plain_address
from tsf.params import FILES, PrometheusParams

__all__ = ["Bearer", "Client", "TooMuchError", "cause", "not_prometheus", "opened", "request_options"]

ATTEMPTS = 4
FIRST_PAUSE_SECONDS = 0.5  # doubled each time, and scattered so that many clients do not come back together
CREDENTIALS = "PROMETHEUS_BEARER_TOKEN, or PROMETHEUS_USERNAME and PROMETHEUS_PASSWORD"
SLOW = "raise prometheus.timeout or shorten fetch.history"
# What OpenSSL says when a server wants a client's certificate; a fast server has even closed the connection by then.
UNKNOWN_CLIENT = ("CERTIFICATE_REQUIRED", "BAD_CERTIFICATE", "UNKNOWN_CA", "HANDSHAKE_FAILURE", "EOF occurred")
TLS_REASON = re.compile(r"\[SSL[^\]]*\] ([^('\"]*[^('\" ])")
FAILED = re.compile(rb'\s*\{\s*"status"\s*:\s*"error"')  # some proxies and caches pass this on with status 200
LAST_REASON = re.compile(r"""['"]([^'"]+)['"]\)+$""")
log = logging.getLogger(__name__)


class TooMuchError(QueryError):
    """The server might answer a smaller part of the query."""


class _PassingError(Exception):
    """A fault that another attempt may not meet."""

    def __init__(self, fault: SourceError) -> None:
        self.fault = fault
        super().__init__(str(fault))


@dataclass(frozen=True)
class Client:
    """An open connection to one server; not for two threads at once. attempts: how often it asks, at most."""

    server: PrometheusParams
    session: requests.Session = field(repr=False)
    attempts: int = ATTEMPTS

    @property
    def once(self) -> Client:
        """The same connection, for what is only advice: it is asked for once."""
        return replace(self, attempts=1)

    def ask(self, path: str, form: Mapping[str, str | int], where: str, *, method: str = "POST") -> bytes:
        """The body that the server answers to `form`; `where` names the question in errors.

        5xx, silence for server.timeout and answers that break off are tried again, at most `attempts` times in all.
        Raises ConnectError, AuthError, QueryError (TooMuchError where a part of it might work) and ServerError.
        """
        for attempt in range(1, self.attempts + 1):
            try:
                return self._ask_once(path, form, f"{self.server.base_url}, {where}", method)
            except _PassingError as passing:  # noqa: PERF203
                if attempt == self.attempts:
                    raise passing.fault from None
                pause = FIRST_PAUSE_SECONDS * 2 ** (attempt - 1) * random.uniform(0.5, 1.5)  # noqa: S311
                log.warning("%s Attempt %d of %d follows in %.1f s.", passing, attempt + 1, self.attempts, pause)
                time.sleep(pause)
        raise AssertionError("the last attempt returns or raises")

    def ask_data(self, path: str, form: Mapping[str, str | int], where: str, *, method: str = "POST") -> Any:
        """What the server answers under `data`. Raises like `ask`, and ServerError where there is no such thing."""
        body = self.ask(path, form, where, method=method)
        try:
            return json.loads(body)["data"]
        except (ValueError, LookupError, TypeError):
            raise not_prometheus(body, f"{self.server.base_url}, {where}", "it is not JSON with data") from None

    def ask_vector(self, form: Mapping[str, str | int], where: str) -> list[tuple[dict[str, str], float]]:
        """Labels and value of each series of an instant query. Raises like `ask_data`."""
        data = self.ask_data("/api/v1/query", form, where)
        try:
            return [(one["metric"], float(one["value"][1])) for one in data["result"]]
        except (ValueError, LookupError, TypeError):
            body = json.dumps(data).encode()
            raise not_prometheus(body, f"{self.server.base_url}, {where}", "it holds no series") from None

    def _ask_once(self, path: str, form: Mapping[str, str | int], where: str, method: str) -> bytes:
        server = self.server
        with _in_words(server, where):
            reply = self.session.request(
                method,
                server.base_url + path,
                data=form if method == "POST" else None,
                params=form if method == "GET" else None,
                stream=True,
                **request_options(server),
            )
            with reply:
                body = b"".join(reply.iter_content(None))  # one piece where the server sends one: no second copy
        seconds = reply.elapsed.total_seconds()
        log.debug("%s: %d, %d bytes, first of them after %.2f s", where, reply.status_code, len(body), seconds)
        if reply.status_code != 200 or FAILED.match(body):
            raise _refusal(reply, body, where)
        return body


@contextmanager
def opened(server: PrometheusParams, environ: Mapping[str, str]) -> Iterator[Client]:
    """A client that proves itself by what `environ` holds. Raises ParamsError for what cannot be sent.

    PROMETHEUS_USERNAME and PROMETHEUS_PASSWORD, or PROMETHEUS_BEARER_TOKEN, or PROMETHEUS_BEARER_TOKEN_FILE.
    """
    for name in FILES:
        path = getattr(server, name)
        if path and not Path(path).is_file():
            raise ParamsError(f"there is no file {path!r}", where=f"prometheus.{name}", cure="mend the path")
    if server.client_key_file and not server.client_cert_file:
        raise ParamsError("the key has no certificate", where="prometheus.client_cert_file", cure="name its file, too")
    with timed_session() as session:
        session.auth = _auth(environ)
        # Compressing costs an old server three times what the query does.
        session.headers.update({"User-Agent": "tsf", "Accept-Encoding": "identity", **server.headers})
        yield Client(server, session)


def request_options(server: PrometheusParams) -> dict[str, Any]:
    """What each request to a server of params.yaml is sent with: patience and certificates, and to nobody else.

    A redirect would take the credentials to another host, and make of a PUT a GET, which writes nothing.
    """
    certificate, key = server.client_cert_file, server.client_key_file
    return {
        "timeout": server.timeout,
        "verify": server.ca_file or True,  # with the request: REQUESTS_CA_BUNDLE wins over the session's
        "cert": (certificate, key) if key else certificate or None,
        "allow_redirects": False,
    }


class Bearer(AuthBase):
    """A token, or nothing; as an object of its own it keeps requests from sending what ~/.netrc holds."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """`request` with the token in its header."""
        if self._token:
            request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def _auth(environ: Mapping[str, str]) -> AuthBase:
    user, token = environ.get("PROMETHEUS_USERNAME", ""), environ.get("PROMETHEUS_BEARER_TOKEN", "")
    file = environ.get("PROMETHEUS_BEARER_TOKEN_FILE", "")
    where = "environment"
    if sum(map(bool, (user, token, file))) > 1:
        raise ParamsError("there are several credentials for Prometheus", where=where, cure=f"set only {CREDENTIALS}")
    if user:
        password = environ.get("PROMETHEUS_PASSWORD", "")
        return HTTPBasicAuth(user.encode(), password.encode())  # bytes: requests would write Latin-1
    if file:
        where = "PROMETHEUS_BEARER_TOKEN_FILE"
        try:
            token = Path(file).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError):
            raise ParamsError(f"{file!r} cannot be read", where=where, cure="mend the path or its rights") from None
    if (file and not token) or not (token.isascii() and token.isprintable()) or " " in token:
        raise ParamsError("the token is empty or holds what no token holds", where=where, cure="set it again")
    return Bearer(token)


@contextmanager
def _in_words(server: PrometheusParams, where: str) -> Iterator[None]:
    try:
        yield
    except requests.RequestException as fault:
        raise _fault(fault, server, where) from None
    except ValueError:  # requests reads where a redirect leads, though it does not follow
        raise _sent_on(UNREADABLE, where) from None


def _fault(fault: requests.RequestException, server: PrometheusParams, where: str) -> Exception:
    """What a failed request means; nothing of its headers gets into the text."""
    inner = fault.args[0] if fault.args else None
    reason = getattr(inner, "reason", None)
    address = urlsplit(server.base_url)
    mend = "mend prometheus.base_url or PROMETHEUS_URL"
    if overran(fault):
        what = f"no whole answer within {ANSWER_TIMEOUTS * server.timeout:g} s"
        return ConnectError(what, where=where, cure=SLOW)
    if isinstance(fault, requests.Timeout) or isinstance(inner, ReadTimeoutError):
        what = f"no answer within {server.timeout:g} s"
        return _PassingError(ConnectError(what, where=where, cure=SLOW))
    if isinstance(fault, SSLError):
        return _tls_fault(str(reason or inner or fault), where)
    if isinstance(fault, ProxyError):
        return ConnectError("its proxy cannot be reached", where=where, cure="mend HTTPS_PROXY, HTTP_PROXY or NO_PROXY")
    if isinstance(reason, NameResolutionError):
        return ConnectError(f"the name {address.hostname!r} is not known to DNS", where=where, cure=mend)
    if isinstance(fault, (ChunkedEncodingError, ContentDecodingError)) or isinstance(inner, (ProtocolError, OSError)):
        return _PassingError(ServerError("the answer broke off", where=where, cure="see the server's own log"))
    if not isinstance(fault, requests.ConnectionError):
        return ConnectError(f"{address.netloc!r} cannot be asked ({type(fault).__name__})", where=where, cure=mend)
    cause = getattr(reason, "__cause__", None)
    what = f"nothing listens at {address.netloc} ({getattr(cause, 'strerror', None) or type(fault).__name__})"
    return ConnectError(what, where=where, cure=f"start the server or {mend}")


def cause(fault: Exception) -> str:
    """What happened, without the layers of libraries around it and without the address, whose query may be secret."""
    text = str(fault)
    if "NameResolution" in text:
        return "its name is not known to DNS"
    if "Connection refused" in text:
        return "nothing listens there (connection refused)"
    inner = TLS_REASON.search(text) or LAST_REASON.search(text)
    return inner.group(1) if inner else one_line(fault)


def _tls_fault(text: str, where: str) -> ConnectError:
    cure = "see prometheus.ca_file, client_cert_file and client_key_file"
    if "WRONG_VERSION_NUMBER" in text or "RECORD_LAYER" in text:
        return ConnectError("the server speaks no TLS", where=where, cure="write http:// in prometheus.base_url")
    if "CERTIFICATE_VERIFY_FAILED" in text:
        text = text.partition("certificate verify failed: ")[2].partition(" (_ssl")[0]
        cure = "put the certificate of the authority that signed the server's into prometheus.ca_file"
        if "match" in text or "not valid for" in text:
            cure = "write the name that its certificate is made for in prometheus.base_url"
    elif any(sign in text for sign in UNKNOWN_CLIENT):
        text = "the server ended it, as it does with a client whose certificate it does not trust"
        cure = "set prometheus.client_cert_file and client_key_file"
    return ConnectError(f"TLS failed ({text})", where=where, cure=cure)


def _refusal(reply: requests.Response, body: bytes, where: str) -> Exception:
    """What a status other than 200 means."""
    status, (kind, message) = reply.status_code, _server_says(body)
    if status in (401, 403):
        sent = "Authorization" in reply.request.headers
        cure = "check the credentials in the environment" if sent else f"set {CREDENTIALS} in the environment"
        return AuthError(
            f"the server refuses {'these' if sent else 'a request without'} credentials ({status})",
            where=where,
            cure=cure,
        )
    if kind == "timeout" or "too many samples" in message:
        cure = (
            "aggregate in the query, shorten fetch.history, or raise the server's --query.max-samples or its time-out"
        )
        return TooMuchError(f"the server says: {message}", where=where, cure=cure)
    failed = status >= 500 or kind in ("internal", "unavailable")
    if status in (200, 400, 422) and message and not failed:
        return QueryError(f"the server says: {message}", where=where, cure="mend the query")
    if 300 <= status < 400:
        return _sent_on(plain_address(reply.headers.get("Location", "")), where)
    if status == 429:
        return ServerError(f"the server has too many requests (429) {message}".strip(), where=where, cure="try later")
    if failed:
        what = f"the server failed with {status} {message or reply.reason}".strip()
        return _PassingError(ServerError(what, where=where, cure="see the server's own log"))
    return not_prometheus(body, where, f"its status is {status}")


def _sent_on(address: str, where: str) -> ServerError:
    cure = "write the address of the API itself in prometheus.base_url; this may be a login page"
    return ServerError(f"the server sends us on to {address!r}", where=where, cure=cure)


def not_prometheus(body: bytes, where: str, what: str) -> ServerError:
    """The error for an answer that no Prometheus gives, with how it begins; `what` is wrong with it."""
    begin = " ".join(body[:80].decode("utf-8", "replace").split())
    cure = "write the address of Prometheus in prometheus.base_url, with its path if it has one"
    return ServerError(f"the answer cannot be read, {what}; it begins {begin!r}", where=where, cure=cure)


def _server_says(body: bytes) -> tuple[str, str]:
    """`errorType` and `error` of the server's JSON, or nothing."""
    try:
        answer = json.loads(body)
        return str(answer.get("errorType", "")), " ".join(str(answer["error"]).split()).rstrip(".")
    except (ValueError, LookupError, TypeError, AttributeError):
        return "", ""
