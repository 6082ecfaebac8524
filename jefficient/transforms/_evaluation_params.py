"""The parameters that a transform says are to be evaluated, which need not be those it trains."""

from typing import Any

import jax
import optax

from .._core import trees
from .._core.errors import ArgumentError
from .._core.typing import Params, State


def evaluation_params(opt_state: optax.OptState, params: Params) -> Params:
    """Return the parameters to evaluate: those of `average_weights`, say, or `params` themselves.

    A state anywhere in `opt_state` (through `chain`, `masked`, `partition` and wrappers) may have a
    method ``evaluation_params(params) -> params``; that of `jf.average_weights` has, and optax's
    schedule-free transforms are known. States of some of the parameters alone, in `masked` and
    `partition`, replace those. `jf.sweep` evaluates, ranks, keeps and tests these parameters,
    unless ``Task(evaluation_params=…)`` says otherwise.

    Args:
        opt_state: the state of a transform of jefficient or optax.
        params: the parameters that are trained.

    Returns:
        A tree like `params`, shapes and dtypes included.

    Raises:
        ArgumentError: where two transforms say what is to be evaluated of the same parameters.

    Examples:
        >>> import jefficient as jf
        >>> import jax.numpy as jnp
        >>> tx = jf.average_weights(jf.sgd(1.0), decay=0.5)
        >>> params = jnp.zeros(())
        >>> state = tx.init(params)
        >>> for _ in range(2):  # 1, then 2
        ...     updates, state = tx.update(jnp.float32(-1.0), state, params)
        ...     params = jf.apply_updates(params, updates)
        >>> round(float(jf.evaluation_params(state, params)), 4)  # (0.5 · 1 + 1 · 2) / 1.5
        1.6667
    """
    nodes = [x for x in jax.tree.leaves(opt_state, is_leaf=_has_own) if _has_own(x)]
    whole = [x for x in nodes if not any(map(_is_masked, _leaves(_like(x))))]
    if len(whole) > 1:
        kinds = [type(x).__name__ for x in whole]
        raise ArgumentError(
            f"jf.evaluation_params: one transform must say what is evaluated, got {kinds}."
        )
    for node in nodes:
        params = _merged(_of_node(node, _selected(_like(node), params)), params)
    return params


def _has_own(node: object) -> bool:
    kind = type(node)
    return callable(getattr(kind, "evaluation_params", None)) or _is_schedule_free(node)


def _is_schedule_free(node: object) -> bool:
    return type(node).__name__ == "ScheduleFreeState" and hasattr(node, "z")


def _like(node: State) -> Params:
    """Return a tree with `optax.MaskedNode` where the state has nothing of a parameter."""
    return node.z if _is_schedule_free(node) else getattr(node, "average", None)


def _of_node(node: State, params: Params) -> Params:
    if not _is_schedule_free(node):
        return node.evaluation_params(params)
    import optax.contrib  # whose state is here, so it is loaded already

    found = optax.contrib.schedule_free_eval_params(node, params)
    return jax.tree.map(lambda x, p: x.astype(trees.dtype_of(p)), found, params)


def _is_masked(x: object) -> bool:
    return isinstance(x, optax.MaskedNode)


def _leaves(like: Params) -> list[Any]:
    return jax.tree.leaves(like, is_leaf=_is_masked)


def _selected(like: Params, params: Params) -> Params:
    if not any(map(_is_masked, _leaves(like))):
        return params
    return jax.tree.map(lambda x, p: x if _is_masked(x) else p, like, params, is_leaf=_is_masked)


def _merged(found: Params, params: Params) -> Params:
    return jax.tree.map(lambda x, p: p if _is_masked(x) else x, found, params, is_leaf=_is_masked)
