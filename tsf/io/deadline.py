"""HTTP whose answers end: `timeout` is the longest silence, and a whole answer may take ANSWER_TIMEOUTS of them.

requests itself waits for ever on a server that sends a byte now and then, be it of a header or of the body.
"""

from __future__ import annotations

import http.client
import io
import socket
import time
from typing import Any

import requests
from requests.adapters import HTTPAdapter

__all__ = ["ANSWER_TIMEOUTS", "overran", "timed_session"]

ANSWER_TIMEOUTS = 10


class _OverrunError(TimeoutError):
    """An answer that came to no end in time."""


class _Timed(io.RawIOBase):
    """What a socket receives, up to a moment of the monotonic clock."""

    def __init__(self, raw: io.RawIOBase, end: float) -> None:
        self._raw, self._end = raw, end

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if time.monotonic() > self._end:
            raise _OverrunError
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Answer(http.client.HTTPResponse):
    """An answer whose time, headers included, runs from when it is waited for."""

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        if seconds := sock.gettimeout():
            self.fp = io.BufferedReader(_Timed(self.fp.detach(), time.monotonic() + ANSWER_TIMEOUTS * seconds))


class _Adapter(HTTPAdapter):
    """Connections of requests, through a proxy and TLS too, that get such answers."""

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:
        pool: Any = super().get_connection_with_tls_context(*args, **kwargs)
        if pool.ConnectionCls.response_class is not _Answer:
            pool.ConnectionCls = type("Connection", (pool.ConnectionCls,), {"response_class": _Answer})
        return pool


def timed_session() -> requests.Session:
    """A session of requests whose answers raise ReadTimeout or ConnectionError when they take too long in all."""
    made = requests.Session()
    for scheme in ("http://", "https://"):
        made.mount(scheme, _Adapter())
    return made


def overran(fault: requests.RequestException) -> bool:
    """Whether a request failed because its answer came to no end, which another attempt would not mend."""
    return isinstance(getattr(fault.args[0] if fault.args else None, "__cause__", None), _OverrunError)
