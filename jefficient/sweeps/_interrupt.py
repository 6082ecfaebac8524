"""What ends a sweep early, its result so far returned: Ctrl-C, a limit of time, or `progress`."""

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import numpy as np

from .scheduler import Progress


class EndRequest:
    """Whether a sweep has been asked to end; called between its segments.

    Attributes:
        reason: who asked first, as a part of a sentence; None before somebody has.
        is_interrupted: whether Ctrl-C was pressed.
    """

    def __init__(self, time_limit: float | None = None):
        self._deadline = math.inf if time_limit is None else time.monotonic() + time_limit
        self._time_limit = time_limit
        self.reason: str | None = None
        self.is_interrupted = False

    def __call__(self) -> bool:
        """Return whether no further segment may begin."""
        if self.reason is None and self.seconds_left <= 0:
            self.reason = f"by time_limit={self._time_limit}"
        return self.reason is not None

    @property
    def seconds_left(self) -> float:
        """Seconds until the limit, inf without one."""
        return self._deadline - time.monotonic()

    def note(self, reason: str) -> None:
        """Ask the sweep to end, unless somebody has."""
        self.reason = self.reason or reason

    @contextmanager
    def on_interrupt(self) -> Iterator[None]:
        """Let the first Ctrl-C inside be a request; the second one raises.

        Signals are left alone where they cannot be handled: in other threads than the main one, and
        where the program handles them itself.
        """

        def handle(number: int, frame: FrameType | None) -> None:
            if self.is_interrupted:
                signal.default_int_handler(number, frame)
            self.is_interrupted = True
            self.note("by Ctrl-C")

        is_main = threading.current_thread() is threading.main_thread()
        if not is_main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
            yield
            return
        signal.signal(signal.SIGINT, handle)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def asked_by(self, report: Callable[[Progress], object]) -> Callable[[Progress], None]:
        """Return `report` as what may end the sweep: by returning True or by KeyboardInterrupt."""

        def report_and_listen(progress: Progress) -> None:
            try:
                answer = report(progress)
            except KeyboardInterrupt:
                if self.is_interrupted:  # a second Ctrl-C
                    raise
                answer = True
            if isinstance(answer, bool | np.bool_) and answer:
                self.note("by progress")

        return report_and_listen
