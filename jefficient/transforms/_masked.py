"""Transforms for a part of the parameters, and one transform for each part."""

from collections.abc import Callable, Hashable, Mapping
from typing import Any

import jax
import numpy as np
import optax

from .._core import trees
from .._core.errors import ArgumentError, ArgumentTypeError
from .._core.typing import Tree
from . import _base


def masked(
    inner: optax.GradientTransformation,
    mask: Tree | Callable[[Tree], Tree],
    *,
    mask_compatible_extra_args: bool = False,
) -> optax.GradientTransformationExtraArgs:
    """Apply `inner` to the leaves that the mask selects; the updates of all others pass as they are.

    Args:
        inner: a transform of jefficient or optax. It keeps state for the selected leaves alone.
        mask: a tree of bools like the parameters (or a prefix of it), or ``params -> tree``.
            Static.
        mask_compatible_extra_args: whether keyword arguments of `update` that are trees like the
            gradients are masked as well. Static.

    Returns:
        The transform; its state is optax's `MaskedState`.

    Raises:
        ArgumentTypeError: where `inner` is not a transform; by `init` and `update`, where the mask
            holds something other than bools.
        ArgumentError: by `init` and `update`, where the mask is not a prefix of the parameters.

    Examples:
        >>> import jefficient as jf
        >>> import jax.numpy as jnp
        >>> params = {"kernel": jnp.array([1.0, 2.0]), "bias": jnp.array([3.0])}
        >>> tx = jf.masked(jf.scale(-1.0), {"kernel": True, "bias": False})
        >>> updates, _ = tx.update(params, tx.init(params))
        >>> updates["kernel"].tolist(), updates["bias"].tolist()
        ([-1.0, -2.0], [3.0])
    """
    return masked_as("jf.masked", inner, mask, mask_compatible_extra_args)


def masked_as(
    where: str,
    inner: optax.GradientTransformation,
    mask: Any,
    mask_compatible_extra_args: bool = False,
) -> optax.GradientTransformationExtraArgs:
    """`masked` under the name of the public factory `where`, for errors: optax's, behind checks."""
    _base.check_transform(where, inner, "inner")

    def tx(tree: Tree) -> optax.GradientTransformationExtraArgs:
        prefix = _prefix(where, "mask", mask, tree)
        _check_bools(where, prefix)
        return _masked(inner, prefix, mask_compatible_extra_args)

    def init(params: Tree) -> Any:
        return tx(params).init(params)

    def update(
        updates: Tree, state: Any, params: Tree = None, **extra_args: Any
    ) -> tuple[Tree, Any]:
        _base.check_state(where, optax.MaskedState, state)
        if params is not None:
            trees.check_like(where, updates, params, floating=False)
        return tx(updates if params is None else params).update(
            updates, state, params, **extra_args
        )

    return optax.GradientTransformationExtraArgs(init, update)


def partition(
    transforms: Mapping[Hashable, optax.GradientTransformation],
    param_labels: Tree | Callable[[Tree], Tree],
    *,
    mask_compatible_extra_args: bool = False,
) -> optax.GradientTransformationExtraArgs:
    """One transform for each group of parameters, with hyperparameters of its own (traced or not).

    Args:
        transforms: ``{label: transform}``.
        param_labels: a tree of labels like the parameters (or a prefix of it), or ``params ->
            tree``. Static.
        mask_compatible_extra_args: whether keyword arguments of `update` that are trees like the
            gradients are masked as well. Static.

    Returns:
        The transform; its state is optax's `PartitionState`. Labels are part of the addresses in
        `hyperparameters`.

    Raises:
        ArgumentTypeError: where a value of `transforms` is not a transform.
        ArgumentError: by `init` and `update`, where a leaf's label has no transform (it names the
            leaf), or where the labels are not a prefix of the parameters.

    Examples:
        One program for every pair of rates:

        >>> import jefficient as jf
        >>> import jax, jax.numpy as jnp
        >>> params = {"kernel": jnp.ones(2), "bias": jnp.ones(1)}
        >>> def first_update(fast, slow):
        ...     tx = jf.partition({"k": jf.sgd(fast), "b": jf.adam(slow)}, {"kernel": "k", "bias": "b"})
        ...     updates, state = tx.update(params, tx.init(params), params)
        ...     return updates, jf.hyperparameters(state)
        >>> updates, numbers = jax.vmap(first_update)(jnp.array([0.1, 0.5]), jnp.array([0.01, 0.02]))
        >>> print(updates["kernel"][:, 0], numbers["k.sgd.learning_rate"], numbers["b.adam.learning_rate"])
        [-0.1 -0.5] [0.1 0.5] [0.01 0.02]
    """
    where = "jf.partition"
    if not isinstance(transforms, Mapping):
        raise ArgumentTypeError(
            f"{where}: transforms must be a dict {{label: transform}}, got {transforms!r}."
        )
    if len({type(label) for label in transforms}) > 1:
        raise ArgumentTypeError(f"{where}: labels must be of one type, got {list(transforms)}.")
    for label, tx in transforms.items():
        _base.check_transform(where, tx, f"the transform of {label!r}")
    groups = {label: optax.with_extra_args_support(tx) for label, tx in transforms.items()}

    def members(tree: Tree) -> dict[Hashable, optax.GradientTransformationExtraArgs]:
        labels = _prefix(where, "param_labels", param_labels, tree)
        for path, label in jax.tree_util.tree_leaves_with_path(labels):
            if label not in groups:
                raise ArgumentError(
                    f"{where}: every label must have a transform, got {label!r} at "
                    f"{jax.tree_util.keystr(path) or 'the root'}, with transforms for {list(groups)}."
                )
        return {
            label: _masked(
                tx,
                jax.tree.map(lambda x, label=label: x == label, labels),
                mask_compatible_extra_args,
            )
            for label, tx in groups.items()
        }

    def init(params: Tree) -> optax.transforms.PartitionState:
        return optax.transforms.PartitionState(
            {label: tx.init(params) for label, tx in members(params).items()}
        )

    def update(
        updates: Tree, state: Any, params: Tree = None, **extra_args: Any
    ) -> tuple[Tree, optax.transforms.PartitionState]:
        _base.check_state(where, optax.transforms.PartitionState, state)
        if params is not None:
            trees.check_like(where, updates, params, floating=False)
        states = {}
        for label, tx in members(updates if params is None else params).items():
            updates, states[label] = tx.update(
                updates, state.inner_states[label], params, **extra_args
            )
        return updates, optax.transforms.PartitionState(states)

    return optax.GradientTransformationExtraArgs(init, update)


def _masked(
    inner: optax.GradientTransformation, mask: Tree, mask_compatible_extra_args: bool
) -> optax.GradientTransformationExtraArgs:
    tx = optax.masked(inner, mask, mask_compatible_extra_args=mask_compatible_extra_args)
    return optax.with_extra_args_support(tx)


def _prefix(where: str, name: str, prefix: Any, tree: Tree) -> Tree:
    """The mask or labels for `tree`, checked to be a prefix of it."""
    if callable(prefix) and all(
        map(callable, jax.tree.leaves(prefix))
    ):  # a module may be a tree of bools and callable
        prefix = prefix(tree)
    if jax.tree.leaves(tree):  # optax asks with a stand-in for the parameters that has no leaves
        try:
            jax.tree.map(lambda _, __: None, prefix, tree)
        except ValueError:
            raise ArgumentError(
                f"{where}: {name} must have the tree structure of the parameters (or be a prefix of it), got "
                f"{jax.tree.structure(prefix)} against {jax.tree.structure(tree)}."
            ) from None
    return prefix


def _check_bools(where: str, mask: Tree) -> None:
    for path, x in jax.tree_util.tree_leaves_with_path(mask):
        if not isinstance(x, bool | np.bool_):
            raise ArgumentTypeError(
                f"{where}: mask must hold True or False (static), got {x!r} at "
                f"{jax.tree_util.keystr(path) or 'the root'}."
            )
