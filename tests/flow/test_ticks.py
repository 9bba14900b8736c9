"""Ticks: when they come, when they are left out, and how they end."""

from __future__ import annotations

import os
import signal
import time

import pytest

from tsf.flow.ticks import each_tick


def test_a_tick_comes_at_once_and_then_at_whole_intervals() -> None:
    said: list[str] = []
    begin = time.monotonic()
    moments: list[float] = []
    for _ in each_tick(1, said.append):
        moments.append(time.monotonic() - begin)
        time.sleep(0.3)
        if len(moments) == 3:
            os.kill(os.getpid(), signal.SIGTERM)
    assert moments == pytest.approx([0, 1, 2], abs=0.25)
    assert said == []


def test_ticks_that_the_last_one_overlaps_are_left_out_and_told() -> None:
    said: list[str] = []
    begin = time.monotonic()
    moments: list[float] = []
    for ended in each_tick(1, said.append):
        moments.append(time.monotonic() - begin)
        assert not ended()
        if len(moments) == 2:
            os.kill(os.getpid(), signal.SIGINT)
            assert ended()
        else:
            time.sleep(2.4)
    assert moments == pytest.approx([0, 3], abs=0.35)
    assert said == ["the last tick took 2s; 2 ticks skipped."]


def test_a_second_signal_ends_the_process_as_it_would_have_before() -> None:
    before = signal.getsignal(signal.SIGINT)

    def hang() -> None:
        for _ in each_tick(60, print):
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(5)

    with pytest.raises(KeyboardInterrupt):
        hang()
    assert signal.getsignal(signal.SIGINT) == before
