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
        **axes: the values of each hyperparameter, all different: a list, a range, an array whose
            first axis counts the values, or what `jf.static` returns. Numbers and arrays (NumPy's
            or JAX's, all of a name of one shape) are traced (int32 or float32): they share one
            program. Everything else (bools, None, strings, functions, lists and tuples such as
            ``(64, 64)``, an axis that mixes types, what `jf.static` marks) is static: one program
            for each combination.

    Returns:
        A `Space` of ∏ nᵢ configurations.

    Raises:
        ArgumentError: if there is no axis, or if an axis is empty, has a value twice, has a value
            that needs a label, or has arrays that differ in shape or are empty.
        ArgumentTypeError: if an axis is a single value or a range such as `jf.Uniform`, or if an
            array holds anything but real numbers.

    Examples:
        >>> import jefficient as jf
        >>> import numpy as np
        >>> space = jf.grid(learning_rate=[0.1, 0.01], l2=[0.0, 1e-4, 1e-2])
        >>> len(space), space[1]
        (6, {'learning_rate': 0.1, 'l2': 0.0001})
        >>> falling, constant = np.array([0.1, 0.05, 0.01]), np.full(3, 0.05)
        >>> jf.grid(rates=[falling, constant])
        Space(2 configurations; rates: 2 arrays of shape (3,), 0.01 to 0.1)
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
