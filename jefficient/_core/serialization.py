"""Trees as named arrays that npz can hold, and back; digests of trees.

A tree's structure is never stored: it comes from the caller's own template.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, TypeGuard

import jax
import jax.numpy as jnp
import numpy as np

from .errors import JefficientError
from .typing import Tree


def digest(data: bytes) -> str:
    """SHA-256, as hex."""
    return hashlib.sha256(data).hexdigest()


def digest_of(tree: Tree) -> str:
    """Of the numbers of a tree, their shapes, dtypes and places."""
    content = hashlib.sha256()
    for path, x in jax.tree_util.tree_leaves_with_path(tree):
        host = np.ascontiguousarray(jax.random.key_data(x) if _is_key(x) else x)
        content.update(
            json.dumps([jax.tree_util.keystr(path), list(host.shape), str(host.dtype)]).encode()
        )
        content.update(host.tobytes())
    return content.hexdigest()


def _is_key(x: Any) -> TypeGuard[jax.Array]:
    return hasattr(x, "dtype") and jnp.issubdtype(x.dtype, jax.dtypes.prng_key)


def encoded(name: str, tree: Tree) -> dict[str, np.ndarray]:
    """Return the leaves as arrays that npz can hold: keys as their data, bfloat16 as bytes."""

    def leaf(x: object) -> np.ndarray:
        host = np.array(jax.random.key_data(x) if _is_key(x) else x)
        return np.frombuffer(host.tobytes(), np.uint8) if host.dtype.kind == "V" else host

    return {f"{name}/{i}": leaf(x) for i, x in enumerate(jax.tree.leaves(tree))}


def decoded(name: str, arrays: Mapping[str, np.ndarray], template: Tree) -> Tree:
    """The tree of the template's structure, shapes and dtypes.

    Raises:
        JefficientError: where the arrays do not fit it.
    """
    leaves, structure = jax.tree.flatten(template)

    def leaf(
        place: str, like: jax.Array | np.ndarray | jax.ShapeDtypeStruct
    ) -> jax.Array | np.ndarray:
        stored = arrays[place]
        if _is_key(like):
            return jax.random.wrap_key_data(
                jnp.asarray(stored), impl=jax.random.key_impl(jnp.zeros((), like.dtype))
            )
        if np.dtype(like.dtype).kind == "V":
            stored = np.frombuffer(stored.tobytes(), like.dtype).reshape(like.shape)
        if stored.shape != like.shape or stored.dtype != like.dtype:
            raise JefficientError(
                f"jf.sweep: the directory's {place} must have shape {like.shape} and dtype "
                f"{like.dtype}, got {stored.shape} and {stored.dtype}."
            )
        return stored

    return structure.unflatten([leaf(f"{name}/{i}", like) for i, like in enumerate(leaves)])
