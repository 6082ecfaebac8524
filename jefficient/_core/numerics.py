"""Arithmetic that keeps dtypes and digits.

A hyperparameter may be a Python number (a double) or a traced scalar of any floating dtype. Leaves are computed in
their own dtype, but in float32 at least, and cast back: ``upcast(g) … .astype(g.dtype)``. `scalar` brings a
hyperparameter to that dtype, so that a static and a traced number meet the same arithmetic and nothing is promoted.
"""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from . import typing as t
from .errors import ArgumentError

MINIMUM_DTYPE = jnp.float32


def compute_dtype(*dtypes: Any) -> Any:
    """The dtype in which leaves of floating `dtypes` are computed together: the widest, but float32 at least.

    By NumPy's rules, which for these are jax's: jax's own function refuses under strict dtype promotion.
    """
    return functools.reduce(np.promote_types, map(np.dtype, dtypes), np.dtype(MINIMUM_DTYPE))


def real_dtype(dtype: Any) -> Any:
    """The dtype of the real numbers that go with leaves of `dtype` (complex64 goes with float32)."""
    return jnp.finfo(compute_dtype(dtype)).dtype


def upcast(x: jax.Array) -> jax.Array:
    """`x` in the dtype it is computed in."""
    return x.astype(compute_dtype(x.dtype))


def scalar(x: t.Scalar, dtype: Any = None) -> jax.Array:
    """A number as a strongly typed array of shape () and of `dtype` (by default `number_dtype(x)`)."""
    return jnp.asarray(x, dtype=number_dtype(x) if dtype is None else dtype)


def number_dtype(*numbers: t.Scalar | t.Step) -> Any:
    """The floating dtype that holds all `numbers`: float32, or wider where one is strongly typed so.

    Python and NumPy numbers carry no dtype of their own: they never widen a program, not even under x64.
    """
    arrays = [x for x in numbers if isinstance(x, jax.Array) and not x.weak_type]
    return compute_dtype(*(x.dtype for x in arrays if jnp.issubdtype(x.dtype, jnp.floating)))


def device_numbers(where: str, name: str, values: Any) -> np.ndarray:
    """Host numbers as a program gets them: int32 where all are whole, else float32; what does not fit is refused."""
    host = np.asarray(values)
    dtype = np.dtype(np.int32 if jnp.issubdtype(host.dtype, jnp.integer) else np.float32)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        converted = host.astype(dtype)
    wide = host.astype(np.float64)
    is_lost = (np.isinf(converted) & ~np.isinf(wide)) | ((converted == 0) & (wide != 0))
    if dtype == np.int32:
        is_lost |= converted != host
    if is_lost.any():
        raise ArgumentError(f"{where}: the values of {name} must fit {dtype}, got {name}={host[is_lost].ravel()[0]}.")
    return converted


def complement(b: t.Scalar) -> float | jax.Array:
    """1 - b without losing digits: in double for host numbers, in at least float32 for traced ones."""
    return 1 - scalar(b) if isinstance(b, jax.Array) else 1.0 - float(b)


def bias_correction(b: t.Scalar, count: jax.Array, dtype: Any) -> jax.Array:
    """1 - bᵗ, shape (), as -expm1(t·log1p(-(1-b))): exact to rounding however near b is to one."""
    steps = count.astype(dtype)
    rest = complement(b)
    if not isinstance(rest, jax.Array):
        if rest == 1:
            return jnp.ones((), dtype)
        return -jnp.expm1(steps * scalar(math.log1p(-rest), dtype))
    rest = rest.astype(dtype)
    is_decaying = rest < 1  # b = 0 has no logarithm, and must not put NaN into gradients
    log_b = jnp.log1p(-jnp.where(is_decaying, rest, 0.5))
    return jnp.where(is_decaying, -jnp.expm1(steps * log_b), 1.0)


def safe_sqrt(x: jax.Array) -> jax.Array:
    """√x for x >= 0, whose gradient at zero is zero instead of infinite."""
    is_positive = x > 0
    return jnp.where(is_positive, jnp.sqrt(jnp.where(is_positive, x, 1)), x)


def squared(x: jax.Array) -> jax.Array:
    """|x|², real, elementwise."""
    return (x * jnp.conj(x)).real if jnp.iscomplexobj(x) else jnp.square(x)
