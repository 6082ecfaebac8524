"""The leaves of sources: how their rows are read, and how they get to another process."""

import dataclasses
import math
import os
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..._core.errors import ArgumentError, ArgumentTypeError
from ..._core.typing import Tree

WHERE = "jf.Task"

_STORED = ("h5py", "zarr")
"""Libraries whose arrays are files, by the root of the module that their class is in."""

_KINDS = (np.bool_, np.integer, np.floating, np.complexfloating)

_GAP_BYTES = 2**16
"""What is read for nothing between two rows sooner than asking twice."""

_SPAN_BYTES = 4 * 2**20
"""What is asked for at once, at most."""


def is_stored(x: Any) -> bool:
    return isinstance(x, np.memmap) or (_library(x) in _STORED and hasattr(x, "shape"))


def _library(x: Any) -> str:
    return type(x).__module__.partition(".")[0]


def is_array(x: Any) -> bool:
    """Whether NumPy can take `x` as an array; text has rows as well, and is refused later."""
    rows = hasattr(x, "__len__") and hasattr(x, "__getitem__")
    return is_stored(x) or hasattr(x, "__array__") or isinstance(x, str | bytes) or not rows


def rows_of(readers: Tree, rows: np.ndarray) -> Tree:
    return jax.tree.map(
        lambda x: x.read(rows) if isinstance(x, ItemReader) else _array_rows(x, rows), readers
    )


def _array_rows(x: Any, rows: np.ndarray) -> np.ndarray:
    if isinstance(x, np.ndarray):
        return np.asarray(x[rows])
    unique, places = np.unique(rows, return_inverse=True)  # files are read in order, no row twice
    chosen = np.asarray(x.oindex[unique]) if hasattr(x, "oindex") else _by_spans(x, unique)
    return chosen[places]


def _by_spans(x: Any, rows: np.ndarray) -> np.ndarray:
    """Rising rows of an array that is quick with slices: those near each other are read with what lies between them."""
    found = np.empty((len(rows), *x.shape[1:]), x.dtype)
    row_bytes = max(1, found.itemsize * math.prod(x.shape[1:]))
    near, most = max(1, _GAP_BYTES // row_bytes), max(1, _SPAN_BYTES // row_bytes)
    is_cut = (np.diff(rows) > near) | (np.diff(rows // most) > 0)
    at = 0
    for span in np.split(rows, np.flatnonzero(is_cut) + 1):
        found[at : at + len(span)] = x[int(span[0]) : int(span[-1]) + 1][span - span[0]]
        at += len(span)
    return found


@dataclasses.dataclass(frozen=True, eq=False)
class ItemReader:
    """Something with `__len__` and `__getitem__`; whether that takes an array of numbers is found out once."""

    name: str
    given: Any
    takes_arrays: bool

    @classmethod
    def of(cls, name: str, given: Any) -> "ItemReader":
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
            return jax.tree.map(
                np.copy, _tree_of(self.given[rows])
            )  # the next call may fill the same buffer
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


def length_of(reader: Any) -> int:
    return reader.shape[0] if hasattr(reader, "shape") else len(reader)


def reader_of(name: str, leaf: Any) -> Any:
    """A leaf as it is read: files as they are, other arrays as NumPy's, all else by its rows."""
    if not is_array(leaf):
        return ItemReader.of(name, leaf)
    array = leaf if is_stored(leaf) else np.asarray(leaf)
    if array.ndim == 0:
        raise ArgumentError(f"{WHERE}: {name} must have a leading axis of rows, got a scalar.")
    return array


def kind_of_row(name: str, x: np.ndarray) -> jax.ShapeDtypeStruct:
    """What lanes see of a row: jax's dtype for NumPy's."""
    if x.dtype.kind not in "biufc" and not jnp.issubdtype(x.dtype, jnp.floating):
        raise ArgumentTypeError(f"{WHERE}: {name} must hold numbers, got dtype {x.dtype}.")
    return jax.ShapeDtypeStruct(x.shape[1:], native(x.dtype))


def as_dtype(name: str, x: np.ndarray, dtype: Any) -> np.ndarray:
    """Rows in the dtype of the first one, or of jax's for it, to rounding.

    Raises:
        ArgumentError: where whole numbers do not fit.
        ArgumentTypeError: where it is of a kind that holds less: fractions among whole numbers.
    """
    if x.dtype == dtype:
        return x
    if _kind(x.dtype) > _kind(dtype):
        raise ArgumentTypeError(
            f"{WHERE}: rows of {name} must be {dtype}, as the first one is, got {x.dtype}."
        )
    if jnp.issubdtype(dtype, np.integer) and x.size and not (x.dtype.kind == "b" or fits(x, dtype)):
        raise ArgumentError(
            f"{WHERE}: {name} must fit {dtype}, got values from {x.min()} to {x.max()}."
        )
    return x.astype(dtype)


def _kind(dtype: Any) -> int:
    """Bools, whole numbers, fractions, complex numbers: each holds those before it."""
    return next(i for i, kind in enumerate(_KINDS) if jnp.issubdtype(dtype, kind))


def native(dtype: np.dtype) -> np.dtype:
    """jax's dtype for NumPy's, in this machine's order of bytes."""
    return jax.dtypes.canonicalize_dtype(dtype.newbyteorder("="))


def name_at(name: str, path: tuple) -> str:
    """What a leaf is called in messages."""
    return name + jax.tree_util.keystr(path)


def fits(host: np.ndarray, dtype: Any) -> bool:
    """Whether whole numbers survive being cast."""
    return np.iinfo(dtype).min <= host.min() and host.max() <= np.iinfo(dtype).max


@dataclasses.dataclass(frozen=True)
class FileReference:
    """A leaf as another process of a machine with the same files opens it."""

    open: Callable[..., Any]
    arguments: tuple

    @classmethod
    def of(cls, leaf: Any) -> Any:
        """What names a file, or the leaf itself, which is then packed as it is."""
        if _library(leaf) == "h5py":
            return cls(_h5py, (os.path.abspath(leaf.file.filename), leaf.name))
        if isinstance(leaf, np.memmap) and leaf.filename is not None:
            return cls(
                _memmap, (str(leaf.filename), leaf.dtype, _offset(leaf), leaf.shape, _order(leaf))
            )
        return leaf


def _memmap(
    filename: str, dtype: Any, offset: int, shape: tuple[int, ...], order: Any
) -> np.memmap:
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
