"""A line, or a power of it, from one value to another."""

import jax

from .._core import checks
from .._core.typing import Scalar, Schedule, Step
from . import _base


def polynomial_schedule(
    init_value: Scalar,
    end_value: Scalar,
    power: Scalar,
    transition_steps: Scalar,
    transition_begin: Scalar = 0,
) -> Schedule:
    """Go along a power: η_t = end + (init - end)·(1 - f)^power.

    f = (t - begin) / transition_steps, held between 0 and 1.

    Args:
        init_value: value up to `transition_begin`, finite.
        end_value: value from ``transition_begin + transition_steps`` on, finite.
        power: shapes the curve, above 0; 1 is a line.
        transition_steps: length of the transition, above 0.
        transition_begin: steps before it begins, 0 or more.

    Every number may be traced.

    Returns:
        ``step -> value``, in the step's shape, float32 at least; exact at both ends.

    Raises:
        ArgumentError: where a number is out of range or not a scalar.

    Examples:
        >>> import jefficient as jf
        >>> schedule = jf.polynomial_schedule(1.0, 0.0, 2, transition_steps=10, transition_begin=5)
        >>> [round(float(schedule(t)), 3) for t in (0, 5, 10, 15, 20)]
        [1.0, 1.0, 0.25, 0.0, 0.0]
    """
    where = "jf.polynomial_schedule"
    checks.check_positive_finite(where, power=power)
    _check_transition(where, init_value, end_value, transition_steps, transition_begin)

    def schedule(step: Step) -> jax.Array:
        dtype = _base.value_dtype(step, init_value, end_value, power)
        _, left = _base.shares(step, transition_begin, transition_steps, dtype)
        return _base.mix(end_value, init_value, _base.power(left, power))

    return schedule


def linear_schedule(
    init_value: Scalar, end_value: Scalar, transition_steps: Scalar, transition_begin: Scalar = 0
) -> Schedule:
    """Go along a line: η_t = init + (end - init)·f.

    f = (t - begin) / transition_steps, held between 0 and 1.

    Args:
        init_value: value up to `transition_begin`, finite.
        end_value: value from ``transition_begin + transition_steps`` on, finite.
        transition_steps: length of the transition, above 0.
        transition_begin: steps before it begins, 0 or more.

    Every number may be traced.

    Returns:
        ``step -> value``, in the step's shape, float32 at least; exact at both ends.

    Raises:
        ArgumentError: where a number is out of range or not a scalar.

    Examples:
        >>> import jefficient as jf
        >>> schedule = jf.linear_schedule(1.0, 0.0, transition_steps=10)
        >>> [round(float(schedule(t)), 3) for t in (0, 5, 10, 20)]
        [1.0, 0.5, 0.0, 0.0]
    """
    where = "jf.linear_schedule"
    _check_transition(where, init_value, end_value, transition_steps, transition_begin)

    def schedule(step: Step) -> jax.Array:
        dtype = _base.value_dtype(step, init_value, end_value)
        return _base.line(init_value, end_value, step, transition_begin, transition_steps, dtype)

    return schedule


def _check_transition(
    where: str,
    init_value: Scalar,
    end_value: Scalar,
    transition_steps: Scalar,
    transition_begin: Scalar,
) -> None:
    checks.check_finite(where, init_value=init_value, end_value=end_value)
    checks.check_positive_finite(where, transition_steps=transition_steps)
    checks.check_not_negative(where, transition_begin=transition_begin)
