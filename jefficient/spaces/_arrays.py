"""Hyperparameters that are arrays: all values of a name have one shape.

On the host an array holds float64 or int64, as Python's numbers are; programs get float32 or int32.
"""

from collections.abc import Sequence
from typing import Any, TypeGuard

import jax
import jax.numpy as jnp
import numpy as np

from .._core.checks import is_number
from .._core.errors import ArgumentError, ArgumentTypeError
from ._identity import python_values

_HOST = (np.dtype(np.float64), np.dtype(np.int64))


def is_array(x: object) -> TypeGuard[np.ndarray | jax.Array]:
    """Return whether `x` is an array of NumPy or JAX."""
    return isinstance(x, np.ndarray | jax.Array)


def is_whole(x: object) -> bool:
    """Return whether a traced value is an integer, or an array of them."""
    return isinstance(x, int) or (is_array(x) and jnp.issubdtype(x.dtype, jnp.integer))


def traced_values(where: str, name: str, values: Sequence[Any]) -> tuple:
    """Return numbers and arrays as a traced axis holds them; check that they have one shape.

    An array of shape () becomes a Python number, any other a NumPy array that nobody can write to.
    """
    shape = np.shape(values[0])
    for x in values:
        _check(where, name, x)
        if np.shape(x) != shape:
            raise ArgumentError(
                f"{where}: the values of {name} must have one shape, got {shape} and {np.shape(x)}."
            )
    return tuple(_on_host(x) if is_array(x) else x for x in values)


def _check(where: str, name: str, x: Any) -> None:
    if is_number(x):
        return
    if not (jnp.issubdtype(x.dtype, jnp.floating) or jnp.issubdtype(x.dtype, jnp.integer)):
        raise ArgumentTypeError(
            f"{where}: the arrays of {name} must hold real numbers, got dtype {x.dtype}."
        )
    if 0 in x.shape:
        raise ArgumentError(
            f"{where}: the arrays of {name} must have at least one number, got shape {x.shape}."
        )


def _on_host(x: np.ndarray | jax.Array) -> np.ndarray | int | float:
    if isinstance(x, np.ndarray) and x.dtype in _HOST and not x.flags.writeable:
        return x  # it was here before
    array = np.asarray(x)
    numbers = python_values(array.ravel())
    if array.shape == ():
        return numbers[0]
    # integers of NumPy's own choice: those that int64 does not hold are refused with the column
    dtype = None if is_whole(array) else float
    made = np.array(numbers, dtype).reshape(array.shape)
    made.flags.writeable = False
    return made
