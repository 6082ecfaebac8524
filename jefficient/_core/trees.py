"""Leaf-by-leaf work on trees, and the errors that name a leaf.

A leaf that is None (a parameter without a gradient) passes: its update is None, its state stays.
"""

import functools
from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike, DTypeLike

from . import numerics
from .errors import ArgumentError, ArgumentTypeError
from .typing import DType, Params, Scalar, Tree, Updates


def is_none(x: object) -> bool:
    """Tell whether `x` marks a leaf to be left alone."""
    return x is None


def map_leaves(
    where: str,
    equation: Callable[..., tuple[jax.Array, ...]],
    updates: Updates,
    *,
    reads: tuple[Tree, ...] = (),
    states: tuple[Tree, ...] = (),
    numbers: Iterable[Scalar] | Callable[[DType], tuple] = (),
    like_params: bool = False,
) -> tuple[Tree, ...]:
    """Run an equation on every leaf of the updates and what lies beside it, in float32 at least.

    Args:
        where: the public name of the transform, for errors.
        equation: ``(g, *reads, *states, *numbers) -> (u, *new_states)``, one leaf each, with no
            casts: operands and numbers come in the dtype to compute in, results are cast back. A
            function of a module, since it is traced once for all leaves of a shape.
        updates: the gradients, any tree of floating arrays; None leaves pass.
        reads: trees that are only read (the parameters).
        states: trees that are read and written; each keeps its dtypes.
        numbers: scalars, or ``real dtype -> scalars`` in it.
        like_params: whether the updates get the dtypes of the first of `reads`, not the gradients'.

    Returns:
        The tree of updates, then one tree for each of `states`.
    """
    leaves, treedef = jax.tree.flatten(updates, is_leaf=is_none)
    beside = [_leaves_like(where, leaves, treedef, tree) for tree in reads]
    beside += [
        _leaves_like(where, leaves, treedef, tree, ("gradients", "state")) for tree in states
    ]
    numbers_in = functools.cache(
        numbers
        if callable(numbers)
        else lambda real: tuple(numerics.scalar(x, real) for x in numbers)
    )
    rows = []
    for g, *others in zip(leaves, *beside, strict=True):
        if g is None:
            rows.append((None, *others[len(reads) :]))
            continue
        operands = tuple(map(numerics.array, (g, *others)))
        dtypes = [x.dtype for x in operands]
        real = numerics.real_dtype(numerics.compute_dtype(*dtypes))
        results = (dtypes[1 if like_params else 0], *dtypes[1 + len(reads) :])
        rows.append(_computed(equation, results, operands, numbers_in(real)))
    columns = zip(*rows, strict=True) if rows else ((),) * (1 + len(states))
    return tuple(treedef.unflatten(column) for column in columns)


@functools.partial(jax.jit, inline=True, static_argnums=(0, 1))
def _computed(
    equation: Callable[..., tuple[jax.Array, ...]],
    dtypes: tuple[DType, ...],
    operands: tuple[jax.Array, ...],
    numbers: tuple,
) -> tuple[jax.Array, ...]:
    """Cast the operands up, compute, and cast the results to `dtypes`."""
    dtype = numerics.compute_dtype(*(x.dtype for x in operands))
    real = numerics.real_dtype(dtype)
    operands = tuple(x.astype(dtype if numerics.is_complex(x.dtype) else real) for x in operands)
    with jax.numpy_dtype_promotion("standard"):  # a real number times a complex leaf is complex
        results = equation(*operands, *numbers)
    return tuple(x.astype(to) for x, to in zip(results, dtypes, strict=True))


def check_like(
    where: str,
    updates: Updates,
    params: Params,
    what: tuple[str, str] = ("gradients", "parameters"),
    *,
    floating: bool = True,
) -> None:
    """Check that the updates have the parameters' structure and shapes, and are `floating`."""
    leaves, treedef = jax.tree.flatten(updates, is_leaf=is_none)
    _leaves_like(where, leaves, treedef, params, what, floating)


def check_floating(where: str, tree: Tree, what: str = "parameters") -> None:
    """Check that every leaf is a floating (real or complex) array."""
    for path, x in jax.tree_util.tree_leaves_with_path(tree):
        if not hasattr(x, "dtype") and not isinstance(x, bool | int | float | complex):
            raise ArgumentTypeError(
                f"{where}: {what} must be arrays, got {x!r} at {name_of(path)}. Keep what is not "
                f"trained out of them: equinox.partition(model, equinox.is_inexact_array) does, "
                f"and jf.integrations.equinox_task."
            )
        if not numerics.is_floating(dtype_of(x)):
            raise ArgumentTypeError(
                f"{where}: {what} must be floating, got dtype {jnp.result_type(x)} at "
                f"{name_of(path)}. Put None in its place, or leave it out with a mask."
            )


def check_real(where: str, tree: Tree, what: str = "gradients") -> None:
    """Check that no leaf is complex."""
    for path, x in jax.tree_util.tree_leaves_with_path(tree):
        if jnp.issubdtype(jnp.result_type(x), jnp.complexfloating):
            raise ArgumentTypeError(
                f"{where}: {what} must be real, got dtype {jnp.result_type(x)} at {name_of(path)}."
            )


def zeros_like(
    where: str,
    params: Params,
    dtype: Callable[[DType], DTypeLike] = lambda dtype: dtype,
    *,
    keeps_imaginary: bool = True,
) -> Tree:
    """Return zeros of the parameters' shapes, strongly typed, in `dtype(parameter's dtype)`."""
    check_floating(where, params)
    for path, p in jax.tree_util.tree_leaves_with_path(params):
        before = dtype_of(p)
        after = dtype(before)
        drops_imaginary = numerics.is_complex(before) and not numerics.is_complex(after)
        if keeps_imaginary and drops_imaginary:
            raise ArgumentTypeError(
                f"{where}: the accumulator of complex parameters must be complex, got {after} "
                f"for {before} at {name_of(path)}."
            )
    return jax.tree.map(lambda p: jnp.zeros_like(p, dtype=dtype(jnp.result_type(p))), params)


def global_norm(tree: Tree) -> jax.Array:
    """Return √Σ|x|² over all leaves, shape (), float32 at least; its gradient at zero is zero.

    Where the sum overflows, leaves are scaled by their largest number first.
    """
    leaves = [numerics.array(x) for x in jax.tree.leaves(tree)]
    norm = _root_of_squares(leaves)
    if not leaves:
        return norm
    return jax.lax.cond(jnp.isinf(norm), lambda: _scaled_norm(leaves, norm), lambda: norm)


def _root_of_squares(leaves: list[jax.Array]) -> jax.Array:
    squares = [numerics.squared_sum(x) for x in leaves]
    dtype = numerics.compute_dtype(*(s.dtype for s in squares))
    return numerics.safe_sqrt(sum((s.astype(dtype) for s in squares), start=jnp.zeros((), dtype)))


def _scaled_norm(leaves: list[jax.Array], norm: jax.Array) -> jax.Array:
    sizes = [jnp.max(jnp.abs(numerics.upcast(x)), initial=0).astype(norm.dtype) for x in leaves]
    largest = jnp.max(jnp.stack(sizes))
    is_finite = jnp.isfinite(largest)  # else the norm is what it is
    scale = jnp.where(is_finite, largest, 1)
    scaled = [numerics.upcast(x) / scale.astype(numerics.upcast(x).dtype) for x in leaves]
    return jnp.where(is_finite, scale * _root_of_squares(scaled), norm)


def layers(tree: Tree) -> dict[str, list[jax.Array]]:
    """Return the floating (real or complex) leaves by name of the layer.

    A layer is one dict, list or module, or a leaf by itself at the top.
    """
    found: dict[str, list[jax.Array]] = {}
    for path, x in jax.tree_util.tree_leaves_with_path(tree):
        if numerics.is_floating(dtype_of(x)):
            place = path[:-1] if len(path) > 1 else path
            name = jax.tree_util.keystr(place, simple=True, separator=".")
            found.setdefault(name or "params", []).append(x)
    return found


def zero_share(tree: Tree) -> jax.Array:
    """Return the share of a tree's floating numbers that are exactly zero, float32, shape ()."""
    leaves = [x for xs in layers(tree).values() for x in xs]
    zeros = sum(
        (jnp.sum(x == 0, dtype=jnp.float32) for x in leaves), start=jnp.zeros((), jnp.float32)
    )
    return zeros / max(sum(x.size for x in leaves), 1)


def all_finite(tree: Tree) -> jax.Array:
    """Tell whether every floating number of the tree is finite: bool, shape ()."""
    floating = [x for x in jax.tree.leaves(tree) if numerics.is_floating(dtype_of(x))]
    leaves = [jnp.all(jnp.isfinite(x)) for x in floating]
    return jnp.all(jnp.stack(leaves)) if leaves else jnp.array(True)


def divided(tree: Tree) -> tuple[Tree, Tree]:
    """Return the floating leaves and the others, each with None in the places of the other."""

    def only(floating: bool) -> Tree:
        return jax.tree.map(
            lambda x: x if numerics.is_floating(dtype_of(x)) == floating else None, tree
        )

    return only(True), only(False)


def united(first: Tree, second: Tree) -> Tree:
    """Undo `divided`: return the leaves of the first, and of the second where that has None."""
    return jax.tree.map(lambda x, y: y if x is None else x, first, second, is_leaf=is_none)


def kind_of(tree: Tree) -> tuple[Any, list[tuple]]:
    """Return the structure of a tree, and each leaf's shape and dtype: equal for trees alike."""
    return jax.tree.structure(tree), [(x.shape, x.dtype) for x in jax.tree.leaves(tree)]


def shown(tree: Tree) -> Tree:
    """Replace each leaf by what messages show of it: its dtype and shape."""
    return jax.tree.map(lambda x: f"{x.dtype.name}{list(x.shape)}", tree)


def name_of(path: tuple) -> str:
    """Return a leaf's place as it is written in Python: ``['dense']['kernel']``."""
    return jax.tree_util.keystr(path) or "the root"


def _leaves_like(
    where: str,
    leaves: list,
    treedef: Any,
    other: Tree,
    what: tuple[str, str] = ("gradients", "parameters"),
    floating: bool = True,
) -> list:
    """Return the leaves of `other` at the places of `leaves`; check structure, shape, dtype."""
    try:
        others = treedef.flatten_up_to(other)
    except ValueError:
        raise ArgumentError(
            f"{where}: {what[0]} must have the tree structure of the {what[1]}, got {treedef} "
            f"against {jax.tree.structure(other, is_leaf=is_none)}."
        ) from None
    for index, (x, y) in enumerate(zip(leaves, others, strict=True)):
        if x is not None and not _is_like(x, y, floating):
            _refuse_leaf(where, leaf_name(treedef.unflatten(leaves), index), x, y, what)
    return others


_ARRAYS = (jax.Array, np.ndarray, np.generic, float, int, jax.ShapeDtypeStruct)


def _is_like(x: ArrayLike, y: object, floating: bool) -> bool:
    fits = isinstance(y, _ARRAYS) and np.shape(x) == np.shape(y)
    return fits and (numerics.is_floating(dtype_of(x)) or not floating)


def dtype_of(x: Any) -> DType:
    """Return the dtype of an array or a Python number."""
    return x.dtype if hasattr(x, "dtype") else jnp.result_type(x)


def _refuse_leaf(where: str, place: str, x: ArrayLike, y: object, what: tuple[str, str]) -> None:
    if not isinstance(y, _ARRAYS):
        raise ArgumentError(
            f"{where}: {what[0]} and {what[1]} must match, got {type(y).__name__} at {place}."
        )
    if np.shape(x) != np.shape(y):
        raise ArgumentError(
            f"{where}: {what[0]} must have the shapes of the {what[1]}, got {np.shape(x)} "
            f"against {np.shape(y)} at {place}."
        )
    raise ArgumentTypeError(
        f"{where}: {what[0]} must be floating, got dtype {jnp.result_type(x)} at {place}. "
        f"Put None in its place, or leave it out with a mask."
    )


def leaf_name(tree: Tree, index: int) -> str:
    """Return the place of leaf `index`, None leaves counted."""
    return name_of(jax.tree_util.tree_leaves_with_path(tree, is_leaf=is_none)[index][0])
