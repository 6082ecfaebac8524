"""Points that somebody else proposes, one row of numbers each, as configurations."""

from collections.abc import Mapping, Sequence

import numpy as np

from ._ranges import Choice, Range
from ._space import Space, numbered


def points(
    ranges: Mapping[str, Range], columns: Mapping[str, Sequence[float]]
) -> tuple[Space, np.ndarray]:
    """The configurations of proposed points: numbers within the bounds, places among the values of a choice.

    Whatever is proposed, a hyperparameter has the dtype that its range has: float32 unless all
    numbers of the range are whole. So programs fit the points of every call.

    Args:
        ranges: of each hyperparameter.
        columns: for each of them a number of every point, all of one length.

    Returns:
        The space, in which no configuration comes twice, and for each point its place there, int
        array (points,).
    """
    axes = {name: each.axis(np.asarray(columns[name])) for name, each in ranges.items()}
    return numbered(axes, frozenset(name for name, each in ranges.items() if _is_float(each)))


def static_combinations(ranges: Mapping[str, Range]) -> int:
    """How many programs points of these ranges may need."""
    choices = [
        each for name, each in ranges.items() if isinstance(each, Choice) and _is_static(name, each)
    ]
    return int(np.prod([len(tuple(each.values)) for each in choices], dtype=int))


def _is_static(name: str, choice: Choice) -> bool:
    return choice.labels is not None or name == "batch_size"


def _is_float(given: Range) -> bool:
    if isinstance(given, Choice):
        return given.labels is None and not all(isinstance(x, int) for x in given.values)
    return not given.integer
