"""A web server for tests that fails on purpose, on a real socket."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal

import requests

__all__ = ["Answer", "FaultServer", "Request"]


@dataclass(frozen=True)
class Answer:
    """What a FaultServer says to one request; `forward` passes it on to a real server instead."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    delay_seconds: float = 0.0
    cut: bool = False  # the connection ends in the middle of the body
    forward: str = ""
    drips: Literal["", "all", "body"] = ""  # a byte at a time from the status line or from the body on
    drip_seconds: float = 0.02


@dataclass(frozen=True)
class Request:
    """What a FaultServer was asked."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


class FaultServer:
    """A web server on a real socket that answers the n-th request with the n-th answer; the last one repeats.

    tls: a server context, for https. The requests it got are in `requests`.
    """

    def __init__(self, *answers: Answer, tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[Request] = []
        self._answers, self._stopped = answers, threading.Event()
        fault_server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 10

            def setup(self) -> None:
                if tls:  # here and not on the listening socket: a client that refuses us must not stop the server
                    self.request = tls.wrap_socket(self.request, server_side=True, do_handshake_on_connect=False)
                super().setup()

            def finish(self) -> None:
                try:
                    super().finish()
                finally:
                    self.request.close()

            def _serve(self) -> None:
                fault_server._serve(self)

            do_GET = do_POST = do_PUT = do_DELETE = _serve  # noqa: N815

            def log_message(self, *_: object) -> None: ...

        class Listener(ThreadingHTTPServer):
            def handle_error(self, *_: object) -> None: ...  # broken connections are what this server is for

        self._listener = Listener(("127.0.0.1", 0), Handler)
        self.url = f"{'https' if tls else 'http'}://localhost:{self._listener.server_port}"
        self._thread = threading.Thread(target=self._listener.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def await_requests(self, count: int) -> None:
        """Until it has read so many: whoever gives up early asks before the server may have listened."""
        deadline = time.monotonic() + 60
        while len(self.requests) < count and time.monotonic() < deadline:
            time.sleep(0.02)

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        request = Request(handler.command, handler.path, dict(handler.headers), body)
        self.requests.append(request)
        answer = self._answers[min(len(self.requests), len(self._answers)) - 1]
        self._stopped.wait(answer.delay_seconds)
        status, content, headers = answer.status, answer.body, dict(answer.headers)
        if answer.forward:
            passed = {name: value for name, value in request.headers.items() if name.lower() != "host"}
            url = answer.forward + request.path
            reply = requests.request(request.method, url, data=body, headers=passed, timeout=60)
            status, content, headers = reply.status_code, reply.content, {"Content-Type": reply.headers["Content-Type"]}
        if answer.drips == "all":
            self._drip(handler, answer)
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        if answer.drips == "body":
            self._drip(handler, answer)
        handler.wfile.write(content[: len(content) // 2] if answer.cut else content)
        handler.close_connection = answer.cut

    def _drip(self, handler: BaseHTTPRequestHandler, answer: Answer) -> None:
        """From now on let the handler write a byte at a time."""
        write = handler.wfile.write

        def drip(content: bytes) -> None:
            for byte in content:
                self._stopped.wait(answer.drip_seconds)
                write(bytes([byte]))

        setattr(handler.wfile, "write", drip)  # noqa: B010 - a method of this one stream alone

    def close(self) -> None:
        """Stop listening; requests that hang are let go."""
        self._stopped.set()
        self._listener.shutdown()
        self._thread.join()
        self._listener.server_close()
