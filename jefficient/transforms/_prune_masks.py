"""How the mask of `prune` is renewed."""

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp

from .._core import numerics, trees
from .._core.typing import Params, Scalar, Tree, Updates
from ._largest import count, largest, ranked, unsigned

Method = Literal["magnitude", "random", "set", "rigl"]
Scope = Literal["global", "layer"]


class Plan(NamedTuple):
    """The numbers in force when a mask is renewed."""

    sparsity: Scalar
    share: jax.Array
    is_first: jax.Array


class _Weights(NamedTuple):
    """One leaf of weights, each field an array of its shape.

    The gradient is dense, the values are those after the update, and draws are random ranks: the
    first ones stay the same, the others are of this update.
    """

    g: jax.Array
    value: jax.Array
    kept: jax.Array
    first_draw: jax.Array
    draw: jax.Array


def renewed(
    method: Method,
    scope: Scope,
    chosen: Tree,
    plan: Plan,
    key: jax.Array,
    t: jax.Array,
    grads: Updates,
    values: Params,
    kept: Tree,
) -> Tree:
    """Return the new mask; leaves without a gradient, and those not chosen, keep theirs.

    Args:
        method: which weights are kept.
        scope: whether all weights are counted together, or those of each leaf.
        chosen: a tree of bools, True for the leaves that may be pruned.
        plan: how many, and how many of them are exchanged.
        key: of random numbers, as uint32 data.
        t: the number of this update.
        grads: dense gradients.
        values: the parameters after the update, not pruned.
        kept: the mask so far.

    Returns:
        A tree like `kept`.
    """
    leaves, treedef = jax.tree.flatten(grads, is_leaf=trees.is_none)
    beside = zip(leaves, *map(treedef.flatten_up_to, (chosen, values, kept)), strict=True)
    table = [row for row in enumerate(beside) if row[1][0] is not None and row[1][1]]
    real = numerics.real_dtype(numerics.compute_dtype(*(v.dtype for _, (_, _, v, _) in table)))
    typed_key = jax.random.wrap_key_data(key)

    weights = {}
    for i, (g, _, value, is_kept) in table:
        own = jax.random.fold_in(typed_key, i)
        first, later = (
            # Half the range: room above for what is kept anyway.
            jax.random.bits(one, jnp.shape(value), unsigned(real)) >> 1
            for one in (own, jax.random.fold_in(own, t))
        )
        g, value = (ranked(x, real) for x in (g, value))
        weights[i] = _Weights(g, value, is_kept, first, later)

    parts = [list(weights)] if scope == "global" else [[i] for i in weights]
    masks = dict(enumerate(treedef.flatten_up_to(kept)))
    for part in parts:
        masks.update(zip(part, _selected(method, plan, [weights[i] for i in part]), strict=True))
    return treedef.unflatten(masks.values())


def _selected(method: Method, plan: Plan, weights: list[_Weights]) -> list[jax.Array]:
    """Return the masks of weights that are counted together."""
    size = sum(w.value.size for w in weights)
    share = jnp.clip(numerics.scalar(plan.sparsity), 0, 1)
    k = size - jnp.round(share * size).astype(jnp.int32)
    if method == "random":
        return largest([w.first_draw for w in weights], k)
    # A weight that is zero already goes before all that are kept.
    sizes = [jnp.where(w.kept, w.value + 1, 0) for w in weights]
    if method == "magnitude":
        return largest(sizes, k)

    staying = jnp.minimum(k, count([w.kept for w in weights]))
    dropped = jnp.round(plan.share * staying.astype(plan.share.dtype)).astype(jnp.int32)
    sizes = [jnp.where(plan.is_first, w.first_draw, x) for w, x in zip(weights, sizes, strict=True)]
    stays = largest(sizes, jnp.where(plan.is_first, k, staying - dropped))
    scores = [w.g if method == "rigl" else w.draw for w in weights]
    grows = [
        jnp.where(is_kept, ~jnp.zeros_like(x), x) for is_kept, x in zip(stays, scores, strict=True)
    ]
    return largest(grows, k)


def key_of(seed: Scalar, params: Params) -> jax.Array:
    """Return the key of a seed and the initial parameters, which trials have of their own."""
    # The bits in bfloat16: parameters of another dtype have the same masks.
    bits = [
        jnp.sum(ranked(numerics.array(p), jnp.dtype(jnp.bfloat16)), dtype=jnp.uint32)
        for p in jax.tree.leaves(params)
        if numerics.is_floating(trees.dtype_of(p))
    ]
    return jax.random.fold_in(
        jax.random.key(numerics.whole(seed)), sum(bits, start=jnp.zeros((), jnp.uint32))
    )
