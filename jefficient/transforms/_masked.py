"""Transforms for some of the parameters, and one transform for each group of them."""

from collections.abc import Callable, Hashable, Mapping

import jax
import numpy as np
import optax

from .._core import trees
from .._core.errors import ArgumentError, ArgumentTypeError
from .._core.typing import Params, State, Tree, Updates
from . import _base
from ._extra_args import accepting, translated
from ._names import public


def masked(
    inner: optax.GradientTransformation,
    mask: Tree | Callable[[Params], Tree],
    *,
    mask_compatible_extra_args: bool = False,
) -> optax.GradientTransformationExtraArgs:
    """Apply `inner` to the leaves that the mask selects; pass the updates of all others.

    Args:
        inner: a transform of jefficient or optax. It keeps state for the selected leaves alone.
        mask: a tree of bools like the parameters (or a prefix of it), or ``params -> tree``.
            Static.
        mask_compatible_extra_args: whether keyword arguments of `update` that are trees like the
            gradients are masked as well. Static.

    Returns:
        The transform; its state is optax's `MaskedState`. Of the extra arguments of `update`,
        `grad` is masked and `value_fn` a function of the selected leaves, the others as they
        stand: a line search of `inner` moves its own leaves alone.

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
    where, _ = public("jf.masked")
    _base.check_transform(where, inner, "inner")

    def tx(tree: Tree) -> optax.GradientTransformationExtraArgs:
        prefix = _prefix(where, "mask", mask, tree)
        _check_bools(where, prefix)
        return _masked(inner, prefix, mask_compatible_extra_args)

    def init(params: Params) -> State:
        return tx(params).init(params)

    def update(
        updates: Updates, state: State, params: Params = None, **extra_args: object
    ) -> tuple[Updates, State]:
        _base.check_state(where, optax.MaskedState, state)
        if params is not None:
            trees.check_like(where, updates, params, floating=False)
        like = updates if params is None else params
        return tx(like).update(updates, state, params, **extra_args)

    return optax.GradientTransformationExtraArgs(init, update)


def partition(
    transforms: Mapping[Hashable, optax.GradientTransformation],
    param_labels: Tree | Callable[[Params], Tree],
    *,
    mask_compatible_extra_args: bool = False,
) -> optax.GradientTransformationExtraArgs:
    """Apply one transform to each group of parameters, with hyperparameters of its own.

    Args:
        transforms: ``{label: transform}``.
        param_labels: a tree of labels like the parameters (or a prefix of it), or ``params ->
            tree``. Static.
        mask_compatible_extra_args: whether keyword arguments of `update` that are trees like the
            gradients are masked as well. Static.

    Returns:
        The transform; its state is optax's `PartitionState`. Labels are part of the addresses in
        `hyperparameters`. Extra arguments of `update` reach each group as in `masked`.

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
        ...     transforms = {"k": jf.sgd(fast), "b": jf.adam(slow)}
        ...     tx = jf.partition(transforms, {"kernel": "k", "bias": "b"})
        ...     updates, state = tx.update(params, tx.init(params), params)
        ...     return updates, jf.hyperparameters(state)
        >>> rates = jnp.array([0.1, 0.5]), jnp.array([0.01, 0.02])
        >>> updates, numbers = jax.vmap(first_update)(*rates)
        >>> print(updates["kernel"][:, 0], numbers["k.sgd.learning_rate"])
        [-0.1 -0.5] [0.1 0.5]
        >>> print(numbers["b.adam.learning_rate"])
        [0.01 0.02]
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
    groups = {label: accepting(tx) for label, tx in transforms.items()}

    def members(tree: Tree) -> dict[Hashable, optax.GradientTransformationExtraArgs]:
        labels = _prefix(where, "param_labels", param_labels, tree)
        for path, label in jax.tree_util.tree_leaves_with_path(labels):
            if label not in groups:
                raise ArgumentError(
                    f"{where}: every label must have a transform, got {label!r} at "
                    f"{trees.name_of(path)}, with transforms for {list(groups)}."
                )
        return {label: member(tx, labels, label) for label, tx in groups.items()}

    def member(
        tx: optax.GradientTransformation, labels: Tree, label: Hashable
    ) -> optax.GradientTransformationExtraArgs:
        mask = jax.tree.map(lambda x: x == label, labels)
        return _masked(tx, mask, mask_compatible_extra_args)

    def init(params: Params) -> optax.transforms.PartitionState:
        states = {label: tx.init(params) for label, tx in members(params).items()}
        return optax.transforms.PartitionState(states)

    def update(
        updates: Updates, state: State, params: Params = None, **extra_args: object
    ) -> tuple[Updates, optax.transforms.PartitionState]:
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
    tx = optax.masked(accepting(inner), mask, mask_compatible_extra_args=mask_compatible_extra_args)

    def update(
        updates: Updates, state: State, params: Params = None, **extra_args: object
    ) -> tuple[Updates, State]:
        def selected(tree: Tree) -> Tree:
            return jax.tree.map(lambda m, x: x if m else optax.MaskedNode(), mask, tree)

        def whole(tree: Tree) -> Tree:
            """Put the parameters that are not selected beside those that are, as they stand."""
            return jax.tree.map(lambda m, x, p: x if m else p, mask, tree, params)

        if params is not None:
            extra_args = translated(extra_args, selected, whole)
        return tx.update(updates, state, params, **extra_args)

    return optax.GradientTransformationExtraArgs(tx.init, update)


def whole_mask(where: str, mask: Tree | Callable[[Params], Tree] | None, params: Params) -> Tree:
    """Return a bool for each leaf of the parameters; all are True without a mask."""
    prefix = True if mask is None else _prefix(where, "mask", mask, params)
    _check_bools(where, prefix)
    return jax.tree.map(lambda m, tree: jax.tree.map(lambda _: m, tree), prefix, params)


def _prefix(where: str, name: str, prefix: Tree | Callable[[Tree], Tree], tree: Tree) -> Tree:
    """Return the mask or labels for `tree`; check that they are a prefix of it."""
    # A callable with leaves of another kind is a tree: a module that holds bools, say.
    if callable(prefix) and all(map(callable, jax.tree.leaves(prefix))):
        prefix = prefix(tree)
    if jax.tree.leaves(tree):  # optax also passes a stand-in for the parameters without leaves
        try:
            jax.tree.map(lambda _, __: None, prefix, tree)
        except ValueError:
            raise ArgumentError(
                f"{where}: {name} must have the tree structure of the parameters (or be a prefix "
                f"of it), got {jax.tree.structure(prefix)} against {jax.tree.structure(tree)}."
            ) from None
    return prefix


def _check_bools(where: str, mask: Tree) -> None:
    for path, x in jax.tree_util.tree_leaves_with_path(mask):
        if not isinstance(x, bool | np.bool_):
            by_name = f" For leaves by name: jf.where_name({x!r})." if isinstance(x, str) else ""
            raise ArgumentTypeError(
                f"{where}: mask must hold True or False (static), got {x!r} at "
                f"{trees.name_of(path)}.{by_name}"
            )
