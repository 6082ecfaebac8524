"""A share of the training examples. Shares are nested: a larger one contains a smaller one."""

import math

import jax
import numpy as np

from ._keys import EXAMPLES, SPLIT, permutation


def share_of(
    indices: np.ndarray, share: float, labels: np.ndarray | None, key: jax.Array
) -> np.ndarray:
    """Return a share of some examples, rounded up, in rising order.

    Where labels are whole numbers, classes have their share of it: of n examples of a class the
    j-th in random order stands at (j + ½) / n, and what stands first is taken.

    Args:
        indices: the examples, int array (n,), n >= 1.
        share: above 0, at most 1.
        labels: of all examples, those of `indices` among them; or None.
        key: that of the sweep.
    """
    order = indices[permutation(key, len(indices), SPLIT, EXAMPLES)]
    if labels is not None and labels.ndim == 1 and labels.dtype.kind in "iub":
        order = order[np.argsort(_places(labels[order]), kind="stable")]
    count = math.ceil(share * len(order) * (1 - 1e-12))
    return np.sort(order[:count])


def _places(labels: np.ndarray) -> np.ndarray:
    """Return (j + ½) / n for each, the j-th of its class of n."""
    _, classes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    by_class = np.argsort(classes, kind="stable")
    begins = np.repeat(np.cumsum(counts) - counts, counts)
    places = np.empty(len(labels))
    places[by_class] = (np.arange(len(labels)) - begins + 0.5) / np.repeat(counts, counts)
    return places
