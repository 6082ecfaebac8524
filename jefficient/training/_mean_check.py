"""The check that a loss is a mean over examples, as microbatches suppose."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from .._core.errors import ArgumentError
from .._core.typing import Examples

_MOST = 32
"""Examples that the loss is tried on at most."""


def check_mean(where: str, value_of: Callable[[Examples], jax.Array], batch: Examples) -> None:
    """Refuse a loss of some examples that is not the mean of its values on both halves of them.

    Args:
        where: the public name, for errors.
        value_of: ``batch -> loss``.
        batch: concrete arrays.

    Raises:
        ArgumentError: where the two differ by more than rounding.
    """
    half = min(_MOST, *(jnp.shape(x)[0] for x in jax.tree.leaves(batch))) // 2
    if half == 0:
        return
    first, second, both = (
        value_of(jax.tree.map(lambda x, span=span: x[span], batch))
        for span in (slice(half), slice(half, 2 * half), slice(2 * half))
    )
    apart = (first + second) / 2
    tolerance = jnp.sqrt(jnp.finfo(both.dtype).eps) * jnp.maximum(jnp.abs(both), jnp.abs(apart))
    if jnp.isfinite(both) and jnp.abs(both - apart) > tolerance:
        raise ArgumentError(
            f"{where}: loss must be a mean over examples with microbatches, or return (sum, "
            f"weight), got {both:.6g} for {2 * half} examples together and {apart:.6g} as the mean "
            f"of both halves."
        )
