"""Configurations from points that a search proposes, one number or array for each range."""

from collections.abc import Mapping, Sequence

import numpy as np

from ._arrays import is_whole
from ._ranges import Choice, Range
from ._space import Space, deduplicated


def from_points(
    ranges: Mapping[str, Range], columns: Mapping[str, Sequence[float] | np.ndarray]
) -> tuple[Space, np.ndarray]:
    """Return the configurations of proposed points.

    A hyperparameter always has the dtype of its range: float32 unless all numbers of the range are
    whole. So the same program fits the points of every call.

    Args:
        ranges: the range of each hyperparameter.
        columns: for each hyperparameter one number per point, or an array of the range's shape:
            numbers within the bounds, or the index of a choice's value.

    Returns:
        The space, in which all configurations differ, and for each point the index of its
        configuration, int array (points,).
    """
    axes = {name: each.axis(np.asarray(columns[name])) for name, each in ranges.items()}
    return deduplicated(axes, frozenset(name for name, each in ranges.items() if _is_float(each)))


def static_combinations(ranges: Mapping[str, Range]) -> int:
    """Return how many programs the points of these ranges need at most."""
    counts = [
        len(tuple(each.values))
        for name, each in ranges.items()
        if isinstance(each, Choice) and (each.labels is not None or name == "batch_size")
    ]
    return int(np.prod(counts, dtype=int))


def _is_float(given: Range) -> bool:
    if isinstance(given, Choice):
        return given.labels is None and not all(map(is_whole, given.values))
    return not given.integer
