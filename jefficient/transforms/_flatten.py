"""All leaves as one vector."""

import functools
from collections import defaultdict
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
import optax

from .._core import trees
from .._core.typing import DType, Params, State, Updates
from . import _base
from ._extra_args import accepting, translated


def flatten(inner: optax.GradientTransformation) -> optax.GradientTransformationExtraArgs:
    """Run `inner` on all leaves of a dtype as one vector.

    It pays where a jitted update is called step by step on hundreds of small leaves: the cost of
    such a step is handing over buffers. It does not pay for few large leaves, which must be copied.

    Args:
        inner: a transform of jefficient or optax that treats every number alike: no mask, no
            groups.

    Returns:
        The transform; `inner` sees a dict of vectors, one for each dtype of the parameters (a mask
        that is a function would see these vectors too). A gradient of None counts as zeros, and its
        update is None.

    Raises:
        ArgumentTypeError: where `inner` is not a transform; where a leaf is not floating.
        ArgumentError: by `update`, where gradients and parameters differ in structure or shape; it
            names the leaf.

    Examples:
        >>> import jefficient as jf
        >>> import jax.numpy as jnp
        >>> params = {"kernel": jnp.ones((2, 3)), "bias": jnp.ones(3)}
        >>> tx = jf.flatten(jf.adam(0.1))
        >>> state = tx.init(params)
        >>> state[0].mu["float32"].shape
        (9,)
        >>> tx.update(params, state, params)[0]["kernel"].shape
        (2, 3)
    """
    where = "jf.flatten"
    _base.check_transform(where, inner, "inner")
    inner = accepting(inner)

    def init(params: Params) -> State:
        trees.check_floating(where, params)
        leaves = [jnp.asarray(p) for p in jax.tree.leaves(params)]
        return inner.init(_join(leaves, leaves))

    def update(
        updates: Updates, state: State, params: Params = None, **extra_args: object
    ) -> tuple[Updates, State]:
        like = updates if params is None else params
        trees.check_like(where, updates, like)
        leaves, treedef = jax.tree.flatten(like)
        leaves = [jnp.asarray(p) for p in leaves]
        masked_grads = treedef.flatten_up_to(updates)
        grads = [
            jnp.zeros_like(p) if g is None else jnp.asarray(g)
            for p, g in zip(leaves, masked_grads, strict=True)
        ]
        vectors = None if params is None else _join(leaves, leaves)
        joined = _join(grads, leaves)
        if params is not None:
            extra_args = translated(
                extra_args,
                lambda tree: _join(treedef.flatten_up_to(tree), leaves),
                lambda tree: treedef.unflatten(_split(tree, tree, leaves, leaves)),
            )
        new: Updates
        new, state = inner.update(joined, state, vectors, **extra_args)
        us = _split(new, joined, grads, leaves)
        us = [None if g is None else u for g, u in zip(masked_grads, us, strict=True)]
        return treedef.unflatten(us), state

    return optax.GradientTransformationExtraArgs(init, update)


def _join(arrays: Sequence[jax.Array], like: Sequence[jax.Array]) -> dict[str, jax.Array]:
    """Join the arrays to one vector for each dtype of `like`, in a dtype that holds them all."""
    groups = defaultdict(list)
    for x, p in zip(arrays, like, strict=True):
        groups[str(p.dtype)].append(x.ravel())
    return {
        name: jnp.concatenate([x.astype(_widest(xs)) for x in xs]) for name, xs in groups.items()
    }


def _split(
    vectors: dict[str, jax.Array],
    joined: dict[str, jax.Array],
    arrays: Sequence[jax.Array],
    like: Sequence[jax.Array],
) -> list[jax.Array]:
    """Split what `_join` joined into the shapes of `arrays`.

    Their dtypes come back too, unless `inner` changed that of the vector.
    """
    ends = defaultdict(int)
    us = []
    for x, p in zip(arrays, like, strict=True):
        name = str(p.dtype)
        start = ends[name]
        ends[name] += x.size
        u = vectors[name][start : ends[name]].reshape(x.shape)
        us.append(u.astype(x.dtype) if u.dtype == joined[name].dtype else u)
    return us


def _widest(arrays: Sequence[jax.Array]) -> DType:
    return functools.reduce(np.promote_types, (x.dtype for x in arrays))
