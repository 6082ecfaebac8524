"""Weights as safetensors: each array under its path in the tree, and back into a tree."""

import os
from collections.abc import Hashable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import ml_dtypes  # noqa: F401  (NumPy knows bfloat16 by name through it)
import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from .._core.errors import ArgumentError, JefficientError
from .._core.files import decoding, save_whole
from .._core.typing import PAIR, Params

WHERE = "jf.load_params"
_PARTS = ("params", "state")
_DTYPES = {
    **{f"F{bits}": f"float{bits}" for bits in (16, 32, 64)},
    **{f"I{bits}": f"int{bits}" for bits in (8, 16, 32, 64)},
    **{f"U{bits}": f"uint{bits}" for bits in (8, 16, 32, 64)},
    "BF16": "bfloat16",
    "BOOL": "bool",
    "C64": "complex64",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
}


def save_safetensors(
    where: str, path: Path, params: Params, dataset: xr.Dataset, metadata: Mapping[str, str]
) -> Path:
    """Write the weights of a trial; see `Result.save_params`.

    Args:
        where: the public name that messages begin with.
        path: the file.
        params: the weights.
        dataset: of the sweep, which says whether weights are pairs.
        metadata: texts to store with them.
    """
    library = _imported(where, "safetensors.numpy")
    named = _named(params, is_pair=dataset.attrs.get("weights") == PAIR)
    arrays = {name: np.asarray(_numbers(x)) for name, x in named}
    if len(arrays) != len(named):
        raise JefficientError(
            f"{where}: parameters must have names of their own, got {len(arrays)} of {len(named)}."
        )
    return save_whole(where, path, library.save(arrays, metadata=dict(metadata)))


def load_params(path: str | os.PathLike, like: Params = None) -> Params:
    """Load weights that `Result.save_params` wrote (extra `safetensors`).

    Args:
        path: the file.
        like: a tree of the same structure, of arrays or `jax.ShapeDtypeStruct`, such as
            ``jax.eval_shape(task.init, key)``; by default weights are dicts of dicts, by the parts
            of their names, in which the entries of lists have the keys ``"0"``, ``"1"``, ….

    Returns:
        A tree of NumPy arrays, as `Result.params` returns it: of a task with `model_state`, as all
        tasks of flax and equinox are, the pair ``(params, state)``, or without `like` a dict with
        these keys.

    Raises:
        ArgumentError: if `like` has other names, shapes or dtypes.
        JefficientError: if the file is missing or damaged, or safetensors is not installed.

    Examples:
        >>> import tempfile
        >>> import jefficient as jf
        >>> import jax, numpy as np
        >>> task = jf.Task(
        ...     init=lambda key: {"w": jax.numpy.zeros(2), "layers": [jax.numpy.ones(3)]},
        ...     loss=lambda p, batch: ((p["w"].sum() * p["layers"][0].sum() - batch) ** 2).mean(),
        ...     data=np.ones(20, np.float32),
        ...     validation=0.5,
        ... )
        >>> rates = jf.grid(learning_rate=[0.01])
        >>> result = jf.sweep(task, jf.sgd, rates, steps=20, progress=False)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = result.save_params(f"{folder}/best.safetensors")
        ...     loaded = jf.load_params(path, like=jax.eval_shape(task.init, jax.random.key(0)))
        ...     sorted(jf.load_params(path)["layers"])
        ['0']
        >>> type(loaded["layers"]), loaded["layers"][0].shape
        (<class 'list'>, (3,))
    """
    arrays = _read(Path(path))
    if like is None:
        return _nested(arrays)
    leaves, structure = jax.tree.flatten(like)
    is_pair = isinstance(like, tuple) and len(like) == 2
    is_pair = is_pair and any(name.partition(".")[0] == _PARTS[0] for name in arrays)
    names = [name for name, _ in _named(like, is_pair=is_pair)]
    missing = sorted(set(names) - set(arrays))
    more = sorted(set(arrays) - set(names))
    if missing or more:
        raise ArgumentError(
            f"{WHERE}: like must have the names in the file, got {missing} that are not in it, and "
            f"not {more}, which are."
        )
    for name, leaf in zip(names, leaves, strict=True):
        x = jax.eval_shape(_numbers, leaf) if _is_key(leaf) else leaf
        here, there = (tuple(x.shape), str(x.dtype)), (arrays[name].shape, str(arrays[name].dtype))
        if here != there:
            raise ArgumentError(
                f"{WHERE}: like must have the shapes and dtypes in the file, got {here} for "
                f"{name}, where the file has {there}."
            )
    read = (
        jax.random.wrap_key_data(jnp.asarray(arrays[name]), impl=_impl(leaf))
        if _is_key(leaf)
        else arrays[name]
        for name, leaf in zip(names, leaves, strict=True)
    )
    return structure.unflatten(read)


def _is_key(x: np.ndarray | jax.Array | jax.ShapeDtypeStruct) -> bool:
    """Return whether a leaf is a typed key of jax, or the shape of one."""
    return jnp.issubdtype(x.dtype, jax.dtypes.prng_key)


def _numbers(x: Any) -> ArrayLike:
    """Return the numbers of a typed key; of any other array itself."""
    return jax.random.key_data(x) if hasattr(x, "dtype") and _is_key(x) else x


def _impl(key: jax.Array | jax.ShapeDtypeStruct) -> Hashable:
    """Return the implementation of a typed key, or of the shape of one."""
    found = []
    jax.eval_shape(lambda x: found.append(jax.random.key_impl(x)), key)
    return found[0]


def _named(tree: Params, *, is_pair: bool) -> list[tuple[str, Any]]:
    """Return the leaves with their names: ``layer.kernel``, of a pair ``params.layer.kernel``."""
    named = []
    for path, x in jax.tree_util.tree_leaves_with_path(tree):
        name = jax.tree_util.keystr(path, simple=True, separator=".") or _PARTS[0]
        if is_pair:
            first, *others = name.split(".", 1)
            name = ".".join([_PARTS[int(first)], *others])
        named.append((name, x))
    return named


def _read(path: Path) -> dict[str, np.ndarray]:
    library = _imported(WHERE, "safetensors")
    if not path.is_file():
        raise JefficientError(f"{WHERE}: file not found: {path}.")
    with decoding(f"{WHERE}: path must be a file that save_params wrote, got {path}, which"):
        return {
            name: np.frombuffer(x["data"], _DTYPES[x["dtype"]]).reshape(x["shape"])
            for name, x in library.deserialize(path.read_bytes())
        }


def _nested(arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Return dicts of dicts by the parts of the names."""
    tree: dict[str, Any] = {}
    for name, x in arrays.items():
        *parts, last = name.split(".")
        place = tree
        for part in parts:
            place = place.setdefault(part, {})
            if not isinstance(place, dict):
                raise _not_a_tree(name)
        if last in place:
            raise _not_a_tree(name)
        place[last] = x
    return tree


def _not_a_tree(name: str) -> ArgumentError:
    return ArgumentError(
        f"{WHERE}: names must form a tree of dicts where like= is not given, got {name!r} and one "
        f"that is a part of it. Give like=."
    )


def _imported(where: str, module: str) -> ModuleType:
    import importlib

    try:
        return importlib.import_module(module)
    except ImportError:
        raise JefficientError(
            f"{where}: safetensors must be installed: pip install 'jefficient[safetensors]'."
        ) from None
