"""Steps and lengths: integers are compared as integers, so schedules are exact at their boundaries."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._core import numerics
from .._core.typing import Scalar, Step

_INT32 = np.iinfo(np.int32)
_SHORTEST = 1e-6  # stands for a length of zero: finite in the forward pass and in its gradient


def value_dtype(step: Step | Scalar, *numbers: Scalar) -> Any:
    """The dtype of a schedule's value: float32, or wider where the step or a number is strongly typed so."""
    return numerics.number_dtype(step, *numbers)


def elapsed(step: Step | Scalar, begin: Scalar, dtype: Any) -> jax.Array:
    """step - begin: int32 where both are integers, else `dtype`."""
    if _is_integer(step) and _is_integer(begin):
        return _as_int32(step) - _as_int32(begin)
    return jnp.asarray(step, dtype) - jnp.asarray(begin, dtype)


def fraction(steps: jax.Array, duration: Scalar, dtype: Any) -> jax.Array:
    """min(max(steps, 0) / duration, 1); where the duration is zero, 0 up to step zero and 1 after it."""
    return jnp.clip(steps.astype(dtype) / length(duration, dtype), 0.0, 1.0)


def length(duration: Scalar, dtype: Any) -> jax.Array:
    """`duration`, but never zero: what is divided by it stays finite, and so does its gradient."""
    return jnp.maximum(jnp.asarray(duration, dtype), _SHORTEST)


def periods(steps: jax.Array, duration: Scalar, dtype: Any, *, whole: bool) -> jax.Array:
    """max(steps, 0) / duration; the whole periods alone where `whole`, by integer division where both are integers."""
    steps = jnp.maximum(steps, 0)
    if whole and _is_integer(duration) and jnp.issubdtype(steps.dtype, jnp.integer):
        return (steps // jnp.maximum(jnp.asarray(duration, jnp.int32), 1)).astype(dtype)
    quotient = steps.astype(dtype) / length(duration, dtype)
    return jnp.floor(quotient) if whole else quotient


def line(
    start: Scalar, end: Scalar, step: Step, begin: Scalar, duration: Scalar, dtype: Any
) -> jax.Array:
    """From `start` at `begin` to `end` at ``begin + duration``, held before and after: exact at both ends."""
    done, left = shares(step, begin, duration, dtype)
    return jnp.asarray(start, dtype) * left + jnp.asarray(end, dtype) * done


def shares(step: Step, begin: Scalar, duration: Scalar, dtype: Any) -> tuple[jax.Array, jax.Array]:
    """How much of ``duration`` steps from ``begin`` on is done and is left: two numbers that keep their digits."""
    since = jnp.maximum(elapsed(step, begin, dtype), 0)
    return fraction(since, duration, dtype), fraction(
        elapsed(duration, since, dtype), duration, dtype
    )


def mix(low: Scalar, high: Scalar, share: jax.Array) -> jax.Array:
    """low·(1 - share) + high·share: exact where the share is 0 or 1."""
    return jnp.asarray(low, share.dtype) * (1 - share) + jnp.asarray(high, share.dtype) * share


def power(base: jax.Array, exponent: Scalar) -> jax.Array:
    """base^exponent for base >= 0 and exponent > 0; at zero its gradient in the exponent is zero, not NaN."""
    is_positive = base > 0
    raised = jnp.power(jnp.where(is_positive, base, 1), jnp.asarray(exponent, base.dtype))
    return jnp.where(is_positive, raised, 0)


def total(lengths: Sequence[Scalar]) -> list[Scalar]:
    """The running sums of `lengths`, integers where all of them are."""
    if all(_is_integer(x) for x in lengths):
        sums: list[Scalar] = [0]
        for x in lengths:
            exact = isinstance(x, int) and isinstance(sums[-1], int)
            sums.append(
                sums[-1] + x
                if exact
                else jnp.asarray(sums[-1], jnp.int32) + jnp.asarray(x, jnp.int32)
            )
        return sums[1:]
    dtype = numerics.number_dtype(*lengths)
    return list(jnp.cumsum(jnp.stack([jnp.asarray(x, dtype) for x in lengths])))


def share_of(length: Scalar, share: Scalar) -> Scalar:
    """share · length rounded down to a whole step, in the same arithmetic for static and traced numbers.

    0.53 · 100 is 52.999996 in float32, and means 53: what misses a whole step by the rounding of
    both is that step.
    """
    dtype = numerics.number_dtype(length, share)
    product = jnp.asarray(length, dtype) * jnp.asarray(share, dtype)
    nearest, slack = jnp.round(product), 2 * jnp.finfo(dtype).eps * product
    whole = jnp.where(jnp.abs(product - nearest) <= slack, nearest, jnp.floor(product))
    return whole.astype(jnp.int32) if _is_integer(length) else whole


def _as_int32(x: Any) -> jax.Array:
    """Integers that int32 does not hold end at its ends; they do not wrap."""
    if isinstance(x, int):
        return jnp.asarray(x, jnp.int32)
    numbers: Any = (
        jnp if isinstance(x, jax.Array) else np
    )  # jax would wrap an int64 of NumPy at once
    held = np.iinfo(np.dtype(x.dtype).name)
    x = numbers.clip(x, max(int(held.min), _INT32.min), min(int(held.max), _INT32.max))
    return jnp.asarray(x.astype(np.int32))


def _is_integer(x: Any) -> bool:
    if isinstance(x, (jax.Array, np.ndarray, np.generic)):
        return jnp.issubdtype(x.dtype, jnp.integer)
    return isinstance(x, int) and _INT32.min <= x <= _INT32.max
