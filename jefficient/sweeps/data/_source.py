"""Rows that stay where they are, on a disk above all: a batch of them is read when it is needed."""

import dataclasses
from typing import Any

import jax
import numpy as np

from ..._core import trees
from ..._core.errors import ArgumentError, ArgumentTypeError
from ..._core.serialization import digest_of
from ..._core.typing import Tree
from ._readers import (
    WHERE,
    FileReference,
    ItemReader,
    as_dtype,
    is_array,
    is_stored,
    kind_of_row,
    length_of,
    name_at,
    reader_of,
    rows_of,
)

_MOST = 2**31 - 1
"""Rows: their numbers are int32."""

_SAMPLE = 256
"""Rows that a digest reads."""


@dataclasses.dataclass(frozen=True, eq=False)
class Source:
    """A tree whose leaves are read by row number.

    Attributes:
        name: what it is called in messages.
        tree: the leaves: arrays (in memory, `numpy.memmap`, of h5py or zarr), or whatever has
            `__len__` and `__getitem__` and gives a tree of arrays.
        size: rows.
        row: one row as shapes and dtypes, those that lanes see.
    """

    name: str
    tree: Tree
    size: int
    row: Tree

    @classmethod
    def of(cls, name: str, tree: Tree) -> "Source":
        """Evaluates the first row and the last.

        Raises:
            ArgumentError: where there is no row or 2³¹, lengths differ or rows are not alike.
            ArgumentTypeError: where a row holds no numbers.
        """
        if isinstance(tree, Source):
            return tree
        readers = jax.tree_util.tree_map_with_path(
            lambda path, x: reader_of(name_at(name, path), x), tree
        )
        sizes = {
            name_at(name, path): length_of(x)
            for path, x in jax.tree_util.tree_leaves_with_path(readers)
        }
        if len(set(sizes.values())) > 1:
            raise ArgumentError(
                f"{WHERE}: all parts of {name} must have the same number of rows, got {sizes}."
            )
        if 0 in sizes.values():
            raise ArgumentError(f"{WHERE}: {name} must have at least one row, got none.")
        if max(sizes.values()) > _MOST:
            raise ArgumentError(
                f"{WHERE}: {name} must have fewer than 2**31 rows, got {max(sizes.values()):,}."
            )
        first = rows_of(readers, np.array([0]))
        row = jax.tree_util.tree_map_with_path(
            lambda path, x: kind_of_row(name_at(name, path), x), first
        )
        return cls(name, readers, next(iter(sizes.values())), row)

    def read(self, rows: np.ndarray) -> Tree:
        """These rows, in this order: NumPy arrays (len(rows), …), not shared with the source.

        Args:
            rows: row numbers, shape (n,), any order, some perhaps twice.

        Raises:
            ArgumentError: where rows are not like the first one, or whole numbers do not fit.
            ArgumentTypeError: where their numbers are of a kind that the first one's does not hold.
        """
        try:
            found = rows_of(self.tree, rows)
        except Exception as error:
            error.add_note(
                f"{WHERE}: raised while {len(rows)} rows of {self.name} were read, {rows}."
            )
            raise
        if jax.tree.structure(found) != jax.tree.structure(self.row):
            raise ArgumentError(
                f"{WHERE}: all rows of {self.name} must be alike, got {trees.shown(found)} for the rows {rows}, "
                f"{trees.shown(self.row)} for the first one."
            )
        return jax.tree.map(lambda x, like: self._checked(x, like, rows), found, self.row)

    def _checked(self, x: np.ndarray, like: jax.ShapeDtypeStruct, rows: np.ndarray) -> np.ndarray:
        if x.shape != (len(rows), *like.shape):
            raise ArgumentError(
                f"{WHERE}: every row of {self.name} must have shape {like.shape}, as the first one, got arrays of "
                f"shape {x.shape} for {len(rows)} rows."
            )
        return as_dtype(self.name, x, like.dtype)

    def batch(self, *leading: int) -> Tree:
        """Rows with these axes before their own, as shapes and dtypes."""
        return jax.tree.map(lambda x: jax.ShapeDtypeStruct((*leading, *x.shape), x.dtype), self.row)

    @property
    def arrays(self) -> Tree:
        """Its leaves that have a number for each row, as labels are, None for the others."""
        return jax.tree.map(
            lambda x: None if isinstance(x, ItemReader) or len(x.shape) > 1 else x, self.tree
        )

    @property
    def row_bytes(self) -> int:
        """Of one row, as lanes see it."""
        return max(1, sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(self.row)))

    def digest(self) -> str:
        """Of its length and of some rows spread over it; reading all would take as long as an epoch."""
        rows = np.unique(np.linspace(0, self.size - 1, min(self.size, _SAMPLE)).astype(np.int64))
        return digest_of({"rows": rows, "size": np.int64(self.size), "sample": self.read(rows)})

    def __reduce__(self) -> Any:
        """Files are named, not copied, to another process."""
        return _reopened, (
            self.name,
            jax.tree.map(FileReference.of, self.tree),
            self.size,
            self.row,
        )


@dataclasses.dataclass(frozen=True, eq=False)
class Split:
    """Some rows of a source, as a source has them: ``len(part)``, ``part[rows]``."""

    source: Source
    rows: np.ndarray | None

    def __len__(self) -> int:
        return self.source.size if self.rows is None else len(self.rows)

    def __getitem__(self, rows: Any) -> Tree:
        """A row by its number, or the rows of an array of numbers or a slice, as NumPy arrays."""
        size = len(self)
        chosen = np.arange(*rows.indices(size)) if isinstance(rows, slice) else np.asarray(rows)
        if chosen.dtype.kind not in "iu":
            raise ArgumentTypeError(
                f"{WHERE}: rows of a view must be whole numbers or a slice, got {rows!r}."
            )
        if chosen.size and not -size <= chosen.min() <= chosen.max() < size:
            raise IndexError(f"{WHERE}: rows of a view must be among its {size}, got {rows!r}.")
        if not chosen.size:
            return jax.tree.map(lambda x: np.empty(x.shape, x.dtype), self.source.batch(0))
        read = self.source.read(self.numbers(np.atleast_1d(chosen % size)))
        return jax.tree.map(lambda x: x[0], read) if chosen.ndim == 0 else read

    def numbers(self, rows: np.ndarray) -> np.ndarray:
        """What its rows are called in the source."""
        return rows if self.rows is None else self.rows[rows]


class Concatenated:
    """The rows of some sources, one after another."""

    def __init__(self, *sources: Source):
        self._sources = sources
        self._begins = np.cumsum([0, *(x.size for x in sources)])

    def __len__(self) -> int:
        return int(self._begins[-1])

    def __getitem__(self, row: Any) -> Tree:
        rows = np.atleast_1d(row)
        found = jax.tree.map(
            lambda x: np.empty((len(rows), *x.shape), x.dtype), self._sources[0].row
        )
        for source, begin in zip(self._sources, self._begins, strict=False):
            here = (rows >= begin) & (rows < begin + source.size)
            if here.any():
                jax.tree.map(
                    lambda x, split, h=here: x.__setitem__(h, split),
                    found,
                    source.read(rows[here] - begin),
                )
        return jax.tree.map(lambda x: x[0], found) if np.ndim(row) == 0 else found


def is_source(tree: Tree) -> bool:
    """Whether a leaf is to be read where it is instead of being copied into memory."""
    return isinstance(tree, Source) or any(
        is_stored(x) or not is_array(x) for x in jax.tree.leaves(tree)
    )


def _reopened(name: str, tree: Tree, size: int, row: Tree) -> Source:
    return Source(
        name,
        jax.tree.map(lambda x: x.open(*x.arguments) if isinstance(x, FileReference) else x, tree),
        size,
        row,
    )
