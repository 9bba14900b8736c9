"""HTTP in, HTTP out: each operation of the contract becomes a method of a handler that calls one plain function."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import APIHandler
from tornado import web

from tsf.errors import (
    ChangedError,
    EmptyError,
    FlowError,
    HistoryError,
    ModelError,
    ParamsError,
    QueryError,
    SeriesError,
    SinkError,
    SourceError,
    TsfError,
)
from tsf.io.files import json_text
from tsf.server.answers import Answer, BusyError, ConflictError, NoProjectError, NotFoundError
from tsf.server.openapi import Operation, check_body, operations, parse_query
from tsf.server.service import Service

__all__ = ["RESOURCE", "ROOT", "Handler", "Nowhere", "fault_answer", "handlers"]

ROOT = "/tsf/api"
RESOURCE = "tsf"
MAX_BODY_BYTES = 1_000_000
STATUS = (  # the first that fits
    (NoProjectError, 409, "no_project"),
    (NotFoundError, 404, "not_found"),
    (ConflictError, 409, "conflict"),
    (ChangedError, 409, "conflict"),
    (BusyError, 503, "busy"),
    (HistoryError, 422, "too_little_data"),
    (ParamsError, 422, "invalid"),
    (QueryError, 422, "invalid"),
    (EmptyError, 422, "invalid"),
    (SourceError, 502, "source_failed"),
    (SinkError, 502, "sink_failed"),
    (ModelError, 409, "no_model"),
    (SeriesError, 409, "not_run"),
    (FlowError, 409, "conflict"),
)
REASONS = {400: "bad_json", 401: "unauthorized", 403: "forbidden", 404: "not_found", 409: "conflict", 422: "invalid"}
SENTENCES = {
    401: "Nobody is logged in; send the server's token, or log in.",
    403: "You are not allowed to do this; a page must send the XSRF token, or ask for the right.",
    404: "There is nothing at this address; see /tsf/api/docs.",
    405: "This address does not know this method; see /tsf/api/docs.",
}


class Handler(APIHandler):
    """What all routes share: the resource of Jupyter's authorizer, and errors of one shape."""

    auth_resource = RESOURCE

    def initialize(self, service: Service) -> None:
        """Take the one service of this server."""
        self.service = service

    def get_login_url(self) -> str:
        """Where Jupyter would send a person to log in, a program is told that it must: 401."""
        raise web.HTTPError(401)

    def check_xsrf_cookie(self) -> None:
        """Ask first who it is: whoever is not logged in needs a login, not an XSRF token."""
        if hasattr(self, "_jupyter_current_user") and not self.current_user:
            self.get_login_url()
        super().check_xsrf_cookie()

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """One sentence and a reason; what went wrong inside stays in the server's log."""
        fault = kwargs.get("exc_info", (None, None))[1]
        said = fault.log_message if isinstance(fault, web.HTTPError) and status_code < 500 else ""
        message = SENTENCES.get(status_code) or said or "The server made a mistake; its log says which."
        if status_code == 401:
            self.set_header("WWW-Authenticate", 'Bearer realm="Jupyter"')
        if status_code == 405:
            known = (method for method in self.SUPPORTED_METHODS if method.lower() in vars(type(self)))
            self.set_header("Allow", ", ".join(known))
        self.finish(json_text({"message": message, "reason": REASONS.get(status_code, "failed"), "where": ""}))

    def body_of(self, operation: Operation) -> dict[str, Any]:
        """The checked body of the request; raises 400 for what is no JSON object, 413 and 422."""
        if len(self.request.body) > MAX_BODY_BYTES:
            raise web.HTTPError(413, "The body is larger than 1 MB; send less.")
        try:
            body = json.loads(self.request.body or b"{}", parse_constant=_refuse_constant)
        except (ValueError, RecursionError):
            raise web.HTTPError(400, "The body is no JSON; mend it.") from None
        if not isinstance(body, dict):
            raise web.HTTPError(400, "The body is no JSON object; send one.")
        check_body(operation.body, body)
        return body

    def answer(self, answer: Answer, status: int) -> None:
        """Send what an operation answered."""
        self.set_status(status)
        for name, value in answer.headers.items():
            self.set_header(name, value)
        self.finish(answer.content, set_content_type=answer.content_type)


def handlers(service: Service) -> list[tuple[str, type[Handler], dict[str, Any]]]:
    """Routes for tornado, one handler per path of the contract; Jupyter puts base_url before them."""
    by_path: dict[str, list[Operation]] = {}
    for operation in operations():
        by_path.setdefault(operation.path, []).append(operation)
    routes = []
    for path, group in by_path.items():
        pattern = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(path)) if path != "/" else "/?"
        asked = [(operation.method, operation) for operation in group]
        asked += [("head", operation) for method, operation in asked if method == "get"]  # as load balancers ask
        methods = {method: _method(operation) for method, operation in asked}
        name = "".join(part.title() for part in re.findall(r"\w+", path)) or "About"
        routes.append((f"{ROOT}{pattern}", type(name, (Handler,), methods), {"service": service}))
    return [*routes, (f"{ROOT}/.*", Nowhere, {"service": service})]


class Nowhere(Handler):
    """Every other address below ours: an error of the same shape, in place of Jupyter's page."""

    @web.authenticated
    def get(self) -> None:
        """Say so."""
        raise web.HTTPError(404)

    post = put = delete = get


def _method(operation: Operation) -> Callable[..., Any]:
    """A handler's method for `operation`. Each is decorated anew: `authorized` keeps what it found out first."""

    @web.authenticated
    @authorized
    async def method(self: Handler, **path: str) -> None:
        try:
            arguments: dict[str, Any] = {name: _typed(operation, name, text) for name, text in path.items()}
            given = {name: self.get_query_argument(name) for name in self.request.query_arguments if name != "token"}
            arguments |= parse_query(given, operation.query)
            if operation.body:
                arguments["body"] = self.body_of(operation)
            answer = await self.service.call(operation.name, arguments)
        except TsfError as fault:
            status, content = fault_answer(fault)
            self.set_status(status)
            self.finish(json_text(content))
        else:
            self.answer(answer, operation.status)

    return method


def fault_answer(fault: TsfError) -> tuple[int, Mapping[str, str]]:
    """Status and body for a mistake or fault that a user can mend."""
    status, reason = next((s, r) for kind, s, r in (*STATUS, (TsfError, 500, "failed")) if isinstance(fault, kind))
    return status, {"message": str(fault), "reason": reason, "where": fault.where}


def _typed(operation: Operation, name: str, text: str) -> Any:
    if operation.path_types[name] != "integer":
        return text
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise NotFoundError(f"{text!r} is no number", where=name, cure="use the id of an answer before")
    return int(text)


def _refuse_constant(name: str) -> None:
    raise ValueError(name)
