"""Fixtures that every test may use."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from hypothesis import settings

from tests.faults import FaultServer
from tests.servers import Server, running_prometheus, running_pushgateway

settings.register_profile("tsf", deadline=None)  # a busy machine is no failure
settings.load_profile("tsf")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files whose few tests take minutes begin first, so that no worker is left alone with one of them."""
    items.sort(key=lambda item: item.path.name != "test_docs.py")


@pytest.fixture
def no_log_yet() -> Iterator[None]:
    """Logging of tsf as it is before it was started; afterwards as it was."""
    ours = logging.getLogger("tsf")
    handlers, level = ours.handlers[:], ours.level
    ours.handlers.clear()
    yield
    for handler in ours.handlers:
        handler.close()
    ours.handlers[:] = handlers
    ours.setLevel(level)


@pytest.fixture(scope="session")
def pushgateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A Pushgateway that all tests share: give each its own grouping labels."""
    with running_pushgateway(tmp_path_factory.mktemp("pushgateway")) as server:
        yield server


@pytest.fixture(scope="session")
def prometheus_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Server]]:
    """Start a Prometheus with the arguments of `running_prometheus`; it lives until the session ends."""
    with ExitStack() as running:

        def start(**arguments: Any) -> Server:
            folder = tmp_path_factory.mktemp("prometheus")
            return running.enter_context(running_prometheus(folder, **arguments))

        yield start


@pytest.fixture
def fault_server() -> Iterator[Callable[..., FaultServer]]:
    """Start a FaultServer with these answers; it lives until the test ends."""
    with ExitStack() as running:

        def start(*answers: Any, **arguments: Any) -> FaultServer:
            server = FaultServer(*answers, **arguments)
            running.callback(server.close)
            return server

        yield start
