"""Trees of trials as arrays that netCDF can hold, and back."""

import json
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import ml_dtypes  # noqa: F401  (NumPy knows bfloat16 by name through it)
import numpy as np
import xarray as xr

from .._core.errors import JefficientError
from .._core.typing import Tree
from .._core.warn import warn
from ._states import Place

_NETCDF = frozenset(map(np.dtype, ("f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8")))


def to_datasets(trees: Mapping[Place, Tree], names: tuple[str, ...]) -> list[xr.Dataset]:
    """Put trees that are alike into one dataset each, with the dimension `trial`.

    Args:
        trees: what they belong to, numbers named by `names`, to trees of arrays.
        names: coordinates along `trial`.
    """
    alike: dict[Hashable, list[Place]] = {}
    for place, tree in trees.items():
        leaves, structure = jax.tree.flatten(tree)
        alike.setdefault((structure, *((x.shape, x.dtype) for x in leaves)), []).append(place)
    return [_dataset(places, names, [trees[x] for x in places]) for places in alike.values()]


def _dataset(places: list[Place], names: tuple[str, ...], trees: list[Tree]) -> xr.Dataset:
    columns = zip(*(jax.tree.leaves(tree) for tree in trees), strict=True)
    paths = [
        jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(trees[0])
    ]
    numbers = np.array(places).T
    return xr.Dataset(
        {
            f"leaf{i}": _variable(f"leaf{i}", path, x)
            for i, (path, x) in enumerate(zip(paths, columns, strict=True))
        },
        coords={name: ("trial", x) for name, x in zip(names, numbers, strict=True)},
        attrs={"structure": json.dumps(_described(trees[0], iter(range(len(paths)))))},
    )


def _variable(name: str, path: str, leaves: Iterable[Any]) -> xr.Variable:
    """Stack the leaves of all trials; as bytes if netCDF does not have their dtype."""
    leaves = list(leaves)
    first = leaves[0]
    attributes = {"path": path, "numbers": str(first.dtype)}
    if jnp.issubdtype(first.dtype, jax.dtypes.prng_key):
        attributes["impl"] = str(jax.random.key_impl(first))
        leaves = [jax.random.key_data(x) for x in leaves]
    array = np.stack([np.asarray(x) for x in leaves])
    if array.dtype not in _NETCDF:
        array = np.frombuffer(array.tobytes(), np.uint8).reshape(*array.shape, array.dtype.itemsize)
    return xr.Variable(
        ("trial", *(f"{name}_{i}" for i in range(array.ndim - 1))), array, attributes
    )


def to_trees(
    where: str,
    what: str,
    datasets: Iterable[xr.Dataset],
    names: tuple[str, ...],
    template: Callable[[int], Tree] | None,
) -> dict[Place, Tree]:
    """Restore what `to_datasets` was given.

    Args:
        where: the public name that messages begin with.
        what: the trees are called in messages.
        datasets: as from `to_datasets`.
        names: as then.
        template: from a configuration to its tree as shapes and dtypes. Trees of dicts, lists
            and tuples do not need it; other trees are left out without it, with a warning.
    """
    trees: dict[Place, Tree] = {}
    for dataset in datasets:
        columns = [_leaves(dataset[f"leaf{i}"]) for i in range(len(dataset.data_vars))]
        described = json.loads(dataset.attrs["structure"])
        if template is None and _has_class(described):
            warn(
                f"{where}: the {what} are in trees of classes, which a file does not describe: "
                "they are left out. jf.load(path, task=…) gives them back."
            )
            continue
        places = zip(*(dataset[name].values.tolist() for name in names), strict=True)
        for place, *leaves in zip(places, *columns, strict=True):
            if template is None:
                trees[place] = _rebuilt(described, leaves)
            else:
                trees[place] = _like(where, what, template(place[0]), leaves)
    return trees


def _leaves(x: xr.DataArray) -> list[Any]:
    """Return one leaf of every trial."""
    array, dtype = x.values, x.attrs["numbers"]
    if "impl" in x.attrs:
        return [jax.random.wrap_key_data(jnp.asarray(data), impl=x.attrs["impl"]) for data in array]
    if array.dtype != np.dtype(dtype):
        array = np.frombuffer(array.tobytes(), np.dtype(dtype)).reshape(array.shape[:-1])
    return list(array)


def _like(where: str, what: str, template: Tree, leaves: list[Any]) -> Tree:
    expected, structure = jax.tree.flatten(template)
    if [(x.shape, str(x.dtype)) for x in expected] != [(x.shape, str(x.dtype)) for x in leaves]:
        raise JefficientError(f"{where}: the {what} must be like those of the task, got others.")
    return structure.unflatten(leaves)


def _described(tree: Tree, numbers: Iterator[int]) -> object:
    """Describe a tree of dicts, lists and tuples as JSON, its leaves by number in jax's order.

    Anything else is "class".
    """
    if tree is None:
        return None
    if type(tree) is dict and all(isinstance(key, str) for key in tree):
        return {"dict": {key: _described(tree[key], numbers) for key in sorted(tree)}}
    if type(tree) is dict and all(map(_is_plain_key, tree)):
        return {"items": [[key, _described(tree[key], numbers)] for key in sorted(tree)]}
    if type(tree) in (list, tuple):
        return {type(tree).__name__: [_described(x, numbers) for x in tree]}
    return next(numbers) if jax.tree_util.all_leaves([tree]) else "class"


def _is_plain_key(key: object) -> bool:
    """Whether JSON has the key of a dict: a number, a bool, a text, or a tuple, as a list."""
    if type(key) is tuple:
        return all(map(_is_plain_key, key))
    return type(key) in (bool, int, float, str)


def _as_key(described: object) -> Hashable:
    return tuple(map(_as_key, described)) if isinstance(described, list) else described


def _has_class(described: object) -> bool:
    if isinstance(described, dict):
        ((kind, inner),) = described.items()
        trees = {"dict": lambda: inner.values(), "items": lambda: (x for _, x in inner)}
        return any(map(_has_class, trees.get(kind, lambda: inner)()))
    return described == "class"


def _rebuilt(described: Any, leaves: list[Any]) -> Tree:
    if described is None:
        return None
    if isinstance(described, int):
        return leaves[described]
    ((kind, inner),) = described.items()
    if kind == "dict":
        return {key: _rebuilt(x, leaves) for key, x in inner.items()}
    if kind == "items":
        return {_as_key(key): _rebuilt(x, leaves) for key, x in inner}
    return (list if kind == "list" else tuple)(_rebuilt(x, leaves) for x in inner)
