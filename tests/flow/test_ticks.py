"""Ticks: when they come, when they are left out, and how they end."""

from __future__ import annotations

import os
import signal
import threading
import time
from types import SimpleNamespace

import pytest

from tsf.flow import ticks
from tsf.flow.ticks import each_tick


class Clock:
    """Time that passes where somebody waits or works, and nowhere else: a busy machine makes no tick late."""

    def __init__(self) -> None:
        self.now = 0.0

    def event(self) -> threading.Event:
        """One whose wait is over at once, at the moment at which it would be."""
        clock = self

        class Event(threading.Event):
            def wait(self, timeout: float | None = None) -> bool:
                clock.now += 0 if self.is_set() else max(0.0, timeout or 0)
                return self.is_set()

        return Event()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(ticks, "time", SimpleNamespace(monotonic=lambda: made.now))
    monkeypatch.setattr(ticks, "threading", SimpleNamespace(Event=made.event))
    return made


def test_a_tick_comes_at_once_and_then_at_whole_intervals(clock: Clock) -> None:
    said: list[str] = []
    moments: list[float] = []
    for _ in each_tick(1, said.append):
        moments.append(clock.now)
        clock.now += 0.3
        if len(moments) == 3:
            os.kill(os.getpid(), signal.SIGTERM)
    assert moments == pytest.approx([0, 1, 2])
    assert said == []


def test_ticks_that_the_last_one_overlaps_are_left_out_and_told(clock: Clock) -> None:
    said: list[str] = []
    moments: list[float] = []
    for ended in each_tick(1, said.append):
        moments.append(clock.now)
        assert not ended()
        if len(moments) == 2:
            os.kill(os.getpid(), signal.SIGINT)
            assert ended()
        else:
            clock.now += 2.4
    assert moments == pytest.approx([0, 3])
    assert said == ["the last tick took 2 s; 2 ticks skipped."]


def test_between_two_ticks_time_passes() -> None:
    """By the clock of the machine, of which only the least that must pass is certain."""
    begin = time.monotonic()
    for count, _ in enumerate(each_tick(1, print)):
        if count == 1:
            os.kill(os.getpid(), signal.SIGTERM)
    assert time.monotonic() - begin >= 1


def test_a_second_signal_ends_the_process_as_it_would_have_before() -> None:
    outside = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background ignores it

    def hang() -> None:
        for ended in each_tick(60, print):
            os.kill(os.getpid(), signal.SIGINT)
            while not ended():  # two signals at once may count as one
                time.sleep(0.01)
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(5)

    try:
        with pytest.raises(KeyboardInterrupt):
            hang()
        assert signal.getsignal(signal.SIGINT) == signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, outside)
