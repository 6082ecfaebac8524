"""A result as a netCDF file, and back. Nothing in a file is ever executed.

The root group is the dataset, ``test`` the scores of the best configuration on the test set,
``weights/0`` … the checkpointed weights, ``states/0`` … the states: trials whose trees are alike
share a group, a leaf is a variable. The SHA-256 of all that follows the last byte that netCDF
reads; it is compared before HDF5 sees any of it.

A file may have the right digest and be hostile: before an array or a text is read, its declared
size is compared with that of the file, and whatever leads out of the file is refused.
"""

import io
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import h5netcdf
import h5py
import numpy as np
import xarray as xr
from h5netcdf.core import NOT_A_VARIABLE
from h5netcdf.utils import CompatibilityError
from xarray.backends import H5NetCDFStore

from .._core.errors import JefficientError
from .._core.files import DamagedError, decoding, read_sealed, save_whole, sealed
from .._core.typing import Params, State, Tree
from ._complete import check_complete
from ._dataset import TRIAL
from ._states import Checkpoints, Place
from ._weights import to_datasets, to_trees

_NAMES = {"weights": TRIAL, "states": (*TRIAL, "evaluation", "step")}
"""What groups of trees hold, and what a tree belongs to."""

_TEST = "test"
_DEPTH = 2
"""Of groups below the root: ``weights/0``."""

_LONGEST = 32
"""Texts in an attribute. Each may be as large as the file, and they are read together."""

_POINTER = np.dtype([("length", "<u4"), ("address", "<u8"), ("index", "<u4")])
"""What an array of texts has of each in the file."""


class Stored(NamedTuple):
    """What a file holds.

    Attributes:
        path: of the file.
        dataset: of the result.
        test: of the test set, None where there is none.
        trees: weights and states, those with the same tree in one dataset, by name of the group.
    """

    path: Path
    dataset: xr.Dataset
    test: xr.Dataset | None
    trees: dict[str, xr.Dataset]

    def checkpoints(
        self,
        where: str,
        weights_like: Callable[[int], Params] | None = None,
        state_like: Callable[[int], State] | None = None,
    ) -> Checkpoints:
        """Return weights and states as trees; see `to_trees` for the templates."""
        weights = self._restored(where, "weights", weights_like)
        return Checkpoints.from_flat(weights, self._restored(where, "states", state_like))

    def _restored(
        self, where: str, what: str, template: Callable[[int], Tree] | None
    ) -> dict[Place, Tree]:
        own = [x for name, x in self.trees.items() if name.startswith(what)]
        with decoding(f"{_RULE.format(where, self.path)}, whose part with the {what}"):
            return to_trees(where, what, own, _NAMES[what], template)


_RULE = "{}: path must be a file that result.save wrote, got {}"


def save(
    where: str, path: Path, dataset: xr.Dataset, test: xr.Dataset | None, held: Checkpoints
) -> Path:
    """Write a result, whole or not at all; see `Result.save`."""
    groups = {"/": dataset}
    if test is not None:
        groups[_TEST] = test
    for what, trees in {"weights": held.weights, "states": held.flat_states}.items():
        datasets = to_datasets(trees, _NAMES[what])
        groups |= {f"{what}/{i}": x for i, x in enumerate(datasets)}
    try:
        data = _encoded(groups)
        _check_bounds(data)  # what is written can be read
    except (ValueError, TypeError, CompatibilityError, OSError, RuntimeError) as error:
        raise JefficientError(
            f"{where}: labels and attributes must be texts and numbers, as netCDF has them, got: "
            f"{error}."
        ) from error
    return save_whole(where, path, sealed(data))


def _encoded(groups: dict[str, xr.Dataset]) -> bytes:
    """Return the datasets as a netCDF file."""
    buffer = io.BytesIO()
    with h5netcdf.File(buffer, "w") as file:
        for name, content in groups.items():
            for x in (content, *content.variables.values()):
                if any(isinstance(value, bytes) for value in x.attrs.values()):
                    raise TypeError("bytes, which would come back as text")
            group = file if name == "/" else file.create_group(name)
            content.drop_encoding().dump_to_store(H5NetCDFStore(group))
    return buffer.getvalue()


def read(where: str, path: Path) -> Stored:
    """Read what `save` wrote.

    Raises:
        JefficientError: if it is missing, truncated, changed, something else, or of an earlier
            version.
    """
    if not path.exists():
        raise JefficientError(f"{where}: file not found: {path}.")
    rule = _RULE.format(where, path)
    try:
        data = read_sealed(path)
    except DamagedError as error:
        raise JefficientError(
            f"{rule}: {error}. Read a file of an earlier version with that version, or sweep again."
        ) from None
    with decoding(f"{rule}, which"):
        groups = _decoded(data)
        dataset = groups["/"]
        check_complete(f"{rule}, which", dataset)
        test = groups.get(_TEST)
        if test is not None:
            int(test.attrs["config"])
    trees = {name: x for name, x in groups.items() if name.startswith(tuple(_NAMES))}
    return Stored(path, dataset, test, trees)


def _decoded(data: bytes) -> dict[str, xr.Dataset]:
    """Return the datasets of a netCDF file."""
    names = _check_bounds(data)
    with h5netcdf.File(io.BytesIO(data), "r", decode_vlen_strings=True) as file:
        return {name: _load(file if name == "/" else file[name]) for name in names}


def _load(group: h5netcdf.Group) -> xr.Dataset:
    """Read a group, its texts as Python's, whatever this version of xarray reads them as."""
    dataset = xr.open_dataset(H5NetCDFStore(group), decode_times=False).load()
    texts = {name: x for name, x in dataset.variables.items() if x.dtype.kind in "UT"}
    return dataset.assign(
        {name: (x.dims, x.values.astype(object), x.attrs) for name, x in texts.items()}
    )


def _check_bounds(data: bytes) -> list[str]:
    """Check that a file has all that it declares, and name its groups with variables.

    Raises:
        ValueError: where it declares more, or leads out of the file: reading it would fill the
            memory, or read other files.
    """
    names = []
    left = len(data)
    with h5py.File(io.BytesIO(data), "r") as file:
        if file.userblock_size:
            raise ValueError("it does not begin with HDF5")
        for node in _nodes(file, _DEPTH):
            sizes = _sizes_of_attributes(node)
            if isinstance(node, h5py.Dataset):
                sizes = (*sizes, _size_of_array(node, data))
            elif any(isinstance(x, h5py.Dataset) for x in node.values()):
                names.append(str(node.name).strip("/") or "/")
            for size in sizes:
                left -= size
                if left < 0:
                    raise ValueError("it declares more than it holds")
    return names


def _nodes(group: h5py.Group, depth: int) -> Iterator[h5py.Group | h5py.Dataset]:
    """Yield a group and what is in it."""
    yield group
    for name in group:
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            raise ValueError("it links to elsewhere")
        node = group[name]
        if isinstance(node, h5py.Dataset):
            yield node
        elif isinstance(node, h5py.Group) and depth:
            yield from _nodes(node, depth - 1)
        else:
            raise ValueError("it has more than groups of arrays")


def _sizes_of_attributes(node: h5py.Group | h5py.Dataset) -> Iterator[int]:
    """Yield the bytes of each attribute, texts included."""
    for name in node.attrs:
        about = node.attrs.get_id(name)
        if not _is_known(node, name, about):
            raise ValueError("an attribute is not what netCDF has")
        count = math.prod(about.shape or ())
        yield count * about.dtype.itemsize
        if h5py.check_string_dtype(about.dtype) or h5py.check_vlen_dtype(about.dtype):
            if count > _LONGEST:
                raise ValueError(f"an attribute has {count:,} texts, {_LONGEST} at most")
            content: Any = node.attrs[name]
            values = np.atleast_1d(content)
            yield sum(len(x) for x in values.ravel().tolist())


def _is_known(node: h5py.Group | h5py.Dataset, name: str, about: h5py.h5a.AttrID) -> bool:
    """Return whether an attribute has the type that its name promises.

    HDF5 reads the attributes of its dimension scales without comparing their size with that of its
    buffers: a wrong one overwrites memory.
    """
    text = h5py.check_string_dtype(about.dtype)
    if name == "DIMENSION_LIST":
        of = h5py.check_vlen_dtype(about.dtype)
        is_list = of is not None and h5py.check_ref_dtype(of) is h5py.Reference
        return is_list and isinstance(node, h5py.Dataset) and about.shape == (node.ndim,)
    if name == "REFERENCE_LIST":
        return about.dtype.names == ("dataset", "dimension")
    if name in ("CLASS", "NAME"):
        return text is not None and text.length is not None and about.shape == ()
    return name != "DIMENSION_LABELS" and (text is not None or about.dtype.kind in "iuf")


def _size_of_array(array: h5py.Dataset, data: bytes) -> int:
    """Return the bytes of an array, texts included."""
    text = h5py.check_string_dtype(array.dtype)
    is_text = text is not None and text.length is None
    if not is_text and array.dtype.kind not in "iufS":
        raise ValueError("an array has neither numbers nor texts")
    count = math.prod(array.shape)
    name = array.attrs.get("NAME")
    is_dimension = isinstance(name, bytes) and NOT_A_VARIABLE in name  # as h5netcdf decides
    if count == 0 or is_dimension:
        return 0  # it is never read

    size = count * (_POINTER.itemsize if is_text else array.dtype.itemsize)
    place = array.id.get_offset()
    is_elsewhere = array.is_virtual or array.external or array.chunks
    if is_elsewhere or place is None or place + size > len(data):
        raise ValueError("an array is not in one piece in the file")
    if is_text:
        size += int(np.frombuffer(data, _POINTER, count, place)["length"].sum(dtype=np.uint64))
    return size
