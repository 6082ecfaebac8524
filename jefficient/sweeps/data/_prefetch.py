"""Reading ahead: the order in which examples are needed, and a thread that reads the next."""

import dataclasses
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import jax
import numpy as np

from ..._core.devices import host_device
from ...training import shuffled_indices


@dataclasses.dataclass(frozen=True)
class EpochOrder:
    """The order in which the trials of one (seed, fold) train, computed on the CPU.

    Attributes:
        key: what the order is drawn from; None for the order of the examples.
        size: number of training examples.
        batch_size: examples in a batch.
        batches: batches in a prefetch chunk.
    """

    key: jax.Array | None
    size: int
    batch_size: int
    batches: int

    def indices(self, step: int, count: int) -> np.ndarray:
        """Return the examples of `count` batches from `step` on, (count, batch_size)."""
        begin = step * self.batch_size
        if self.key is None:
            indices = (begin + np.arange(count * self.batch_size)) % self.size
            return indices.reshape(count, self.batch_size)
        with jax.default_device(host_device()):
            indices = shuffled_indices(self.key, begin, count * self.batch_size, self.size)
        return indices.reshape(count, self.batch_size)


class Prefetch:
    """A one-slot prefetch buffer: a thread reads one thing before it is needed."""

    def __init__(self, pool: ThreadPoolExecutor):
        self._pool = pool
        self._name: Hashable = None
        self._coming: Future[Any] | None = None

    def has(self, name: Hashable) -> bool:
        """Return whether the slot holds `name`, read or being read."""
        return self._coming is not None and self._name == name

    def begin(self, name: Hashable, read: Callable[..., Any], *arguments: object) -> None:
        """Start ``read(*arguments)`` in the thread; it replaces what the slot held."""
        if self._coming is not None:
            self._coming.cancel()
        self._name = name
        self._coming = self._pool.submit(read, *arguments)

    def take(self) -> Any:
        """Wait for what the slot holds, return it and empty the slot."""
        assert self._coming is not None
        coming = self._coming
        self._coming = None
        return coming.result()
