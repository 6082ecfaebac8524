"""Weights as arrays that netCDF can hold, and back; and as safetensors."""

import json
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import ml_dtypes  # noqa: F401  (NumPy knows bfloat16 by name through it)
import numpy as np
import xarray as xr

from .._core.errors import JefficientError, JefficientWarning
from .._core.files import write_whole
from .._core.typing import Tree

_NETCDF = frozenset(map(np.dtype, ("f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8")))

Weights = Mapping[tuple[int, int, int], Tree]
"""(config, seed, fold) to the parameters of that trial."""


def to_datasets(weights: Weights) -> list[xr.Dataset]:
    """The weights of trials that are alike in one dataset each, with the dimension `trial`."""
    alike: dict[Any, list[tuple[int, int, int]]] = {}
    for place, tree in weights.items():
        leaves, structure = jax.tree.flatten(tree)
        alike.setdefault((structure, *((x.shape, x.dtype) for x in leaves)), []).append(place)
    return [_dataset(places, [weights[place] for place in places]) for places in alike.values()]


def _dataset(places: list[tuple[int, int, int]], trees: list[Tree]) -> xr.Dataset:
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
        coords={
            name: ("trial", x) for name, x in zip(("config", "seed", "fold"), numbers, strict=True)
        },
        attrs={"structure": json.dumps(_described(trees[0], iter(range(len(paths)))))},
    )


def _variable(name: str, path: str, leaves: Iterable[Any]) -> xr.Variable:
    """The leaves of all trials as one array; as bytes where netCDF has no such numbers."""
    first, *_ = leaves = list(leaves)
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


def save_safetensors(where: str, path: Path, params: Tree, about: Mapping[str, str]) -> None:
    """Write a tree of arrays, each under its place's name; see `Result.save_params`."""
    try:
        from safetensors.numpy import save
    except ImportError:
        raise JefficientError(
            f"{where}: safetensors must be installed: pip install 'jefficient[safetensors]'."
        ) from None
    leaves = jax.tree_util.tree_leaves_with_path(params)
    named = {
        jax.tree_util.keystr(path, simple=True, separator=".") or "params": np.asarray(x)
        for path, x in leaves
    }
    if len(named) != len(leaves):
        raise JefficientError(
            f"{where}: parameters must have names of their own, got {len(named)} of {len(leaves)}."
        )
    try:
        write_whole(path, save(named, metadata=dict(about)))
    except OSError as error:
        raise JefficientError(
            f"{where}: path must be one that can be written, got {path}: {error}."
        ) from None


def to_weights(
    where: str, datasets: Iterable[xr.Dataset], template: Callable[[int], Tree] | None
) -> dict[tuple[int, int, int], Tree]:
    """What `to_datasets` was given.

    Trees of dicts, lists and tuples come back as they are; others need `template`, which gives
    those of a configuration as shapes and dtypes.
    """
    weights: dict[tuple[int, int, int], Tree] = {}
    for dataset in datasets:
        columns = [_leaves(dataset[f"leaf{i}"]) for i in range(len(dataset.data_vars))]
        described = json.loads(dataset.attrs["structure"])
        if template is None and _has_class(described):
            warnings.warn(
                f"{where}: the weights are in trees of classes, which a file does not describe: they are left out. "
                f"jf.load(path, task=…) gives them back.",
                JefficientWarning,
                stacklevel=4,
            )
            continue
        numbers = (dataset[name].values.tolist() for name in ("config", "seed", "fold"))
        for trial, place in enumerate(zip(*numbers, strict=True)):
            leaves = [column[trial] for column in columns]
            is_plain = template is None
            weights[place] = (
                _rebuilt(described, leaves)
                if is_plain
                else _like(where, template(place[0]), leaves)
            )
    return weights


def _leaves(x: xr.DataArray) -> list[Any]:
    """One leaf of every trial."""
    array, dtype = x.values, x.attrs["numbers"]
    if "impl" in x.attrs:
        return [jax.random.wrap_key_data(jnp.asarray(data), impl=x.attrs["impl"]) for data in array]
    if array.dtype != np.dtype(dtype):
        array = np.frombuffer(array.tobytes(), np.dtype(dtype)).reshape(array.shape[:-1])
    return list(array)


def _like(where: str, template: Tree, leaves: list[Any]) -> Tree:
    expected, structure = jax.tree.flatten(template)
    if [(x.shape, str(x.dtype)) for x in expected] != [(x.shape, str(x.dtype)) for x in leaves]:
        raise JefficientError(f"{where}: the weights must be like those of the task, got others.")
    return structure.unflatten(leaves)


def _described(tree: Tree, numbers: Iterator[int]) -> Any:
    """A tree of dicts, lists and tuples as JSON, its leaves by number in jax's order; "class" for all else."""
    if tree is None:
        return None
    if type(tree) is dict and all(isinstance(key, str) for key in tree):
        return {"dict": {key: _described(tree[key], numbers) for key in sorted(tree)}}
    if type(tree) in (list, tuple):
        return {type(tree).__name__: [_described(x, numbers) for x in tree]}
    return next(numbers) if jax.tree_util.all_leaves([tree]) else "class"


def _has_class(described: Any) -> bool:
    if isinstance(described, dict):
        (inner,) = described.values()
        return any(map(_has_class, inner.values() if isinstance(inner, dict) else inner))
    return described == "class"


def _rebuilt(described: Any, leaves: list[Any]) -> Tree:
    if described is None:
        return None
    if isinstance(described, int):
        return leaves[described]
    ((kind, inner),) = described.items()
    if kind == "dict":
        return {key: _rebuilt(x, leaves) for key, x in inner.items()}
    return (list if kind == "list" else tuple)(_rebuilt(x, leaves) for x in inner)
