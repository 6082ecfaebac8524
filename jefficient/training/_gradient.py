"""The gradient of a loss: computed in another dtype, or of one microbatch after another."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from .._core import numerics, trees
from .._core.errors import ArgumentError
from .._core.typing import DType, Examples, ModelState, Params, Updates

Injected: TypeAlias = Mapping[str, jax.Array]
"""What the step gives a loss by name: `key` and `step`, where it takes them."""


class Loss(NamedTuple):
    """A loss: its value, and what it is the mean over (tokens, say), None for examples."""

    value: jax.Array
    weight: jax.Array | None


Objective: TypeAlias = Callable[[Params, ModelState, Examples, Injected], tuple[Loss, ModelState]]
"""``(params, model_state, batch, injected) -> (loss, model_state)``."""

Gradient: TypeAlias = Callable[
    [Params, ModelState, Examples, Injected], tuple[Loss, ModelState, Updates]
]
"""``(params, model_state, batch, injected) -> (loss, model_state, gradients)``."""


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
        params: Params, model_state: ModelState, batch: Examples, injected: Injected
    ) -> tuple[Loss, ModelState]:
        params, batch = (
            jax.tree.map(cast, jax.tree.map(jnp.asarray, tree)) for tree in (params, batch)
        )
        loss, new_state = objective(params, model_state, batch, injected)
        return jax.tree.map(numerics.upcast, loss), jax.tree.map(cast_back, new_state, model_state)

    return computed


def gradient(objective: Objective) -> Gradient:
    """Return the gradient of an objective: the direction of steepest ascent, ∂/∂x + i·∂/∂y.

    Leaves that are not floating have no gradient: theirs is zero.
    """

    def whole(
        params: Params, model_state: ModelState, batch: Examples, injected: Injected
    ) -> tuple[Loss, ModelState, Updates]:
        trained, fixed = trees.divided(params)

        def value(trained: Params) -> tuple[jax.Array, tuple[Loss, ModelState]]:
            loss, new_state = objective(trees.united(trained, fixed), model_state, batch, injected)
            return loss.value, (loss, new_state)

        (_, (loss, new_state)), grads = jax.value_and_grad(value, has_aux=True)(trained)
        zeros = jax.tree.map(lambda x: jnp.zeros(jnp.shape(x), jnp.float32), fixed)
        return loss, new_state, jax.tree.map(conjugate, trees.united(grads, zeros))

    return whole


def conjugate(g: jax.Array) -> jax.Array:
    """Turn what `jax.grad` returns, ∂/∂x - i·∂/∂y, into the direction of steepest ascent."""
    return jnp.conj(g) if numerics.is_complex(g.dtype) else g


def in_microbatches(where: str, whole: Gradient, count: int) -> Gradient:
    """Take a gradient of `count` microbatches one after another, and average them.

    Those of a loss with a weight count in proportion to it: ∇Σsᵢ / Σwᵢ = Σ wᵢ·∇(sᵢ/wᵢ) / Σwᵢ.
    """

    def accumulated(
        params: Params, model_state: ModelState, batch: Examples, injected: Injected
    ) -> tuple[Loss, ModelState, Updates]:
        microbatches = jax.tree_util.tree_map_with_path(
            lambda path, x: _split(where, path, jnp.asarray(x), count), batch
        )

        def add(
            carry: tuple[jax.Array, Updates, ModelState, Any], numbered: tuple[jax.Array, Examples]
        ) -> tuple[tuple[jax.Array, Updates, ModelState, Any], None]:
            total, sums, model_state, weights = carry
            i, microbatch = numbered
            own = dict(injected)
            if "key" in injected:
                own["key"] = jax.random.fold_in(injected["key"], i)
            loss, model_state, grads = whole(params, model_state, microbatch, own)
            value, weight = loss
            value = value.astype(total.dtype)
            if weight is not None:
                weights = weights + weight.astype(weights.dtype)
                value = value * weight.astype(total.dtype)
                grads = jax.tree.map(lambda g: g * weight.astype(g.dtype), grads)
            sums = jax.tree.map(lambda s, g: s + g.astype(s.dtype), sums, grads)
            return (total + value, sums, model_state, weights), None

        # Sums are accumulated in at least float32, whatever the dtypes of loss and parameters.
        zeros = jax.tree.map(
            lambda p: jnp.zeros(jnp.shape(p), numerics.compute_dtype(_gradient_dtype(p))), params
        )
        first = jax.tree.map(lambda x: x[0], microbatches)
        like = jax.eval_shape(whole, params, model_state, first, injected)[0]
        dtype = like.value.dtype
        nothing = None
        if like.weight is not None:
            nothing = jnp.zeros((), numerics.compute_dtype(like.weight.dtype))
        begin = jnp.zeros((), numerics.compute_dtype(dtype)), zeros, model_state, nothing
        indices = jnp.arange(count, dtype=jnp.int32)
        (total, sums, model_state, weight), _ = jax.lax.scan(add, begin, (indices, microbatches))

        parts: Any = count if weight is None else jnp.where(weight == 0, 1, weight)

        def mean(x: jax.Array, dtype: DTypeLike) -> jax.Array:
            by = parts if weight is None else parts.astype(x.dtype)
            return (x / by).astype(dtype)

        grads = jax.tree.map(lambda s, p: mean(s, _gradient_dtype(p)), sums, params)
        return Loss(mean(total, dtype), weight), model_state, grads

    return accumulated


def _gradient_dtype(p: jax.Array) -> DType:
    """Return the dtype of a parameter's gradient: float32 zeros for one that is not trained."""
    dtype = trees.dtype_of(p)
    return dtype if numerics.is_floating(dtype) else jnp.dtype(jnp.float32)


def _split(where: str, path: tuple, x: jax.Array, count: int) -> jax.Array:
    """Reshape (n, …) to (count, n / count, …)."""
    examples = x.shape[0] if x.ndim else 0
    if examples == 0 or examples % count:
        raise ArgumentError(
            f"{where}: microbatches must divide the examples of every array of the batch, got "
            f"shape {x.shape} at {trees.name_of(path)} and microbatches={count}."
        )
    return x.reshape(count, examples // count, *x.shape[1:])
