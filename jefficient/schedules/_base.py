"""Steps and lengths; integers are compared as integers, so schedules are exact at boundaries."""

import itertools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._core import numerics
from .._core.typing import DType, Scalar, Step

_INT32 = np.iinfo(np.int32)
_SHORTEST = 1e-6  # stands for a length of zero: finite in the forward pass and in its gradient


def value_dtype(step: Step | Scalar, *numbers: Scalar) -> DType:
    """Return the dtype of a schedule's value: float32, or that of a wider step or number."""
    return numerics.number_dtype(step, *numbers)


def elapsed(step: Step | Scalar, begin: Scalar, dtype: DType) -> jax.Array:
    """Return step - begin: int32 where both are integers, else `dtype`."""
    if _is_integer(step) and _is_integer(begin):
        return _as_int32(step) - _as_int32(begin)
    return jnp.asarray(step, dtype) - jnp.asarray(begin, dtype)


def fraction(steps: jax.Array, duration: Scalar, dtype: DType) -> jax.Array:
    """Return min(max(steps, 0) / duration, 1); a duration of zero jumps behind step zero."""
    return jnp.clip(steps.astype(dtype) / length(duration, dtype), 0.0, 1.0)


def length(duration: Scalar, dtype: DType) -> jax.Array:
    """Return the duration, but never zero: quotients by it and their gradients stay finite."""
    return jnp.maximum(jnp.asarray(duration, dtype), _SHORTEST)


def periods(steps: jax.Array, duration: Scalar, dtype: DType, *, whole: bool) -> jax.Array:
    """Return max(steps, 0) / duration, rounded down if `whole`: exactly so for two integers."""
    steps = jnp.maximum(steps, 0)
    if whole and _is_integer(duration) and jnp.issubdtype(steps.dtype, jnp.integer):
        return (steps // jnp.maximum(jnp.asarray(duration, jnp.int32), 1)).astype(dtype)
    quotient = steps.astype(dtype) / length(duration, dtype)
    return jnp.floor(quotient) if whole else quotient


def line(
    start: Scalar, end: Scalar, step: Step, begin: Scalar, duration: Scalar, dtype: DType
) -> jax.Array:
    """Go from `start` at `begin` to `end` at ``begin + duration``: exact there and beyond."""
    done, left = shares(step, begin, duration, dtype)
    return jnp.asarray(start, dtype) * left + jnp.asarray(end, dtype) * done


def shares(
    step: Step, begin: Scalar, duration: Scalar, dtype: DType
) -> tuple[jax.Array, jax.Array]:
    """Return how much of `duration` is done and how much is left; each keeps its digits."""
    since = jnp.maximum(elapsed(step, begin, dtype), 0)
    done = fraction(since, duration, dtype)
    return done, fraction(elapsed(duration, since, dtype), duration, dtype)


def mix(low: Scalar, high: Scalar, share: jax.Array) -> jax.Array:
    """Return low·(1 - share) + high·share: exact where the share is 0 or 1."""
    return jnp.asarray(low, share.dtype) * (1 - share) + jnp.asarray(high, share.dtype) * share


def power(base: jax.Array, exponent: Scalar) -> jax.Array:
    """Return base^exponent for base >= 0, exponent > 0; its gradient at zero is zero, not NaN."""
    is_positive = base > 0
    raised = jnp.power(jnp.where(is_positive, base, 1), jnp.asarray(exponent, base.dtype))
    return jnp.where(is_positive, raised, 0)


def total(lengths: Sequence[Scalar]) -> list[Scalar]:
    """Return the running sums of `lengths`: integers if all of them are."""
    if all(_is_integer(x) for x in lengths):
        return list(itertools.accumulate(lengths, _integer_sum))
    dtype = numerics.number_dtype(*lengths)
    return list(jnp.cumsum(jnp.stack([jnp.asarray(x, dtype) for x in lengths])))


def _integer_sum(a: Scalar, b: Scalar) -> int | jax.Array:
    if isinstance(a, int) and isinstance(b, int):
        return a + b
    return jnp.asarray(a, jnp.int32) + jnp.asarray(b, jnp.int32)


def row(numbers: Sequence[Scalar] | np.ndarray | jax.Array, dtype: DType) -> jax.Array:
    """Return an array or a sequence of numbers as an array: int32 if all are integers."""
    is_array = isinstance(numbers, jax.Array | np.ndarray)
    if _is_integer(numbers) if is_array else all(_is_integer(x) for x in numbers):
        return _as_int32(numbers) if is_array else jnp.stack([_as_int32(x) for x in numbers])
    if is_array:
        return jnp.asarray(numbers, dtype)
    return jnp.stack([jnp.asarray(x, dtype) for x in numbers])


def share_of(length: Scalar, share: Scalar) -> Scalar:
    """Return share · length rounded down to a whole step, alike for static and traced numbers.

    0.53 · 100 is 52.999996 in float32, and means 53: a product that misses a whole step by no more
    than rounding is that step.
    """
    dtype = numerics.number_dtype(length, share)
    product = jnp.asarray(length, dtype) * jnp.asarray(share, dtype)
    nearest = jnp.round(product)
    slack = 2 * jnp.finfo(dtype).eps * product
    whole = jnp.where(jnp.abs(product - nearest) <= slack, nearest, jnp.floor(product))
    return whole.astype(jnp.int32) if _is_integer(length) else whole


def _as_int32(x: Any) -> jax.Array:
    """Convert integers to int32; those beyond its range become its ends, they do not wrap."""
    if isinstance(x, int):
        return jnp.asarray(x, jnp.int32)
    numbers: Any = jnp if isinstance(x, jax.Array) else np  # jax would wrap NumPy's int64 at once
    held = np.iinfo(np.dtype(x.dtype).name)
    x = numbers.clip(x, max(int(held.min), _INT32.min), min(int(held.max), _INT32.max))
    return jnp.asarray(x.astype(np.int32))


def _is_integer(x: object) -> bool:
    if isinstance(x, (jax.Array, np.ndarray, np.generic)):
        return jnp.issubdtype(x.dtype, jnp.integer)
    return isinstance(x, int) and _INT32.min <= x <= _INT32.max
