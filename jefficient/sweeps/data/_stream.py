"""Rows of sources on their way to lanes: which rows a batch has, how many are read at a time, and reading ahead."""

import dataclasses
import functools
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import numpy as np

from ..._core.devices import host_device
from ..._core.typing import Tree
from ...training import shuffled_indices
from ._source import Source, Split

READ_BYTES = 16 * 2**20
"""What is read at a time, at most, unless a single batch is more: enough for a call to cost little beside it."""

MOST_BATCHES = 1024
"""Batches that are read at a time, at most."""

MOST_ROWS = 4096
"""Held-out rows that are measured at a time, at most, where nothing is said: small rows may become large in a model."""


class PrefetchChunk(NamedTuple):
    """Batches that follow each other, as lanes of one (seed, fold) read them.

    `rows`: (batches, batch_size, …); `count`: how many there are, int32, the rest is filling;
        `fold`: int32.
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

    train: tuple[Split, ...]
    valid: tuple[Split, ...]
    eval_batch_size: int | None

    @property
    def source(self) -> Source:
        """What is trained on."""
        return self.train[0].source

    def digest(self) -> Tree:
        """What stands for the rows where data are compared: samples of them, and which are trained on where."""
        sources = {split.source.name: split.source for split in (*self.train, *self.valid)}
        numbers = [
            [split.rows for split in side if split.rows is not None]
            for side in (self.train, self.valid)
        ]
        texts = {
            name: np.frombuffer(source.digest().encode(), np.uint8)
            for name, source in sources.items()
        }
        return {"sources": texts, "rows": numbers}

    def batches(self, batch_size: int, longest: int, side_by_side: int) -> int:
        """Batches in a chunk.

        Args:
            batch_size: rows in each.
            longest: updates from one evaluation to the next, at most.
            side_by_side: chunks that are used at the same time, at most.
        """
        fitting = READ_BYTES // (self.source.row_bytes * batch_size * side_by_side)
        return max(1, min(fitting, longest, MOST_BATCHES))

    @functools.cached_property
    def piece(self) -> int:
        """Held-out rows that are measured at a time, one number for all folds; 0 where there are none."""
        return (
            piece_of(max(map(len, self.valid)), self.valid[0].source, self.eval_batch_size)
            if self.valid
            else 0
        )

    @property
    def is_even(self) -> bool:
        """Whether there are whole pieces alone."""
        return all(len(split) % self.piece == 0 for split in self.valid)

    def begins(self, fold: int) -> range:
        """Where the pieces of a fold's held-out rows begin; none where nothing is held out."""
        return range(0, len(self.valid[fold]), self.piece) if self.valid else range(0)

    def read_chunk(self, fold: int, rows: np.ndarray, batches: int) -> PrefetchChunk:
        """A chunk of `batches`, of which the first have the training rows `rows`, (count, batch_size).

        The others are filling, and never trained on.
        """
        split, (count, batch_size) = self.train[fold], rows.shape
        read = split.source.read(split.numbers(rows.ravel()))

        def filled(x: np.ndarray) -> np.ndarray:
            x = x.reshape(count, batch_size, *x.shape[1:])
            return (
                x
                if count == batches
                else np.concatenate([x, np.zeros((batches - count, *x.shape[1:]), x.dtype)])
            )

        return PrefetchChunk(jax.tree.map(filled, read), np.int32(count), np.int32(fold))

    def read_piece(self, fold: int, begin: int) -> "EvaluationBatch":
        """The piece of a fold's held-out rows that begins there."""
        return read_piece(self.valid[fold], begin, self.piece)


class EvaluationBatch(NamedTuple):
    """Rows that are measured together: `rows`, of which `count` (int32) count; those after them repeat the first."""

    rows: Tree
    count: Any


def piece_of(rows: int, source: Source, eval_batch_size: int | None) -> int:
    """Rows in each of as few and as equal pieces as may be: of the given size at most, or of what is read at a time."""
    most = eval_batch_size or min(MOST_ROWS, max(1, READ_BYTES // source.row_bytes))
    return -(-rows // -(-rows // most))


def read_piece(split: Split, begin: int, size: int) -> EvaluationBatch:
    """Rows of a part from `begin` on, filled up to `size`."""
    count = min(size, len(split) - begin)
    read = split.source.read(split.numbers(np.arange(begin, begin + count)))

    def filled(x: np.ndarray) -> np.ndarray:
        return x if count == size else np.concatenate([x, np.repeat(x[:1], size - count, axis=0)])

    return EvaluationBatch(jax.tree.map(filled, read), np.int32(count))


@dataclasses.dataclass(frozen=True)
class EpochOrder:
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
        with jax.default_device(host_device()):
            rows = shuffled_indices(
                self.key, step * self.batch_size, count * self.batch_size, self.size
            )
        return rows.reshape(count, self.batch_size)


class Prefetch:
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
        if self._coming is not None:
            self._coming.cancel()
        self._name, self._coming = name, self._pool.submit(read, *arguments)

    def take(self) -> Any:
        """What was begun last."""
        assert self._coming is not None
        coming, self._coming = self._coming, None
        return coming.result()
