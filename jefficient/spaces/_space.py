"""A table of configurations: one row each, one column for each hyperparameter."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from .._core import numerics
from .._core.checks import is_number


@dataclasses.dataclass(frozen=True)
class Space:
    """The configurations of a sweep, in order.

    Attributes:
        columns: for each hyperparameter its value in every configuration, all of one length.
    """

    columns: Mapping[str, tuple]

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {name: column[index] for name, column in self.columns.items()}

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (self[i] for i in range(len(self)))

    @property
    def names(self) -> tuple[str, ...]:
        """The hyperparameters."""
        return tuple(self.columns)

    def is_number(self, name: str) -> bool:
        """Whether the column holds numbers alone, so that they can be traced; any other column is static."""
        return all(map(is_number, self.columns[name]))

    def numbers(self, name: str) -> np.ndarray:
        """A column of numbers as the program gets it: int32 where all are whole numbers, float32 otherwise."""
        return numerics.device_numbers("jf.grid", name, self.columns[name])
