"""One group of metrics per task on a Pushgateway, or in a textfile where the project has none."""

from __future__ import annotations

import base64
import os
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import requests
from requests.auth import AuthBase, HTTPBasicAuth
from urllib3.exceptions import HTTPError

from tsf.errors import SinkError
from tsf.io.deadline import ANSWER_TIMEOUTS, overran, timed_session
from tsf.io.files import one_line
from tsf.io.http import Bearer, cause, request_options
from tsf.io.textfile import delete_textfile, write_textfile
from tsf.kinds import plain_address
from tsf.params import PrometheusParams

__all__ = ["check_ready", "delete_task", "push_text", "retire", "send"]

JOB = "tsf"
MEND = "mend prometheus.pushgateway_url or PUSHGATEWAY_URL"
PAUSES_SECONDS = (0.5, 2.0)  # before the second and the third try
PLAIN = re.compile(r"[A-Za-z0-9_-]+\Z")  # what needs no base64 in a path


def send(body: bytes, server: PrometheusParams, folder: Path, task: str | None) -> str:
    """Write a task's metrics where server.pushgateway_url says, `folder` for "textfile"; return where that was.

    task: None for what is said of all tasks together, which has a group or file of its own.
    What stood there for the task before is replaced as a whole, or stays as a whole when this raises SinkError. A file
    from before there was a Pushgateway is deleted: beside a fresh forecast an old one would count as fresh.
    """
    if server.pushgateway_url == "textfile":
        return str(write_textfile(body, folder, task))
    push_text(body, server, task)
    delete_textfile(folder, task)
    return group_url(server.pushgateway_url, task)


def retire(server: PrometheusParams, folder: Path, task: str) -> None:
    """Delete a task's metrics where `send` wrote them; nothing happens where there are none. Raises SinkError."""
    if server.pushgateway_url != "textfile":
        delete_task(server, task)
    delete_textfile(folder, task)


def push_text(
    body: bytes, server: PrometheusParams, task: str | None, environ: Mapping[str, str] | None = None
) -> None:
    """Replace the group job="tsf", task=`task` by one PUT of `body` (Prometheus text) to the server's Pushgateway.

    task: None for the group of job="tsf" alone.
    server.timeout: seconds of silence that end a try; ten times as many end all. 5xx, silence and lost connections are
    tried three times.
    environ: PUSHGATEWAY_USERNAME and PUSHGATEWAY_PASSWORD, or PUSHGATEWAY_BEARER_TOKEN (the process's by default).
    Raises SinkError; then the gateway goes on serving the former group.
    """
    _request("PUT", group_url(server.pushgateway_url, task), server, environ, body)


def delete_task(server: PrometheusParams, task: str, environ: Mapping[str, str] | None = None) -> None:
    """Delete the group of `task`, as push_text made it; nothing happens where there is none. Raises SinkError."""
    _request("DELETE", group_url(server.pushgateway_url, task), server, environ, b"")


def check_ready(server: PrometheusParams, environ: Mapping[str, str]) -> None:
    """Ask the Pushgateway whether it is ready, once. Raises SinkError."""
    _request("GET", f"{server.pushgateway_url}/-/ready", server, environ, b"", pauses=())


def group_url(url: str, task: str | None) -> str:
    """The address of a task's group; a name that is not plain goes in base64, which is what the gateway takes."""
    if task is None:
        return f"{url}/metrics/job/{JOB}"
    encoded = base64.urlsafe_b64encode(task.encode()).decode().rstrip("=") or "="
    segment = f"task/{task}" if PLAIN.match(task) else f"task@base64/{encoded}"
    return f"{url}/metrics/job/{JOB}/{segment}"


def _request(
    method: str,
    address: str,
    server: PrometheusParams,
    environ: Mapping[str, str] | None,
    body: bytes,
    pauses: Sequence[float] = PAUSES_SECONDS,
) -> None:
    auth, url = _auth(os.environ if environ is None else environ), server.pushgateway_url
    for pause in (*pauses, None):
        try:
            with timed_session() as session:
                reply = session.request(
                    method,
                    address,
                    data=body,
                    headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"},
                    auth=auth,
                    **request_options(server),
                )
        except requests.exceptions.SSLError as fault:
            cure = "check prometheus.ca_file and the client's certificate"
            raise SinkError(f"the TLS handshake failed ({cause(fault)})", where=url, cure=cure) from None
        except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as fault:
            problem: requests.Response | requests.RequestException = fault
            if overran(fault):
                break
        # OSError: a certificate that is not there. ValueError: a redirect to what is no address.
        except (requests.RequestException, HTTPError, OSError, ValueError) as fault:
            raise SinkError(f"it cannot be asked ({one_line(fault)})", where=url, cure="mend the address") from None
        else:
            if reply.status_code in (200, 202) and not _is_page(reply):
                return
            problem = reply
            if reply.status_code < 500:
                break
        if pause is not None:
            time.sleep(pause)
    raise _fault(problem, url, server.timeout)


def _fault(problem: requests.Response | requests.RequestException, url: str, timeout: float) -> SinkError:
    if isinstance(problem, requests.RequestException) and overran(problem):
        what = f"no whole answer within {ANSWER_TIMEOUTS * timeout:g} s"
        return SinkError(what, where=url, cure="raise prometheus.timeout")
    if isinstance(problem, requests.Timeout):
        return SinkError(f"no answer within {timeout:g} s", where=url, cure="raise prometheus.timeout")
    if isinstance(problem, requests.RequestException):
        return SinkError(cause(problem), where=url, cure=f"start the Pushgateway or {MEND}")
    if _is_page(problem) and problem.status_code < 300:
        cure = "write the address of the Pushgateway itself in prometheus.pushgateway_url; this may be a login page"
        return SinkError(f"there is no Pushgateway, but a page ({problem.status_code}, HTML)", where=url, cure=cure)
    status, text = problem.status_code, one_line(ValueError(problem.text)) if problem.text.strip() else problem.reason
    if status in (401, 403):
        cure = "set PUSHGATEWAY_USERNAME and PUSHGATEWAY_PASSWORD, or PUSHGATEWAY_BEARER_TOKEN"
        return SinkError(f"it refuses these credentials ({status})", where=url, cure=cure)
    if 300 <= status < 400:
        what = f"it redirects to {plain_address(problem.headers.get('Location', 'elsewhere'))}"
        return SinkError(what, where=url, cure="write that address in prometheus.pushgateway_url")
    if status == 404:
        return SinkError("there is no Pushgateway (404)", where=url, cure=MEND)
    if status < 500:
        return SinkError(f"it refuses the metrics ({status}: {text})", where=url, cure="what it served before stays")
    return SinkError(f"it fails ({status}: {text})", where=url, cure="look at the Pushgateway's log and push again")


def _is_page(reply: requests.Response) -> bool:
    """Whether a reply is HTML; a Pushgateway answers with nothing or a word."""
    return "html" in reply.headers.get("Content-Type", "").lower() or reply.content.lstrip()[:1] == b"<"


def _auth(environ: Mapping[str, str]) -> AuthBase:
    if token := environ.get("PUSHGATEWAY_BEARER_TOKEN", "").strip():
        if not (token.isascii() and token.isprintable()) or " " in token:
            where = "PUSHGATEWAY_BEARER_TOKEN"
            raise SinkError("the token holds a sign that no token holds", where=where, cure="set it again")
        return Bearer(token)
    if user := environ.get("PUSHGATEWAY_USERNAME"):
        return HTTPBasicAuth(user.encode(), environ.get("PUSHGATEWAY_PASSWORD", "").encode())
    return Bearer("")
