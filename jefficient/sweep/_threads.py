"""Work in threads, its results in one place: XLA runs the programs of several threads at once, on one device too."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any, TypeVar

In = TypeVar("In")
Out = TypeVar("Out")


def side_by_side(work: Callable[[In], Iterator[Out]], items: Sequence[In], workers: int) -> Iterator[Out]:
    """Everything that `work` yields for the items, as it comes.

    Args:
        work: what yields something for an item; runs in a thread.
        items: started in order.
        workers: how many at the same time.

    Raises:
        Exception: the first that `work` raises, in the caller's thread; what runs then stops at its next yield.
    """
    arrivals: SimpleQueue[Any] = SimpleQueue()
    is_over = threading.Event()

    def run(item: In) -> None:
        try:
            for arrival in work(item):
                arrivals.put(arrival)
                if is_over.is_set():
                    return
            arrivals.put(None)
        except BaseException as error:  # the caller waits for an answer, whatever happens here
            arrivals.put(error)

    pool = ThreadPoolExecutor(workers)
    try:
        for item in items:
            pool.submit(run, item)
        running = len(items)
        while running:
            arrival = arrivals.get()
            if isinstance(arrival, BaseException):
                raise arrival
            if arrival is None:
                running -= 1
            else:
                yield arrival
    finally:
        is_over.set()
        pool.shutdown(cancel_futures=True)
