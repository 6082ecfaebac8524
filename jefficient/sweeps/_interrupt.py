"""Ctrl-C as a request: the first one is noted, the second one raises."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupted(Exception):
    """The sweep is to end here."""


@contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Inside, Ctrl-C makes the given function True; where signals cannot be had (another thread), it stays False."""
    is_asked = threading.Event()

    def ask(number: int, frame: FrameType | None) -> None:
        if is_asked.is_set():
            signal.default_int_handler(number, frame)
        is_asked.set()

    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield is_asked.is_set
        return
    signal.signal(signal.SIGINT, ask)
    try:
        yield is_asked.is_set
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
