"""Means over a validation or test set, in batches that fit, folds of unequal length included."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from ..._core.checks import check_loss
from ..._core.errors import ArgumentError
from ..._core.typing import Tree
from ..data import EvaluationBatch
from ._injection import Injection, Requester
from ._notes import WHERE
from ._task import Task, count_examples

Metrics = Mapping[str, Callable[[Tree], jax.Array]]
"""Name to ``batch -> scalar``, the mean over the batch, or ``-> (n,)``, one value an example."""

BatchOf = Callable[[jax.Array | int, int], Tree]
"""``(begin, count) -> batch``: examples begin … begin + count - 1, `begin` traced or not."""


def metrics_of(
    task: Task, injection: Injection, prefix: str, weights: Tree, hyperparameters: dict[str, Any]
) -> Metrics:
    """Return ``<prefix>_<name>``, the loss and the metrics of these weights, float32."""
    values = {**hyperparameters, "key": None}
    arguments = weights if task.model_state else (weights,)

    def metric(requester: Requester) -> Callable[[Tree], jax.Array]:
        def value(batch: Tree) -> jax.Array:
            x = requester.function(*arguments, batch, **requester.choose(values))
            if requester.name == "loss":
                x = x[0] if task.model_state else x
                check_loss(WHERE, x)
            size = count_examples(batch)
            if jnp.shape(x) not in ((), (size,)):
                raise ArgumentError(
                    f"{WHERE}: {requester.name} must return shape () or (n,), got shape "
                    f"{jnp.shape(x)} for a batch of {size} examples."
                )
            return jnp.asarray(x, jnp.float32)

        return value

    requesters = {"loss": injection.evaluation, **injection.metrics}
    return {f"{prefix}_{name}": metric(x) for name, x in requesters.items()}


def batch_sums(
    metrics: Metrics, batch: EvaluationBatch, repeated: Tree = None
) -> dict[str, jax.Array]:
    """Add up each metric over the examples of a batch that count, float32.

    A metric that returns a mean is that of the whole batch, padding included: its share is taken
    off again, which is exact but for rounding where the metric is a mean over examples. `repeated`
    is the example that the padding repeats, a batch of one; by default the first of the batch.
    """
    size, count = count_examples(batch.examples), batch.count

    def total(metric: Callable[[Tree], jax.Array]) -> jax.Array:
        value = metric(batch.examples)
        if count is None:
            return jnp.sum(value) if value.ndim else value * size
        if value.ndim:
            return jnp.sum(jnp.where(jnp.arange(size, dtype=jnp.int32) < count, value, 0))
        one = jax.tree.map(lambda x: x[:1], batch.examples) if repeated is None else repeated
        of_padding = jnp.reshape(metric(one), ())
        return value * size - of_padding * (size - count).astype(jnp.float32)

    return {name: total(metric) for name, metric in metrics.items()}


def means(
    metrics: Metrics,
    batch_of: BatchOf,
    size: int,
    batch_size: int | None,
    count: jax.Array | None = None,
) -> dict[str, jax.Array]:
    """Return the mean of each metric over examples in memory, float32.

    Args:
        metrics: what is averaged.
        batch_of: the batches; from `count` on it repeats example 0.
        size: how many examples `batch_of` has.
        batch_size: examples in a batch at most, the last one has the rest; None for all at once.
        count: how many examples count, int32, 1 … `size`; None for all.
    """
    batch_size = min(batch_size or size, size)
    if batch_size == size and count is None:
        return {name: jnp.mean(metric(batch_of(0, size))) for name, metric in metrics.items()}

    repeated = None if count is None else batch_of(0, 1)

    def sums(begin: jax.Array | int, n: int) -> dict[str, jax.Array]:
        present = None if count is None else jnp.clip(count - begin, 0, n)
        return batch_sums(metrics, EvaluationBatch(batch_of(begin, n), present), repeated)

    def add(total: dict[str, jax.Array], index: jax.Array) -> tuple[dict[str, jax.Array], None]:
        return jax.tree.map(jnp.add, total, sums(index * batch_size, batch_size)), None

    whole, rest = divmod(size, batch_size)
    total = {name: jnp.zeros((), jnp.float32) for name in metrics}
    if whole:
        total, _ = jax.lax.scan(add, total, jnp.arange(whole, dtype=jnp.int32))
    if rest:
        total = jax.tree.map(jnp.add, total, sums(whole * batch_size, rest))
    divisor = jnp.float32(size) if count is None else count.astype(jnp.float32)
    return {name: x / divisor for name, x in total.items()}
