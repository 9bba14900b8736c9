"""The contract, the handlers and Jupyter's rules: what holds for every route."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from http.cookies import SimpleCookie
from inspect import signature
from itertools import product
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from jupyter_server.auth.authorizer import Authorizer
from tornado.httpclient import HTTPResponse

from tests.server.conftest import valid
from tsf.server.handlers import Handler, Nowhere
from tsf.server.openapi import METHODS, Operation, docs_html, document, operations
from tsf.server.routes import FUNCTIONS

OPERATIONS = list(operations())
EXAMPLES = {"task_id": "storage", "user_id": "1", "username": "storage-oncall", "user": "storage-oncall", "run_id": "1"}
EXAMPLES |= {"model_id": "0123456789ab", "stage": "push"}
WRITING = [operation for operation in OPERATIONS if operation.method != "get"]


class ReadOnly(Authorizer):
    """Everybody may look and nobody may touch."""

    def is_authorized(self, handler: Any, user: Any, action: str, resource: str) -> bool:
        return action == "read"


def name_of(operation: Operation) -> str:
    return operation.name


def address(base: str, operation: Operation) -> str:
    path = re.sub(r"{(\w+)}", lambda match: EXAMPLES[match[1]], operation.path)
    return f"{base}tsf/api{path}"


@pytest.fixture
def ask(jp_serverapp: Any, jp_base_url: str, http_server_client: Any) -> Any:
    """A request with exactly these headers; whatever the status, the response."""

    async def send(operation: Operation, headers: dict[str, str]) -> HTTPResponse:
        body = "{}" if operation.method in ("post", "put") else None
        path, method = address(jp_base_url, operation), operation.method.upper()
        options = {"raise_error": False, "follow_redirects": False, "request_timeout": 60}
        reply: HTTPResponse = await http_server_client.fetch(path, method=method, headers=headers, body=body, **options)
        return reply

    return send


def served_paths(app: Any) -> Iterator[tuple[str, str]]:
    """(pattern, method) of every route that tornado has of ours."""
    for rule in app.web_app.default_router.rules:
        for route in getattr(rule.target, "rules", []):
            if isinstance(route.target, type) and issubclass(route.target, Handler) and route.target is not Nowhere:
                methods = [method for method in METHODS if method in vars(route.target)]
                yield from ((route.matcher.regex.pattern, method) for method in methods)


def test_the_contract_is_openapi_and_each_schema_is_json_schema() -> None:
    content = document()
    assert content["openapi"].startswith("3.1")
    for name, schema in content["components"]["schemas"].items():
        Draft202012Validator.check_schema(schema)
        assert name[0].isupper()


@pytest.mark.parametrize("operation", OPERATIONS, ids=name_of)
def test_each_operation_has_a_function_that_takes_what_the_contract_gives(operation: Operation) -> None:
    wanted = {"service", *operation.path_types, *operation.query} | ({"body"} if operation.body else set())
    assert set(signature(FUNCTIONS[operation.name]).parameters) == wanted


def test_what_tornado_serves_is_what_the_contract_says(jp_serverapp: Any) -> None:
    assert len(list(served_paths(jp_serverapp))) == len(OPERATIONS)


async def test_without_a_token_every_route_refuses(ask: Any) -> None:
    for operation, headers in product(OPERATIONS, ({}, {"Authorization": "token wrong"})):
        reply = await ask(operation, headers)
        assert reply.code == 401, f"{operation.method} {operation.path} answered {reply.code}"
        assert reply.headers["WWW-Authenticate"].startswith("Bearer")
        fault = json.loads(reply.body)
        valid("Error", fault)
        assert fault["reason"] == "unauthorized"


async def test_head_asks_what_get_asks_and_gets_no_body(ask: Any, jp_fetch: Any) -> None:
    health = next(operation for operation in OPERATIONS if operation.path == "/health")
    assert (await ask(replace(health, method="head"), {})).code == 401
    reply = await jp_fetch("tsf/api/health", method="HEAD")
    assert (reply.code, reply.body) == (200, b"")
    assert int(reply.headers["Content-Length"]) > 0


async def test_a_method_that_an_address_does_not_know_is_told_with_those_that_it_knows(
    http_server_client: Any, jp_base_url: str, jp_auth_header: dict[str, str]
) -> None:
    options = {"method": "DELETE", "headers": jp_auth_header, "raise_error": False}
    reply = await http_server_client.fetch(f"{jp_base_url}tsf/api/users", **options)
    assert (reply.code, reply.headers["Allow"]) == (405, "GET, HEAD, POST")
    valid("Error", json.loads(reply.body))


async def test_a_cookie_alone_changes_nothing(
    ask: Any, http_server_client: Any, jp_base_url: str, jp_auth_header: dict[str, str]
) -> None:
    """A page of somebody else can send a cookie along, but not the header that proves that our page asks."""
    first = await ask(next(one for one in OPERATIONS if one.name == "about"), jp_auth_header)
    form = await http_server_client.fetch(f"{jp_base_url}login")
    cookies = SimpleCookie()
    for header in (*first.headers.get_list("Set-Cookie"), *form.headers.get_list("Set-Cookie")):
        cookies.load(header)
    jar = {"Cookie": "; ".join(f"{name}={morsel.value}" for name, morsel in cookies.items())}
    assert any(name.startswith("username") for name in cookies), "the server gave no login cookie: this shows nothing"
    about, *_ = (operation for operation in OPERATIONS if operation.name == "about")
    assert (await ask(about, jar)).code == 200
    for operation in WRITING:
        assert (await ask(operation, jar)).code == 403, f"{operation.method} {operation.path} asks for no XSRF token"
        assert (await ask(operation, jar | {"X-XSRFToken": cookies["_xsrf"].value})).code != 403


class TestWithAnAuthorizer:
    """Jupyter decides who may do what; the resource is called tsf."""

    @pytest.fixture
    def jp_server_config(self) -> dict[str, Any]:
        return {"ServerApp": {"jpserver_extensions": {"tsf.server": True}, "authorizer_class": ReadOnly}}

    async def test_who_may_only_read_reads_and_writes_nothing(self, ask: Any, jp_auth_header: dict[str, str]) -> None:
        for operation in OPERATIONS:
            code = (await ask(operation, jp_auth_header)).code
            assert (code == 403) == (operation.method != "get"), f"{operation.method} {operation.path}: {code}"


async def test_the_docs_page_runs_and_loads_nothing(jp_fetch: Any) -> None:
    reply = await jp_fetch("tsf/api/docs")
    page = reply.body.decode()
    assert "default-src 'none'" in reply.headers["Content-Security-Policy"]
    assert "sandbox" in reply.headers["Content-Security-Policy"]
    assert not re.search(r"<script|<link|src=|url\(|https?://", page)
    for operation in OPERATIONS:
        assert f'id="{operation.name}"' in page
    assert page == docs_html()


def test_loading_the_extension_loads_neither_torch_nor_pandas() -> None:
    code = "import sys, tsf.server.extension; print({'torch', 'pandas', 'matplotlib', 'papermill'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout == "set()\n", done.stderr


def test_serving_every_route_loads_no_torch() -> None:
    code = "import sys, tsf.server.routes; print({'torch', 'sklearn'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout == "set()\n", done.stderr
