"""Tables as rows of cells: the text that is shown, and the number it is sorted by."""

from typing import NamedTuple

import numpy as np
import pandas as pd


class Cell(NamedTuple):
    """A text, the exact value if the text is rounded, and whether it is NaN, sorted last."""

    text: str
    exact: str
    is_missing: bool


class Table(NamedTuple):
    """Names of the columns, whether each has numbers, and the rows."""

    columns: list[str]
    numeric: list[bool]
    rows: list[list[Cell]]


def table_of(frame: pd.DataFrame, *, ranked: bool = False) -> Table:
    """Write a frame as cells, its index as the first column; `ranked` puts the rank before it."""
    frame = frame.reset_index()
    if ranked:
        frame.insert(0, "rank", np.arange(1, len(frame) + 1), allow_duplicates=True)
    columns = [frame.iloc[:, i] for i in range(frame.shape[1])]
    cells = [[cell(value) for value in column.tolist()] for column in columns]
    numeric = [pd.api.types.is_numeric_dtype(column) for column in columns]
    rows = [list(row) for row in zip(*cells, strict=True)]
    return Table([str(name) for name in frame.columns], numeric, rows)


def cell(value: object) -> Cell:
    """Write a float in four digits, NaN as a dash."""
    if isinstance(value, float):
        if np.isnan(value):
            return Cell("–", "", True)
        text = f"{value:.4g}"
        return Cell(text, "" if float(text) == value else repr(value), False)
    return Cell(str(value), "", False)
