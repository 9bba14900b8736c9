"""A real Jupyter Server with the extension, in a project that went through its stages once."""

from __future__ import annotations

import json
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

# Imported, not named as a plugin: its fixtures and hooks would be used around every other test, too.
from pytest_jupyter.jupyter_core import *  # noqa: F403
from pytest_jupyter.jupyter_server import *  # noqa: F403
from pytest_jupyter.pytest_tornasync import *  # noqa: F403
from tornado.httpclient import HTTPClientError

from tests.pipeline.conftest import make_project
from tsf.server.openapi import document

Call = Callable[..., Awaitable[tuple[int, Any]]]
API = "tsf/api"


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two tasks, one of which was fetched, trained, evaluated and pushed; by its stages, which is quick."""
    from tsf.flow.index import write_index
    from tsf.stages.evaluate import evaluate
    from tsf.stages.fetch import fetch
    from tsf.stages.push import push
    from tsf.stages.train import plan, train

    root = make_project(tmp_path_factory.mktemp("finished"), ("storage", "cpu")).root
    fetch("storage", root)
    train(plan("storage", root), root)
    evaluate("storage", root)
    push("storage", root)
    for stage in ("fetch", "train", "evaluate", "push"):
        page = root / "reports" / "storage" / f"{stage}.html"
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(f"<!doctype html><title>{stage}</title><script>alert(1)</script>")
    write_index(root)
    return root


@pytest.fixture
def project(finished: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may change."""
    return Path(shutil.copytree(finished, tmp_path / "project", symlinks=True))


@pytest.fixture
def jp_root_dir(project: Path) -> Path:
    return project


@pytest.fixture
def jp_server_config() -> dict[str, Any]:
    return {"ServerApp": {"jpserver_extensions": {"tsf.server": True}}}


def valid(name: str, content: Any) -> None:
    """Fail where an answer is not what the contract promises."""
    schema = {"$ref": f"#/components/schemas/{name}", "components": document()["components"]}
    faults = [
        f"{list(fault.absolute_path)}: {fault.message[:200]}"
        for fault in Draft202012Validator(schema).iter_errors(content)
    ]
    assert not faults, f"{name}: {faults[:3]}"


@pytest.fixture
def call(jp_fetch: Any) -> Call:
    """Ask the server: (method, path, body) -> status and JSON, which is held against the contract's schema `as_`."""

    async def ask(method: str, path: str, body: Any = None, *, as_: str = "", **params: Any) -> tuple[int, Any]:
        text = None if method in ("GET", "DELETE") else json.dumps({} if body is None else body)
        try:
            parts = path.strip("/").split("/")  # on a busy machine a worker process takes a while to start
            reply = await jp_fetch(API, *parts, method=method, body=text, params=params, request_timeout=60)
        except HTTPClientError as fault:
            content = json.loads(fault.response.body)  # type: ignore[union-attr]
            valid("Error", content)
            return fault.code, content
        content = json.loads(reply.body)
        if as_:
            valid(as_, content)
        return reply.code, content

    return ask
