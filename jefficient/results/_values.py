"""Hyperparameters with their types: a dataset has labels, and says which value each stands for.

An array has dimensions of its own beside `config`; for tables it is a short text.

netCDF has columns of numbers and columns of texts. So True is "True" there, None is "None", and 1
among floats is 1.0. What a label does not say itself is in a table from label to value.
"""

import json
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import xarray as xr

from .._core.array_text import array_texts
from .._core.checks import is_number

Plain: TypeAlias = bool | int | float | str | None
"""What JSON has."""

ATTRIBUTE = "values"
"""Of a hyperparameter's coordinate: the table as JSON; absent where labels are the values."""

_ABSENT = "nan"
"""The text of a label that stands for no number or array."""

PLAIN = frozenset((bool, int, float, str, type(None)))


def dimensions(name: str, shape: tuple[int, ...]) -> tuple[str, ...]:
    """Name the dimensions of a hyperparameter: ``config``, then ``<name>_dim_0``, … of an array."""
    return ("config", *(f"{name}_dim_{i}" for i in range(len(shape))))


def as_column(labels: Sequence[Any]) -> np.ndarray:
    """Return labels as a dataset holds them: an array of numbers, or of texts."""
    if isinstance(labels[0], np.ndarray) or all(map(is_number, labels)):
        return np.asarray(labels)
    return np.array([str(x) for x in labels], dtype=object)


def value_table(labels: Sequence[Any], values: Sequence[Any]) -> dict[str, Plain]:
    """Map the text of a label to its value, where the label is not the value itself.

    Functions and other objects are not in it: their label is all that a file says of them. Neither
    is a label that stands for two values, as 1.0 does for 1 and 1.0 among floats.

    Args:
        labels: of every configuration.
        values: of every configuration.
    """
    if isinstance(labels[0], np.ndarray):  # a label itself, but where numbers stand for None
        return {_ABSENT: None} if any(x is None for x in values) else {}
    column = as_column(labels).tolist()
    if isinstance(column[0], int | float) and set(map(type, values)) == {type(column[0])}:
        return {}  # so it is with nearly all of them, and there may be a million

    distinct = {(label, id(x)): x for label, x in zip(column, values, strict=True)}
    meant: dict[str, dict[str, Plain]] = {}
    itself: dict[str, str] = {}
    for (label, _), value in distinct.items():
        plain = value if type(value) in PLAIN else label
        meant.setdefault(str(label), {})[repr(plain)] = plain
        itself[str(label)] = repr(label)
    return {
        text: plain
        for text, plains in meant.items()
        for name, plain in plains.items()
        if len(plains) == 1 and name != itself[text]
    }


def table_attributes(table: dict[str, Plain]) -> dict[str, str]:
    """Return the attribute that holds a table, none for an empty one."""
    return {ATTRIBUTE: json.dumps(table)} if table else {}


def is_array(dataset: xr.Dataset, name: str) -> bool:
    """Return whether the values of a hyperparameter are arrays."""
    return dataset[name].ndim > 1


def column(dataset: xr.Dataset, name: str) -> np.ndarray:
    """Return what tables show of a hyperparameter, (configs,): numbers, or texts.

    Arrays are short texts, equal only for equal arrays.
    """
    values = arrays(dataset, name)
    return np.array(array_texts(values), object) if is_array(dataset, name) else values


def is_varied(dataset: xr.Dataset, name: str) -> bool:
    """Return whether a hyperparameter has several values."""
    return len(np.unique(column(dataset, name).astype(str))) > 1


def arrays(dataset: xr.Dataset, name: str) -> np.ndarray:
    """Return the labels of a hyperparameter, (configs, *shape)."""
    shape = dataset[name].shape[1:]
    return dataset[name].transpose(*dimensions(name, shape)).values


def values_of(dataset: xr.Dataset, name: str) -> tuple[Any, ...]:
    """Return the values of a hyperparameter; labels for what is neither number, bool nor text.

    Arrays are NumPy's. Where sweeps with different optimizers were joined, those that had no such
    hyperparameter have None.
    """
    table = json.loads(dataset[name].attrs.get(ATTRIBUTE, "{}"))
    if is_array(dataset, name):
        values = arrays(dataset, name)
        return tuple(table[_ABSENT] if table and np.isnan(x).all() else x for x in values)
    labels = dataset[name].values.tolist()
    return tuple(table.get(str(x), x) for x in labels) if table else tuple(labels)
