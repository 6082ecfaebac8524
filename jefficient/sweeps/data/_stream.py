"""Training and validation examples on a disk: how many are read at a time, and how."""

import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import numpy as np

from ..._core.typing import Examples
from ._source import Source
from ._split import Split

READ_BYTES = 16 * 2**20
"""Bytes read at a time at most, but one batch at least: the cost of a call is small beside it."""

MOST_BATCHES = 1024
"""Batches read at a time at most."""

MOST_EXAMPLES = 4096
"""Default of `eval_batch_size`: activations may be far larger than the examples themselves."""


class PrefetchChunk(NamedTuple):
    """Consecutive training batches of the lanes of one (seed, fold).

    `examples`: (batches, batch_size, …); `count`: how many of the batches are used, int32, the
    others are zeros; `fold`: int32.
    """

    examples: Examples
    count: Any
    fold: Any


class EvaluationBatch(NamedTuple):
    """Examples that are evaluated together.

    `examples`: (n, …); `count`: how many of them count, int32, those behind repeat one that does;
    None where all do.
    """

    examples: Examples
    count: Any


@dataclasses.dataclass(frozen=True)
class Stream:
    """The examples of a task that are read while lanes train.

    Attributes:
        train: the training examples of each fold.
        valid: the validation examples of each fold; empty without validation.
        eval_batch_size: validation examples evaluated at a time at most, or None.
    """

    train: tuple[Split, ...]
    valid: tuple[Split, ...]
    eval_batch_size: int | None

    @property
    def source(self) -> Source:
        """The source of the training examples."""
        return self.train[0].source

    def digest(self) -> dict[str, Any]:
        """Return what identifies the examples: samples of the sources, and the splits' indices."""
        sources = {split.source.name: split.source for split in (*self.train, *self.valid)}
        texts = {
            name: np.frombuffer(source.digest().encode(), np.uint8)
            for name, source in sources.items()
        }
        indices = [
            [split.indices for split in side if split.indices is not None]
            for side in (self.train, self.valid)
        ]
        return {"indices": indices, "sources": texts}

    def batches_per_chunk(self, batch_size: int, longest: int, side_by_side: int) -> int:
        """Return the number of batches in a chunk: `longest` at most, updates between evaluations.

        So many chunks are in use `side_by_side`.
        """
        fitting = READ_BYTES // (self.source.example_bytes * batch_size * side_by_side)
        return max(1, min(fitting, longest, MOST_BATCHES))

    @functools.cached_property
    def evaluation_batch_size(self) -> int:
        """Validation examples evaluated at a time, the same in all folds; 0 without validation."""
        if not self.valid:
            return 0
        largest = max(map(len, self.valid))
        return evaluation_batch_size(largest, self.valid[0].source, self.eval_batch_size)

    @property
    def has_whole_batches(self) -> bool:
        """Whether no evaluation batch needs padding."""
        return all(len(split) % self.evaluation_batch_size == 0 for split in self.valid)

    def evaluation_begins(self, fold: int) -> range:
        """Return where the evaluation batches of a fold begin; empty without validation."""
        if not self.valid:
            return range(0)
        return range(0, len(self.valid[fold]), self.evaluation_batch_size)

    def read_chunk(self, fold: int, indices: np.ndarray, batches: int) -> PrefetchChunk:
        """Read the training examples `indices`, (count, batch_size), as a chunk of `batches`."""
        count, batch_size = indices.shape

        def padded(x: np.ndarray) -> np.ndarray:
            x = x.reshape(count, batch_size, *x.shape[1:])
            if count == batches:
                return x
            return np.concatenate([x, np.zeros((batches - count, *x.shape[1:]), x.dtype)])

        examples = jax.tree.map(padded, self.train[fold].read(indices.ravel()))
        return PrefetchChunk(examples, np.int32(count), np.int32(fold))

    def read_evaluation_batch(self, fold: int, begin: int) -> EvaluationBatch:
        """Read the evaluation batch of a fold that begins there, padded with its first example."""
        split, size = self.valid[fold], self.evaluation_batch_size
        count = min(size, len(split) - begin)

        def padded(x: np.ndarray) -> np.ndarray:
            if count == size:
                return x
            return np.concatenate([x, np.repeat(x[:1], size - count, axis=0)])

        examples = jax.tree.map(padded, split.read(np.arange(begin, begin + count)))
        return EvaluationBatch(examples, np.int32(count))


def evaluation_batch_size(examples: int, source: Source, eval_batch_size: int | None) -> int:
    """Return the size of as few and as equal batches as `eval_batch_size`, or memory, allows."""
    default = min(MOST_EXAMPLES, max(1, READ_BYTES // source.example_bytes))
    most = eval_batch_size or default
    batches = -(-examples // most)
    return -(-examples // batches)
