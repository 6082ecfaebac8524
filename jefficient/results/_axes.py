"""Scales of axes, and names and numbers as they are shown on them."""

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from .._core.text import displayed

Scale = Literal["linear", "log", "symlog"]


def scale_of(values: ArrayLike) -> Scale:
    """Choose the scale on which the values of a hyperparameter are evenly spread.

    Args:
        values: array-like of numbers, in any order, repeated or not.

    Returns:
        ``log`` for three or more positive values, over a decade or more, that are more evenly
        spread in their logarithms; ``symlog`` for the same with zeros among them, or for zeros and
        two values a decade apart; otherwise ``linear``.
    """
    given = np.unique(np.asarray(values, float))
    given = given[np.isfinite(given)]
    positive = given[given > 0]
    if len(given) < 3 or given[0] < 0 or positive[-1] < 10 * positive[0]:
        return "linear"
    if len(positive) == 2:  # 0, 1e-3, 1e-2
        return "symlog"
    if not is_geometric(positive):
        return "linear"
    return "log" if len(positive) == len(given) else "symlog"


def is_geometric(values: ArrayLike) -> bool:
    """Return whether numbers are positive, and more evenly spread in their logarithms."""
    given = np.unique(np.asarray(values, float))
    if len(given) < 3 or given[0] <= 0:
        return False
    return _unevenness(np.log(given)) < _unevenness(given)


def _unevenness(values: np.ndarray) -> float:
    gaps = np.diff(values)
    return float(np.std(gaps) / np.mean(gaps))


def smallest_positive(values: ArrayLike) -> float:
    """Return the value below which a symlog axis is linear."""
    given = np.asarray(values, float)
    return float(given[given > 0].min())


def measured_scale(values: ArrayLike) -> Scale:
    """Choose ``log`` if what was measured is positive and spans more than a decade."""
    given = np.asarray(values, float)
    given = given[np.isfinite(given)]
    return "log" if given.size and given.min() > 0 and given.max() > 10 * given.min() else "linear"


def labelled(name: str) -> str:
    """Write a variable's name in words: ``valid_loss`` is "validation loss"."""
    for prefix, word in (("valid_", "validation_"), ("train_", "training_")):
        if name.startswith(prefix):
            name = word + name.removeprefix(prefix)
    return displayed(name.replace("_", " "))


def shown(value: object) -> str:
    """Write a float in three digits; anything else as its text."""
    return f"{value:.3g}" if isinstance(value, float) else displayed(str(value))


def sentence(text: str) -> str:
    """Add a capital and a full stop."""
    return text[:1].upper() + text[1:] + "."


def counted(count: int, noun: str) -> str:
    """Write a number of things: "1 seed", "3 seeds"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
