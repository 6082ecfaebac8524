"""Data as people keep them: tables, texts and sparse matrices enter, NumPy arrays leave."""

import sys
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from ..._core.errors import ArgumentError, ArgumentTypeError
from ..._core.typing import Examples
from ._categories import Categories, check_codes, classes_of_texts, codes_of
from ._readers import WHERE, is_array, is_stored, name_at
from ._sparse import is_sparse, rows_of

_OTHER_TABLES = ("polars", "pyarrow")
"""Libraries whose tables pandas can take over."""


class Plain(NamedTuple):
    """A tree whose leaves are arrays or are read by index.

    `tree`: the leaves; `categories`: of the leaves that held the names of classes, which are codes
    now.
    """

    tree: Examples
    categories: Categories


def plain(name: str, tree: Examples, known: Mapping[str, tuple]) -> Plain:
    """Make arrays of tables, of texts that name classes and of sparse matrices.

    A pandas frame becomes a dict of its columns. Other leaves, arrays in files among them, pass.

    Args:
        name: what messages call the tree.
        tree: the examples.
        known: names of the classes of some leaves, by place; theirs must be among these.

    Raises:
        ArgumentError: where a value is missing or a class is unknown.
        ArgumentTypeError: where a leaf holds dates, texts that name no classes, or hides values.
    """
    tree = jax.tree.map(lambda x: _by_column(name, x), tree, is_leaf=_is_leaf)
    categories: Categories = {}

    def array(path: tuple, leaf: object) -> object:
        place = jax.tree_util.keystr(path, simple=True, separator=".")
        called = name_at(name, path)
        names = _names_of_classes(called, leaf, is_known=place in known)
        if names is None:
            leaf = _plain_leaf(called, leaf)
            if place in known and is_array(leaf) and not is_stored(leaf):
                check_codes(called, np.asarray(leaf), known[place])
            return leaf
        found = codes_of(called, names, known.get(place))
        categories[place] = found.categories
        return found.codes

    return Plain(jax.tree_util.tree_map_with_path(array, tree, is_leaf=_is_leaf), categories)


def _pandas() -> Any:
    """Return pandas where somebody imported it: nothing else makes a frame."""
    return sys.modules.get("pandas")


def _is_leaf(x: object) -> bool:
    """Return whether `x` is one leaf, though jax would take it apart."""
    sparse = sys.modules.get("jax.experimental.sparse")
    return sparse is not None and isinstance(x, sparse.JAXSparse)


def _is_of_pandas(x: object) -> bool:
    pd = _pandas()
    return pd is not None and isinstance(x, pd.Series | pd.Index | pd.api.extensions.ExtensionArray)


def _by_column(name: str, table: Any) -> object:
    """Return a frame as a dict of its columns; others pass."""
    pd = _pandas()
    library = type(table).__module__.partition(".")[0]
    if library in _OTHER_TABLES and hasattr(table, "to_pandas") and hasattr(table, "columns"):
        raise ArgumentTypeError(
            f"{WHERE}: tables of {name} must be pandas', got one of {library}. Give "
            f"table.to_pandas()."
        )
    if pd is None or not isinstance(table, pd.DataFrame):
        return table

    columns = list(table.columns)
    twice = [column for column in columns if columns.count(column) > 1]
    if twice:
        raise ArgumentError(
            f"{WHERE}: the columns of {name} must have names of their own, got {twice[0]!r} twice."
        )
    if len({type(column) for column in columns}) > 1:
        raise ArgumentTypeError(
            f"{WHERE}: the columns of {name} must have names of one type, got {columns}. Rename "
            f"them: frame.columns = frame.columns.astype(str)."
        )
    return {column: table[column] for column in columns}


def _names_of_classes(name: str, leaf: Any, *, is_known: bool) -> Any:
    """Return the names, as a categorical or an array of texts; None where there are none."""
    if _is_of_pandas(leaf):
        pd = _pandas()
        series = pd.Series(leaf)
        if isinstance(series.dtype, pd.CategoricalDtype):
            return series.array
        if not isinstance(series.dtype, pd.StringDtype) and series.dtype != object:
            return None
        leaf = series.to_numpy(object)
    is_text = isinstance(leaf, np.ndarray) and leaf.dtype.kind in "UTO"
    return classes_of_texts(name, leaf, is_known=is_known) if is_text else None


def _plain_leaf(name: str, leaf: object) -> object:
    """Return a leaf without names of classes as an array; check that nothing in it is hidden."""
    if _is_leaf(leaf):
        raise ArgumentTypeError(
            f"{WHERE}: {name} must be dense, got {type(leaf).__name__}. Give it as "
            f"scipy.sparse.csr_array, whose batches are made dense, or as {name}.todense()."
        )
    if hasattr(leaf, "__array__") and not (is_stored(leaf) or isinstance(leaf, jax.Array)):
        leaf = leaf if _is_of_pandas(leaf) else np.asanyarray(leaf)  # masked ones stay masked
    if isinstance(leaf, np.ma.MaskedArray):
        raise ArgumentTypeError(
            f"{WHERE}: {name} must not be a masked array, whose mask would be dropped, got one "
            f"with {np.ma.count_masked(leaf)} of {leaf.size} values masked. Leave these examples "
            f"out, or give x.filled(value) and the mask as arrays of their own."
        )
    if is_sparse(leaf):
        return rows_of(name, leaf)
    if _is_of_pandas(leaf):
        leaf = _column(name, _pandas().Series(leaf))
    _check_not_dates(name, leaf)
    return leaf


def _column(name: str, series: Any) -> Any:
    """Return a column of numbers in NumPy's dtype."""
    dtype = series.dtype
    if dtype.kind not in "biuf" or not hasattr(dtype, "numpy_dtype"):
        return series if dtype.kind in "mM" else np.asarray(series)
    missing = int(series.isna().sum())
    if missing and dtype.kind != "f":
        raise ArgumentError(
            f"{WHERE}: {name} must not lack values, since dtype {dtype} has no number for them, "
            f"got {missing} of {len(series)} missing. Fill or drop them; where the loss handles "
            f"NaN, give column.astype('Float32')."
        )
    fill = {"na_value": np.nan} if missing else {}
    return series.to_numpy(dtype.numpy_dtype, **fill)


def _check_not_dates(name: str, leaf: Any) -> None:
    kind = getattr(getattr(leaf, "dtype", None), "kind", "")
    if kind in ("m", "M"):
        raise ArgumentTypeError(
            f"{WHERE}: {name} must hold numbers, got dates or durations, dtype {leaf.dtype}. "
            f"Convert them to a number in a unit of your choice: "
            f"{'x' if kind == 'm' else '(x - x.min())'} / np.timedelta64(1, 'D')."
        )
