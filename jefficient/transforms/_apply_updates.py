"""The end of a step: updates are added to parameters."""

import functools

import jax
import jax.numpy as jnp

from .._core import numerics, trees
from .._core.errors import ArgumentError, ArgumentTypeError
from .._core.typing import Params, Updates


def apply_updates(params: Params, updates: Updates) -> Params:
    """Add the updates to the parameters, leaf by leaf: θ ← θ + u.

    Args:
        params: tree of arrays.
        updates: a tree like it, each leaf of the same shape. Where an update is None the parameter
            stays.

    Returns:
        The new parameters, in the dtypes of `params` (added in at least float32).

    Raises:
        ArgumentError: where structure or a shape differs; it names the leaf.
        ArgumentTypeError: where a parameter that has an update, or the update, is not floating.

    Examples:
        >>> import jefficient as jf
        >>> import jax.numpy as jnp
        >>> params, updates = {"w": jnp.array([1.0, 2.0])}, {"w": jnp.array([0.5, -0.5])}
        >>> jf.apply_updates(params, updates)["w"].tolist()
        [1.5, 1.5]
    """
    where = "jf.apply_updates"
    leaves, treedef = jax.tree.flatten(params, is_leaf=trees.is_none)
    try:
        steps = treedef.flatten_up_to(updates)
    except ValueError:
        raise ArgumentError(
            f"{where}: updates must have the tree structure of params, got "
            f"{jax.tree.structure(updates, is_leaf=trees.is_none)} against {treedef}."
        ) from None
    trees.check_like(where, updates, params, what=("updates", "parameters"))
    for index, (p, u) in enumerate(zip(leaves, steps, strict=True)):
        if u is not None and not numerics.is_floating(numerics.array(p).dtype):
            raise ArgumentTypeError(
                f"{where}: parameters must be floating, got dtype {jnp.result_type(p)} at "
                f"{trees.leaf_name(params, index)}. Put None in the place of its update."
            )
    return treedef.unflatten(
        [
            p if p is None or u is None else _add(numerics.array(p), numerics.array(u))
            for p, u in zip(leaves, steps, strict=True)
        ]
    )


@functools.partial(jax.jit, inline=True)
def _add(p: jax.Array, u: jax.Array) -> jax.Array:
    dtype = numerics.compute_dtype(p.dtype, u.dtype)
    return (p.astype(dtype) + u.astype(dtype)).astype(p.dtype)
