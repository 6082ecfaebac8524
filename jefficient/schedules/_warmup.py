"""A linear rise before the decay."""

import jax
import jax.numpy as jnp

from .._core import checks
from .._core.checks import is_traced
from .._core.errors import ArgumentError
from .._core.typing import DType, Scalar, Schedule, Step
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
    """Rise in a line to `peak_value`, then fall along half a cosine to `end_value`.

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
        Goyal et al. 2017, https://arxiv.org/abs/1706.02677, section 2.2 (gradual warmup);
        Loshchilov and Hutter 2017, https://arxiv.org/abs/1608.03983, equation 5.

    Examples:
        >>> import jefficient as jf
        >>> schedule = jf.warmup_cosine_decay_schedule(0.0, 1.0, warmup_steps=10, decay_steps=110)
        >>> [round(float(schedule(t)), 3) for t in (0, 5, 10, 60, 110)]
        [0.0, 0.5, 1.0, 0.5, 0.0]
    """
    where = "jf.warmup_cosine_decay_schedule"
    checks.check_finite(where, init_value=init_value, peak_value=peak_value, end_value=end_value)
    checks.check_not_negative(where, warmup_steps=warmup_steps)
    checks.check_positive_finite(where, decay_steps=decay_steps, exponent=exponent)
    is_known = not is_traced(warmup_steps) and not is_traced(decay_steps)
    if is_known and not warmup_steps < decay_steps:
        raise ArgumentError(
            f"{where}: warmup_steps < decay_steps must hold, got warmup_steps={warmup_steps}, "
            f"decay_steps={decay_steps}. decay_steps includes the warmup."
        )

    def schedule(step: Step) -> jax.Array:
        dtype = _base.value_dtype(step, init_value, peak_value, end_value, exponent)
        fall = cosine(step, warmup_steps, decay_steps, exponent, dtype)
        after = _base.mix(end_value, peak_value, fall)
        return _warm_up(step, init_value, peak_value, warmup_steps, after, dtype)

    return schedule


def warmup_constant_schedule(
    init_value: Scalar, peak_value: Scalar, warmup_steps: Scalar
) -> Schedule:
    """Rise in a line from `init_value` to `peak_value` at step W, and stay there.

    Args:
        init_value: value at step 0, finite.
        peak_value: value from step W on, finite.
        warmup_steps: W, 0 or more.

    Every number may be traced.

    Returns:
        ``step -> value``, in the step's shape, float32 at least; exact at 0 and from W on.

    Raises:
        ArgumentError: where a number is out of range or not a scalar.

    References:
        Goyal et al. 2017, https://arxiv.org/abs/1706.02677, section 2.2 (gradual warmup).

    Examples:
        >>> import jefficient as jf
        >>> schedule = jf.warmup_constant_schedule(0.0, 1.0, warmup_steps=10)
        >>> [round(float(schedule(t)), 3) for t in (0, 5, 10, 1000)]
        [0.0, 0.5, 1.0, 1.0]
    """
    where = "jf.warmup_constant_schedule"
    checks.check_finite(where, init_value=init_value, peak_value=peak_value)
    checks.check_not_negative(where, warmup_steps=warmup_steps)

    def schedule(step: Step) -> jax.Array:
        dtype = _base.value_dtype(step, init_value, peak_value)
        peak = jnp.asarray(peak_value, dtype)
        return _warm_up(step, init_value, peak_value, warmup_steps, peak, dtype)

    return schedule


def warmup_stable_decay_schedule(
    init_value: Scalar,
    peak_value: Scalar,
    warmup_steps: Scalar,
    stable_steps: Scalar,
    decay_steps: Scalar,
    end_value: Scalar = 0.0,
    power: Scalar = 1.0,
) -> Schedule:
    """Rise in a line, stay, then fall: the length of training may be decided while it runs.

    η_t = init + (peak - init)·t / W for t < W, `peak_value` for S steps more, then
    peak + (end - peak)·f^power with f = (t - W - S) / D, and `end_value` from step W + S + D on.

    Args:
        init_value: value at step 0, finite.
        peak_value: value from step W to W + S, finite.
        warmup_steps: W, 0 or more.
        stable_steps: S, 0 or more.
        decay_steps: D, the length of the decay alone, above 0.
        end_value: value from step W + S + D on, finite.
        power: shapes the decay, above 0: 1 is a line, 0.5 falls as 1 - √f.

    Every number may be traced.

    Returns:
        ``step -> value``, in the step's shape, float32 at least; exact at 0, W, W + S and W + S +
        D.

    Raises:
        ArgumentError: where a number is out of range or not a scalar.

    References:
        Hu et al. 2024, https://arxiv.org/abs/2404.06395, section 4.2; Hägele et al. 2024,
        https://arxiv.org/abs/2405.18392, section 3 (the line and 1 - √f).

    Examples:
        >>> import jefficient as jf
        >>> lengths = {"warmup_steps": 10, "stable_steps": 20, "decay_steps": 10}
        >>> schedule = jf.warmup_stable_decay_schedule(0.0, 1.0, **lengths)
        >>> [round(float(schedule(t)), 3) for t in (0, 5, 10, 30, 35, 40)]
        [0.0, 0.5, 1.0, 1.0, 0.5, 0.0]
    """
    where = "jf.warmup_stable_decay_schedule"
    checks.check_finite(where, init_value=init_value, peak_value=peak_value, end_value=end_value)
    checks.check_not_negative(where, warmup_steps=warmup_steps, stable_steps=stable_steps)
    checks.check_positive_finite(where, decay_steps=decay_steps, power=power)

    def schedule(step: Step) -> jax.Array:
        dtype = _base.value_dtype(step, init_value, peak_value, end_value, power)
        begin = _base.total([warmup_steps, stable_steps])[-1]
        _, left = _base.shares(step, begin, decay_steps, dtype)
        after = _base.mix(end_value, peak_value, _fall(left, power))
        return _warm_up(step, init_value, peak_value, warmup_steps, after, dtype)

    return schedule


def _fall(left: jax.Array, power: Scalar) -> jax.Array:
    """Return 1 - (1 - left)^power, which keeps its digits where little is left."""
    has_begun = left < 1
    log_done = jnp.log1p(-jnp.where(has_begun, left, 0))
    return jnp.where(has_begun, -jnp.expm1(jnp.asarray(power, left.dtype) * log_done), 1)


def _warm_up(
    step: Step,
    init_value: Scalar,
    peak_value: Scalar,
    warmup_steps: Scalar,
    after: jax.Array,
    dtype: DType,
) -> jax.Array:
    """Go in a line from `init_value` at 0 to `peak_value` at `warmup_steps`, then by `after`."""
    is_warm = _base.elapsed(step, warmup_steps, dtype) >= 0
    rise = _base.line(init_value, peak_value, step, 0, warmup_steps, dtype)
    return jnp.where(is_warm, after, rise)
