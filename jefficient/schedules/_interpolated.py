"""A schedule through knots: any curve that a few numbers describe."""

import itertools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._core import checks
from .._core.checks import is_traced
from .._core.errors import ArgumentError
from .._core.typing import Scalar, Schedule, Step
from . import _base
from ._piecewise import Numbers, numbers_in


def interpolated_schedule(knots: Numbers, values: Numbers, log: bool = True) -> Schedule:
    """Go through a value at each knot, in straight lines: of the logarithm, or of the value.

    With s = (t - k_i) / (k_{i+1} - k_i) between the knots k_i <= t < k_{i+1}, the value is
    η_t = v_i · (v_{i+1} / v_i)^s with `log`, else η_t = v_i + (v_{i+1} - v_i)·s. It is v_0 before
    the first knot and the last value from the last knot on.

    Args:
        knots: k_i, two or more increasing steps, 0 <= k_i < inf: a sequence of numbers or an array
            of shape (k,). Integers are compared as integers.
        values: v_i, as many: finite, and above 0 with `log`.
        log: whether logarithms are interpolated, as suits learning rates. Static.

    Every number may be traced, so an array hyperparameter can be the values, and one program sweeps
    all curves: ``values=jf.LogUniform(1e-4, 1e-1, shape=(8,))``.

    Returns:
        ``step -> value``, in the step's shape, float32 at least; exact at the knots. Its gradients
        with respect to knots and values are finite and right.

    Raises:
        ArgumentError: where a number is out of range or not a scalar, knots do not increase, or
            knots and values differ in number or are fewer than two.
        ArgumentTypeError: where `knots` or `values` are no numbers, or `log` is not a bool.

    Examples:
        >>> import jefficient as jf
        >>> import jax, jax.numpy as jnp
        >>> schedule = jf.interpolated_schedule([0, 10, 30], [0.01, 1.0, 0.1])
        >>> [round(float(schedule(t)), 3) for t in (0, 5, 10, 20, 30, 100)]
        [0.01, 0.1, 1.0, 0.316, 0.1, 0.1]
        >>> def rate_at_5(values):
        ...     return jf.interpolated_schedule([0, 10], values, log=False)(5)
        >>> jax.vmap(rate_at_5)(jnp.array([[0.0, 1.0], [1.0, 3.0]])).tolist()
        [0.5, 2.0]
    """
    where = "jf.interpolated_schedule"
    checks.check_flag(where, log=log)
    known_knots = _known(where, "knots", knots)
    known_values = _known(where, "values", values)
    for knot in known_knots:
        checks.check_not_negative(where, knots=knot)
    for value in known_values:
        (checks.check_positive_finite if log else checks.check_finite)(where, values=value)
    for first, second in itertools.pairwise(known_knots):
        if not is_traced(first) and not is_traced(second) and not first < second:
            raise ArgumentError(f"{where}: knots must increase, got {second} after {first}.")
    counts = _count(knots), _count(values)
    if counts[0] != counts[1] or counts[0] < 2:
        raise ArgumentError(
            f"{where}: knots and values must be equally many, and two at least, got {counts[0]} "
            f"and {counts[1]}."
        )

    given: list[Scalar] = list(values) if isinstance(values, Sequence) else [values]

    def schedule(step: Step) -> jax.Array:
        dtype = _base.value_dtype(step, *given)
        k = _base.row(knots, dtype)
        v = _base.row(values, dtype).astype(dtype)

        at = step if isinstance(step, jax.Array) else np.asarray(step)
        since = _base.elapsed(at[..., None], k, dtype)
        i = jnp.clip(jnp.sum(since[..., 1:-1] >= 0, axis=-1), 0, counts[0] - 2)
        begin = jnp.maximum(_at(since, i), 0)
        s = _base.fraction(begin, k[i + 1] - k[i], dtype)
        low, high = v[i], v[i + 1]
        if not log:
            return _base.mix(low, high, s)
        return jnp.where(s < 1, low * jnp.exp(s * jnp.log(high / low)), high)

    return schedule


def _known(where: str, name: str, given: Numbers) -> list[Scalar]:
    """Return the numbers that can be checked: none of a traced array."""
    if is_traced(given) and given.ndim == 1:
        return []
    # what is taken from an array of JAX inside of a program would be traced
    array = np.asarray(given) if isinstance(given, jax.Array) and not is_traced(given) else given
    return numbers_in(where, name, array)


def _count(given: Any) -> int:
    return given.shape[0] if hasattr(given, "shape") else len(given)


def _at(x: jax.Array, i: jax.Array) -> jax.Array:
    """Return entry i of the last axis."""
    return jnp.take_along_axis(x, i[..., None], axis=-1)[..., 0]
