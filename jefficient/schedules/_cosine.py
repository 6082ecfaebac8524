"""Half a cosine downhill."""

import jax
import jax.numpy as jnp

from .._core import checks
from .._core.typing import DType, Scalar, Schedule, Step
from . import _base


def cosine_decay_schedule(
    init_value: Scalar, decay_steps: Scalar, alpha: Scalar = 0.0, exponent: Scalar = 1.0
) -> Schedule:
    """Fall along half a cosine: η_t = η₀ · ((1 - α)·c^exponent + α).

    Here c = (1 + cos(π·min(t / T, 1))) / 2.

    Args:
        init_value: η₀, finite.
        decay_steps: T, above 0: after it the value is α·η₀.
        alpha: the share of η₀ that remains at the end, finite.
        exponent: shapes the curve, above 0.

    Every number may be traced.

    Returns:
        ``step -> value``, in the step's shape, float32 at least; exact at 0 and from T on.

    Raises:
        ArgumentError: where a number is out of range or not a scalar.

    References:
        Loshchilov and Hutter 2017, https://arxiv.org/abs/1608.03983, equation 5 (without restarts).

    Examples:
        >>> import jefficient as jf
        >>> schedule = jf.cosine_decay_schedule(1.0, decay_steps=100)
        >>> [round(float(schedule(t)), 3) for t in (0, 50, 100)]
        [1.0, 0.5, 0.0]
    """
    where = "jf.cosine_decay_schedule"
    checks.check_finite(where, init_value=init_value, alpha=alpha)
    checks.check_positive_finite(where, decay_steps=decay_steps, exponent=exponent)

    def schedule(step: Step) -> jax.Array:
        dtype = _base.value_dtype(step, init_value, alpha, exponent)
        c = cosine(step, 0, decay_steps, exponent, dtype)
        return jnp.asarray(init_value, dtype) * _base.mix(alpha, 1, c)

    return schedule


def cosine(step: Step, begin: Scalar, end: Scalar, exponent: Scalar, dtype: DType) -> jax.Array:
    """Return ((1 + cos(π·f)) / 2)^exponent, f going from 0 at `begin` to 1 at `end`.

    Computed as sin²(π/2 · (1 - f)): the same number, without the cancellation that leaves (1 + cos)
    few digits near the end.
    """
    rest = -_base.elapsed(step, end, dtype)
    length = _base.elapsed(end, begin, dtype)
    angle = jnp.asarray(jnp.pi / 2, dtype) * _base.fraction(rest, length, dtype)
    return _base.power(jnp.square(jnp.sin(angle)), exponent)
