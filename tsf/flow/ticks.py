"""An act at each tick, by a process that stays warm until it is told to end."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tsf.kinds import span_text

__all__ = ["each_tick"]


def each_tick(every_seconds: int, tell: Callable[[str], None]) -> Iterator[Callable[[], bool]]:
    """At once, then every `every_seconds`, yield a question: is this process to end? It is after SIGINT or SIGTERM.

    What is done at a tick may come to its end first; a second signal ends the process at once. Where a tick takes
    longer than `every_seconds` those that it overlaps are left out, which `tell` is told. For the main thread alone.
    """
    with _told_to_end() as end:
        due = time.monotonic()
        while not end.is_set():
            yield end.is_set
            skipped = int((time.monotonic() - due) // every_seconds)
            if skipped and not end.is_set():
                took = span_text(time.monotonic() - due)
                tell(f"the last tick took {took}; {skipped:,} tick{'s' * (skipped > 1)} skipped.")
            due += (1 + skipped) * every_seconds
            end.wait(due - time.monotonic())


@contextmanager
def _told_to_end() -> Iterator[threading.Event]:
    end = threading.Event()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def note(*_: object) -> None:
        end.set()
        for number, handler in before.items():
            signal.signal(number, handler)

    for number in before:
        signal.signal(number, note)
    try:
        yield end
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
