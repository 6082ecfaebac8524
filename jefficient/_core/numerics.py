"""Arithmetic that keeps dtypes and digits.

A hyperparameter may be a Python number (a double) or a traced scalar of any floating dtype. Leaves
are computed in their own dtype, but in float32 at least, and cast back (`trees.map_leaves`).
`scalar` brings a hyperparameter to that dtype, so that static and traced numbers meet the same
arithmetic and nothing is promoted.
"""

import functools
import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from jax.typing import ArrayLike, DTypeLike

from . import typing as t
from .errors import ArgumentError


@functools.cache
def compute_dtype(*dtypes: DTypeLike) -> t.DType:
    """Return the widest of floating `dtypes`, but float32 at least: leaves are computed in it.

    NumPy's rules are jax's for these; jax's own function refuses under strict dtype promotion.
    """
    return functools.reduce(np.promote_types, [np.dtype(x) for x in dtypes], np.dtype(np.float32))


@functools.cache
def real_dtype(dtype: DTypeLike) -> t.DType:
    """Return the dtype of real numbers beside leaves of `dtype` (float32 beside complex64)."""
    return jnp.finfo(compute_dtype(dtype)).dtype


@functools.cache
def is_floating(dtype: DTypeLike) -> bool:
    """Tell whether `dtype` is one of real or complex floating numbers."""
    return jnp.issubdtype(dtype, jnp.inexact)


@functools.cache
def is_complex(dtype: DTypeLike) -> bool:
    """Tell whether `dtype` is one of complex numbers."""
    return jnp.issubdtype(dtype, jnp.complexfloating)


@functools.cache
def least_root(dtype: DTypeLike) -> float:
    """Return √tiny: squares of smaller numbers underflow, and 1 / (√tiny)² is finite."""
    return math.sqrt(float(jnp.finfo(dtype).tiny))


def array(x: ArrayLike) -> jax.Array:
    """Convert to a jax array; arrays pass through (hot path)."""
    return x if isinstance(x, jax.Array) else jnp.asarray(x)


def upcast(x: jax.Array) -> jax.Array:
    """Cast `x` to the dtype that it is computed in."""
    return x.astype(compute_dtype(x.dtype))


def scalar(x: t.Scalar, dtype: DTypeLike | None = None) -> jax.Array:
    """Convert a number to a strongly typed array of shape (), by default of `number_dtype(x)`."""
    return jnp.asarray(x, dtype=number_dtype(x) if dtype is None else dtype)


def whole(x: t.Scalar) -> jax.Array:
    """Convert a whole number to int32, shape ()."""
    return jnp.asarray(x, jnp.int32)


def number_dtype(*numbers: t.Scalar | t.Step) -> t.DType:
    """Return the floating dtype that holds all `numbers`: float32, or that of a wider jax array.

    Python and NumPy numbers never widen a program, not even under x64.
    """
    arrays = [x for x in numbers if isinstance(x, jax.Array) and not x.weak_type]
    return compute_dtype(*(x.dtype for x in arrays if jnp.issubdtype(x.dtype, jnp.floating)))


def device_numbers(where: str, name: str, values: npt.ArrayLike) -> np.ndarray:
    """Convert numbers of the host to what a program gets: int32 for integers, else float32.

    Refuse numbers that do not fit.
    """
    host = np.asarray(values)
    dtype = np.dtype(np.int32 if jnp.issubdtype(host.dtype, jnp.integer) else np.float32)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        converted = host.astype(dtype)
    wide = host.astype(np.float64)
    is_lost = (np.isinf(converted) & ~np.isinf(wide)) | ((converted == 0) & (wide != 0))
    if dtype == np.int32:
        is_lost |= converted != host
    if is_lost.any():
        raise ArgumentError(
            f"{where}: the values of {name} must fit {dtype}, got "
            f"{name}={host[is_lost].ravel()[0]}."
        )
    return converted


def plain(x: object) -> object:
    """Return a number of NumPy as Python's, a float32 as the shortest decimal that rounds to it."""
    if not isinstance(x, np.generic):
        return x
    return float(str(x)) if x.dtype == np.float32 else x.item()  # 0.1, not 0.100000001…


def complement(b: t.Scalar) -> float | jax.Array:
    """Return 1 - b without losing digits: in double for numbers of the host, else in float32."""
    return 1 - scalar(b) if isinstance(b, jax.Array) else 1.0 - float(b)


def bias_corrections(
    decays: Sequence[tuple[t.Scalar, int]], count: jax.Array, dtype: t.DType
) -> list[jax.Array]:
    """Return 1 / (1 - bᵗ) for each (b, ahead) at t = count + ahead, each of shape ().

    As -1 / expm1(t·log1p(-(1-b))): in float32 right to 2e-7, however near b is to one. Where all
    are host numbers they are computed as one vector, since every kernel takes its time to compile.
    """
    steps = count.astype(dtype)
    rests = [complement(b) for b, _ in decays]
    if not any(isinstance(rest, jax.Array) for rest in rests):
        logs = [-math.inf if rest == 1 else math.log1p(-rest) for rest in rests]
        ahead = np.array([ahead for _, ahead in decays], dtype)
        return list(-1 / _expm1((steps + ahead) * np.array(logs, dtype)))
    return [
        _bias_correction(scalar(rest, dtype), steps + ahead)
        for rest, (_, ahead) in zip(rests, decays, strict=True)
    ]


def _bias_correction(rest: jax.Array, steps: jax.Array) -> jax.Array:
    # b = 0 has no logarithm; there 1 / (1 - bᵗ) is 1 + b + … at t = 1, and flat after it.
    is_decaying = rest < 1
    log_b = jnp.log1p(-jnp.where(is_decaying, rest, 0.5))
    at_zero = jnp.where(steps == 1, 2 - rest, 1.0)
    return jnp.where(is_decaying, -1 / _expm1(steps * log_b), at_zero)


_TAYLOR = tuple(1 / math.factorial(k) for k in range(9, 1, -1))
"""Of (e^x - 1 - x) / x², highest power first."""


@functools.partial(jax.jit, inline=True)
def _expm1(x: jax.Array) -> jax.Array:
    """Return e^x - 1 for x <= 0, in float32 by a polynomial near zero.

    XLA's own has errors up to 4e-7 in some versions.
    """
    if x.dtype != jnp.float32:
        return jnp.expm1(x)
    is_near = x > -0.7
    near = jnp.where(is_near, x, 0)
    rest = functools.reduce(lambda total, a: total * near + a, _TAYLOR[1:], _TAYLOR[0])
    return jnp.where(is_near, near + near * near * rest, jnp.exp(x) - 1)


@functools.partial(jax.jit, inline=True)
def squared_sum(x: jax.Array) -> jax.Array:
    """Return Σ|x|², real, shape (), accumulated in at least float32."""
    return jnp.sum(squared(upcast(x)))


@jax.custom_jvp
def safe_sqrt(x: jax.Array) -> jax.Array:
    """Return √x for x >= 0, whose gradient at zero is zero instead of infinite."""
    return jnp.sqrt(x)


@safe_sqrt.defjvp
def _safe_sqrt_jvp(primals: tuple, tangents: tuple) -> tuple[jax.Array, jax.Array]:
    (x,) = primals
    (dx,) = tangents
    root = safe_sqrt(x)
    is_positive = x > 0
    return root, jnp.where(is_positive, dx * (0.5 / jnp.where(is_positive, root, 1)), 0)


def squared(x: jax.Array) -> jax.Array:
    """Return |x|², real, elementwise."""
    return (x * jnp.conj(x)).real if jnp.iscomplexobj(x) else jnp.square(x)
