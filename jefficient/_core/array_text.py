"""Short texts of arrays, for tables and labels."""

from collections.abc import Iterable
from typing import Any

import numpy as np

MOST_NUMBERS = 4
"""Of an array, in a short text."""


def array_texts(values: np.ndarray) -> list[str]:
    """Write arrays (n, *shape) as short texts, which are equal only for equal arrays.

    The first and last numbers in four digits: ``[0.1, 0.05, …, 0.001]``. Arrays that would have the
    same text are written in full.
    """
    rows = values.reshape(len(values), -1)
    edge = MOST_NUMBERS // 2
    is_long = rows.shape[1] > MOST_NUMBERS
    brief = [_listed((*row[:edge], ..., row[-1]) if is_long else row) for row in rows]
    arrays: dict[str, set[bytes]] = {}
    for text, row in zip(brief, rows, strict=True):
        arrays.setdefault(text, set()).add(row.tobytes())
    return [
        text if len(arrays[text]) == 1 else str(array.tolist())
        for text, array in zip(brief, values, strict=True)
    ]


def _listed(numbers: Iterable[Any]) -> str:
    return f"[{', '.join('…' if x is ... else f'{x:.4g}' for x in numbers)}]"
