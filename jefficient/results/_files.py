"""A result as a netCDF file, and back. Nothing in a file is ever executed.

The root group is the dataset, ``test`` the scores of the best configuration on the test set,
``weights/0`` … the checkpointed weights: trials whose trees are alike share a group, a leaf is a
variable. The attribute ``sha256`` is the digest of everything else.
"""

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
import xarray as xr
from h5netcdf.utils import CompatibilityError

from .._core.errors import JefficientError
from .._core.files import whole
from .._core.typing import Tree
from ._dataset import EVALUATIONS, EXAMPLES
from ._weights import Trial, Weights, to_datasets, to_weights

_WEIGHTS = "weights"
_TEST = "test"
_DIGEST = "sha256"
_ENGINE = "h5netcdf"


class Stored(NamedTuple):
    """What a file holds.

    Attributes:
        dataset: of the result.
        test: of the test set, None where there is none.
        trees: the weights, those with the same tree in one dataset.
    """

    dataset: xr.Dataset
    test: xr.Dataset | None
    trees: list[xr.Dataset]

    def weights(
        self, where: str, template: Callable[[int], Tree] | None = None
    ) -> dict[Trial, Tree]:
        """Return the weights as trees; see `to_weights`."""
        try:
            return to_weights(where, self.trees, template)
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise JefficientError(
                f"{where}: weights must be as result.save wrote them, got others "
                f"({type(error).__name__})."
            ) from None


def save(
    where: str, path: Path, dataset: xr.Dataset, test: xr.Dataset | None, weights: Weights
) -> Path:
    """Write a result, whole or not at all; see `Result.save`."""
    groups = {"/": dataset}
    if test is not None:
        groups[_TEST] = test
    groups |= {f"{_WEIGHTS}/{i}": x for i, x in enumerate(to_datasets(weights))}
    try:
        groups["/"] = dataset.assign_attrs({_DIGEST: _digest(groups)})
        with whole(path) as temporary:
            for name, content in groups.items():
                mode = "w" if name == "/" else "a"
                content.to_netcdf(temporary, mode=mode, group=name, engine=_ENGINE)
        return path
    except OSError as error:
        raise JefficientError(
            f"{where}: path must be one that can be written, got {path}: {error}."
        ) from None
    except (ValueError, TypeError, CompatibilityError) as error:
        raise JefficientError(
            f"{where}: labels and attributes must be texts and numbers, as netCDF has them, got: "
            f"{error}."
        ) from error


def read(where: str, path: Path) -> Stored:
    """Read what `save` wrote.

    Raises:
        JefficientError: if it is missing, truncated, changed, something else, or of an earlier
            version.
    """
    try:
        names = _checked_names(path)
        groups = {name: _load(path, name) for name in names}
        digest = groups["/"].attrs.pop(_DIGEST)
        is_whole = digest == _digest(groups)
    except FileNotFoundError:
        raise JefficientError(f"{where}: file not found: {path}.") from None
    except (OSError, KeyError, ValueError, TypeError, RuntimeError, AttributeError) as error:
        raise JefficientError(
            f"{where}: path must be a file that result.save wrote, got {path}, which is something "
            f"else or damaged ({type(error).__name__})."
        ) from None
    if not is_whole:
        raise JefficientError(
            f"{where}: path must be as it was saved, got {path}, which has been changed or damaged."
        )
    dataset = groups["/"]
    missing = [name for name in (*EVALUATIONS, *EXAMPLES) if name not in dataset.variables]
    if missing:
        raise JefficientError(
            f"{where}: a result must have the coordinates {missing}, got {path} without them: an "
            "earlier version of jefficient wrote it. Read it with that version, or sweep again."
        )
    trees = [x for name, x in groups.items() if name.startswith(_WEIGHTS)]
    return Stored(dataset, groups.get(_TEST), trees)


def _checked_names(path: Path) -> list[str]:
    """Name the groups that hold variables.

    Raises:
        ValueError: if the arrays declare more bytes than the file has: reading one would fill the
            memory.
    """
    nodes: list[tuple[str, h5py.Group | h5py.Dataset]] = []
    size = path.stat().st_size
    with h5py.File(path, "r") as file:
        file.visititems(lambda name, node: nodes.append((name, node)))
        arrays = [node for _, node in nodes if isinstance(node, h5py.Dataset)]
        declared = sum(math.prod(array.shape) * array.dtype.itemsize for array in arrays)
        names = ["/"] + [
            name
            for name, node in nodes
            if isinstance(node, h5py.Group)
            and any(isinstance(x, h5py.Dataset) for x in node.values())
        ]
    if declared > size:
        raise ValueError(f"arrays of {declared} bytes in a file of {size}")
    return names


def _load(path: Path, group: str) -> xr.Dataset:
    """Read a group, its texts as Python's, whatever this version of xarray reads them as."""
    dataset = xr.load_dataset(path, group=group, decode_times=False, engine=_ENGINE)
    texts = {name: x for name, x in dataset.variables.items() if x.dtype.kind in "UT"}
    return dataset.assign(
        {name: (x.dims, x.values.astype(object), x.attrs) for name, x in texts.items()}
    )


def _digest(groups: Mapping[str, xr.Dataset]) -> str:
    """Hash all that the datasets contain, in alphabetical order."""
    content = hashlib.sha256()
    for name in sorted(groups):
        dataset = groups[name]
        content.update(_json(_plain(dataset.attrs)))
        for variable in sorted(map(str, dataset.variables)):
            x = dataset[variable]
            content.update(_json([variable, x.dims, list(x.shape), _plain(x.attrs)]))
            is_text = x.dtype == object
            content.update(_json(x.values.tolist()) if is_text else x.values.tobytes())
    return content.hexdigest()


def _json(content: Any) -> bytes:
    return json.dumps(content, sort_keys=True).encode()


def _plain(attributes: Mapping[Any, Any]) -> dict[str, Any]:
    return {
        str(name): x.tolist() if isinstance(x, np.ndarray | np.generic) else x
        for name, x in attributes.items()
        if name != _DIGEST
    }
