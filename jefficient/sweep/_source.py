"""Rows that stay where they are, on a disk above all: a batch of them is read when it is needed."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._core import trees
from .._core.errors import ArgumentError, ArgumentTypeError
from .._core.typing import Tree
from ._codec import digest_of

WHERE = "jf.Task"
_STORED = ("h5py", "zarr")
"""Libraries whose arrays are files, by the root of the module that their class is in."""

_SAMPLE = 256
"""Rows that a digest reads."""


@dataclasses.dataclass(frozen=True, eq=False)
class Source:
    """A tree whose leaves are read by row number.

    Attributes:
        name: what it is called in messages.
        tree: the leaves: arrays (in memory, `numpy.memmap`, of h5py or zarr), or whatever has `__len__` and
            `__getitem__` and gives a tree of arrays.
        size: rows.
        row: one row as shapes and dtypes, those that lanes see.
    """

    name: str
    tree: Tree
    size: int
    row: Tree

    @classmethod
    def of(cls, name: str, tree: Tree) -> "Source":
        """Looks at the first row and the last.

        Raises:
            ArgumentError: where there is no row, lengths differ or rows are not alike.
            ArgumentTypeError: where a row holds no numbers.
        """
        if isinstance(tree, Source):
            return tree
        readers = jax.tree_util.tree_map_with_path(lambda path, x: _reader(name_at(name, path), x), tree)
        sizes = {name_at(name, path): _length(x) for path, x in jax.tree_util.tree_leaves_with_path(readers)}
        if len(set(sizes.values())) > 1:
            raise ArgumentError(f"{WHERE}: all parts of {name} must have the same number of rows, got {sizes}.")
        if 0 in sizes.values():
            raise ArgumentError(f"{WHERE}: {name} must have at least one row, got none.")
        first = _rows_of(readers, np.array([0]))
        row = jax.tree_util.tree_map_with_path(lambda path, x: _kind(name_at(name, path), x), first)
        return cls(name, readers, next(iter(sizes.values())), row)

    def read(self, rows: np.ndarray) -> Tree:
        """These rows, in this order: NumPy arrays (len(rows), …), not shared with the source.

        Args:
            rows: row numbers, shape (n,), any order, some perhaps twice.

        Raises:
            ArgumentError: where rows are not like the first one, or whole numbers do not fit.
        """
        found = _rows_of(self.tree, rows)
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
        if x.dtype == like.dtype:
            return x
        if x.dtype.kind in "iu" and x.size and not fits(x, like.dtype):
            raise ArgumentError(f"{WHERE}: {self.name} must fit {like.dtype}, got values from {x.min()} to {x.max()}.")
        return x.astype(like.dtype)

    def batch(self, *leading: int) -> Tree:
        """Rows with these axes before their own, as shapes and dtypes."""
        return jax.tree.map(lambda x: jax.ShapeDtypeStruct((*leading, *x.shape), x.dtype), self.row)

    @property
    def arrays(self) -> Tree:
        """Its leaves that are arrays, None for the others."""
        return jax.tree.map(lambda x: None if isinstance(x, _Items) else x, self.tree)

    @property
    def row_bytes(self) -> int:
        """Of one row, as lanes see it."""
        return sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(self.row))

    def digest(self) -> str:
        """Of its length and of some rows spread over it; reading all would take as long as an epoch."""
        rows = np.unique(np.linspace(0, self.size - 1, min(self.size, _SAMPLE)).astype(np.int64))
        return digest_of({"rows": rows, "size": np.int64(self.size), "sample": self.read(rows)})

    def __reduce__(self) -> Any:
        """Files are named, not copied, to another process."""
        return _reopened, (self.name, jax.tree.map(_Named.of, self.tree), self.size, self.row)


@dataclasses.dataclass(frozen=True, eq=False)
class Part:
    """Some rows of a source, as a source has them: ``len(part)``, ``part[rows]``."""

    source: Source
    rows: np.ndarray | None

    def __len__(self) -> int:
        return self.source.size if self.rows is None else len(self.rows)

    def __getitem__(self, rows: Any) -> Tree:
        """A row by its number, or the rows of an array of numbers or a slice, as NumPy arrays."""
        chosen = np.arange(len(self))[rows]
        read = self.source.read(self.numbers(np.atleast_1d(chosen)))
        return jax.tree.map(lambda x: x[0], read) if chosen.ndim == 0 else read

    def numbers(self, rows: np.ndarray) -> np.ndarray:
        """What its rows are called in the source."""
        return rows if self.rows is None else self.rows[rows]


class Chain:
    """The rows of some sources, one after another."""

    def __init__(self, *sources: Source):
        self._sources = sources
        self._begins = np.cumsum([0, *(x.size for x in sources)])

    def __len__(self) -> int:
        return int(self._begins[-1])

    def __getitem__(self, row: Any) -> Tree:
        rows = np.atleast_1d(row)
        found = jax.tree.map(lambda x: np.empty((len(rows), *x.shape), x.dtype), self._sources[0].row)
        for source, begin in zip(self._sources, self._begins, strict=False):
            here = (rows >= begin) & (rows < begin + source.size)
            if here.any():
                jax.tree.map(lambda x, part, h=here: x.__setitem__(h, part), found, source.read(rows[here] - begin))
        return jax.tree.map(lambda x: x[0], found) if np.ndim(row) == 0 else found


def is_source(tree: Tree) -> bool:
    """Whether a leaf is to be read where it is instead of being copied into memory."""
    return isinstance(tree, Source) or any(_is_stored(x) or not _is_array(x) for x in jax.tree.leaves(tree))


def _is_stored(x: Any) -> bool:
    return isinstance(x, np.memmap) or (_library(x) in _STORED and hasattr(x, "shape"))


def _library(x: Any) -> str:
    return type(x).__module__.partition(".")[0]


def _is_array(x: Any) -> bool:
    """Whether NumPy can take `x` as an array; text has rows as well, and is refused later."""
    rows = hasattr(x, "__len__") and hasattr(x, "__getitem__")
    return _is_stored(x) or hasattr(x, "__array__") or isinstance(x, str | bytes) or not rows


def _rows_of(readers: Tree, rows: np.ndarray) -> Tree:
    return jax.tree.map(lambda x: x.read(rows) if isinstance(x, _Items) else _array_rows(x, rows), readers)


def _array_rows(x: Any, rows: np.ndarray) -> np.ndarray:
    if isinstance(x, np.ndarray):
        return np.asarray(x[rows])
    unique, places = np.unique(rows, return_inverse=True)  # files are read in order, no row twice
    chosen = x.oindex[unique] if hasattr(x, "oindex") else x[unique]
    return np.asarray(chosen)[places]


@dataclasses.dataclass(frozen=True, eq=False)
class _Items:
    """Something with `__len__` and `__getitem__`; whether that takes an array of numbers is found out once."""

    name: str
    given: Any
    takes_arrays: bool

    @classmethod
    def of(cls, name: str, given: Any) -> "_Items":
        if len(given) == 0:
            return cls(name, given, takes_arrays=True)
        try:
            one = _tree_of(given[0])
        except Exception as error:
            raise ArgumentTypeError(
                f"{WHERE}: {name} must be arrays, or give a row for its number, got {type(given).__name__}, whose "
                f"row 0 raised {type(error).__name__}: {error}"
            ) from error
        try:
            both = _tree_of(given[np.array([0, len(given) - 1])])
            shapes = jax.tree.map(lambda x, y: x.shape == (2, *y.shape), both, one)
        except Exception:  # whatever it raises: it is asked row by row instead
            return cls(name, given, takes_arrays=False)
        return cls(name, given, all(jax.tree.leaves(shapes)))

    def __len__(self) -> int:
        return len(self.given)

    def read(self, rows: np.ndarray) -> Tree:
        if self.takes_arrays:
            return _tree_of(self.given[rows])
        items = [_tree_of(self.given[int(row)]) for row in rows]
        try:
            return jax.tree.map(lambda *xs: np.stack(xs), *items)
        except ValueError as error:
            raise ArgumentError(
                f"{WHERE}: all rows of {self.name} must be alike, got unlike ones among {rows}: {error}"
            ) from error


def _tree_of(rows: Any) -> Tree:
    """With NumPy arrays as leaves, those of other libraries (torch's tensors) among them."""
    return jax.tree.map(np.asarray, rows)


def _length(reader: Any) -> int:
    return reader.shape[0] if hasattr(reader, "shape") else len(reader)


def _reader(name: str, leaf: Any) -> Any:
    """A leaf as it is read: files as they are, other arrays as NumPy's, all else by its rows."""
    if not _is_array(leaf):
        return _Items.of(name, leaf)
    array = leaf if _is_stored(leaf) else np.asarray(leaf)
    if array.ndim == 0:
        raise ArgumentError(f"{WHERE}: {name} must have a leading axis of rows, got a scalar.")
    return array


def _kind(name: str, x: np.ndarray) -> jax.ShapeDtypeStruct:
    """What lanes see of a row: jax's dtype for NumPy's."""
    if x.dtype.kind not in "biufc" and not jnp.issubdtype(x.dtype, jnp.floating):
        raise ArgumentTypeError(f"{WHERE}: {name} must hold numbers, got dtype {x.dtype}.")
    return jax.ShapeDtypeStruct(x.shape[1:], jax.dtypes.canonicalize_dtype(x.dtype))


def name_at(name: str, path: tuple) -> str:
    """What a leaf is called in messages."""
    return name + jax.tree_util.keystr(path)


def fits(host: np.ndarray, dtype: Any) -> bool:
    """Whether whole numbers survive being cast."""
    return np.iinfo(dtype).min <= host.min() and host.max() <= np.iinfo(dtype).max


@dataclasses.dataclass(frozen=True)
class _Named:
    """A leaf as another process of a machine with the same files opens it."""

    open: Callable[..., Any]
    arguments: tuple

    @classmethod
    def of(cls, leaf: Any) -> Any:
        """What names a file, or the leaf itself, which is then packed as it is."""
        if _library(leaf) == "h5py":
            return cls(_h5py, (leaf.file.filename, leaf.name))
        if isinstance(leaf, np.memmap) and leaf.filename is not None:
            return cls(_memmap, (str(leaf.filename), leaf.dtype, _offset(leaf), leaf.shape, _order(leaf)))
        return leaf


def _reopened(name: str, tree: Tree, size: int, row: Tree) -> Source:
    return Source(name, jax.tree.map(lambda x: x.open(*x.arguments) if isinstance(x, _Named) else x, tree), size, row)


def _memmap(filename: str, dtype: Any, offset: int, shape: tuple[int, ...], order: Any) -> np.memmap:
    return np.memmap(filename, dtype, "r", offset, shape, order)


def _h5py(filename: str, name: str) -> Any:
    import h5py

    return h5py.File(filename, "r")[name]


def _offset(x: np.memmap) -> int:
    """Where in its file a memmap begins, a slice of another one included (whose own `offset` is that one's)."""
    whole = x
    while isinstance(whole.base, np.memmap):
        whole = whole.base
    return whole.offset + x.__array_interface__["data"][0] - whole.__array_interface__["data"][0]


def _order(x: np.memmap) -> Any:
    if x.flags.c_contiguous:
        return "C"
    if x.flags.f_contiguous:
        return "F"
    raise ArgumentError(
        f"{WHERE}: a memmap that goes to another process must be contiguous, got strides {x.strides} for shape "
        f"{x.shape}. Take the whole file, and choose rows with folds or validation."
    )
