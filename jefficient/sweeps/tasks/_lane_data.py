"""What a step and an evaluation of a task read: examples in memory, or a batch that was read."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp

from ..._core.typing import Examples, Tree
from ...training import sequential_batch, shuffled_batch
from ._drawn_data import DrawnData
from ._evaluation import EvaluationSet
from ._folds import FoldIndices
from ._keys import ORDER
from ._task import Task, count_examples, prepared


class ResidentData(NamedTuple):
    """Examples in memory.

    `folds`: which examples each fold has, or None; `fitted`: what `prepare` fitted on the training
    examples, with a leading axis of folds, or None; `train`: the training examples, with folds all
    examples; `valid`: the validation examples, None with folds and without validation.
    """

    folds: FoldIndices | None
    fitted: Tree
    train: Examples
    valid: Examples

    def training_batch(
        self, task: Task, t: jax.Array, key: jax.Array, fold: jax.Array, static: Mapping[str, Any]
    ) -> Examples:
        """Take batch `t` of the examples in their order, or as the trial's key shuffles them."""
        indices = self.training_indices(task, t, key, fold, static["batch_size"])
        return self.training_examples(task, fold, indices)

    def training_indices(
        self, task: Task, t: jax.Array, key: jax.Array, fold: jax.Array, batch_size: int
    ) -> jax.Array:
        """Return which examples are in batch `t`, int32 (batch_size,)."""
        order = jax.random.fold_in(key, ORDER)
        folds = self.folds
        size = count_examples(self.train) if folds is None else folds.train_size[fold]
        if task.is_sequential:
            indices = sequential_batch(t, size, batch_size)
        else:
            indices = shuffled_batch(order, t, size, batch_size)
        return indices if folds is None else folds.train[fold, indices]

    def training_examples(self, task: Task, fold: jax.Array, indices: jax.Array) -> Examples:
        """Return these examples, prepared."""
        batch = jax.tree.map(lambda x: x[indices], self.train)
        return prepared(task, self.fitted, fold, batch)

    def validation_set(self, task: Task, fold: jax.Array) -> EvaluationSet | None:
        """Return the validation examples of a fold, None without validation."""
        folds = self.folds
        if folds is None and self.valid is None:
            return None

        def batch_of(begin: jax.Array | int, count: int) -> Examples:
            if folds is None:
                batch = slice_examples(self.valid, begin, count)
            else:
                start = (fold, jnp.asarray(begin, fold.dtype))  # int64 with 64 bits switched on
                indices = jax.lax.dynamic_slice(folds.valid, start, (1, count))[0]
                batch = jax.tree.map(lambda x: x[indices], self.train)
            return prepared(task, self.fitted, fold, batch)

        size = count_examples(self.valid) if folds is None else folds.valid.shape[1]
        count = None if folds is None or folds.valid_size is None else folds.valid_size[fold]
        return EvaluationSet(batch_of, size, count)

    def measured(
        self, measure: Callable[[EvaluationSet], dict[str, jax.Array]], task: Task, fold: jax.Array
    ) -> dict[str, jax.Array]:
        """Measure on the validation set of a fold; {} without one."""
        examples = self.validation_set(task, fold)
        return {} if examples is None else measure(examples)


class StreamedData(NamedTuple):
    """A batch that was read from a source, for the lanes of one (seed, fold).

    `batch`: the examples of a step; `fold`: int32; `fitted`: as in `ResidentData`; `validated`:
    what was measured on the validation set, for an evaluation. What is not read is None.
    """

    batch: Examples = None
    fold: jax.Array | None = None
    fitted: Tree = None
    validated: dict[str, jax.Array] | None = None

    def training_batch(
        self, task: Task, t: jax.Array, key: jax.Array, fold: jax.Array, static: Mapping[str, Any]
    ) -> Examples:
        """Return the batch that was read."""
        del t, key, fold, static
        assert self.fold is not None
        return prepared(task, self.fitted, self.fold, self.batch)

    def measured(
        self, measure: Callable[[EvaluationSet], dict[str, jax.Array]], task: Task, fold: jax.Array
    ) -> dict[str, jax.Array]:
        """Return what was measured while the validation set was read."""
        del measure, task, fold
        return self.validated or {}


LaneData: TypeAlias = ResidentData | StreamedData | DrawnData
"""What a step and an evaluation of a task read."""


def slice_examples(tree: Examples, begin: jax.Array | int, count: int) -> Examples:
    """Return examples begin … begin + count - 1."""
    return jax.tree.map(lambda x: jax.lax.dynamic_slice_in_dim(x, begin, count), tree)
