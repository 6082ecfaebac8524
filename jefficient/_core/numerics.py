"""Arithmetic that keeps dtypes and digits.

A hyperparameter may be a Python number (a double) or a traced scalar of any floating dtype. Leaves
are computed in their own dtype, but in float32 at least, and cast back: ``upcast(g) …
.astype(g.dtype)``. `scalar` brings a hyperparameter to that dtype, so that a static and a traced
number meet the same arithmetic and nothing is promoted.
"""

import functools
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from . import typing as t
from .errors import ArgumentError

MINIMUM_DTYPE = jnp.float32


@functools.cache
def compute_dtype(*dtypes: Any) -> Any:
    """The dtype in which leaves of floating `dtypes` are computed together: the widest, but float32 at least.

    By NumPy's rules, which for these are jax's: jax's own function refuses under strict dtype
    promotion.
    """
    return functools.reduce(np.promote_types, map(np.dtype, dtypes), np.dtype(MINIMUM_DTYPE))


@functools.cache
def real_dtype(dtype: Any) -> Any:
    """The dtype of the real numbers that go with leaves of `dtype` (complex64 goes with float32)."""
    return jnp.finfo(compute_dtype(dtype)).dtype


@functools.cache
def is_floating(dtype: Any) -> bool:
    """Whether `dtype` is one of real or complex floating numbers."""
    return jnp.issubdtype(dtype, jnp.inexact)


@functools.cache
def is_complex(dtype: Any) -> bool:
    """Whether `dtype` is one of complex numbers."""
    return jnp.issubdtype(dtype, jnp.complexfloating)


def array(x: Any) -> jax.Array:
    """`x` as a jax array; itself where it is one, which is asked so often that it must cost nothing."""
    return x if isinstance(x, jax.Array) else jnp.asarray(x)


def upcast(x: jax.Array) -> jax.Array:
    """`x` in the dtype it is computed in."""
    return x.astype(compute_dtype(x.dtype))


def scalar(x: t.Scalar, dtype: Any = None) -> jax.Array:
    """A number as a strongly typed array of shape () and of `dtype` (by default `number_dtype(x)`)."""
    return jnp.asarray(x, dtype=number_dtype(x) if dtype is None else dtype)


def whole(x: t.Scalar) -> jax.Array:
    """A whole number as int32, shape ()."""
    return jnp.asarray(x, jnp.int32)


def number_dtype(*numbers: t.Scalar | t.Step) -> Any:
    """The floating dtype that holds all `numbers`: float32, or wider where one is strongly typed so.

    Python and NumPy numbers carry no dtype of their own: they never widen a program, not even under
    x64.
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
        raise ArgumentError(
            f"{where}: the values of {name} must fit {dtype}, got {name}={host[is_lost].ravel()[0]}."
        )
    return converted


def complement(b: t.Scalar) -> float | jax.Array:
    """1 - b without losing digits: in double for host numbers, in at least float32 for traced ones."""
    return 1 - scalar(b) if isinstance(b, jax.Array) else 1.0 - float(b)


def bias_corrections(
    decays: Sequence[tuple[t.Scalar, int]], count: jax.Array, dtype: Any
) -> list[jax.Array]:
    """1 / (1 - bᵗ) for each (b, ahead) at t = count + ahead, each of shape ().

    As -1 / expm1(t·log1p(-(1-b))): in float32 right to 2e-7, however near b is to one. Where all
    are host numbers they are computed as one vector, since every kernel takes its time to compile.
    """
    steps, rests = count.astype(dtype), [complement(b) for b, _ in decays]
    if not any(isinstance(rest, jax.Array) for rest in rests):
        logs = [-math.inf if rest == 1 else math.log1p(-rest) for rest in rests]
        ahead = np.array([ahead for _, ahead in decays], dtype)
        return list(-1 / _expm1((steps + ahead) * np.array(logs, dtype)))
    ahead = [ahead for _, ahead in decays]
    return [
        _bias_correction(scalar(rest, dtype), steps + n)
        for rest, n in zip(rests, ahead, strict=True)
    ]


def _bias_correction(rest: jax.Array, steps: jax.Array) -> jax.Array:
    is_decaying = (
        rest < 1
    )  # b = 0 has no logarithm; there 1 / (1 - bᵗ) is 1 + b + … at t = 1, and flat after it
    log_b = jnp.log1p(-jnp.where(is_decaying, rest, 0.5))
    at_zero = jnp.where(steps == 1, 2 - rest, 1.0)
    return jnp.where(is_decaying, -1 / _expm1(steps * log_b), at_zero)


_TAYLOR = tuple(
    1 / math.factorial(k) for k in range(9, 1, -1)
)  # of (e^x - 1 - x) / x², highest power first


@functools.partial(jax.jit, inline=True)
def _expm1(x: jax.Array) -> jax.Array:
    """e^x - 1 for x <= 0, in float32 by a polynomial near zero: XLA's own has errors up to 4e-7 in some versions."""
    if x.dtype != jnp.float32:
        return jnp.expm1(x)
    is_near = x > -0.7
    near = jnp.where(is_near, x, 0)
    rest = functools.reduce(lambda total, a: total * near + a, _TAYLOR[1:], _TAYLOR[0])
    return jnp.where(is_near, near + near * near * rest, jnp.exp(x) - 1)


@functools.partial(jax.jit, inline=True)
def squared_sum(x: jax.Array) -> jax.Array:
    """Σ|x|², real, shape (), accumulated in at least float32."""
    return jnp.sum(squared(upcast(x)))


@jax.custom_jvp
def safe_sqrt(x: jax.Array) -> jax.Array:
    """√x for x >= 0, whose gradient at zero is zero instead of infinite."""
    return jnp.sqrt(x)


@safe_sqrt.defjvp
def _safe_sqrt_jvp(primals: tuple, tangents: tuple) -> tuple[jax.Array, jax.Array]:
    (x,), (dx,) = primals, tangents
    root, is_positive = safe_sqrt(x), x > 0
    return root, jnp.where(is_positive, dx * (0.5 / jnp.where(is_positive, root, 1)), 0)


def squared(x: jax.Array) -> jax.Array:
    """|x|², real, elementwise."""
    return (x * jnp.conj(x)).real if jnp.iscomplexobj(x) else jnp.square(x)
