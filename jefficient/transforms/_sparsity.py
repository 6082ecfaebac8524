"""How sparse parameters are."""

import jax

from .._core import trees
from .._core.typing import Params


def sparsity(params: Params) -> jax.Array:
    """Return the share of the floating numbers that are exactly zero.

    Args:
        params: a tree of arrays; leaves that are not floating (real or complex) do not count.

    Returns:
        Between 0 and 1, float32, shape (); 0 of no numbers.

    Examples:
        >>> import jefficient as jf
        >>> import jax.numpy as jnp
        >>> float(jf.sparsity({"w": jnp.array([0.0, 1.0, 0.0]), "b": jnp.array([2.0])}))
        0.5
    """
    return trees.zero_share(params)
