"""Means over held-out rows, in batches that fit, folds of unequal length included."""

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp

from ..._core.typing import Tree

BatchOf = Callable[[jax.Array | int, int], Tree]
"""``(begin, count) -> batch``: rows begin … begin + count - 1, `begin` traced or not."""


def means(
    functions: Mapping[str, Callable[[Tree], jax.Array]],
    batch_of: BatchOf,
    rows: int,
    batch_size: int,
    count: jax.Array | None = None,
) -> dict[str, jax.Array]:
    """The mean of each function over some rows, float32, weighted by rows.

    Args:
        functions: name to ``batch -> scalar``, the mean over the batch, or ``-> (n,)``, one number
            a row; float32.
        batch_of: the batches. From `count` on it gives row 0 again.
        rows: how many rows `batch_of` has.
        batch_size: rows in a batch at most; the last one holds the rest.
        count: how many rows count, int32, 1 … `rows`; None for all. What row 0 adds to a scalar
            where it stands for rows that are not there is taken off again.
    """
    if batch_size >= rows and count is None:
        return {name: jnp.mean(f(batch_of(0, rows))) for name, f in functions.items()}
    first = (
        None if count is None else {n: jnp.mean(f(batch_of(0, 1))) for n, f in functions.items()}
    )

    def sums(begin: jax.Array | int, size: int) -> dict[str, jax.Array]:
        batch = batch_of(begin, size)
        is_row = None if count is None else begin + jnp.arange(size, dtype=jnp.int32) < count

        def total(name: str, value: jax.Array) -> jax.Array:
            if value.ndim:
                return jnp.sum(value if is_row is None else jnp.where(is_row, value, 0))
            if is_row is None or first is None:
                return value * size
            return value * size - first[name] * jnp.sum(~is_row).astype(jnp.float32)

        return {name: total(name, f(batch)) for name, f in functions.items()}

    whole, rest = divmod(rows, batch_size)
    sum_of = {name: jnp.zeros((), jnp.float32) for name in functions}
    if whole:
        add = lambda s, i: (jax.tree.map(jnp.add, s, sums(i * batch_size, batch_size)), None)  # noqa: E731
        sum_of = jax.lax.scan(add, sum_of, jnp.arange(whole, dtype=jnp.int32))[0]
    if rest:
        sum_of = jax.tree.map(jnp.add, sum_of, sums(whole * batch_size, rest))
    divisor = jnp.float32(rows) if count is None else count.astype(jnp.float32)
    return {name: x / divisor for name, x in sum_of.items()}
