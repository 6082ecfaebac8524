"""L1 and L2 decay: the penalty's gradient, added where it stands in the chain.

Before the optimizer's scaling the decay is coupled (the optimizer sees it as part of the gradient);
after the scaling it is decoupled, as in `adamw`.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

from .._core import trees
from .._core.typing import Scalar, ScalarOrSchedule, Tree
from . import _base
from ._masked import masked
from ._names import public, reporting_as


def l1_decay(
    strength: ScalarOrSchedule, mask: Tree | Callable[[Tree], Tree] | None = None
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
    strength: ScalarOrSchedule, mask: Tree | Callable[[Tree], Tree] | None = None
) -> optax.GradientTransformationExtraArgs:
    """Add the gradient of (λ/2)‖θ‖²: u = g + λ_t · θ.

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
    return _decay("jf.l2_decay", _l2, strength, mask)


def _decay(
    function: str,
    equation: Callable[..., tuple[jax.Array]],
    strength: ScalarOrSchedule,
    mask: Tree | Callable[[Tree], Tree] | None,
) -> optax.GradientTransformationExtraArgs:
    """Return the transform of `equation`, on the leaves that the mask selects."""
    where, numbers = public(function, strength=strength)

    def apply(updates: Tree, params: Tree, value: Scalar) -> Tree:
        _base.check_params(where, params)
        return trees.map_leaves(where, equation, updates, reads=(params,), numbers=(value,))[0]

    tx = _base.scheduled(where, numbers, apply)
    if mask is None:
        return tx
    with reporting_as(function):
        return masked(tx, mask)


def _l1(g: jax.Array, p: jax.Array, strength: jax.Array) -> tuple[jax.Array]:
    return (g + strength * jnp.sign(p),)


def _l2(g: jax.Array, p: jax.Array, strength: jax.Array) -> tuple[jax.Array]:
    return (g + strength * p,)
