"""Examples in memory: NumPy arrays enter, checked arrays of one device leave."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import SingleDeviceSharding

from ..._core.errors import ArgumentError, ArgumentTypeError
from ..._core.trees import name_of
from ..._core.typing import Examples
from ._readers import WHERE, fits, name_at, native

_FIRST = 3
"""Places of numbers that are not finite which a text names."""


def arrays(name: str, tree: Examples, *, has_one_length: bool = True) -> Examples:
    """Check the leaves and convert them to arrays of one device, by default of one length.

    Raises:
        ArgumentError: where there is no example, leading axes differ, or whole numbers do not fit.
        ArgumentTypeError: where a leaf holds no numbers.
    """
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    if not leaves:
        raise ArgumentError(
            f"{WHERE}: {name} must hold at least one array, got {tree!r}. A loss that draws its "
            f"own batches has data=None."
        )
    found = [_array(name_at(name, path), leaf) for path, leaf in leaves]
    sizes = {name_of(path): a.shape[0] for (path, _), a in zip(leaves, found, strict=True)}
    if has_one_length and len(set(sizes.values())) > 1:
        raise ArgumentError(
            f"{WHERE}: all arrays of {name} must have the same leading axis, got {sizes}."
        )
    if 0 in sizes.values():
        raise ArgumentError(f"{WHERE}: {name} must have at least one example, got none.")
    return jax.tree.unflatten(jax.tree.structure(tree), found)


def _array(name: str, leaf: object) -> jax.Array:
    array = leaf if isinstance(leaf, jax.Array) else _device_array(name, np.asarray(leaf))
    if not isinstance(array.sharding, SingleDeviceSharding):
        array = _off_mesh(name, array)
    if array.ndim == 0:
        raise ArgumentError(
            f"{WHERE}: {name} must have a leading axis of examples, got a scalar. "
            f"A list is a tree of its elements: make it an array."
        )
    return array


def _off_mesh(name: str, array: jax.Array) -> jax.Array:
    """Move an array off its mesh to one device: each lane reads all examples, on its own device."""
    if not array.is_fully_addressable:
        raise ArgumentError(
            f"{WHERE}: {name} must be on devices of this process, got an array that is sharded "
            f"over several processes, {array.sharding}. Give each process the examples as NumPy "
            f"arrays."
        )
    return jax.device_put(array, SingleDeviceSharding(jax.local_devices()[0]))


def _device_array(name: str, host: np.ndarray) -> jax.Array:
    if host.dtype.kind not in "biufc" and not jnp.issubdtype(host.dtype, jnp.floating):
        raise ArgumentTypeError(f"{WHERE}: {name} must hold numbers, got dtype {host.dtype}.")
    dtype = native(host.dtype)
    if host.dtype.kind in "iu" and host.size and not fits(host, dtype):
        raise ArgumentError(
            f"{WHERE}: {name} must fit {dtype}, got values from {host.min()} to {host.max()}."
        )
    return jax.device_put(host.astype(dtype))


def nonfinite(name: str, tree: Examples) -> list[str]:
    """Say of each leaf how many NaN and inf it holds, and where the first are."""
    return [
        text
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
        if jnp.issubdtype(leaf.dtype, jnp.inexact)
        and (text := _nonfinite(name_at(name, path), np.asarray(leaf)))
    ]


def _nonfinite(name: str, x: np.ndarray) -> str:
    is_finite = np.isfinite(x)
    if is_finite.all():
        return ""
    places = np.argwhere(~is_finite)
    nans = int(np.isnan(x).sum())
    counts = {"NaN": nans, "inf": len(places) - nans}
    what = " and ".join(f"{count} {kind}" for kind, count in counts.items() if count)
    first = ", ".join(f"[{', '.join(map(str, place))}]" for place in places[:_FIRST].tolist())
    more = ", …" if len(places) > _FIRST else ""
    return f"{what} in {name}, at {first}{more}"
