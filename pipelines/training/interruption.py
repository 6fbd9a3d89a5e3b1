"""SIGTERM and Ctrl-C as a request to store the state and stop, rather than a sudden death."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class TrainingInterrupted(KeyboardInterrupt):
    """Training stopped when asked to, its state stored; running the same command continues it."""


@contextmanager
def stop_requests() -> Iterator[threading.Event]:
    """Give an event that the first SIGTERM or SIGINT sets; a second one interrupts at once.

    Outside the main thread, where Python allows no signal handlers, it is never set.
    """
    requested = threading.Event()

    def request(number: int, frame: FrameType | None) -> None:
        if requested.is_set():
            raise KeyboardInterrupt
        requested.set()

    if threading.current_thread() is not threading.main_thread():
        yield requested
        return
    previous = {number: signal.signal(number, request) for number in _SIGNALS}
    try:
        yield requested
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
