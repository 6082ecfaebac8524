"""Traced numbers of configurations."""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True, eq=False)
class HyperparameterTable(Sequence[dict[str, Any]]):
    """Traced numbers of configurations: of each a dict of NumPy scalars, made when it is asked for.

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
        """The first row of each distinct set of these numbers, bit for bit; rising int array."""
        columns = [self.columns[name].view(np.int32) for name in names if name in self.columns]
        if not columns:
            return np.array([0])
        return np.sort(np.unique(np.stack(columns, axis=1), axis=0, return_index=True)[1])

    def extremes(self, names: Iterable[str]) -> np.ndarray:
        """The first row, and for each of these numbers one with its smallest value and one with its largest."""
        columns = [self.columns[name] for name in names if name in self.columns]
        return np.unique([0, *(int(place) for x in columns for place in (x.argmin(), x.argmax()))])
