"""Means over a validation or test set, in batches that fit, folds of unequal length included.

The mean of a function is Σ sums / Σ weights over batches. Padding never enters it: a function that
takes the examples' weights is told which examples are padding, any other is evaluated for each
example by itself wherever there is padding.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp

from ..._core.checks import check_loss, check_real, is_sum_and_weight
from ..._core.errors import ArgumentError
from ..._core.typing import Examples, Params, Tree
from ..data import EvaluationBatch
from ._injection import Injection, Requester
from ._notes import WHERE
from ._task import Task, count_examples

BatchOf: TypeAlias = Callable[[jax.Array | int, int], Examples]
"""``(begin, count) -> batch``: examples begin … begin + count - 1, `begin` traced or not."""


class Sums(NamedTuple):
    """What a mean is made of, its value being total / weight: float32 arrays of shape ().

    NumPy arrays on the host, jax arrays in the program; in a block with the lane axis.
    """

    total: Any
    weight: Any


class RunningSums(NamedTuple):
    """Sums over a long stream, and what rounding has lost of them: all float32 arrays, ().

    A plain sum of n numbers has an error that grows with n; this one does not (Knuth's two-sum).
    """

    sums: Sums
    lost: Sums

    @classmethod
    def zeros(cls) -> "RunningSums":
        """Begin."""
        zero = Sums(jnp.zeros((), jnp.float32), jnp.zeros((), jnp.float32))
        return cls(zero, zero)

    def plus(self, here: Sums) -> "RunningSums":
        """Add the sums over a batch."""
        sums = jax.tree.map(jnp.add, self.sums, here)
        lost = jax.tree.map(_lost, self.sums, here, sums)
        return RunningSums(sums, jax.tree.map(jnp.add, self.lost, lost))

    @property
    def mean(self) -> jax.Array:
        """The mean so far; NaN before the first batch."""
        return _ratio(jax.tree.map(jnp.add, self.sums, self.lost))


def _lost(a: jax.Array, b: jax.Array, total: jax.Array) -> jax.Array:
    """Return what rounding has lost of a + b."""
    rest = total - a
    return (a - (total - rest)) + (b - rest)


@dataclasses.dataclass(frozen=True, eq=False)
class Mean:
    """A loss or metric of some weights of the model, whose mean over examples is taken.

    Attributes:
        requester: the function, ``(*arguments, batch, …) -> scalar``, the mean over the batch; ``->
            (n,)``, one value an example; or ``-> (sum, weight)``, a pair of scalars.
        arguments: parameters, and the model's state where it has one.
        values: hyperparameters by name, the key None among them.
        has_state: whether a loss returns a model state beside its value.
    """

    requester: Requester
    arguments: tuple[Params, ...]
    values: Mapping[str, Any]
    has_state: bool

    @property
    def takes_weights(self) -> bool:
        """Whether the function is told the weight of each example."""
        return "weights" in self.requester.requested

    def __call__(self, batch: Examples, weights: jax.Array | None = None) -> jax.Array | Sums:
        """Return what the function returns, float32; None for weights of 1."""
        size = count_examples(batch)
        given = dict(self.values)
        if self.takes_weights:
            given["weights"] = jnp.ones(size, jnp.float32) if weights is None else weights
        chosen = self.requester.choose(given)
        x: Any = self.requester.function(*self.arguments, batch, **chosen)

        if self.requester.name == "loss" and self.has_state:
            x = x[0]
        for part in x if is_sum_and_weight(x) else (x,):
            check_real(WHERE, self.requester.name, part)
        if is_sum_and_weight(x):
            return Sums(*(jnp.asarray(part, jnp.float32) for part in x))
        if self.requester.name == "loss":
            check_loss(WHERE, x)
        if jnp.shape(x) not in ((), (size,)):
            raise ArgumentError(
                f"{WHERE}: {self.requester.name} must return shape () or (n,), got shape "
                f"{jnp.shape(x)} for a batch of {size} examples."
            )
        return jnp.asarray(x, jnp.float32)

    def mean(self, batch: Examples) -> jax.Array:
        """Return the mean over a batch without padding."""
        value = self(batch)
        return _ratio(value) if isinstance(value, Sums) else jnp.mean(value)

    def sums(self, batch: Examples, weights: jax.Array | None) -> Sums:
        """Return the sums over a batch whose padding has weight 0, other examples 1."""
        value = self(batch, weights)
        if weights is None:
            if isinstance(value, Sums):
                return value
            size = count_examples(batch)
            total = jnp.sum(value) if value.ndim else value * size
            return Sums(total, jnp.float32(size))

        weight = jnp.sum(weights)
        if not isinstance(value, Sums) and value.ndim:
            return Sums(jnp.sum(jnp.where(weights > 0, value, 0)), weight)
        if not self.takes_weights:
            return _added(self.one_by_one(batch), weights)
        if not isinstance(value, Sums):
            value = Sums(value * weight, weight)
        # Nothing counts in a batch of padding, whose mean may be 0 / 0.
        return Sums(*(jnp.where(weight > 0, x, 0) for x in value))

    def one_by_one(self, batch: Examples) -> Sums:
        """Return the sums for each example by itself, (n,)."""
        singles = jax.tree.map(lambda x: x[:, None], batch)
        return jax.vmap(lambda single: self.sums(single, None))(singles)


Means: TypeAlias = Mapping[str, Mean]


def means_of(
    task: Task, injection: Injection, prefix: str, weights: Params, hyperparameters: dict[str, Any]
) -> Means:
    """Return ``<prefix>_<name>``: the loss and the metrics that are means, of these weights."""
    values = {**hyperparameters, "key": None}
    arguments = weights if task.model_state else (weights,)
    requesters = {"loss": injection.evaluation, **injection.metrics}
    return {
        f"{prefix}_{name}": Mean(requester, arguments, values, task.model_state)
        for name, requester in requesters.items()
    }


def batch_sums(means: Means, batch: EvaluationBatch) -> dict[str, Sums]:
    """Add up each function over the examples of a batch that count."""
    size, count = count_examples(batch.examples), batch.count
    weights = None if count is None else _weights(jnp.int32(0), size, count)
    return {name: mean.sums(batch.examples, weights) for name, mean in means.items()}


class EvaluationSet(NamedTuple):
    """A validation or test set in memory.

    `batch_of`: its batches, which repeat an example from `count` on; `size`: how many examples
    they have in all; `count`: how many of them count, int32, 1 … `size`; None for all.
    """

    batch_of: BatchOf
    size: int
    count: jax.Array | None = None

    @property
    def weights(self) -> jax.Array:
        """The weight of each example, float32 (size,): 0 for padding, else 1."""
        if self.count is None:
            return jnp.ones(self.size, jnp.float32)
        return _weights(jnp.int32(0), self.size, self.count)

    def means(self, means: Means, batch_size: int | None) -> dict[str, jax.Array]:
        """Return the mean of each function, float32, `batch_size` examples at a time at most."""
        if (batch_size or self.size) >= self.size and self.count is None:
            batch = self.batch_of(0, self.size)
            return {name: mean.mean(batch) for name, mean in means.items()}
        return {name: _ratio(x) for name, x in self.sums(means, batch_size).items()}

    def sums(self, means: Means, batch_size: int | None) -> dict[str, Sums]:
        """Return the sums of each function, `batch_size` examples at a time at most."""
        batch_size = min(batch_size or self.size, self.size)

        def sums(begin: jax.Array | int, size: int) -> dict[str, Sums]:
            weights = None if self.count is None else _weights(begin, size, self.count)
            batch = self.batch_of(begin, size)
            return {name: mean.sums(batch, weights) for name, mean in means.items()}

        def add(total: dict[str, Sums], index: jax.Array) -> tuple[dict[str, Sums], None]:
            here = sums(index * batch_size, batch_size)
            return jax.tree.map(jnp.add, total, here), None

        whole, rest = divmod(self.size, batch_size)
        total = {name: Sums(jnp.float32(0), jnp.float32(0)) for name in means}
        if whole:
            total, _ = jax.lax.scan(add, total, jnp.arange(whole, dtype=jnp.int32))
        if rest:
            total = jax.tree.map(jnp.add, total, sums(whole * batch_size, rest))
        return total

    def map(self, function: Callable[[Examples], Tree], batch_size: int | None) -> Tree:
        """Return what a function returns for each example, (size, …), computed batch by batch."""
        if batch_size is None or batch_size >= self.size:
            return function(self.batch_of(0, self.size))
        whole, rest = divmod(self.size, batch_size)
        begins = batch_size * jnp.arange(whole, dtype=jnp.int32)
        mapped = jax.lax.map(lambda begin: function(self.batch_of(begin, batch_size)), begins)
        mapped = jax.tree.map(lambda x: x.reshape(whole * batch_size, *x.shape[2:]), mapped)
        if rest:
            last = function(self.batch_of(whole * batch_size, rest))
            mapped = jax.tree.map(lambda x, y: jnp.concatenate([x, y]), mapped, last)
        return mapped


def _ratio(sums: Sums) -> jax.Array:
    return sums.total / sums.weight


def _added(each: Sums, weights: jax.Array) -> Sums:
    """Add up the sums of examples that count, (n,)."""
    return Sums(*(jnp.sum(jnp.where(weights > 0, x, 0)) for x in each))


def _weights(begin: jax.Array | int, size: int, count: jax.Array) -> jax.Array:
    """Return the weights of examples begin … begin + size - 1, of which `count` are no padding."""
    return (begin + jnp.arange(size, dtype=jnp.int32) < count).astype(jnp.float32)
