"""Rows of sources on their way to lanes: which rows a batch has, how many are read at a time, and reading ahead."""

import dataclasses
import functools
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import numpy as np

from .._core.typing import Tree
from ..training import shuffled_rows
from ._source import Part, Source

READ_BYTES = 16 * 2**20
"""What is read at a time, at most, unless a single batch is more: enough for a call to cost little beside it."""

MOST_BATCHES = 1024
"""Batches that are read at a time, at most."""


class Chunk(NamedTuple):
    """Batches that follow each other, as lanes of one (seed, fold) read them.

    `rows`: (batches, batch_size, …); `count`: how many there are, int32, the rest is filling; `fold`: int32.
    """

    rows: Tree
    count: Any
    fold: Any


@dataclasses.dataclass(frozen=True)
class Stream:
    """What is trained on and what is held out.

    Attributes:
        train: for each fold the rows that are trained on.
        valid: for each fold the rows that are held out; none where nothing is.
        eval_batch_size: rows that are evaluated at a time at most, or None.
    """

    train: tuple[Part, ...]
    valid: tuple[Part, ...]
    eval_batch_size: int | None

    @property
    def source(self) -> Source:
        """What is trained on."""
        return self.train[0].source

    def digest(self) -> Tree:
        """What stands for the rows where data are compared: samples of them, and which are trained on where."""
        sources = {part.source.name: part.source for part in (*self.train, *self.valid)}
        numbers = [[part.rows for part in side if part.rows is not None] for side in (self.train, self.valid)]
        texts = {name: np.frombuffer(source.digest().encode(), np.uint8) for name, source in sources.items()}
        return {"sources": texts, "rows": numbers}

    def batches(self, batch_size: int, longest: int, side_by_side: int) -> int:
        """Batches in a chunk.

        Args:
            batch_size: rows in each.
            longest: updates from one look to the next, at most.
            side_by_side: chunks that are used at the same time, at most.
        """
        fitting = READ_BYTES // (self.source.row_bytes * batch_size * side_by_side)
        return max(1, min(fitting, longest, MOST_BATCHES))

    def pieces(self, fold: int) -> list[tuple[int, int]]:
        """(begin, end) of what is read at a time of the rows that a fold holds out."""
        return pieces_of(len(self.valid[fold]), self.valid[fold].source, self.eval_batch_size)

    @functools.cached_property
    def piece_sizes(self) -> tuple[int, ...]:
        """All there are, of all folds: each is compiled for."""
        return tuple(sorted({end - begin for fold in range(len(self.valid)) for begin, end in self.pieces(fold)}))

    def read_chunk(self, fold: int, rows: np.ndarray, batches: int) -> Chunk:
        """A chunk of `batches`, of which the first have the training rows `rows`, (count, batch_size).

        The others are filling, and never trained on.
        """
        part, (count, batch_size) = self.train[fold], rows.shape
        read = part.source.read(part.numbers(rows.ravel()))

        def filled(x: np.ndarray) -> np.ndarray:
            x = x.reshape(count, batch_size, *x.shape[1:])
            return x if count == batches else np.concatenate([x, np.zeros((batches - count, *x.shape[1:]), x.dtype)])

        return Chunk(jax.tree.map(filled, read), np.int32(count), np.int32(fold))

    def read_piece(self, fold: int, begin: int, end: int) -> Tree:
        """Held-out rows begin … end - 1 of a fold."""
        part = self.valid[fold]
        return part.source.read(part.numbers(np.arange(begin, end)))


def pieces_of(rows: int, source: Source, eval_batch_size: int | None) -> list[tuple[int, int]]:
    """(begin, end) of what is read at a time of so many rows of a source."""
    size = eval_batch_size or max(1, READ_BYTES // source.row_bytes)
    return [(begin, min(begin + size, rows)) for begin in range(0, rows, size)]


@dataclasses.dataclass(frozen=True)
class Order:
    """The shuffled order of the rows that the trials of one (seed, fold) train on, worked out on the CPU.

    Attributes:
        key: what it is drawn from.
        size: rows.
        batch_size: rows in a batch.
        batches: in a chunk.
    """

    key: jax.Array
    size: int
    batch_size: int
    batches: int

    def rows(self, step: int, count: int) -> np.ndarray:
        """Which rows `count` batches from `step` on have, (count, batch_size)."""
        with jax.default_device(jax.local_devices(backend="cpu")[0]):
            rows = shuffled_rows(self.key, step * self.batch_size, count * self.batch_size, self.size)
        return rows.reshape(count, self.batch_size)


class Ahead:
    """One thing that is read in a thread before it is asked for."""

    def __init__(self, pool: ThreadPoolExecutor):
        self._pool = pool
        self._name: Hashable = None
        self._coming: Future | None = None

    def has(self, name: Hashable) -> bool:
        """Whether it is what was begun last, and has not been taken."""
        return self._coming is not None and self._name == name

    def begin(self, name: Hashable, read: Callable[..., Any], *arguments: Any) -> None:
        """Read ``read(*arguments)``; what was begun before is let go."""
        self._name, self._coming = name, self._pool.submit(read, *arguments)

    def take(self) -> Any:
        """What was begun last."""
        assert self._coming is not None
        coming, self._coming = self._coming, None
        return coming.result()
