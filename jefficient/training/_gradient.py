"""The gradient of a loss: computed in another dtype, or of one microbatch after another."""

from collections.abc import Callable
from typing import TypeAlias

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from .._core import numerics, trees
from .._core.errors import ArgumentError
from .._core.typing import Tree

Objective: TypeAlias = Callable[[Tree, Tree, Tree, jax.Array | None], tuple[jax.Array, Tree]]
"""``(params, model_state, batch, key) -> (loss, model_state)``."""

Gradient: TypeAlias = Callable[[Tree, Tree, Tree, jax.Array | None], tuple[jax.Array, Tree, Tree]]
"""``(params, model_state, batch, key) -> (loss, model_state, gradients)``."""


def in_dtype(objective: Objective, dtype: DTypeLike) -> Objective:
    """Compute the objective in a floating dtype, to which parameters and batch are cast.

    The model state keeps its dtypes, since averages that move by little would not move in a smaller
    one. The loss comes back in at least float32, and gradients have the parameters' dtypes.
    """

    def cast(x: jax.Array) -> jax.Array:
        return x.astype(dtype) if jnp.issubdtype(x.dtype, jnp.floating) else x

    def cast_back(x: jax.Array, like: jax.Array) -> jax.Array:
        return jnp.asarray(x).astype(trees.dtype_of(like))

    def computed(
        params: Tree, model_state: Tree, batch: Tree, key: jax.Array | None
    ) -> tuple[jax.Array, Tree]:
        params, batch = (
            jax.tree.map(cast, jax.tree.map(jnp.asarray, tree)) for tree in (params, batch)
        )
        value, new_state = objective(params, model_state, batch, key)
        return numerics.upcast(value), jax.tree.map(cast_back, new_state, model_state)

    return computed


def gradient(objective: Objective) -> Gradient:
    """Return the gradient of an objective."""
    value_and_grad = jax.value_and_grad(objective, has_aux=True)

    def whole(
        params: Tree, model_state: Tree, batch: Tree, key: jax.Array | None
    ) -> tuple[jax.Array, Tree, Tree]:
        (value, model_state), grads = value_and_grad(params, model_state, batch, key)
        return value, model_state, grads

    return whole


def in_microbatches(where: str, whole: Gradient, count: int) -> Gradient:
    """Take a gradient of `count` microbatches one after another, and average them."""

    def accumulated(
        params: Tree, model_state: Tree, batch: Tree, key: jax.Array | None
    ) -> tuple[jax.Array, Tree, Tree]:
        microbatches = jax.tree_util.tree_map_with_path(
            lambda path, x: _split(where, path, jnp.asarray(x), count), batch
        )

        def add(
            carry: tuple[jax.Array, Tree, Tree], numbered: tuple[jax.Array, Tree]
        ) -> tuple[tuple[jax.Array, Tree, Tree], None]:
            total, sums, model_state = carry
            i, microbatch = numbered
            own = None if key is None else jax.random.fold_in(key, i)
            value, model_state, grads = whole(params, model_state, microbatch, own)
            sums = jax.tree.map(lambda s, g: s + g.astype(s.dtype), sums, grads)
            return (total + value.astype(total.dtype), sums, model_state), None

        # Sums are accumulated in at least float32, whatever the dtypes of loss and parameters.
        zeros = jax.tree.map(
            lambda p: jnp.zeros(jnp.shape(p), numerics.compute_dtype(trees.dtype_of(p))), params
        )
        first = jax.tree.map(lambda x: x[0], microbatches)
        dtype = jax.eval_shape(whole, params, model_state, first, key)[0].dtype
        begin = jnp.zeros((), numerics.compute_dtype(dtype)), zeros, model_state
        indices = jnp.arange(count, dtype=jnp.int32)
        (total, sums, model_state), _ = jax.lax.scan(add, begin, (indices, microbatches))

        grads = jax.tree.map(lambda s, p: (s / count).astype(trees.dtype_of(p)), sums, params)
        return (total / count).astype(dtype), model_state, grads

    return accumulated


def _split(where: str, path: tuple, x: jax.Array, count: int) -> jax.Array:
    """Reshape (n, …) to (count, n / count, …)."""
    examples = x.shape[0] if x.ndim else 0
    if examples == 0 or examples % count:
        raise ArgumentError(
            f"{where}: microbatches must divide the examples of every array of the batch, got "
            f"shape {x.shape} at {trees.name_of(path)} and microbatches={count}."
        )
    return x.reshape(count, examples // count, *x.shape[1:])
