"""L1 and L2 decay: the penalty's gradient, added where it stands in the chain.

Before the optimizer's scaling the decay is coupled (the optimizer sees it as part of the gradient);
after the scaling it is decoupled, as in `adamw`.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from .._core import checks, numerics, trees
from .._core.typing import ScalarOrSchedule, Tree
from . import _base
from ._masked import masked_as


class DecayState(NamedTuple):
    """Updates made under a schedule (int32; 0 for a fixed number), and the strength in force at the last one."""

    count: jax.Array
    hyperparameters: _base.Report


def l1_decay(strength: ScalarOrSchedule, mask: Any = None) -> optax.GradientTransformationExtraArgs:
    """u = g + λ_t · sign(θ): the gradient of λ‖θ‖₁, zero at zero.

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
    return decay_by("jf.l1_decay", "strength", strength, mask, jnp.sign)


def l2_decay(strength: ScalarOrSchedule, mask: Any = None) -> optax.GradientTransformationExtraArgs:
    """u = g + λ_t · θ: the gradient of (λ/2)‖θ‖².

    Args:
        strength: λ, 0 <= λ < inf: a number, traced or not, or a schedule.
        mask: a tree of bools like the parameters (or a prefix), or ``params -> tree``: which leaves
            decay. Static.

    Returns:
        The transform; it reports `strength`. Its `update` needs the parameters.

    Raises:
        ArgumentError: where `strength` is negative, not finite or not a scalar.

    References:
        Krogh and Hertz 1991, A simple weight decay can improve generalization, equation 2
        (coupled); Loshchilov and Hutter 2019, https://arxiv.org/abs/1711.05101 (decoupled).

    Examples:
        >>> import jefficient as jf
        >>> import jax.numpy as jnp
        >>> tx = jf.l2_decay(0.1)
        >>> params = jnp.array([3.0, -0.5])
        >>> print(tx.update(jnp.zeros(2), tx.init(params), params)[0].round(3))
        [ 0.3  -0.05]
    """
    return decay_by("jf.l2_decay", "strength", strength, mask, itself)


def itself(p: jax.Array) -> jax.Array:
    """The direction of L2 decay."""
    return p


@functools.partial(jax.jit, inline=True, static_argnums=3)
def _leaf(
    g: jax.Array, p: jax.Array, strength: jax.Array, direction: Callable[[jax.Array], jax.Array]
) -> jax.Array:
    return (g.astype(strength.dtype) + strength * direction(p.astype(strength.dtype))).astype(
        g.dtype
    )


def decay_by(
    where: str,
    name: str,
    strength: ScalarOrSchedule,
    mask: Any,
    direction: Callable[[jax.Array], jax.Array],
) -> optax.GradientTransformationExtraArgs:
    """u = g + λ_t · direction(θ); `where` and `name` are those of the public factory, for errors and the report."""
    _base.check_unless_schedule(checks.check_not_negative, where, **{name: strength})

    def init(_: Tree) -> DecayState:
        count = _base.first_count()
        return DecayState(
            count, _base.report(where, **{name: _base.value_at(where, name, strength, count)})
        )

    def update(updates: Tree, state: DecayState, params: Tree) -> tuple[Tree, DecayState]:
        _base.check_params(where, params)
        value = _base.value_at(where, name, strength, state.count)

        @functools.cache
        def strength_in(dtype: Any) -> jax.Array:
            return numerics.scalar(value, dtype)

        def leaf(g: jax.Array, p: Any) -> tuple[jax.Array]:
            return (
                _leaf(
                    g, numerics.array(p), strength_in(numerics.compute_dtype(g.dtype)), direction
                ),
            )

        (u,) = trees.map_leaves(where, leaf, updates, reads=(params,))
        return u, DecayState(
            _base.count_under(strength, state.count), _base.report(where, **{name: value})
        )

    tx = _base.transformation(where, DecayState, init, update)
    return tx if mask is None else masked_as(where, tx, mask)
