"""The traced hyperparameters of configurations, and checks of what functions make of them."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ._notes import annotate_errors

MOST_CHECKED = 16
"""Distinct sets of hyperparameters for which a function is traced, beside the extremes of each."""


@dataclasses.dataclass(frozen=True, eq=False)
class HyperparameterTable(Sequence[dict[str, Any]]):
    """The traced hyperparameters of configurations, each a dict of NumPy scalars, made on access.

    Attributes:
        columns: name to int32 or float32 array (configs,).
    """

    columns: dict[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.columns["steps"])

    def __getitem__(self, row: Any) -> Any:
        return {name: x[row] for name, x in self.columns.items()}

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (self[row] for row in range(len(self)))

    def distinct(self, names: Iterable[str]) -> np.ndarray:
        """Return the first row of each distinct set of these, told apart bit for bit, in order."""
        columns = [self.columns[name].view(np.int32) for name in names if name in self.columns]
        if not columns:
            return np.array([0])
        return np.sort(np.unique(np.stack(columns, axis=1), axis=0, return_index=True)[1])

    def extremes(self, names: Iterable[str]) -> np.ndarray:
        """Return the first row, and rows with the smallest and largest of each; NaN is both."""
        columns = [self.columns[name] for name in names if name in self.columns]
        return np.unique([0, *(int(row) for x in columns for row in (x.argmin(), x.argmax()))])


def check_configurations(
    check: Callable[[dict[str, Any]], object],
    names: Iterable[str],
    table: HyperparameterTable,
    static: Mapping[str, Any],
    most: int | None = None,
) -> None:
    """Call ``check(hyperparameters)`` for each distinct set of those it uses, `names`.

    Where there are more than `most` sets, as many, spread evenly, and the rows with the extremes of
    each hyperparameter stand for all. What it raises gets a note with the configuration.
    """
    names = tuple(names)
    rows = table.distinct(names)
    if most is not None and len(rows) > most:
        spread = rows[np.linspace(0, len(rows) - 1, most).astype(int)]
        rows = np.union1d(spread, table.extremes(names))
    for row in rows:
        hyperparameters = {**static, **table[row]}
        with annotate_errors(hyperparameters):
            check(hyperparameters)
