"""The worker processes: warm, replaced when they die, gone when the server is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest

from tsf.errors import ParamsError
from tsf.server import service as service_module
from tsf.server.answers import BusyError
from tsf.server.service import Kept, Service

ROOT = Path(__file__).parents[2]


def is_there(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until_gone(process: int) -> None:
    end = time.monotonic() + 90
    while is_there(process):
        assert time.monotonic() < end, "the worker process lives on"
        time.sleep(0.05)


def mistake() -> None:
    raise ParamsError("the value is wrong", where="a.b", cure="mend it")


def test_a_worker_stays_and_is_replaced_when_it_dies(tmp_path: Path) -> None:
    service = Service(tmp_path)
    try:
        first = service.compute(os.getpid)
        assert first not in (os.getpid(), 0)
        assert service.compute(os.getpid) == first
        os.kill(first, signal.SIGKILL)
        wait_until_gone(first)
        second = service.compute(os.getpid)
        assert second != first
        with pytest.raises(ParamsError, match="the value is wrong; mend it"):
            service.compute(mistake)
        assert service.compute(os.getpid) == second
    finally:
        service.close()
    wait_until_gone(second)


def test_a_worker_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    service = Service(tmp_path)
    try:
        hanging = service.compute(os.getpid)  # it may take its time to start
        monkeypatch.setattr(service_module, "COMPUTE_SECONDS", 1.0)
        with pytest.raises(BusyError):
            service.compute(time.sleep, 60)
        wait_until_gone(hanging)
    finally:
        service.close()


def test_who_waits_behind_a_worker_that_hangs_is_answered_by_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_module, "WORKERS", 1)
    service = Service(tmp_path)
    try:
        hanging = service.compute(os.getpid)
        with ThreadPoolExecutor() as askers:
            with monkeypatch.context() as soon:
                soon.setattr(service_module, "COMPUTE_SECONDS", 1.0)
                given_up = askers.submit(service.compute, time.sleep, 60)
                while not service._workers()._pending_work_items:
                    time.sleep(0.01)
                time.sleep(0.3)  # by then it has read how long it may take
            answers = [askers.submit(service.compute, os.getpid) for _ in range(4)]
            assert isinstance(given_up.exception(), BusyError)
            assert hanging not in {one.result() for one in answers}
    finally:
        service.close()


def test_what_is_computed_when_the_server_stops_is_not_begun_anew(tmp_path: Path) -> None:
    service = Service(tmp_path)
    with ThreadPoolExecutor() as askers:
        service.compute(os.getpid)
        asked = askers.submit(service.compute, time.sleep, 60)
        time.sleep(0.2)
        service.close()
        with pytest.raises(BusyError, match="the server is being stopped"):
            asked.result(30)


def test_no_worker_outlives_a_server_that_was_killed(tmp_path: Path) -> None:
    code = """
import os, sys
from pathlib import Path
from tsf.server.service import Service
if __name__ == "__main__":
    print(Service(Path(sys.argv[1])).compute(os.getpid), flush=True)
    os.kill(os.getpid(), 9)
"""
    script = tmp_path / "server.py"
    script.write_text(code)
    environ = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, script, tmp_path], env=environ, stdout=subprocess.PIPE, text=True, timeout=60, check=False
    )
    wait_until_gone(int(done.stdout))


def test_what_was_found_out_is_told_at_once_until_it_is_too_old(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [1000.0]
    monkeypatch.setattr("tsf.server.service.time.monotonic", lambda: clock[0])
    answers, gate = iter("abc"), Event()
    with ThreadPoolExecutor(1) as pool:
        kept = Kept(lambda: next(answers), pool, 30)

        def looked_anew() -> str:
            """Too old, or nothing yet: told as such, and the look that was begun by it is the one to wait for."""
            gate.clear()
            pool.submit(gate.wait, 10)  # no look is over before somebody waits for it
            assert kept.latest(60) is None
            coming = kept.coming()
            gate.set()
            return coming.result(10)

        assert looked_anew() == "a"
        clock[0] += 29
        assert kept.latest(60) == "a"
        clock[0] += 30
        assert kept.latest(60) == "a"  # and is renewed meanwhile
        pool.submit(lambda: None).result(10)
        assert kept.latest(60) == "b"
        clock[0] += 3600  # a quiet night
        assert looked_anew() == "c"
        assert kept.latest(60) == "c"
