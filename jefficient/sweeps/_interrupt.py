"""What ends a sweep early, its result so far returned: a signal, a limit of time, or `progress`."""

import asyncio
import functools
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.process import parent_process
from types import FrameType

import numpy as np

from .scheduler import Progress

_REASONS = {signal.SIGINT: "by Ctrl-C", signal.SIGTERM: "by SIGTERM"}


class EndRequest:
    """Whether a sweep has been asked to end; called between its segments.

    Attributes:
        reason: who asked first, as a part of a sentence; None before somebody has.
        is_interrupted: whether Ctrl-C was pressed, or SIGTERM came.
    """

    def __init__(self, time_limit: float | None = None, *, is_part: bool = False):
        self._deadline = math.inf if time_limit is None else time.monotonic() + time_limit
        self._time_limit = time_limit
        # A worker that SIGTERM ends is lost, and its part is handed out again.
        self._signals = (signal.SIGINT,) if is_part else (signal.SIGINT, signal.SIGTERM)
        self._parent = parent_process() if is_part else None
        self.reason: str | None = None
        self.is_interrupted = False

    def __call__(self) -> bool:
        """Return whether no further segment may begin."""
        if self.seconds_left <= 0:
            self.note(f"by time_limit={self._time_limit}")
        if self.is_orphan:
            self.note("since the process that began it is gone")
        return self.reason is not None

    @property
    def is_orphan(self) -> bool:
        """Whether this is a part, and the process that started this worker has ended."""
        return self._parent is not None and not self._parent.is_alive()

    @property
    def seconds_left(self) -> float:
        """Seconds until the limit, inf without one."""
        return self._deadline - time.monotonic()

    def note(self, reason: str) -> None:
        """Ask the sweep to end, unless somebody has."""
        self.reason = self.reason or reason

    @contextmanager
    def on_interrupt(self) -> Iterator[None]:
        """Let the first Ctrl-C or SIGTERM inside be a request; the second one ends at once.

        Signals are left alone where they cannot be handled: in other threads than the main one, and
        where the program handles them itself.
        """

        def handle(number: int, frame: FrameType | None) -> None:
            if self.is_interrupted and number == signal.SIGINT:
                signal.default_int_handler(number, frame)
            if self.is_interrupted:
                signal.signal(number, signal.SIG_DFL)
                signal.raise_signal(number)
            self.is_interrupted = True
            self.note(_REASONS[signal.Signals(number)])

        is_main = threading.current_thread() is threading.main_thread()
        before = {number: signal.getsignal(number) for number in self._signals} if is_main else {}
        taken = {number: x for number, x in before.items() if _is_default(x)}
        for number in taken:
            signal.signal(number, handle)
        try:
            yield
        finally:
            for number, handler in taken.items():
                signal.signal(number, handler)

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


def _is_default(handler: object) -> bool:
    """Tell whether a signal is handled as Python or `asyncio.run` handles it.

    The latter cancels the running task, which cannot happen before the sweep is over.
    """
    if isinstance(handler, functools.partial):
        return isinstance(getattr(handler.func, "__self__", None), asyncio.Runner)
    return handler in (signal.SIG_DFL, signal.default_int_handler)
