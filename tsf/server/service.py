"""What outlives a request: the project's folder, threads, warm worker processes, and what was found out last."""

from __future__ import annotations

import asyncio
import math
import multiprocessing
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures import TimeoutError as Overdue  # Python 3.10 has one of its own
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from tsf.errors import ParamsError, TsfError
from tsf.flow.runner import start_runner
from tsf.params import TaskParams, read_params
from tsf.project import find_root
from tsf.server.answers import Answer, BusyError, NoProjectError, NotFoundError
from tsf.server.ending import end_with_parent

if TYPE_CHECKING:  # its package reads data; the server starts without pandas
    from tsf.doctor.finding import Finding

__all__ = ["Service"]

T = TypeVar("T")
HEALTH_SECONDS, OWN_SECONDS, NOISE_SECONDS = 30.0, 1.0, 120.0
WORKERS = 2  # one answers while the other plans; each holds torch, about 400 MB
COMPUTE_SECONDS = 300.0
# They wait for others.
SLOW = {
    "check_query",
    "delete_task",
    "explain_forecast",
    "plan_task",
    "predict",
    "read_user_metrics",
    "write_task_rules",
}


class Kept(Generic[T]):
    """What `find` found out last; it is found anew, in `pool`, once somebody asks and it is older than `seconds`."""

    def __init__(self, find: Callable[[], T], pool: Executor, seconds: float) -> None:
        self._find, self._pool, self._seconds = find, pool, seconds
        self._value: T | None = None
        self._found_at = 0.0
        self._asking: Future[T] | None = None
        self._lock = Lock()

    def latest(self, oldest_seconds: float = math.inf) -> T | None:
        """The last answer at once; None before the first, and where it is older than that."""
        with self._lock:
            age = math.inf if self._value is None else time.monotonic() - self._found_at
            if self._asking is None and age > self._seconds:
                self._asking = self._pool.submit(self._renew)
            return self._value if age <= oldest_seconds else None

    def coming(self) -> Future[T]:
        """The next answer, once it is there."""
        with self._lock:
            if self._asking is None:
                self._asking = self._pool.submit(self._renew)
            return self._asking

    async def awaited(self, oldest_seconds: float) -> T:
        """The last answer if it is not older than that, else the next one. Raises what `find` raises."""
        known = self.latest(oldest_seconds)
        return known if known is not None else await asyncio.shield(asyncio.wrap_future(self.coming()))

    def _renew(self) -> T:
        try:
            value = self._find()
            with self._lock:
                self._value, self._found_at = value, time.monotonic()
            return value
        finally:
            with self._lock:
                self._asking = None


class Service:
    """The state of one server; its methods may be called from any thread."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self._quick: Executor = ThreadPoolExecutor(8, "tsf")
        self._slow: Executor = ThreadPoolExecutor(4, "tsf-slow")
        self._pool: ProcessPoolExecutor | None = None
        self._closed = False
        self._lock = Lock()
        self._around = Kept(self._find_around, self._slow, HEALTH_SECONDS)
        self._own = Kept(self._find_own, self._quick, OWN_SECONDS)
        self._alarms = Kept(self._find_alarms, self._slow, NOISE_SECONDS)

    @property
    def root(self) -> Path:
        """The project that the server was started in. Raises NoProjectError where there is none."""
        try:
            return find_root(self.folder)
        except ParamsError as fault:
            cure = "start JupyterLab in a folder that holds params.yaml and dvc.yaml"
            raise NoProjectError(fault.what, cure=cure) from None

    def task(self, name: str) -> TaskParams:
        """The task of that name. Raises NotFoundError."""
        tasks = read_params(self.root).tasks
        if name not in tasks:
            known = ", ".join(list(tasks)[:20]) or "none; add one"
            raise NotFoundError(f"there is no task {name!r}", where="task", cure=f"choose from {known}")
        return tasks[name]

    def shown_path(self, path: Path) -> str | None:
        """`path` as Lab's file browser knows it; None where it lies outside of the server's folder."""
        try:
            return path.resolve().relative_to(self.folder).as_posix()
        except ValueError:
            return None

    async def call(self, name: str, arguments: Mapping[str, Any]) -> Answer:
        """Run an operation where it holds up nobody: coroutines here, all others in threads."""
        from tsf.server.routes import FUNCTIONS

        function = FUNCTIONS[name]
        if asyncio.iscoroutinefunction(function):
            answer: Answer = await function(self, **arguments)
            return answer
        pool = self._slow if name in SLOW else self._quick
        return await asyncio.get_running_loop().run_in_executor(pool, partial(function, self, **arguments))

    def compute(self, function: Callable[..., T], *arguments: Any) -> T:
        """`function` in a warm worker process; raises what it raises, and BusyError where it dies or hangs."""
        for _ in range(2):
            pool = self._workers()
            try:
                future: Future[T] = pool.submit(function, *arguments)
                return future.result(COMPUTE_SECONDS)
            except BrokenProcessPool:
                self._drop_workers(pool)
            except Overdue:
                self._drop_workers(pool)
                break
        raise BusyError("the worker process died or did not answer", cure="try again; most often memory has run out")

    async def around(self) -> tuple[float, list[Finding]]:
        """What servers and machine were like in the last minute, and when; after half of it, it is renewed behind the
        asker's back. Raises ParamsError.
        """
        return await self._around.awaited(2 * HEALTH_SECONDS)

    async def own(self) -> list[Finding]:
        """What the project's forecasts and queue are like now: many who ask within a second get one answer."""
        return await self._own.awaited(OWN_SECONDS)

    def alarms(self) -> Mapping[str, int | str]:
        """Alarms of each task in the last seven days, or why they are unknown; empty before they were first counted."""
        return self._alarms.latest() or {}

    def _find_around(self) -> tuple[float, list[Finding]]:
        from tsf.server.system import find_around

        return find_around(self.root)

    def _find_own(self) -> list[Finding]:
        from tsf.server.system import find_own

        return find_own(self.root)

    def _find_alarms(self) -> Mapping[str, int | str]:
        from tsf.server.noise import find_alarms

        return find_alarms(self.root)

    def watch_queue(self) -> None:
        """See, in a thread, that what waits is worked off: after a restart, and where a runner was killed."""
        self._quick.submit(self._start_runner)

    def close(self) -> None:
        """End threads and workers; the runner of the queue goes on."""
        self._quick.shutdown(wait=False, cancel_futures=True)
        self._slow.shutdown(wait=False, cancel_futures=True)
        with self._lock:
            self._closed = True
        if self._pool:
            self._drop_workers(self._pool)

    def _start_runner(self) -> None:
        try:
            start_runner(self.root)
        except TsfError:
            return  # no project here, or a disk that refuses: /health says it

    def _workers(self) -> ProcessPoolExecutor:
        with self._lock:
            if self._closed:
                raise BusyError("the server is being stopped", cure="ask again when it is back")
            if self._pool is None:
                context = multiprocessing.get_context("spawn")  # a fork of a server with threads could hang
                self._pool = ProcessPoolExecutor(WORKERS, context, end_with_parent)
            return self._pool

    def _drop_workers(self, pool: ProcessPoolExecutor) -> None:
        with self._lock:
            if self._pool is pool:
                self._pool = None
        # No shutdown, which cancels what others wait for: what a pool without workers has left fails, to be tried anew.
        for process in list((pool._processes or {}).values()):
            process.kill()
