"""How the extension is put together."""

from __future__ import annotations

import os
from pathlib import Path

from jupyter_server.extension.application import ExtensionApp
from prometheus_client import REGISTRY
from tornado.ioloop import PeriodicCallback

from tsf.errors import ParamsError
from tsf.io.logs import start_log
from tsf.params import read_params
from tsf.server.answers import NoProjectError
from tsf.server.gauges import ProjectCollector
from tsf.server.handlers import handlers
from tsf.server.service import Service

__all__ = ["Extension"]

QUEUE_MILLISECONDS = 10_000


class Extension(ExtensionApp):
    """The extension that Jupyter Server finds by itself once tsf is installed."""

    name = "tsf"

    def initialize_handlers(self) -> None:
        """Add routes and metrics, and see from time to time that the queue is worked off."""
        assert self.serverapp is not None  # noqa: S101 - Jupyter sets it before it asks for handlers
        self.service = Service(Path(self.serverapp.root_dir))
        self._start_log()
        self.handlers.extend(handlers(self.service))
        self.collector = ProjectCollector(self.service)
        REGISTRY.register(self.collector)
        self.service.watch_queue()
        self.watch = PeriodicCallback(self.service.watch_queue, QUEUE_MILLISECONDS)
        self.watch.start()

    def _start_log(self) -> None:
        """Log as params.yaml and the environment say; where they are wrong, the server starts all the same."""
        try:
            start_log(read_params(self.service.root).logging, os.environ)
        except NoProjectError:
            return  # each request says so
        except ParamsError as fault:
            self.log.warning("%s", fault)

    async def stop_extension(self) -> None:
        """End what the server has started; the runner of the queue goes on."""
        self.watch.stop()
        REGISTRY.unregister(self.collector)
        self.service.close()
