"""Stochastic gradient descent, with momentum."""

from typing import Any, NamedTuple

import jax
import optax

from .._core import checks, numerics, trees
from .._core.typing import Scalar, ScalarOrSchedule, Tree
from . import _base
from ._chain import chain
from ._scale import identity, scale_by_learning_rate


class TraceState(NamedTuple):
    """Decayed sum of gradients, one leaf per parameter leaf, in the parameter's dtype or `accumulator_dtype`."""

    trace: Tree
    hyperparameters: dict[str, jax.Array]


def trace(
    decay: Scalar, nesterov: bool = False, accumulator_dtype: Any = None
) -> optax.GradientTransformationExtraArgs:
    """Momentum: m ← g + decay · m; u = m, or with Nesterov u = g + decay · m.

    Args:
        decay: the momentum, 0 <= decay <= 1 (1 sums all gradients); may be traced.
        nesterov: whether to look one step ahead. Static.
        accumulator_dtype: dtype of the sum; by default each parameter's. Static.

    Returns:
        The transform; updates keep shapes and dtypes of the gradients. It reports `decay`.

    Raises:
        ArgumentError: where `decay` is out of range or not a scalar.

    References:
        Sutskever et al. 2013, On the importance of initialization and momentum in deep learning,
        http://proceedings.mlr.press/v28/sutskever13.pdf, equations 1 to 4 (with the rate applied after the sum).

    Examples:
        >>> import jefficient as jf
        >>> import jax.numpy as jnp
        >>> tx = jf.trace(0.5)
        >>> state = tx.init(jnp.zeros(2))
        >>> for _ in range(3):
        ...     updates, state = tx.update(jnp.array([1.0, 2.0]), state)
        >>> updates.tolist()
        [1.75, 3.5]
    """
    return _trace("jf.trace", "decay", decay, nesterov, accumulator_dtype)


def _trace(
    where: str, name: str, decay: Scalar, nesterov: bool, accumulator_dtype: Any
) -> optax.GradientTransformationExtraArgs:
    checks.check_momentum(where, **{name: decay})
    checks.check_flag(where, nesterov=nesterov)

    def init(params: Tree) -> TraceState:
        m = trees.zeros_like(where, params, lambda dtype: dtype if accumulator_dtype is None else accumulator_dtype)
        return TraceState(m, _base.report(**{name: decay}))

    def leaf(g: jax.Array, m: jax.Array) -> tuple[jax.Array, jax.Array]:
        dtype = numerics.compute_dtype(g.dtype, m.dtype)
        g32, mu = g.astype(dtype), numerics.scalar(decay, dtype)
        new_m = g32 + mu * m.astype(dtype)
        u = g32 + mu * new_m if nesterov else new_m
        return u.astype(g.dtype), new_m.astype(m.dtype)

    def update(updates: Tree, state: TraceState, _: Tree) -> tuple[Tree, TraceState]:
        u, m = trees.map_leaves(where, leaf, updates, states=(state.trace,))
        return u, TraceState(m, _base.report(**{name: decay}))

    return _base.transformation(where, TraceState, init, update)


def sgd(
    learning_rate: ScalarOrSchedule,
    momentum: Scalar | None = None,
    nesterov: bool = False,
    accumulator_dtype: Any = None,
) -> optax.GradientTransformationExtraArgs:
    """Stochastic gradient descent: θ ← θ - η_t · m, with m ← g + momentum · m.

    Args:
        learning_rate: η, 0 <= η < inf: a number, traced or not, or a schedule.
        momentum: 0 <= momentum <= 1, may be traced; None for none (then there is no sum to keep: static).
        nesterov: whether momentum looks one step ahead. Static.
        accumulator_dtype: dtype of the sum; by default each parameter's. Static.

    Returns:
        The transform ``chain(trace(momentum), scale_by_learning_rate(learning_rate))``.

    Raises:
        ArgumentError: where a number is out of range or not a scalar.

    References:
        Robbins and Monro 1951, https://doi.org/10.1214/aoms/1177729586; Sutskever et al. 2013 for momentum.

    Examples:
        >>> import jefficient as jf
        >>> import jax, jax.numpy as jnp
        >>> tx = jf.sgd(0.1, momentum=0.9)
        >>> params = jnp.array([1.0, -2.0])
        >>> state = tx.init(params)
        >>> for _ in range(100):
        ...     updates, state = tx.update(jax.grad(lambda p: (p**2).sum())(params), state, params)
        ...     params = jf.apply_updates(params, updates)
        >>> bool(jnp.linalg.norm(params) < 0.02)
        True
    """
    where = "jf.sgd"
    _base.check_unless_schedule(checks.check_not_negative, where, learning_rate=learning_rate)
    checks.check_flag(where, nesterov=nesterov)
    momentum_of = identity() if momentum is None else _trace(where, "momentum", momentum, nesterov, accumulator_dtype)
    return chain(momentum_of, scale_by_learning_rate(learning_rate))
