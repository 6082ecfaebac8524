"""Tails of Student's t and of the normal distribution.

They are `sf` and `isf` of `scipy.stats`, whose import takes as long as that of jax; `scipy.special`
has what they are made of.
"""

import numpy as np
from numpy.typing import ArrayLike
from scipy import special


def t_sf(x: ArrayLike, degrees: ArrayLike) -> np.ndarray:
    """Return the probability that Student's t is larger than x; `degrees` may be inf."""
    return special.stdtr(degrees, -np.asarray(x))


def t_isf(p: ArrayLike, degrees: ArrayLike) -> np.ndarray:
    """Return what Student's t is larger than with probability p; `degrees` may be inf."""
    return -special.stdtrit(degrees, p)


def normal_isf(p: ArrayLike) -> np.ndarray:
    """Return what a standard normal number is larger than with probability p."""
    return -special.ndtri(p)
