"""The leaves of sources: how their examples are read, and how they get to another process."""

import dataclasses
import math
import os
from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from ..._core.errors import ArgumentError, ArgumentTypeError
from ..._core.typing import Examples, Tree

WHERE = "jf.Task"

_STORED = ("h5py", "zarr")
"""Libraries whose arrays are files, by the root of the module that their class is in."""

_KINDS = (np.bool_, np.integer, np.floating, np.complexfloating)

_GAP_BYTES = 2**16
"""The largest gap between two examples that is read through instead of reading twice."""

_SPAN_BYTES = 4 * 2**20
"""Bytes read by one slice at most."""


def is_stored(x: object) -> bool:
    """Return whether `x` is an array in a file."""
    return isinstance(x, np.memmap) or (_library(x) in _STORED and hasattr(x, "shape"))


def _library(x: object) -> str:
    return type(x).__module__.partition(".")[0]


def is_array(x: object) -> bool:
    """Return whether NumPy can take `x` as an array; text counts too, and is refused later."""
    is_sequence = hasattr(x, "__len__") and hasattr(x, "__getitem__")
    return is_stored(x) or hasattr(x, "__array__") or isinstance(x, str | bytes) or not is_sequence


def read_examples(readers: Tree, indices: np.ndarray) -> Examples:
    """Read the same examples of every leaf."""
    return jax.tree.map(
        lambda x: x.read(indices) if isinstance(x, ItemReader) else _read_array(x, indices), readers
    )


def _read_array(x: Any, indices: np.ndarray) -> np.ndarray:
    if isinstance(x, np.ndarray):
        return np.asarray(x[indices])
    # Files are read in rising order, and no example twice.
    unique, places = np.unique(indices, return_inverse=True)
    chosen = np.asarray(x.oindex[unique]) if hasattr(x, "oindex") else _by_spans(x, unique)
    return chosen[places]


def _by_spans(x: Any, indices: np.ndarray) -> np.ndarray:
    """Read rising indices of an array that is fast with slices: neighbours with one slice."""
    found = np.empty((len(indices), *x.shape[1:]), x.dtype)
    example_bytes = max(1, found.itemsize * math.prod(x.shape[1:]))
    gap = max(1, _GAP_BYTES // example_bytes)
    most = max(1, _SPAN_BYTES // example_bytes)
    is_end = (np.diff(indices) > gap) | (np.diff(indices // most) > 0)

    at = 0
    for span in np.split(indices, np.flatnonzero(is_end) + 1):
        found[at : at + len(span)] = x[int(span[0]) : int(span[-1]) + 1][span - span[0]]
        at += len(span)
    return found


@dataclasses.dataclass(frozen=True, eq=False)
class ItemReader:
    """Anything with `__len__` and `__getitem__`; one try tells whether that takes index arrays."""

    name: str
    given: Any
    takes_arrays: bool

    @classmethod
    def of(cls, name: str, given: Any) -> "ItemReader":
        """Read the first example, and try to read two at once."""
        if len(given) == 0:
            return cls(name, given, takes_arrays=True)
        try:
            one = _tree_of(given[0])
        except Exception as error:
            raise ArgumentTypeError(
                f"{WHERE}: {name} must be arrays, or return an example for its index, got "
                f"{type(given).__name__}, whose example 0 raised {type(error).__name__}: {error}"
            ) from error
        try:
            both = _tree_of(given[np.array([0, len(given) - 1])])
            shapes = jax.tree.map(lambda x, y: x.shape == (2, *y.shape), both, one)
        except Exception:  # whatever it raises: examples are read one by one
            return cls(name, given, takes_arrays=False)
        return cls(name, given, all(jax.tree.leaves(shapes)))

    def __len__(self) -> int:
        return len(self.given)

    def read(self, indices: np.ndarray) -> Examples:
        """Read examples; copies, since the next call may fill the same buffer."""
        if self.takes_arrays:
            return jax.tree.map(np.copy, _tree_of(self.given[indices]))
        items = [_tree_of(self.given[int(index)]) for index in indices]
        try:
            return jax.tree.map(lambda *xs: np.stack(xs), *items)
        except ValueError as error:
            raise ArgumentError(
                f"{WHERE}: all examples of {self.name} must be alike, got unlike ones among "
                f"{indices}: {error}"
            ) from error


def _tree_of(examples: Examples) -> Examples:
    """Convert the leaves, torch's tensors among them, to NumPy arrays."""
    return jax.tree.map(_unmasked, examples)


def _unmasked(leaf: Any) -> np.ndarray:
    """Convert a leaf; netCDF4 returns masked arrays where nothing is masked, too."""
    if np.ma.is_masked(leaf):
        raise ArgumentTypeError(
            f"{WHERE}: examples must have no masked values, got "
            f"{np.ma.count_masked(leaf)} of {leaf.size} masked. Let the source return "
            f"x.filled(value)."
        )
    return np.asarray(leaf)


def length_of(reader: Any) -> int:
    """Return the number of examples of a leaf."""
    return reader.shape[0] if hasattr(reader, "shape") else len(reader)


def reader_of(name: str, leaf: Any) -> Any:
    """Return what reads a leaf: a file itself, a NumPy array of another array, else its items."""
    if not is_array(leaf):
        return ItemReader.of(name, leaf)
    array = leaf if is_stored(leaf) else np.asarray(leaf)
    if array.ndim == 0:
        raise ArgumentError(f"{WHERE}: {name} must have a leading axis of examples, got a scalar.")
    return array


def spec_of_example(name: str, x: np.ndarray) -> jax.ShapeDtypeStruct:
    """Return shape and dtype of one of the examples `x` as lanes see it."""
    if x.dtype.kind not in "biufc" and not jnp.issubdtype(x.dtype, jnp.floating):
        raise ArgumentTypeError(f"{WHERE}: {name} must hold numbers, got dtype {x.dtype}.")
    return jax.ShapeDtypeStruct(x.shape[1:], native(x.dtype))


def as_dtype(name: str, x: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Cast examples to the dtype of the first one, with rounding.

    Raises:
        ArgumentError: where whole numbers do not fit.
        ArgumentTypeError: where `dtype` holds less: fractions among whole numbers.
    """
    if x.dtype == dtype:
        return x
    if _kind(x.dtype) > _kind(dtype):
        raise ArgumentTypeError(
            f"{WHERE}: examples of {name} must be {dtype}, as the first one is, got {x.dtype}."
        )
    if jnp.issubdtype(dtype, np.integer) and x.size and not (x.dtype.kind == "b" or fits(x, dtype)):
        raise ArgumentError(
            f"{WHERE}: {name} must fit {dtype}, got values from {x.min()} to {x.max()}."
        )
    return x.astype(dtype)


def _kind(dtype: np.dtype) -> int:
    """Rank bools, whole numbers, fractions, complex numbers: each holds those before it."""
    return next(i for i, kind in enumerate(_KINDS) if jnp.issubdtype(dtype, kind))


def native(dtype: np.dtype) -> np.dtype:
    """Return jax's dtype for NumPy's, in this machine's byte order."""
    return jax.dtypes.canonicalize_dtype(dtype.newbyteorder("="))


def name_at(name: str, path: tuple[Any, ...]) -> str:
    """Return what messages call a leaf."""
    return name + jax.tree_util.keystr(path)


def fits(host: np.ndarray, dtype: np.dtype) -> bool:
    """Return whether whole numbers survive the cast."""
    return np.iinfo(dtype).min <= host.min() and host.max() <= np.iinfo(dtype).max


@dataclasses.dataclass(frozen=True)
class FileReference:
    """How another process that sees the same files opens a leaf."""

    open: Callable[..., Any]
    arguments: tuple[Any, ...]

    @classmethod
    def of(cls, leaf: Any) -> object:
        """Return the reference to a file, or the leaf itself, which is then pickled as it is."""
        if _library(leaf) == "h5py":
            return cls(_h5py, (os.path.abspath(leaf.file.filename), leaf.name))
        if isinstance(leaf, np.memmap) and leaf.filename is not None:
            layout = leaf.dtype, _offset(leaf), leaf.shape, _order(leaf)
            return cls(_memmap, (str(leaf.filename), *layout))
        return leaf


def _memmap(
    filename: str, dtype: np.dtype, offset: int, shape: tuple[int, ...], order: Literal["C", "F"]
) -> np.memmap:
    return np.memmap(filename, dtype, "r", offset, shape, order)


def _h5py(filename: str, name: str) -> Any:
    import h5py

    return h5py.File(filename, "r")[name]


def _offset(x: np.memmap) -> int:
    """Return where in its file a memmap begins; a slice inherits the `offset` of the whole."""
    whole = x
    while isinstance(whole.base, np.memmap):
        whole = whole.base
    return whole.offset + x.__array_interface__["data"][0] - whole.__array_interface__["data"][0]


def _order(x: np.memmap) -> Literal["C", "F"]:
    if x.flags.c_contiguous:
        return "C"
    if x.flags.f_contiguous:
        return "F"
    raise ArgumentError(
        f"{WHERE}: a memmap that goes to another process must be contiguous, got strides "
        f"{x.strides} for shape {x.shape}. Take the whole file, and choose examples with folds or "
        f"validation."
    )
