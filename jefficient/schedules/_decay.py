"""Exponential and inverse-time decay, continuous or in stairs."""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp

from .._core import checks
from .._core.typing import DType, Scalar, Schedule, Step
from . import _base


def exponential_decay(
    init_value: Scalar,
    transition_steps: Scalar,
    decay_rate: Scalar,
    transition_begin: Scalar = 0,
    staircase: bool = False,
    end_value: Scalar | None = None,
) -> Schedule:
    """Decay by a factor: η_t = η₀ · rᵖ with p = max(t - begin, 0) / transition_steps.

    With `staircase` p is rounded down.

    Args:
        init_value: η₀, finite.
        transition_steps: steps for one factor r, above 0.
        decay_rate: r, above 0; below 1 the value falls, above 1 it grows.
        transition_begin: steps before the decay begins, 0 or more.
        staircase: whether the value changes only at whole multiples of `transition_steps`. Static.
        end_value: where the value stops: the least one where r < 1, else the greatest; None for
            no limit.

    Every number may be traced.

    Returns:
        ``step -> value``, in the step's shape, float32 at least.

    Raises:
        ArgumentError: where a number is out of range or not a scalar.

    Examples:
        >>> import jefficient as jf
        >>> schedule = jf.exponential_decay(1.0, transition_steps=10, decay_rate=0.5)
        >>> [round(float(schedule(t)), 3) for t in (0, 10, 20, 25)]
        [1.0, 0.5, 0.25, 0.177]
    """
    where = "jf.exponential_decay"
    checks.check_positive_finite(where, decay_rate=decay_rate)
    periods = _periods(where, transition_steps, transition_begin, staircase)
    return _decay(where, jnp.power, periods, init_value, decay_rate, end_value, falls_below=1)


def inverse_time_decay(
    init_value: Scalar,
    transition_steps: Scalar,
    decay_rate: Scalar,
    transition_begin: Scalar = 0,
    staircase: bool = False,
    end_value: Scalar | None = None,
) -> Schedule:
    """Decay by inverse time: η_t = η₀ / (1 + r·p) with p = max(t - begin, 0) / transition_steps.

    With `staircase` p is rounded down.

    Args:
        init_value: η₀, finite.
        transition_steps: steps for one unit of p, above 0.
        decay_rate: r, 0 or more: after one unit of p the value is η₀ / (1 + r).
        transition_begin: steps before the decay begins, 0 or more.
        staircase: whether the value changes only at whole multiples of `transition_steps`. Static.
        end_value: the least value; None for no limit.

    Every number may be traced.

    Returns:
        ``step -> value``, in the step's shape, float32 at least.

    Raises:
        ArgumentError: where a number is out of range or not a scalar.

    References:
        Robbins and Monro 1951, https://doi.org/10.1214/aoms/1177729586: Σ η_t = ∞, Σ η_t² < ∞ holds
        for it.

    Examples:
        >>> import jefficient as jf
        >>> schedule = jf.inverse_time_decay(1.0, transition_steps=10, decay_rate=1.0)
        >>> [round(float(schedule(t)), 3) for t in (0, 10, 30)]
        [1.0, 0.5, 0.25]
    """
    where = "jf.inverse_time_decay"
    checks.check_not_negative(where, decay_rate=decay_rate)
    periods = _periods(where, transition_steps, transition_begin, staircase)
    return _decay(where, _inverse_time, periods, init_value, decay_rate, end_value)


def _inverse_time(rate: jax.Array, p: jax.Array) -> jax.Array:
    return 1 / (1 + rate * p)


def _periods(
    where: str, transition_steps: Scalar, transition_begin: Scalar, staircase: bool
) -> Callable[[Step, DType], jax.Array]:
    """Return ``step, dtype -> p``, the transitions that are done, whole ones with `staircase`."""
    checks.check_positive_finite(where, transition_steps=transition_steps)
    checks.check_not_negative(where, transition_begin=transition_begin)
    checks.check_flag(where, staircase=staircase)

    def periods(step: Step, dtype: DType) -> jax.Array:
        steps = _base.elapsed(step, transition_begin, dtype)
        return _base.periods(steps, transition_steps, dtype, whole=staircase)

    return periods


def _decay(
    where: str,
    law: Callable[[jax.Array, jax.Array], jax.Array],
    periods: Callable[[Step, DType], jax.Array],
    init_value: Scalar,
    decay_rate: Scalar,
    end_value: Scalar | None,
    falls_below: float = math.inf,
) -> Schedule:
    """Return η₀ · law(r, p), at least `end_value` where r < falls_below, else at most."""
    checks.check_finite(where, init_value=init_value)
    if end_value is not None:
        checks.check_finite(where, end_value=end_value)

    def schedule(step: Step) -> jax.Array:
        ends = () if end_value is None else (end_value,)
        dtype = _base.value_dtype(step, init_value, decay_rate, *ends)
        p = periods(step, dtype)
        rate = jnp.asarray(decay_rate, dtype)
        start = jnp.asarray(init_value, dtype)
        factor = law(rate, p)
        if end_value is None:
            return start * factor

        end = jnp.asarray(end_value, dtype)
        is_finite = jnp.isfinite(factor)
        # A growth that overflows would put NaN into gradients.
        value = start * law(rate, jnp.where(is_finite, p, 0))
        stopped = jnp.where(rate < falls_below, jnp.maximum(value, end), jnp.minimum(value, end))
        return jnp.where(is_finite, stopped, end)

    return schedule
