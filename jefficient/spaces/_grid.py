"""All combinations of some values."""

import itertools
from collections.abc import Iterable
from typing import Any

from .._core.errors import ArgumentError, ArgumentTypeError
from ._axis import Axis
from ._ranges import Range
from ._space import Space, from_axes


def grid(**axes: Iterable[Any]) -> Space:
    """The product of the axes, the last one varying fastest.

    Args:
        **axes: for each hyperparameter its values, all different: a list, a range, an array of
            shape (n,) with n >= 1, or what `jf.static` returns. Numbers are traced (int32 or
            float32): they share one program. Everything else (bools, None, strings, functions, an
            axis that mixes, what `jf.static` marks) is static: one program for each combination.

    Returns:
        A `Space` of ∏ nᵢ configurations.

    Raises:
        ArgumentError: where there is no axis, or an axis is empty, holds a value twice, or one that
            needs a label.
        ArgumentTypeError: where an axis is a single value or a range.

    Examples:
        >>> import jefficient as jf
        >>> space = jf.grid(learning_rate=[0.1, 0.01], l2=[0.0, 1e-4, 1e-2])
        >>> len(space), space[1]
        (6, {'learning_rate': 0.1, 'l2': 0.0001})
    """
    if not axes:
        raise ArgumentError("jf.grid: at least one axis must be given, got none.")
    for name, axis in axes.items():
        if isinstance(axis, Range):
            raise ArgumentTypeError(
                f"jf.grid: {name} must be a list of values, got {name}={axis!r}. "
                f"For ranges there are jf.sobol and jf.random."
            )
    known = {name: Axis.of("jf.grid", name, axis) for name, axis in axes.items()}
    places = zip(
        *itertools.product(*(range(len(axis.values)) for axis in known.values())), strict=True
    )
    return from_axes(
        {
            name: axis.take(column)
            for (name, axis), column in zip(known.items(), places, strict=True)
        }
    )
