"""A full product of values, with a dimension for each hyperparameter."""

import numpy as np
import xarray as xr

from .._core.errors import ArgumentError
from ._dataset import hyperparameters
from ._values import arrays, column, dimensions, is_array


def unstacked(where: str, dataset: xr.Dataset) -> xr.Dataset:
    """Replace the dimension `config` by one for each hyperparameter; see `Result.grid`."""
    names = hyperparameters(dataset)
    columns = {name: column(dataset, name).tolist() for name in names}
    values = {name: list(dict.fromkeys(column)) for name, column in columns.items()}
    shape = tuple(len(x) for x in values.values())
    place_of = {name: {x: i for i, x in enumerate(each)} for name, each in values.items()}
    places = [[place_of[name][x] for x in column] for name, column in columns.items()]
    order = np.argsort(np.ravel_multi_index(places, shape))
    if len(order) != np.prod(shape) or len(set(zip(*places, strict=True))) != len(order):
        product = " × ".join(f"{n} {name}" for name, n in zip(names, shape, strict=True))
        raise ArgumentError(
            f"{where}: the configurations must be all combinations of their values, got "
            f"{len(order)} of {product}. result.dataset has them along `config`."
        )

    def spread(x: xr.DataArray) -> tuple:
        if "config" not in x.dims:
            return x.dims, x.values, x.attrs
        rest = tuple(d for d in x.dims if d != "config")
        ordered = x.transpose("config", *rest).values[order]
        return (*names, *rest), ordered.reshape(shape + ordered.shape[1:]), x.attrs

    others = [name for name in dataset.coords if name not in ("config", *names)]
    return xr.Dataset(
        {name: spread(x) for name, x in dataset.data_vars.items()},
        coords={
            **{name: (name, values[name], dataset[name].attrs) for name in names},
            **{
                f"{name}_values": _numbers(dataset, name)
                for name in names
                if is_array(dataset, name)
            },
            "config": spread(dataset["config"]),
            **{name: spread(dataset[name]) for name in others},
        },
        attrs=dataset.attrs,
    )


def _numbers(dataset: xr.Dataset, name: str) -> tuple[tuple[str, ...], np.ndarray]:
    """Return the distinct arrays of a hyperparameter along the dimension of its texts."""
    _, first = np.unique(column(dataset, name), return_index=True)
    distinct = arrays(dataset, name)[np.sort(first)]
    return (name, *dimensions(name, distinct.shape[1:])[1:]), distinct
