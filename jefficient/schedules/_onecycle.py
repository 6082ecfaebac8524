"""Up and down once."""

import jax
import jax.numpy as jnp

from .._core import checks
from .._core.typing import Scalar, Schedule, Step
from . import _base
from ._cosine import cosine


def cosine_onecycle_schedule(
    transition_steps: Scalar,
    peak_value: Scalar,
    pct_start: Scalar = 0.3,
    div_factor: Scalar = 25.0,
    final_div_factor: Scalar = 1e4,
) -> Schedule:
    """Rise along half a cosine to the peak at step B, and fall along another to step T.

    The first value is peak / div_factor, the last one peak / (div_factor·final_div_factor), and B
    is ``pct_start·T`` rounded down to a whole step (0.29·100 is 29, however a float rounds 0.29).

    Args:
        transition_steps: T, the length of the whole schedule, above 0.
        peak_value: the highest value, finite.
        pct_start: share of T spent rising, above 0 and below 1.
        div_factor: the peak over the first value, above 0 and finite.
        final_div_factor: the first value over the last one, above 0 and finite.

    Every number may be traced. B is a step, so the gradient in `pct_start` is zero.

    Returns:
        ``step -> value``, in the step's shape, float32 at least; exact at 0, B and from T on.

    Raises:
        ArgumentError: where a number is out of range or not a scalar.

    References:
        Smith and Topin 2018, https://arxiv.org/abs/1708.07120.

    Examples:
        >>> import jefficient as jf
        >>> schedule = jf.cosine_onecycle_schedule(100, 1.0)
        >>> [round(float(schedule(t)), 3) for t in (0, 15, 30, 65, 100)]
        [0.04, 0.52, 1.0, 0.5, 0.0]
    """
    where = "jf.cosine_onecycle_schedule"
    checks.check_positive_finite(
        where,
        transition_steps=transition_steps,
        div_factor=div_factor,
        final_div_factor=final_div_factor,
    )
    checks.check_finite(where, peak_value=peak_value)
    checks.check_between(where, pct_start=pct_start)

    def schedule(step: Step) -> jax.Array:
        dtype = _base.value_dtype(step, peak_value, div_factor, final_div_factor)
        peak = jnp.asarray(peak_value, dtype)
        first = peak / jnp.asarray(div_factor, dtype)
        last = first / jnp.asarray(final_div_factor, dtype)
        top = _base.share_of(transition_steps, pct_start)
        rising = _base.mix(peak, first, cosine(step, 0, top, 1, dtype))
        falling = _base.mix(last, peak, cosine(step, top, transition_steps, 1, dtype))
        return jnp.where(_base.elapsed(step, top, dtype) < 0, rising, falling)

    return schedule
