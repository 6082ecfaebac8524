"""All combinations of some values."""

import itertools
from collections import Counter
from collections.abc import Hashable, Iterable
from typing import Any

import numpy as np

from .._core.errors import ArgumentError, ArgumentTypeError
from ._space import Space


def grid(**axes: Iterable[Any]) -> Space:
    """The product of the axes, the last one varying fastest.

    Args:
        **axes: for each hyperparameter its values: a list, a range, or an array of shape (n,) with n >= 1. Numbers
            are traced (int32 or float32): they share one program. Everything else (bools, None, strings,
            functions, an axis that mixes) is static: one program for each combination.

    Returns:
        A `Space` of ∏ nᵢ configurations.

    Raises:
        ArgumentError: where there is no axis, or an axis is empty, or holds a value twice.
        ArgumentTypeError: where an axis is a single value.

    Examples:
        >>> import jefficient as jf
        >>> space = jf.grid(learning_rate=[0.1, 0.01], l2=[0.0, 1e-4, 1e-2])
        >>> len(space), space[1]
        (6, {'learning_rate': 0.1, 'l2': 0.0001})
    """
    if not axes:
        raise ArgumentError("jf.grid: at least one axis must be given, got none.")
    values = {name: _axis(name, axis) for name, axis in axes.items()}
    rows = itertools.product(*values.values())
    return Space(dict(zip(values, zip(*rows, strict=True), strict=True)))


def _axis(name: str, axis: Iterable[Any]) -> tuple:
    shape = getattr(axis, "shape", (0,))
    if isinstance(axis, str | bytes) or not isinstance(axis, Iterable) or shape == ():
        raise ArgumentTypeError(
            f"jf.grid: {name} must be a list or a one-dimensional array of values, got {name}={axis!r}. "
            f"For a single value write {name}=[{axis!r}]."
        )
    if len(shape) > 1:
        raise ArgumentError(f"jf.grid: {name} must be one-dimensional, got shape {shape}.")
    values = _python_values(axis)
    if not values:
        raise ArgumentError(f"jf.grid: {name} must have at least one value, got {name}={axis!r}.")
    twice = [key for key, count in Counter(map(_identity, values)).items() if count > 1]
    if twice:
        raise ArgumentError(f"jf.grid: the values of {name} must differ, got {twice[0][1]!r} twice.")
    return values


def _python_values(axis: Iterable[Any]) -> tuple:
    """The values as Python objects; a float32 as the shortest decimal that rounds to it (0.1, not 0.100000001…)."""
    if not hasattr(axis, "shape"):
        return tuple(x.item() if isinstance(x, np.generic) else x for x in axis)
    array = np.asarray(axis)
    return tuple(float(str(x)) for x in array) if array.dtype == np.float32 else tuple(array.tolist())


def _identity(value: Any) -> tuple[type, Any]:
    return type(value), value if isinstance(value, Hashable) else id(value)
