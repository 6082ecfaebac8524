"""Values that are compiled in, and what they are called."""

from collections.abc import Iterable, Mapping
from typing import Any

from .._core.errors import ArgumentTypeError
from ._axis import Axis, listed

WHERE = "jf.static"


def static(values: Iterable[Any] | Mapping[str, Any]) -> Axis:
    """Mark an axis static: a program is compiled for each of its values, and functions get the Python object.

    For numbers that shape the program, such as widths and depths, and for functions, which need
    labels. Whatever is no number is static by itself, and is labelled by its text (``None``,
    ``"relu"``) or its ``__name__``.

    Args:
        values: a list of different values, or label to value. Labels are what tables and files
            show; the content hash of a configuration has them in place of functions and other
            objects (not of numbers, bools, None and strings). So a label must mean the same thing
            in every run. What has no text of its own that is the same in every process, such as a
            lambda, a partial or an array, needs a label.

    Returns:
        An axis for `jf.grid`; in `jf.sobol` and `jf.random` one to choose from, as in
        ``jf.Choice(jf.static(…))``.

    Raises:
        ArgumentError: where there is no value, a value comes twice, has no label, or two values
            have the same.
        ArgumentTypeError: where `values` is no list, or a label no string.

    Examples:
        >>> import jax
        >>> import jefficient as jf
        >>> space = jf.grid(
        ...     width=jf.static([32, 256]),
        ...     activation=jf.static({"relu": jax.nn.relu, "leaky": lambda x: jax.nn.leaky_relu(x, 0.2)}),
        ... )
        >>> space.labels("activation"), space.is_number("width")
        (('relu', 'leaky', 'relu', 'leaky'), False)
    """
    if isinstance(values, Axis):
        raise ArgumentTypeError(f"{WHERE}: values must not be static already, got {values!r}.")
    if isinstance(values, Mapping):
        for name in values:
            if not isinstance(name, str) or not name:
                raise ArgumentTypeError(
                    f"{WHERE}: labels must be strings that are not empty, got {name!r}."
                )
        axis = Axis(listed(WHERE, "values", values.values()), tuple(values))
    else:
        axis = Axis.static(WHERE, "values", listed(WHERE, "values", values))
    axis.check_differ(WHERE, "values")
    axis.check_labels(WHERE, "values")
    return axis
