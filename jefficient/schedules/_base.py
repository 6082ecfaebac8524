"""Steps and lengths: integers are compared as integers, so schedules are exact at their boundaries."""

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
        return jnp.asarray(step, jnp.int32) - jnp.asarray(begin, jnp.int32)
    return jnp.asarray(step, dtype) - jnp.asarray(begin, dtype)


def fraction(steps: jax.Array, duration: Scalar, dtype: Any) -> jax.Array:
    """min(max(steps, 0) / duration, 1); where the duration is zero, 0 up to step zero and 1 after it."""
    length = jnp.maximum(jnp.asarray(duration, dtype), _SHORTEST)
    return jnp.clip(steps.astype(dtype) / length, 0.0, 1.0)


def periods(steps: jax.Array, duration: Scalar, dtype: Any, *, whole: bool) -> jax.Array:
    """max(steps, 0) / duration; the whole periods alone where `whole`, by integer division where both are integers."""
    steps = jnp.maximum(steps, 0)
    if whole and _is_integer(duration) and jnp.issubdtype(steps.dtype, jnp.integer):
        return (steps // jnp.maximum(jnp.asarray(duration, jnp.int32), 1)).astype(dtype)
    length = jnp.maximum(jnp.asarray(duration, dtype), _SHORTEST)
    quotient = steps.astype(dtype) / length
    return jnp.floor(quotient) if whole else quotient


def _is_integer(x: Any) -> bool:
    if isinstance(x, (jax.Array, np.ndarray, np.generic)):
        return jnp.issubdtype(x.dtype, jnp.integer)
    return isinstance(x, int) and _INT32.min <= x <= _INT32.max
