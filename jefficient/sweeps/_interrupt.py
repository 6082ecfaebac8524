"""Ctrl-C as a request: the first one is noted, the second one raises."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Yield a function that tells whether Ctrl-C has been pressed inside.

    It stays False where signals cannot be handled: in other threads than the main one, and where
    the program handles them itself.
    """
    is_requested = threading.Event()

    def note(number: int, frame: FrameType | None) -> None:
        if is_requested.is_set():
            signal.default_int_handler(number, frame)
        is_requested.set()

    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield is_requested.is_set
        return
    signal.signal(signal.SIGINT, note)
    try:
        yield is_requested.is_set
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
