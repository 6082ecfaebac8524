"""A result as a netCDF file, and back. Nothing in a file is ever executed.

The root group is the dataset, ``test`` what the test rows say of the winner, ``weights/0`` … the
weights that were kept: trials whose weights are alike share a group, a leaf is a variable. The
attribute ``sha256`` is of all of it.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
import xarray as xr
from h5netcdf.utils import CompatibilityError

from .._core.errors import JefficientError
from .._core.files import whole
from .._core.typing import Tree
from ._weights import Weights, to_datasets, to_weights

_WEIGHTS, _TEST, _DIGEST = "weights", "test", "sha256"
_OPTIONS: dict[str, Any] = {"engine": "h5netcdf"}


class Stored(NamedTuple):
    """What a file holds: the dataset, what the test rows say, and the weights, those that are alike in one dataset."""

    dataset: xr.Dataset
    test: xr.Dataset | None
    kept: list[xr.Dataset]

    def weights(
        self, where: str, template: Callable[[int], Tree] | None = None
    ) -> dict[tuple[int, int, int], Tree]:
        """The weights as trees; `template` gives a configuration's as shapes and dtypes, for classes of one's own."""
        try:
            return to_weights(where, self.kept, template)
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise JefficientError(
                f"{where}: weights must be as result.save wrote them, got others ({type(error).__name__})."
            ) from None


def save(
    where: str, path: Path, dataset: xr.Dataset, test: xr.Dataset | None, weights: Weights
) -> None:
    """Write a result, whole or not at all; see `Result.save`."""
    groups = {"/": dataset}
    if test is not None:
        groups[_TEST] = test
    groups |= {f"{_WEIGHTS}/{i}": x for i, x in enumerate(to_datasets(weights))}
    try:
        groups["/"] = dataset.assign_attrs({_DIGEST: _digest(groups)})
        with whole(path) as temporary:
            for name, content in groups.items():
                content.to_netcdf(
                    temporary, mode="w" if name == "/" else "a", group=name, **_OPTIONS
                )
    except OSError as error:
        raise JefficientError(
            f"{where}: path must be one that can be written, got {path}: {error}."
        ) from None
    except (ValueError, TypeError, CompatibilityError) as error:
        raise JefficientError(
            f"{where}: labels and attributes must be texts and numbers, as netCDF has them, got: {error}."
        ) from error


def read(where: str, path: Path) -> Stored:
    """Read what `save` wrote.

    Raises:
        JefficientError: where it is not there, truncated, changed, or something else.
    """
    try:
        names = _checked_names(path)
        groups = {name: _texts_as_objects(_load(path, name)) for name in names}
        digest = groups["/"].attrs.pop(_DIGEST)
        is_whole = digest == _digest(groups)
    except FileNotFoundError:
        raise JefficientError(f"{where}: path must be there, got {path}.") from None
    except (OSError, KeyError, ValueError, TypeError, RuntimeError, AttributeError) as error:
        raise JefficientError(
            f"{where}: path must be a file that result.save wrote, got {path}, which is something else or damaged "
            f"({type(error).__name__})."
        ) from None
    if not is_whole:
        raise JefficientError(
            f"{where}: path must be as it was saved, got {path}, which has been changed or damaged."
        )
    return Stored(
        groups["/"],
        groups.get(_TEST),
        [x for name, x in groups.items() if name.startswith(_WEIGHTS)],
    )


def _checked_names(path: Path) -> list[str]:
    """The groups that hold variables, none of whose arrays is larger than the file."""
    names, size = ["/"], path.stat().st_size
    with h5py.File(path, "r") as file:
        declared = 0

        def evaluation(name: str, node: Any) -> None:
            nonlocal declared
            if isinstance(node, h5py.Group) and any(
                isinstance(x, h5py.Dataset) for x in node.values()
            ):
                names.append(name)
            elif isinstance(node, h5py.Dataset):
                declared += int(np.prod(node.shape, dtype=object)) * node.dtype.itemsize

        file.visititems(evaluation)
    if declared > size:
        raise ValueError(f"arrays of {declared} bytes in a file of {size}")
    return names


def _load(path: Path, group: str) -> xr.Dataset:
    return xr.load_dataset(path, group=group, decode_times=False, **_OPTIONS)


def _texts_as_objects(dataset: xr.Dataset) -> xr.Dataset:
    """Texts as Python's, whatever this version of xarray reads them as."""
    texts = {name: x for name, x in dataset.variables.items() if x.dtype.kind in "UT"}
    return dataset.assign(
        {name: (x.dims, x.values.astype(object), x.attrs) for name, x in texts.items()}
    )


def _digest(groups: Mapping[str, xr.Dataset]) -> str:
    content = hashlib.sha256()
    for name in sorted(groups):
        for part in _parts(groups[name]):
            content.update(part)
    return content.hexdigest()


def _parts(dataset: xr.Dataset) -> Iterator[bytes]:
    """All that a dataset says, in an order that is its own."""
    yield json.dumps(_plain(dataset.attrs), sort_keys=True).encode()
    for name in sorted(map(str, dataset.variables)):
        x = dataset[name]
        values = x.values
        yield json.dumps([name, x.dims, list(x.shape), _plain(x.attrs)], sort_keys=True).encode()
        yield (
            json.dumps(values.tolist()).encode()
            if values.dtype == object
            else np.ascontiguousarray(values).tobytes()
        )


def _plain(attributes: Mapping[Any, Any]) -> dict[str, Any]:
    return {
        str(name): x.tolist() if isinstance(x, np.ndarray | np.generic) else x
        for name, x in attributes.items()
        if name != _DIGEST
    }
