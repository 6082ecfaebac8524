"""Exponential and inverse-time decay, continuous or in stairs."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from .._core import checks
from .._core.typing import Scalar, Schedule, Step
from . import _base


def exponential_decay(
    init_value: Scalar,
    transition_steps: Scalar,
    decay_rate: Scalar,
    transition_begin: Scalar = 0,
    staircase: bool = False,
    end_value: Scalar | None = None,
) -> Schedule:
    """η_t = η₀ · rᵖ with p = max(t - begin, 0) / transition_steps, the floor of p with `staircase`.

    Args:
        init_value: η₀, finite.
        transition_steps: steps for one factor r, above 0.
        decay_rate: r, above 0; below 1 the value falls, above 1 it grows.
        transition_begin: steps before the decay begins, 0 or more.
        staircase: whether the value changes only at whole multiples of `transition_steps`. Static.
        end_value: the bound that the value stops at (from below where r < 1, from above otherwise);
            None for none.

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

    def law(p: jax.Array, rate: jax.Array) -> jax.Array:
        return jnp.power(rate, p)

    checks.check_positive_finite("jf.exponential_decay", decay_rate=decay_rate)
    return _decay(
        "jf.exponential_decay",
        law,
        init_value,
        transition_steps,
        decay_rate,
        transition_begin,
        staircase,
        end_value,
        1,
    )


def inverse_time_decay(
    init_value: Scalar,
    transition_steps: Scalar,
    decay_rate: Scalar,
    transition_begin: Scalar = 0,
    staircase: bool = False,
    end_value: Scalar | None = None,
) -> Schedule:
    """η_t = η₀ / (1 + r·p) with p = max(t - begin, 0) / transition_steps, the floor of p with `staircase`.

    Args:
        init_value: η₀, finite.
        transition_steps: steps for one unit of p, above 0.
        decay_rate: r, 0 or more: after one unit of p the value is η₀ / (1 + r).
        transition_begin: steps before the decay begins, 0 or more.
        staircase: whether the value changes only at whole multiples of `transition_steps`. Static.
        end_value: the lower bound that the value stops at; None for none.

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

    def law(p: jax.Array, rate: jax.Array) -> jax.Array:
        return 1 / (1 + rate * p)

    checks.check_not_negative("jf.inverse_time_decay", decay_rate=decay_rate)
    return _decay(
        "jf.inverse_time_decay",
        law,
        init_value,
        transition_steps,
        decay_rate,
        transition_begin,
        staircase,
        end_value,
    )


def _decay(
    where: str,
    law: Callable[[jax.Array, jax.Array], jax.Array],
    init_value: Scalar,
    transition_steps: Scalar,
    decay_rate: Scalar,
    transition_begin: Scalar,
    staircase: bool,
    end_value: Scalar | None,
    falls_below: float = float("inf"),
) -> Schedule:
    """η₀ · law(p, r), bounded by `end_value`: from below where r < falls_below, from above otherwise."""
    checks.check_finite(where, init_value=init_value)
    checks.check_positive_finite(where, transition_steps=transition_steps)
    checks.check_not_negative(where, transition_begin=transition_begin)
    checks.check_flag(where, staircase=staircase)
    if end_value is not None:
        checks.check_finite(where, end_value=end_value)

    def schedule(step: Step) -> jax.Array:
        numbers = (
            (init_value, decay_rate) if end_value is None else (init_value, decay_rate, end_value)
        )
        dtype = _base.value_dtype(step, *numbers)
        steps = _base.elapsed(step, transition_begin, dtype)
        p = _base.periods(steps, transition_steps, dtype, whole=staircase)
        rate = jnp.asarray(decay_rate, dtype)
        start, factor = jnp.asarray(init_value, dtype), law(p, rate)
        if end_value is None:
            return start * factor
        bound, is_finite = jnp.asarray(end_value, dtype), jnp.isfinite(factor)
        value = start * law(
            jnp.where(is_finite, p, 0), rate
        )  # a growth that overflows would put NaN into gradients
        stopped = jnp.where(
            rate < falls_below, jnp.maximum(value, bound), jnp.minimum(value, bound)
        )
        return jnp.where(is_finite, stopped, bound)

    return schedule
