"""How the values of an axis are spread."""

from typing import Any, Literal

import numpy as np

Scale = Literal["linear", "log", "symlog"]


def scale_of(values: Any) -> Scale:
    """The scale on which the values are evenly spread.

    Args:
        values: numbers, any shape; repeated ones count once.

    Returns:
        "log" for three or more positive values over more than a decade, more evenly spread in their logarithms;
        "symlog" for the same with zeros among them; "linear" otherwise.
    """
    values = np.unique(np.asarray(values, float))
    positive = values[values > 0]
    if (values < 0).any() or len(positive) < 3 or positive[-1] < 10 * positive[0]:
        return "linear"
    if _unevenness(np.log(positive)) >= _unevenness(positive):
        return "linear"
    return "log" if len(positive) == len(values) else "symlog"


def _unevenness(values: np.ndarray) -> float:
    gaps = np.diff(values)
    return float(np.std(gaps) / np.mean(gaps))
