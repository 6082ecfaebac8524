"""Sweeps of one task with different optimizers: the optimizer becomes a hyperparameter."""

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from ._content import Content
from ._dataset import hyperparameters
from ._values import arrays, dimensions, table_attributes, value_table

NAME = "optimizer"


def with_optimizers(first: Content, second: Content) -> tuple[Content, Content]:
    """Give both the hyperparameter `optimizer`, and each those that only the other has, as None.

    Sweeps of one optimizer stay as they are, and so does a space that names `optimizer` itself.
    """
    one, two = first.dataset, second.dataset
    names = {hyperparameter for x in (one, two) for hyperparameter in hyperparameters(x)}
    is_named = NAME in hyperparameters(one) and NAME in hyperparameters(two)
    is_known = NAME in one.attrs and NAME in two.attrs
    if not is_known or (one.attrs[NAME] == two.attrs[NAME] and NAME not in names):
        return first, second
    if not is_named and names & _named_by_user(one, two):
        return first, second
    both = [x if NAME in hyperparameters(x.dataset) else _labelled(x) for x in (first, second)]
    columns = {
        name: arrays(x.dataset, name)[0] for x in both for name in hyperparameters(x.dataset)
    }
    filled = [_filled(x, columns) for x in both]
    return filled[0], filled[1]


def _named_by_user(*datasets: xr.Dataset) -> set[str]:
    """Return {"optimizer"} if the space of a sweep names it, other than a join did."""
    return {NAME for x in datasets if NAME in hyperparameters(x) and "joined" not in x[NAME].attrs}


def _labelled(content: Content) -> Content:
    """Add the optimizer as a hyperparameter; configurations are other ones with it."""
    dataset = content.dataset
    name = str(dataset.attrs[NAME])
    count = dataset.sizes["config"]
    hashes = [_hash(name, x) for x in dataset["hash"].values.tolist()]
    column = np.full(count, name, object)
    dataset = dataset.assign_coords(
        {
            NAME: ("config", column, {"role": "hyperparameter", "joined": 1}),
            "hash": ("config", np.array(hashes, object), dataset["hash"].attrs),
        }
    )
    return content._replace(dataset=dataset, space={NAME: (name,) * count, **content.space})


def _hash(optimizer: str, of_hyperparameters: str) -> str:
    text = f"{optimizer} {of_hyperparameters}".encode()
    return hashlib.sha256(text).hexdigest()[: len(of_hyperparameters)]


def _filled(content: Content, columns: Mapping[str, Any]) -> Content:
    """Add the hyperparameters that the sweep does not have as None: NaN in a column of numbers.

    `columns` has a label of each, by which it is known what such a column holds.
    """
    dataset = content.dataset
    values = (None,) * dataset.sizes["config"]
    space = dict(content.space)
    for name, example in columns.items():
        if name in hyperparameters(dataset):
            continue
        is_text = isinstance(example, str)
        labels = ["None" if is_text else np.full(np.shape(example), np.nan)[()] for _ in values]
        attributes = {"role": "hyperparameter", **table_attributes(value_table(labels, values))}
        column = np.array(labels, object if is_text else float)
        dims = dimensions(name, column.shape[1:])
        dataset = dataset.assign_coords({name: (dims, column, attributes)})
        space[name] = values
    return content._replace(dataset=dataset, space={name: space[name] for name in columns})
