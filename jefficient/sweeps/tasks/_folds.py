"""Cross-validation: the training and validation examples of each fold."""

import dataclasses
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from ..._core import checks
from ..._core.errors import ArgumentError, ArgumentTypeError
from ..._core.typing import Examples
from ._keys import SPLIT, permutation
from ._notes import WHERE

Pair = tuple[np.ndarray, np.ndarray]
"""Indices of training and of validation examples."""


class Splitter(Protocol):
    """What splits examples into folds, as scikit-learn's splitters do."""

    def split(self, x: np.ndarray, y: Any, groups: Any, /) -> Iterable[Any]:
        """Return pairs of indices."""
        ...


CrossValidation: TypeAlias = int | Splitter | Iterable[Sequence[Any]]
"""A number of folds, a splitter, or pairs of indices (training, validation)."""


class FoldIndices(NamedTuple):
    """Folds as a program reads them; the first axis is the fold.

    `train`, `valid`: int32 (folds, most examples), shorter ones padded with their first index;
    `train_size`, `valid_size`: int32 (folds,), how many count. `valid_size` is None where all
    folds have equally many.
    """

    train: jax.Array
    train_size: jax.Array
    valid: jax.Array
    valid_size: jax.Array | None


@dataclasses.dataclass(frozen=True)
class Folds:
    """Pairs of indices, sorted.

    Attributes:
        train: the training examples of each fold, int32.
        valid: the validation examples of each fold, int32.
    """

    train: tuple[np.ndarray, ...]
    valid: tuple[np.ndarray, ...]

    def __len__(self) -> int:
        return len(self.train)

    @property
    def train_sizes(self) -> list[int]:
        """Number of training examples of each fold."""
        return [len(indices) for indices in self.train]

    @property
    def valid_sizes(self) -> list[int]:
        """Number of validation examples of each fold."""
        return [len(indices) for indices in self.valid]

    def arrays(self) -> FoldIndices:
        """Return the folds as a program reads them."""
        sizes = self.valid_sizes
        return FoldIndices(
            train=jnp.asarray(_padded(self.train)),
            train_size=jnp.asarray(self.train_sizes, jnp.int32),
            valid=jnp.asarray(_padded(self.valid)),
            valid_size=jnp.asarray(sizes, jnp.int32) if len(set(sizes)) > 1 else None,
        )


def folds_of(folds: Any, data: Examples, size: int, key: jax.Array) -> Folds:
    """Split the examples into folds.

    Args:
        folds: a number (shuffled with `key`, sizes differ by one example at most), a splitter of
            scikit-learn's kind, or pairs of indices (training, validation).
        data: where a splitter's `y` and `groups` are found: ``data["y"]`` and ``data["groups"]``
            of a dict, the second array of a pair.
        size: number of examples.
        key: that of the sweep, with which a number of folds is drawn.
    """
    if isinstance(folds, bool | str | Mapping):
        pairs = None
    elif checks.is_number(folds):
        pairs = _shuffled(folds, size, key)
    elif hasattr(folds, "split"):
        pairs = _split_by(folds, data, size)
    else:
        pairs = list(folds) if isinstance(folds, Iterable) else None

    if pairs is None:
        raise ArgumentTypeError(
            f"{WHERE}: folds must be a number, a splitter or pairs of indices, got folds={folds!r}."
        )
    if not pairs:
        raise ArgumentError(f"{WHERE}: folds must hold at least one pair of indices, got none.")
    checked = [_checked(fold, pair, size) for fold, pair in enumerate(pairs)]
    return Folds(tuple(train for train, _ in checked), tuple(valid for _, valid in checked))


def _shuffled(folds: int, size: int, key: jax.Array) -> list[Pair]:
    checks.check_count(WHERE, folds=folds)
    if not 2 <= folds <= size:
        raise ArgumentError(
            f"{WHERE}: 2 <= folds <= {size} (the examples of data) must hold, got folds={folds}."
        )
    parts = np.array_split(permutation(key, size, SPLIT), folds)
    return [(np.concatenate(parts[:i] + parts[i + 1 :]), part) for i, part in enumerate(parts)]


def labels_of(data: Examples) -> list[np.ndarray | None]:
    """Return the labels and the groups of examples: `y` and `groups`, or the second of a pair."""
    y = groups = None
    if isinstance(data, Mapping):
        y, groups = data.get("y"), data.get("groups")
    elif isinstance(data, tuple | list) and len(data) == 2:
        y = data[1]
    return [None if x is None else np.asarray(x) for x in (y, groups)]


def _split_by(splitter: Splitter, data: Examples, size: int) -> list[Pair]:
    labels = labels_of(data)
    try:
        with warnings.catch_warnings():  # the user did not pass them
            warnings.filterwarnings(
                "ignore", message="The groups parameter is ignored", category=UserWarning
            )
            return list(splitter.split(np.zeros((size, 1)), *labels))
    except (TypeError, ValueError) as error:
        there_is = ""
        if isinstance(data, Mapping) and "y" not in data:
            there_is = f"There is no data['y'], only {list(data)}. "
        elif isinstance(data, Mapping) and labels[0] is None:
            there_is = "data['y'] has more than one number for an example. "
        raise ArgumentError(
            f"{WHERE}: folds must be able to split the data, got {splitter!r}, which raised: "
            f"{error} {there_is}Its y and groups are data['y'] and data['groups'], or the second "
            f"of a pair; else pass the pairs: folds=list(splitter.split(x, y, groups))."
        ) from error


def _checked(fold: int, pair: object, size: int) -> Pair:
    """Return the pair as sorted int32 arrays that share no example."""
    if not (isinstance(pair, tuple | list) and len(pair) == 2):
        raise ArgumentTypeError(
            f"{WHERE}: each fold must be a pair of indices (training, validation), got {pair!r}."
        )
    train = _checked_side(f"the training examples of fold {fold}", pair[0], size)
    valid = _checked_side(f"the validation examples of fold {fold}", pair[1], size)
    shared = np.intersect1d(train, valid)
    if len(shared):
        raise ArgumentError(
            f"{WHERE}: fold {fold} must not train on its validation examples, got {len(shared)} "
            f"on both sides, {shared[0]} for one."
        )
    return train, valid


def _checked_side(name: str, given: object, size: int) -> np.ndarray:
    indices = np.asarray(given)
    if indices.ndim != 1 or indices.dtype.kind not in "iu" or len(indices) == 0:
        raise ArgumentTypeError(
            f"{WHERE}: {name} must be indices, whole numbers of shape (n,) with n >= 1, got dtype "
            f"{indices.dtype}, shape {indices.shape}. A mask goes through np.flatnonzero."
        )
    if indices.min() < 0 or indices.max() >= size:
        raise ArgumentError(
            f"{WHERE}: {name} must be among 0 … {size - 1}, got {indices.min()} … {indices.max()}."
        )
    if len(np.unique(indices)) < len(indices):
        raise ArgumentError(f"{WHERE}: {name} must differ, got some twice.")
    return np.sort(indices).astype(np.int32)


def _padded(sides: tuple[np.ndarray, ...]) -> np.ndarray:
    most = max(map(len, sides))
    return np.stack([np.concatenate([x, np.full(most - len(x), x[0], np.int32)]) for x in sides])
