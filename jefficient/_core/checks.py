"""Checks of concrete numbers, made before anything is traced.

Each check takes the public name of the caller and the numbers as keywords, and returns nothing. Of
a traced value only the shape and the dtype are checked: ``jf.vectorize`` and ``jf.sweep``, which
trace, check the concrete values first.
"""

import math
import numbers
from collections.abc import Callable, Sequence
from typing import TypeGuard

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.typing import DTypeLike

from .errors import ArgumentError, ArgumentTypeError
from .typing import Scalar

_SCALARS = frozenset((float, int, np.float32, np.float64, np.int32, np.int64))
"""Types that need no closer look: sweeps check every number of every configuration."""

MOST = 2 * 10**7
"""Configurations or trials at most: lists of more fill any memory."""


def is_traced(x: object) -> TypeGuard[jax.Array]:
    """Tell whether the value of `x` is unknown until a compiled program runs."""
    return isinstance(x, Tracer)


def is_number(x: object) -> bool:
    """Tell whether `x` is a Python or NumPy real number; a bool is none."""
    return type(x) in _SCALARS or (
        isinstance(x, numbers.Real) and not isinstance(x, bool | np.bool_)
    )


def check_scalar(where: str, **values: object) -> None:
    """Check for real scalars: Python or NumPy numbers, or jax arrays of shape ()."""
    for name, x in values.items():
        if type(x) in _SCALARS:
            continue
        is_array = isinstance(x, jax.Array | np.ndarray | np.generic)
        if isinstance(x, bool | np.bool_) or not (is_array or isinstance(x, numbers.Real)):
            raise ArgumentTypeError(f"{where}: {name} must be a number, got {name}={x!r}.")
        shape = getattr(x, "shape", ())
        dtype = getattr(x, "dtype", np.dtype(float))
        if shape != ():
            raise ArgumentError(
                f"{where}: {name} must be a scalar, got shape {shape}. "
                f"To run many values at once use jf.vectorize or jf.sweep."
            )
        if not (jnp.issubdtype(dtype, jnp.floating) or jnp.issubdtype(dtype, jnp.integer)):
            raise ArgumentTypeError(f"{where}: {name} must be a real number, got dtype {dtype}.")


def check_dtype(where: str, **dtypes: DTypeLike | None) -> None:
    """Check for floating dtypes, or None."""
    for name, dtype in dtypes.items():
        try:
            is_floating = dtype is None or jnp.issubdtype(jnp.dtype(dtype), jnp.inexact)
        except TypeError:
            is_floating = False
        if not is_floating:
            raise ArgumentTypeError(
                f"{where}: {name} must be a floating dtype, got {name}={dtype!r}."
            )


def _as_float(x: Scalar) -> float:
    try:
        return float(x)
    except OverflowError:
        return math.inf


def _check(
    where: str, rule: str, holds: Callable[[float], bool], values: dict[str, Scalar]
) -> None:
    check_scalar(where, **values)
    for name, x in values.items():
        if not is_traced(x) and not holds(_as_float(x)):
            raise ArgumentError(f"{where}: {rule.format(name)} must hold, got {name}={x}.")


def check_finite(where: str, **values: Scalar) -> None:
    """Check that each value is finite."""
    _check(where, "-inf < {} < inf", math.isfinite, values)


def check_not_negative(where: str, **values: Scalar) -> None:
    """Check that 0 <= value < inf."""
    _check(where, "0 <= {} < inf", lambda x: 0 <= x < math.inf, values)


def check_positive(where: str, **values: Scalar) -> None:
    """Check that 0 < value <= inf (infinity switches a limit off)."""
    _check(where, "{} > 0", lambda x: x > 0, values)


def check_decay(where: str, **values: Scalar) -> None:
    """Check that 0 <= value < 1: the decay rate of an average."""
    _check(where, "0 <= {} < 1", lambda x: 0 <= x < 1, values)


def check_share(where: str, **values: Scalar) -> None:
    """Check that 0 <= value <= 1: a share, or the decay rate of a sum."""
    _check(where, "0 <= {} <= 1", lambda x: 0 <= x <= 1, values)


def check_positive_finite(where: str, **values: Scalar) -> None:
    """Check that 0 < value < inf: a number of steps, a factor, an exponent."""
    _check(where, "0 < {} < inf", lambda x: 0 < x < math.inf, values)


def check_whole(where: str, least: int, **values: Scalar) -> None:
    """Check for whole numbers, least <= value < 2³¹, traced or not."""
    check_scalar(where, **values)
    for name, x in values.items():
        if is_traced(x):
            continue
        if not (_as_float(x).is_integer() and least <= _as_float(x) < 2**31):
            raise ArgumentError(
                f"{where}: {least} <= {name} < 2³¹ must hold and {name} be a whole number, got "
                f"{name}={x}."
            )


def check_between(where: str, **values: Scalar) -> None:
    """Check that 0 < value < 1: a share, or a factor that shrinks."""
    _check(where, "0 < {} < 1", lambda x: 0 < x < 1, values)


def check_count(where: str, **values: object) -> None:
    """Check for integers of at least one (static: they shape the program)."""
    for name, x in values.items():
        if _integer(where, name, x) < 1:
            raise ArgumentError(f"{where}: {name} >= 1 must hold, got {name}={x}.")


def check_size(where: str, what: str, **counts: int) -> None:
    """Check that the product of these counts is not absurd, before so many are made."""
    total = math.prod(counts.values())
    if total > MOST:
        factors = " × ".join(f"{x:,} {name}" for name, x in counts.items())
        raise ArgumentError(
            f"{where}: there must be at most {MOST:,} {what}, got {total:,} ({factors}). Ask for "
            f"fewer."
        )


def check_place(where: str, size: int, **values: object) -> None:
    """Check for indices into `size` things, counted from 0."""
    for name, x in values.items():
        if not 0 <= _integer(where, name, x) < size:
            raise ArgumentError(f"{where}: 0 <= {name} < {size} must hold, got {name}={x}.")


def _integer(where: str, name: str, x: object) -> int:
    if isinstance(x, bool | np.bool_) or not isinstance(x, numbers.Integral):
        raise ArgumentTypeError(f"{where}: {name} must be a whole number, got {name}={x!r}.")
    return int(x)


def check_flag(where: str, **values: object) -> None:
    """Check for bools: they choose the structure of the program, so they cannot be traced."""
    for name, x in values.items():
        if not isinstance(x, bool | np.bool_):
            raise ArgumentTypeError(
                f"{where}: {name} must be True or False (static), got {name}={x!r}."
            )


def one_of(where: str, argument: str, value: str, choices: Sequence[str]) -> None:
    """Refuse a value that is none of the choices."""
    if value not in choices:
        raise ArgumentError(
            f"{where}: {argument} must be one of {list(choices)}, got {argument}={value!r}."
        )


def is_sum_and_weight(value: object) -> bool:
    """Tell whether this is a pair ``(sum, weight)`` of scalars, whose value is sum / weight."""
    if not isinstance(value, tuple) or len(value) != 2:
        return False
    return all(
        isinstance(x, jax.Array | np.ndarray | np.generic | float | int) and jnp.shape(x) == ()
        for x in value
    )


def check_real(where: str, name: str, value: object) -> None:
    """Check that what the function `name` returns has no imaginary part that would be lost."""
    if jnp.iscomplexobj(value):
        raise ArgumentTypeError(
            f"{where}: {name} must return a real number, got dtype {jnp.result_type(value)}. "
            f"Return jnp.abs(x) ** 2, jnp.abs(x) or jnp.real(x), whichever is meant."
        )


def check_loss(where: str, value: object) -> None:
    """Check that the loss is a floating scalar."""
    is_number = isinstance(value, jax.Array | np.ndarray | np.generic | float | int)
    if not is_number or jnp.shape(value) != ():
        got = f"shape {jnp.shape(value)}" if is_number else type(value).__name__
        raise ArgumentTypeError(
            f"{where}: loss must return a scalar (the mean over the batch) or a pair of scalars "
            f"(sum, weight), got {got}."
        )
    if not jnp.issubdtype(jnp.result_type(value), jnp.floating):
        raise ArgumentTypeError(
            f"{where}: loss must be floating, got dtype {jnp.result_type(value)}."
        )
