"""A linear rise before the decay."""

import jax
import jax.numpy as jnp

from .._core import checks
from .._core.checks import is_traced
from .._core.errors import ArgumentError
from .._core.typing import Scalar, Schedule, Step
from . import _base
from ._cosine import cosine


def warmup_cosine_decay_schedule(
    init_value: Scalar,
    peak_value: Scalar,
    warmup_steps: Scalar,
    decay_steps: Scalar,
    end_value: Scalar = 0.0,
    exponent: Scalar = 1.0,
) -> Schedule:
    """From `init_value` in a line up to `peak_value`, then half a cosine down to `end_value`.

    η_t = init + (peak - init)·t / W for t < W, then end + (peak - end)·c^exponent with
    c = (1 + cos(π·(t - W) / (T - W))) / 2, and `end_value` from T on.

    Args:
        init_value: value at step 0, finite.
        peak_value: value at step W, finite.
        warmup_steps: W, 0 or more.
        decay_steps: T, the length of the whole schedule, warmup included; above W.
        end_value: value from step T on, finite.
        exponent: shapes the cosine, above 0.

    Every number may be traced, so one program sweeps the peak and both lengths.

    Returns:
        ``step -> value``, in the step's shape, float32 at least; exact at 0, W and from T on.

    Raises:
        ArgumentError: where a number is out of range or not a scalar.

    References:
        Goyal et al. 2017, https://arxiv.org/abs/1706.02677, section 2.2 (gradual warmup); Loshchilov and Hutter
        2017, https://arxiv.org/abs/1608.03983, equation 5.

    Examples:
        >>> import jefficient as jf
        >>> schedule = jf.warmup_cosine_decay_schedule(0.0, 1.0, warmup_steps=10, decay_steps=110)
        >>> [round(float(schedule(t)), 3) for t in (0, 5, 10, 60, 110)]
        [0.0, 0.5, 1.0, 0.5, 0.0]
    """
    where = "jf.warmup_cosine_decay_schedule"
    checks.check_finite(where, init_value=init_value, peak_value=peak_value, end_value=end_value)
    checks.check_not_negative(where, warmup_steps=warmup_steps)
    checks.check_duration(where, decay_steps=decay_steps)
    checks.check_positive(where, exponent=exponent)
    if not is_traced(warmup_steps) and not is_traced(decay_steps) and not warmup_steps < decay_steps:
        raise ArgumentError(
            f"{where}: warmup_steps < decay_steps must hold, got warmup_steps={warmup_steps}, "
            f"decay_steps={decay_steps}. The warmup is a part of decay_steps."
        )

    def schedule(step: Step) -> jax.Array:
        dtype = _base.value_dtype(step, init_value, peak_value, end_value, exponent)
        low, peak, end = (jnp.asarray(x, dtype) for x in (init_value, peak_value, end_value))
        rise = low + (peak - low) * _base.fraction(_base.elapsed(step, 0, dtype), warmup_steps, dtype)
        fall = end + (peak - end) * cosine(step, warmup_steps, decay_steps, exponent, dtype)
        return jnp.where(_base.elapsed(step, warmup_steps, dtype) < 0, rise, fall)

    return schedule
