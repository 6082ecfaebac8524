"""Values that are compiled into the program, and their labels."""

from collections.abc import Iterable, Mapping
from typing import Any

from .._core.errors import ArgumentTypeError
from ._axis import Axis, listed

WHERE = "jf.static"


def static(values: Iterable[Any] | Mapping[str, Any]) -> Axis:
    """Mark an axis static: each value has its own program, and functions get the Python object.

    Use it for numbers that shape the program, such as widths and depths, and for functions that
    need labels. Values that are not numbers are static anyway, labelled by their text (``None``,
    ``"relu"``) or their ``__name__``.

    Args:
        values: a list of different values, or a dict from label to value. Labels are shown in
            tables and files, and stand in the hash of a configuration for functions and other
            objects (not for numbers, bools, None and strings). So a label must mean the same thing
            in every run. A value whose text differs between processes, such as a lambda, a partial
            or an array, needs a label.

    Returns:
        An axis for `jf.grid`; `jf.sobol` and `jf.random` choose from it, as from
        ``jf.Choice(jf.static(…))``.

    Raises:
        ArgumentError: if there is no value, if a value or a label is given twice, or if a value
            needs a label.
        ArgumentTypeError: if `values` is not a list or dict, or if a label is not a string.

    Examples:
        >>> import jax
        >>> import jefficient as jf
        >>> leaky = lambda x: jax.nn.leaky_relu(x, 0.2)
        >>> space = jf.grid(
        ...     width=jf.static([32, 256]),
        ...     activation=jf.static({"relu": jax.nn.relu, "leaky": leaky}),
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
    axis.check_distinct(WHERE, "values")
    axis.check_labels(WHERE, "values")
    return axis
