"""The traced hyperparameters of configurations, and checks of what functions make of them."""

import dataclasses
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from ..._core.reuse import recall, remember
from ._notes import annotate_errors

MOST_CHECKED = 16
"""Distinct sets of hyperparameters for which a function is traced, beside the extremes of each."""


@dataclasses.dataclass(frozen=True, eq=False)
class HyperparameterTable(Sequence[dict[str, Any]]):
    """The traced hyperparameters of configurations, each a dict, made on access.

    A number is a NumPy scalar there, an array one of JAX.

    Attributes:
        columns: name to int32 or float32 array (configs,), or (configs, *shape) of arrays.
    """

    columns: dict[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.columns["steps"])

    def __getitem__(self, row: int) -> dict[str, Any]:
        # a function may index an array by a traced step, as JAX's can be and NumPy's cannot
        return {
            name: x[row] if x.ndim == 1 else jax.device_put(x[row])
            for name, x in self.columns.items()
        }

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (self[row] for row in range(len(self)))

    def distinct(self, names: Iterable[str]) -> np.ndarray:
        """Return the first row of each distinct set of these, told apart bit for bit, in order."""
        columns = [x.view(np.int32) for x in self._flat(names)]
        if not columns:
            return np.array([0])
        return np.sort(np.unique(np.concatenate(columns, axis=1), axis=0, return_index=True)[1])

    def extremes(self, names: Iterable[str]) -> np.ndarray:
        """Return the first row, and rows with the smallest and largest of each; NaN is both."""
        ends = [(x.min(axis=1).argmin(), x.max(axis=1).argmax()) for x in self._flat(names)]
        return np.unique([0, *(int(row) for rows in ends for row in rows)])

    def _flat(self, names: Iterable[str]) -> list[np.ndarray]:
        """Return those of the columns that are there, each (configs, numbers)."""
        return [self.columns[name].reshape(len(self), -1) for name in names if name in self.columns]


def check_traced(
    key: Hashable,
    check: Callable[[dict[str, Any]], object],
    names: Iterable[str],
    table: HyperparameterTable,
    static: Mapping[str, Any],
) -> None:
    """Call ``check(hyperparameters)``, which traces a function, for some configurations.

    For at most `MOST_CHECKED` distinct sets of `names` and the extremes of each; `key` is what the
    function depends on. What was checked before for the same function is not checked again.
    """
    names = tuple(name for name in names if name in table.columns)
    key = ("checked", key, names)
    known: frozenset[bytes] = recall(key) or frozenset()
    rows = table.distinct(names)
    if len(rows) > MOST_CHECKED:
        spread = rows[np.linspace(0, len(rows) - 1, MOST_CHECKED).astype(int)]
        rows = np.union1d(spread, table.extremes(names))

    numbers = {row: b"".join(table.columns[name][row].tobytes() for name in names) for row in rows}
    check_rows(check, [row for row in rows if numbers[row] not in known], table, static)
    remember(key, known | set(numbers.values()))


def check_configurations(
    check: Callable[[dict[str, Any]], object],
    names: Iterable[str],
    table: HyperparameterTable,
    static: Mapping[str, Any],
) -> None:
    """Call ``check(hyperparameters)`` for each distinct set of those it uses, `names`."""
    check_rows(check, table.distinct(tuple(names)), table, static)


def check_rows(
    check: Callable[[dict[str, Any]], object],
    rows: Iterable[Any],
    table: HyperparameterTable,
    static: Mapping[str, Any],
) -> None:
    """Call it for these rows; what it raises gets a note with the configuration."""
    for row in rows:
        hyperparameters = {**static, **table[row]}
        with annotate_errors(hyperparameters):
            check(hyperparameters)
