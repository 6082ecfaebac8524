"""The gradient of a loss: in another dtype, or of a batch in parts."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from .._core import numerics, trees
from .._core.errors import ArgumentError
from .._core.typing import Tree

Objective = Callable[[Tree, Tree, Tree, jax.Array | None], tuple[jax.Array, Tree]]
"""``(params, model_state, batch, key) -> (loss, model_state)``."""

Gradient = Callable[[Tree, Tree, Tree, jax.Array | None], tuple[jax.Array, Tree, Tree]]
"""``(params, model_state, batch, key) -> (loss, model_state, gradients)``."""


def in_dtype(objective: Objective, dtype: Any) -> Objective:
    """The objective computed in a floating dtype: parameters and batch are cast to it.

    The model state is not, since averages that move by little would not move; it keeps its dtypes.
    The loss comes back in float32 at least, and gradients have the parameters' dtypes.
    """

    def cast(tree: Tree) -> Tree:
        return jax.tree.map(
            lambda x: x.astype(dtype) if _is_real(x) else x, jax.tree.map(jnp.asarray, tree)
        )

    def computed(
        params: Tree, model_state: Tree, batch: Tree, key: jax.Array | None
    ) -> tuple[jax.Array, Tree]:
        value, new_state = objective(cast(params), model_state, cast(batch), key)
        return numerics.upcast(value), jax.tree.map(like, new_state, model_state)

    def like(x: Any, y: Any) -> jax.Array:
        return jnp.asarray(x).astype(trees.dtype_of(y))

    return computed


def gradient(where: str, objective: Objective, microbatches: int) -> Gradient:
    """The gradient of a mean over rows; of `microbatches` parts of the batch one after another, and their mean."""
    value_and_grad = jax.value_and_grad(objective, has_aux=True)

    def whole(
        params: Tree, model_state: Tree, batch: Tree, key: jax.Array | None
    ) -> tuple[jax.Array, Tree, Tree]:
        (value, model_state), grads = value_and_grad(params, model_state, batch, key)
        return value, model_state, grads

    def in_parts(
        params: Tree, model_state: Tree, batch: Tree, key: jax.Array | None
    ) -> tuple[jax.Array, Tree, Tree]:
        parts = jax.tree_util.tree_map_with_path(
            lambda p, x: _split(where, p, jnp.asarray(x), microbatches), batch
        )

        def add(carry: Any, numbered: tuple[jax.Array, Tree]) -> tuple[Any, None]:
            total, sums, model_state = carry
            i, part = numbered
            own = None if key is None else jax.random.fold_in(key, i)
            value, model_state, grads = whole(params, model_state, part, own)
            sums = jax.tree.map(lambda s, g: s + g.astype(s.dtype), sums, grads)
            return (total + value.astype(total.dtype), sums, model_state), None

        zeros = jax.tree.map(
            lambda p: jnp.zeros(jnp.shape(p), numerics.compute_dtype(trees.dtype_of(p))), params
        )
        kind = jax.eval_shape(whole, params, model_state, jax.tree.map(lambda x: x[0], parts), key)[
            0
        ]
        begin = jnp.zeros((), numerics.compute_dtype(kind.dtype)), zeros, model_state
        count = jnp.arange(microbatches, dtype=jnp.int32)
        (total, sums, model_state), _ = jax.lax.scan(add, begin, (count, parts))
        grads = jax.tree.map(
            lambda s, p: (s / microbatches).astype(trees.dtype_of(p)), sums, params
        )
        return (total / microbatches).astype(kind.dtype), model_state, grads

    return whole if microbatches == 1 else in_parts


def _split(where: str, path: tuple, x: jax.Array, microbatches: int) -> jax.Array:
    """(n, …) as (microbatches, n / microbatches, …)."""
    rows = x.shape[0] if x.ndim else 0
    if rows == 0 or rows % microbatches:
        raise ArgumentError(
            f"{where}: every array of the batch must have rows that microbatches divides, got shape {x.shape} at "
            f"{trees.name_of(path)} and microbatches={microbatches}."
        )
    return x.reshape(microbatches, rows // microbatches, *x.shape[1:])


def _is_real(x: jax.Array) -> bool:
    return jnp.issubdtype(x.dtype, jnp.floating)
