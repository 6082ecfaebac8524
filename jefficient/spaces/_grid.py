"""All combinations of given values."""

import itertools
from collections.abc import Iterable
from typing import Any

from .._core.checks import check_size
from .._core.errors import ArgumentError, ArgumentTypeError
from ._axis import Axis
from ._ranges import Range
from ._space import Space, from_axes


def grid(**axes: Iterable[Any]) -> Space:
    """Combine every value of each axis with every value of the others.

    The last axis varies fastest.

    Args:
        **axes: the values of each hyperparameter, all different: a list, a range, an array of
            shape (n,) with n >= 1, or what `jf.static` returns. Numbers are traced (int32 or
            float32): they share one program. Everything else (bools, None, strings, functions, an
            axis that mixes types, what `jf.static` marks) is static: one program for each
            combination.

    Returns:
        A `Space` of ∏ nᵢ configurations.

    Raises:
        ArgumentError: if there is no axis, or if an axis is empty, has a value twice, or has a
            value that needs a label.
        ArgumentTypeError: if an axis is a single value or a range such as `jf.Uniform`.

    Examples:
        >>> import jefficient as jf
        >>> space = jf.grid(learning_rate=[0.1, 0.01], l2=[0.0, 1e-4, 1e-2])
        >>> len(space), space[1]
        (6, {'learning_rate': 0.1, 'l2': 0.0001})
    """
    where = "jf.grid"
    if not axes:
        raise ArgumentError(f"{where}: at least one axis must be given, got none.")
    for name, axis in axes.items():
        if isinstance(axis, Range):
            raise ArgumentTypeError(
                f"{where}: {name} must be a list of values, got {name}={axis!r}. "
                f"For ranges there are jf.sobol and jf.random."
            )
    checked = {name: Axis.of(where, name, axis) for name, axis in axes.items()}

    check_size(where, "configurations", **{name: len(x.values) for name, x in checked.items()})
    combinations = itertools.product(*(range(len(axis.values)) for axis in checked.values()))
    indices = zip(*combinations, strict=True)
    return from_axes(
        {name: axis.take(own) for (name, axis), own in zip(checked.items(), indices, strict=True)}
    )
