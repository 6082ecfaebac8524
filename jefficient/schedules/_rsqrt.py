"""Decay by the root of the step."""

import jax
import jax.numpy as jnp

from .._core import checks
from .._core.typing import Scalar, Schedule, Step
from . import _base


def rsqrt_schedule(init_value: Scalar, shift: Scalar) -> Schedule:
    """Decay by the root of the step: η_t = η₀ · √(shift / (t + shift)).

    That is half of η₀ at t = 3·shift, a quarter at t = 15·shift, without an end. Behind a linear
    warmup of `shift` steps it is the schedule of the transformer:
    ``join_schedules([linear_schedule(0, η₀, shift), rsqrt_schedule(η₀, shift)], [shift])``.

    Args:
        init_value: η₀, finite.
        shift: steps after which the decay shows, above 0.

    Every number may be traced.

    Returns:
        ``step -> value``, in the step's shape, float32 at least; exact at 0.

    Raises:
        ArgumentError: where a number is out of range or not a scalar.

    References:
        Vaswani et al. 2017, https://arxiv.org/abs/1706.03762, equation 3.

    Examples:
        >>> import jefficient as jf
        >>> schedule = jf.rsqrt_schedule(1.0, shift=10)
        >>> [round(float(schedule(t)), 3) for t in (0, 30, 150)]
        [1.0, 0.5, 0.25]
    """
    where = "jf.rsqrt_schedule"
    checks.check_finite(where, init_value=init_value)
    checks.check_positive_finite(where, shift=shift)

    def schedule(step: Step) -> jax.Array:
        dtype = _base.value_dtype(step, init_value, shift)
        t = jnp.maximum(_base.elapsed(step, 0, dtype), 0).astype(dtype)
        return jnp.asarray(init_value, dtype) / jnp.sqrt(1 + t / _base.length(shift, dtype))

    return schedule
