"""The same value at every step."""

import jax
import jax.numpy as jnp

from .._core import checks
from .._core.typing import Scalar, Schedule, Step
from . import _base


def constant_schedule(value: Scalar) -> Schedule:
    """Hold one value: η_t = value.

    Args:
        value: finite; may be traced.

    Returns:
        ``step -> value``, in the step's shape, float32 at least.

    Raises:
        ArgumentError: where `value` is not finite or not a scalar.

    Examples:
        >>> import jefficient as jf
        >>> float(jf.constant_schedule(0.5)(1000))
        0.5
    """
    checks.check_finite("jf.constant_schedule", value=value)

    def schedule(step: Step) -> jax.Array:
        return jnp.broadcast_to(jnp.asarray(value, _base.value_dtype(step, value)), jnp.shape(step))

    return schedule
