"""Cross-validation: which rows each fold trains on, and which it holds out."""

import dataclasses
import warnings
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ..._core import checks
from ..._core.errors import ArgumentError, ArgumentTypeError
from ..._core.typing import Tree
from ._notes import WHERE


class FoldIndices(NamedTuple):
    """Folds as a program reads them; the first axis is the fold, shorter ones are filled with their first row.

    `train`, `valid`: int32 (folds, most rows), row numbers; `train_size`, `valid_size`: int32
    (folds,), how many count.
    """

    train: jax.Array
    train_size: jax.Array
    valid: jax.Array
    valid_size: jax.Array


@dataclasses.dataclass(frozen=True)
class Folds:
    """Pairs of row numbers.

    Attributes:
        train: for each fold the rows it trains on, int32.
        valid: for each fold the rows it holds out, int32.
    """

    train: tuple[np.ndarray, ...]
    valid: tuple[np.ndarray, ...]

    def __len__(self) -> int:
        return len(self.train)

    @property
    def train_sizes(self) -> list[int]:
        """Training rows of each fold."""
        return [len(rows) for rows in self.train]

    @property
    def valid_sizes(self) -> list[int]:
        """Held-out rows of each fold."""
        return [len(rows) for rows in self.valid]

    def arrays(self) -> FoldIndices:
        """For the program."""
        return FoldIndices(
            jnp.asarray(_filled(self.train)),
            jnp.asarray(self.train_sizes, jnp.int32),
            jnp.asarray(_filled(self.valid)),
            jnp.asarray(self.valid_sizes, jnp.int32),
        )


def folds_of(folds: Any, data: Tree, size: int, key: jax.Array) -> Folds:
    """The folds of `size` rows.

    Args:
        folds: a number (shuffled with `key`, sizes differ by one row at most), a splitter of
            scikit-learn's kind, or pairs of row numbers (train, held out).
        data: where a splitter's `y` and `groups` are looked for: ``data["y"]`` and
            ``data["groups"]`` of a dict, the second array of a pair.
        size: rows of the data.
        key: what a number of folds is drawn with.
    """
    if isinstance(folds, bool | str | Mapping) or folds is None:
        raise ArgumentTypeError(
            f"{WHERE}: folds must be a number, a splitter or pairs of rows, got folds={folds!r}."
        )
    if checks.is_number(folds):
        checks.check_count(WHERE, folds=folds)
        if not 2 <= folds <= size:
            raise ArgumentError(
                f"{WHERE}: 2 <= folds <= {size} (the rows of data) must hold, got folds={folds}."
            )
        parts = np.array_split(np.asarray(jax.random.permutation(key, size)), folds)
        pairs = [(np.concatenate(parts[:i] + parts[i + 1 :]), part) for i, part in enumerate(parts)]
    elif hasattr(folds, "split"):
        pairs = _split(folds, data, size)
    elif isinstance(folds, Iterable):
        pairs = list(folds)
    else:
        raise ArgumentTypeError(
            f"{WHERE}: folds must be a number, a splitter or pairs of rows, got folds={folds!r}."
        )
    if not pairs:
        raise ArgumentError(f"{WHERE}: folds must hold at least one pair of rows, got none.")
    checked = [_checked(i, pair, size) for i, pair in enumerate(pairs)]
    return Folds(tuple(train for train, _ in checked), tuple(valid for _, valid in checked))


def _split(splitter: Any, data: Tree, size: int) -> list:
    y = groups = None
    if isinstance(data, Mapping):
        y, groups = data.get("y"), data.get("groups")
    elif isinstance(data, tuple | list) and len(data) == 2:
        y = data[1]
    host = [None if x is None else np.asarray(x) for x in (y, groups)]
    try:
        with warnings.catch_warnings():  # it was not the user who passed them
            warnings.filterwarnings(
                "ignore", message="The groups parameter is ignored", category=UserWarning
            )
            return list(splitter.split(np.zeros((size, 1)), *host))
    except (TypeError, ValueError) as error:
        raise ArgumentError(
            f"{WHERE}: folds must be able to split the data, got {splitter!r}, which raised: {error} Its y and groups "
            f"are data['y'] and data['groups'], or the second of a pair; else pass the pairs: "
            f"folds=list(splitter.split(x, y, groups))."
        ) from error


def _checked(fold: int, pair: Any, size: int) -> tuple[np.ndarray, np.ndarray]:
    """The pair as sorted int32 arrays without a row on both sides."""
    if not (isinstance(pair, tuple | list) and len(pair) == 2):
        raise ArgumentTypeError(
            f"{WHERE}: each fold must be a pair (train rows, held-out rows), got {pair!r}."
        )
    sides = []
    for side, rows in zip(("train", "held-out"), pair, strict=True):
        rows = np.asarray(rows)
        if rows.ndim != 1 or rows.dtype.kind not in "iu" or len(rows) == 0:
            raise ArgumentTypeError(
                f"{WHERE}: the {side} rows of fold {fold} must be row numbers, shape (n,) with n >= 1, got dtype "
                f"{rows.dtype}, shape {rows.shape}. A mask goes through np.flatnonzero."
            )
        if rows.min() < 0 or rows.max() >= size:
            raise ArgumentError(
                f"{WHERE}: the {side} rows of fold {fold} must be among 0 … {size - 1}, got {rows.min()} … "
                f"{rows.max()}."
            )
        if len(np.unique(rows)) < len(rows):
            raise ArgumentError(
                f"{WHERE}: the {side} rows of fold {fold} must differ, got some twice."
            )
        sides.append(np.sort(rows).astype(np.int32))
    shared = np.intersect1d(*sides)
    if len(shared):
        raise ArgumentError(
            f"{WHERE}: fold {fold} must not train on what it holds out, got {len(shared)} rows on both sides, row "
            f"{shared[0]} for one."
        )
    return sides[0], sides[1]


def _filled(rows: tuple[np.ndarray, ...]) -> np.ndarray:
    most = max(map(len, rows))
    return np.stack([np.concatenate([r, np.full(most - len(r), r[0], np.int32)]) for r in rows])
