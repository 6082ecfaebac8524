"""Some examples of a source, and several sources as one."""

import dataclasses

import jax
import numpy as np
from numpy.typing import ArrayLike

from ..._core.errors import ArgumentTypeError
from ..._core.typing import Examples
from ._readers import WHERE
from ._source import Source


@dataclasses.dataclass(frozen=True, eq=False)
class Split:
    """Examples of a source, such as those of a fold; `prepare`'s fit sees one.

    Attributes:
        source: where they are read.
        indices: which they are, int array (n,); None for all.
    """

    source: Source
    indices: np.ndarray | None

    def __len__(self) -> int:
        return self.source.size if self.indices is None else len(self.indices)

    def __getitem__(self, chosen: slice | ArrayLike) -> Examples:
        """Read one example by its index, or those of an array of indices or a slice, as NumPy."""
        size = len(self)
        if isinstance(chosen, slice):
            chosen = np.arange(*chosen.indices(size))
        indices = np.asarray(chosen)
        if indices.dtype.kind not in "iu":
            raise ArgumentTypeError(
                f"{WHERE}: the index of a view must be whole numbers or a slice, got {chosen!r}."
            )
        if not indices.size:
            return jax.tree.map(lambda x: np.empty(x.shape, x.dtype), self.source.batch(0))
        if not -size <= indices.min() <= indices.max() < size:
            raise IndexError(
                f"{WHERE}: the index of a view must be among its {size} examples, got {chosen!r}."
            )
        read = self.read(np.atleast_1d(indices % size))
        return jax.tree.map(lambda x: x[0], read) if indices.ndim == 0 else read

    def read(self, indices: np.ndarray) -> Examples:
        """Read examples by their indices within the split, shape (n,), 0 or more."""
        return self.source.read(indices if self.indices is None else self.indices[indices])


class Concatenated:
    """The examples of several sources, one after another; itself what a source can be made of."""

    def __init__(self, *sources: Source):
        self._sources = sources
        self._begins = np.cumsum([0, *(x.size for x in sources)])

    def __len__(self) -> int:
        return int(self._begins[-1])

    def __getitem__(self, index: ArrayLike) -> Examples:
        indices = np.atleast_1d(index)
        found = jax.tree.map(
            lambda x: np.empty((len(indices), *x.shape), x.dtype), self._sources[0].example
        )

        for source, begin in zip(self._sources, self._begins, strict=False):
            is_here = (indices >= begin) & (indices < begin + source.size)
            if not is_here.any():
                continue
            read = source.read(indices[is_here] - begin)
            for x, part in zip(jax.tree.leaves(found), jax.tree.leaves(read), strict=True):
                x[is_here] = part

        return jax.tree.map(lambda x: x[0], found) if np.ndim(index) == 0 else found
