"""L1 and L2 decay: the penalty's gradient, added where it stands in the chain.

Before the optimizer's scaling the decay is coupled (the optimizer sees it as part of the gradient);
after the scaling it is decoupled, as in `adamw`.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax

from .._core import checks, trees
from .._core.errors import ArgumentError
from .._core.typing import Params, Scalar, ScalarOrSchedule, State, Tree, Updates
from . import _base
from ._masked import masked
from ._names import public, reporting_as


class TowardsState(NamedTuple):
    """The parameters that a decay leads to, and the state of the decay."""

    towards: Params
    inner_state: State


def l1_decay(
    strength: ScalarOrSchedule, mask: Tree | Callable[[Params], Tree] | None = None
) -> optax.GradientTransformationExtraArgs:
    """Add the gradient of λ‖θ‖₁, zero at zero: u = g + λ_t · sign(θ).

    Args:
        strength: λ, 0 <= λ < inf: a number, traced or not, or a schedule.
        mask: a tree of bools like the parameters (or a prefix), or ``params -> tree``: which leaves
            decay. Static.

    Returns:
        The transform; it reports `strength`. Its `update` needs the parameters. For exact zeros a
        proximal step is needed: a decayed weight oscillates around zero.

    Raises:
        ArgumentError: where `strength` is negative, not finite or not a scalar.

    References:
        Tibshirani 1996, Regression shrinkage and selection via the lasso, equation 1 (the penalty).

    Examples:
        >>> import jefficient as jf
        >>> import jax.numpy as jnp
        >>> tx = jf.l1_decay(0.1)
        >>> params = jnp.array([3.0, -0.5, 0.0])
        >>> print(tx.update(jnp.zeros(3), tx.init(params), params)[0].round(3))
        [ 0.1 -0.1  0. ]
    """
    return _decay("jf.l1_decay", _l1, strength, mask)


def l2_decay(
    strength: ScalarOrSchedule,
    mask: Tree | Callable[[Params], Tree] | None = None,
    *,
    towards: Params | Literal["initial"] | None = None,
) -> optax.GradientTransformationExtraArgs:
    """Add the gradient of (λ/2)‖θ‖²: u = g + λ_t · θ; or of (λ/2)‖θ - θ₀‖²: u = g + λ_t · (θ - θ₀).

    Args:
        strength: λ, 0 <= λ < inf: a number, traced or not, or a schedule.
        mask: a tree of bools like the parameters (or a prefix), or ``params -> tree``: which leaves
            decay. Static.
        towards: θ₀: None for zero, ``"initial"`` for the parameters that `init` gets, which keeps a
            network able to learn when its task changes, or a tree of arrays like the parameters,
            such as those of a pretrained network.

    Returns:
        The transform; it reports `strength`. Its `update` needs the parameters. θ₀ is in the state,
        in the dtypes of the parameters.

    Raises:
        ArgumentError: where `strength` is negative, not finite or not a scalar, or `towards` is
            another word; by `init`, where `towards` differs from the parameters in structure or
            shape.

    References:
        Krogh and Hertz 1991, A simple weight decay can improve generalization, equation 2
        (coupled); Loshchilov and Hutter 2019, https://arxiv.org/abs/1711.05101 (decoupled); Kumar,
        Marklund and Van Roy 2023, https://arxiv.org/abs/2308.11958 (towards the initial weights).

    Examples:
        >>> import jefficient as jf
        >>> import jax.numpy as jnp
        >>> tx = jf.l2_decay(0.1)
        >>> params = jnp.array([3.0, -0.5])
        >>> print(tx.update(jnp.zeros(2), tx.init(params), params)[0].round(3))
        [ 0.3  -0.05]
        >>> tx = jf.l2_decay(0.1, towards="initial")
        >>> print(tx.update(jnp.zeros(2), tx.init(params), params + 1)[0].round(3))
        [0.1 0.1]
    """
    return _decay("jf.l2_decay", _l2, strength, mask, towards)


def _decay(
    function: str,
    equation: Callable[..., tuple[jax.Array]],
    strength: ScalarOrSchedule,
    mask: Tree | Callable[[Params], Tree] | None,
    towards: Params | Literal["initial"] | None = None,
) -> optax.GradientTransformationExtraArgs:
    """Return the transform of `equation`, on the leaves that the mask selects."""
    where, numbers = public(function, strength=strength)

    def apply(updates: Updates, params: Params, value: Scalar) -> Updates:
        _base.check_params(where, params)
        return trees.map_leaves(where, equation, updates, reads=(params,), numbers=(value,))[0]

    tx = _base.scheduled(where, numbers, apply)
    if towards is not None:
        tx = _decaying_towards(where, tx, towards)
    if mask is None:
        return tx
    with reporting_as(function):
        return masked(tx, mask)


def _decaying_towards(
    where: str,
    tx: optax.GradientTransformationExtraArgs,
    towards: Params | Literal["initial"],
) -> optax.GradientTransformationExtraArgs:
    """Return the decay `tx` of the distance from other parameters."""
    if isinstance(towards, str):
        checks.one_of(where, "towards", towards, ["initial"])

    def init(params: Params) -> TowardsState:
        goal = params if isinstance(towards, str) else _selected(where, towards, params)
        # Copies: a state may be donated.
        goal = jax.tree.map(lambda p, x: jnp.array(x, trees.dtype_of(p)), params, goal)
        return TowardsState(goal, tx.init(params))

    def update(
        updates: Updates, state: TowardsState, params: Params
    ) -> tuple[Updates, TowardsState]:
        _base.check_params(where, params)
        (distance,) = trees.map_leaves(where, _minus, params, reads=(state.towards,))
        u, inner_state = tx.update(updates, state.inner_state, distance)
        return u, TowardsState(state.towards, inner_state)

    return _base.transformation(where, TowardsState, init, update)


def _selected(where: str, towards: Params, params: Params) -> Params:
    """Return of a tree like all parameters those that a mask has left of `params`."""

    def is_left_out(x: object) -> bool:
        return isinstance(x, optax.MaskedNode)

    leaves, treedef = jax.tree.flatten(params, is_leaf=is_left_out)
    if not leaves:  # optax also passes a stand-in for the parameters without leaves
        return params
    try:
        goals = treedef.flatten_up_to(towards)
    except ValueError:
        raise ArgumentError(
            f"{where}: towards must have the tree structure of the parameters, got "
            f"{jax.tree.structure(towards)} against {treedef}."
        ) from None
    goal = treedef.unflatten(
        [p if is_left_out(p) else x for p, x in zip(leaves, goals, strict=True)]
    )
    trees.check_like(where, goal, params, ("towards", "parameters"))
    return goal


def _minus(p: jax.Array, goal: jax.Array) -> tuple[jax.Array]:
    return (p - goal,)


def _l1(g: jax.Array, p: jax.Array, strength: jax.Array) -> tuple[jax.Array]:
    return (g + strength * jnp.sign(p),)


def _l2(g: jax.Array, p: jax.Array, strength: jax.Array) -> tuple[jax.Array]:
    return (g + strength * p,)
