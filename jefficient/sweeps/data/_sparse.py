"""Sparse matrices, whose examples are made dense when they are read."""

import sys
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..._core.errors import ArgumentTypeError
from ._readers import WHERE


class DenseRows:
    """The rows of a matrix of SciPy, itself what a source can be made of."""

    def __init__(self, matrix: Any):
        self._matrix = matrix.tocsr()

    def __len__(self) -> int:
        return self._matrix.shape[0]

    def __getitem__(self, index: ArrayLike) -> np.ndarray:
        """Return one row for one index, as for a NumPy array."""
        rows = self._matrix[np.atleast_1d(index)].toarray()
        return rows if np.ndim(index) else rows[0]


def is_sparse(x: object) -> bool:
    """Return whether `x` is a sparse array or matrix of SciPy."""
    sparse = sys.modules.get("scipy.sparse")
    return sparse is not None and sparse.issparse(x)


def rows_of(name: str, matrix: Any) -> DenseRows:
    """Return what reads the examples of a sparse matrix, one in each row."""
    if matrix.ndim != 2:
        raise ArgumentTypeError(
            f"{WHERE}: {name} must have an example in each row if it is sparse, got shape "
            f"{matrix.shape}. Give {name}.toarray()."
        )
    return DenseRows(matrix)
