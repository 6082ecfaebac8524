"""Stochastic gradient descent, with momentum."""

from typing import NamedTuple

import jax
import optax
from jax.typing import DTypeLike

from .._core import checks, trees
from .._core.typing import Params, Scalar, ScalarOrSchedule, Updates
from . import _base
from ._chain import chain
from ._names import public, reporting_as
from ._scale import identity, step_downhill


class TraceState(NamedTuple):
    """Decayed sum of gradients, one leaf per parameter leaf.

    It has the parameter's dtype, or `accumulator_dtype`.
    """

    trace: Updates
    hyperparameters: _base.Report


def trace(
    decay: Scalar, nesterov: bool = False, accumulator_dtype: DTypeLike | None = None
) -> optax.GradientTransformationExtraArgs:
    """Sum gradients with a decay: m ← g + decay · m; u = m, or with Nesterov u = g + decay · m.

    Args:
        decay: the momentum, 0 <= decay <= 1 (1 sums all gradients); may be traced.
        nesterov: whether to use Nesterov momentum. Static.
        accumulator_dtype: dtype of the sum; by default each parameter's, but "float32" is right for
            bfloat16 with a momentum of 0.99 or more, where small gradients would no longer change
            the sum. Static.

    Returns:
        The transform; updates keep shapes and dtypes of the gradients. It reports `decay`.

    Raises:
        ArgumentError: where `decay` is out of range or not a scalar.

    References:
        Sutskever et al. 2013, On the importance of initialization and momentum in deep learning,
        http://proceedings.mlr.press/v28/sutskever13.pdf, equations 1 to 4 (with the rate applied
        after the sum).

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
    where, numbers = public("jf.trace", decay=decay)
    checks.check_share(where, **numbers)
    checks.check_flag(where, nesterov=nesterov)
    checks.check_dtype(where, accumulator_dtype=accumulator_dtype)
    equation = _nesterov if nesterov else _momentum

    def init(params: Params) -> TraceState:
        m = trees.zeros_like(
            where, params, lambda dtype: dtype if accumulator_dtype is None else accumulator_dtype
        )
        return TraceState(m, _base.report(where, **numbers))

    def update(updates: Updates, state: TraceState, _: Params) -> tuple[Updates, TraceState]:
        u, m = trees.map_leaves(where, equation, updates, states=(state.trace,), numbers=(decay,))
        return u, TraceState(m, _base.report(where, **numbers))

    return _base.transformation(where, TraceState, init, update)


def _momentum(g: jax.Array, m: jax.Array, decay: jax.Array) -> tuple[jax.Array, jax.Array]:
    m = g + decay * m
    return m, m


def _nesterov(g: jax.Array, m: jax.Array, decay: jax.Array) -> tuple[jax.Array, jax.Array]:
    m = g + decay * m
    return g + decay * m, m


def sgd(
    learning_rate: ScalarOrSchedule,
    momentum: Scalar | None = None,
    nesterov: bool = False,
    accumulator_dtype: DTypeLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    """Step by stochastic gradient descent: θ ← θ - η_t · m, with m ← g + momentum · m.

    Args:
        learning_rate: η, 0 <= η < inf: a number, traced or not, or a schedule.
        momentum: 0 <= momentum <= 1, may be traced; None for none: then there is no sum to keep.
            Whether it is None is static.
        nesterov: whether to use Nesterov momentum. Static.
        accumulator_dtype: dtype of the sum; by default each parameter's, but "float32" is right for
            bfloat16 with a momentum of 0.99 or more, where small gradients would no longer change
            the sum. Static.

    Returns:
        The transform ``chain(trace(momentum), scale_by_learning_rate(learning_rate))``.

    Raises:
        ArgumentError: where a number is out of range or not a scalar.

    References:
        Robbins and Monro 1951, https://doi.org/10.1214/aoms/1177729586; Sutskever et al. 2013 for
        momentum.

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
    checks.check_flag("jf.sgd", nesterov=nesterov)
    with reporting_as("jf.sgd", decay="momentum"):
        sum_or_gradient = (
            identity() if momentum is None else trace(momentum, nesterov, accumulator_dtype)
        )
        return chain(sum_or_gradient, step_downhill(learning_rate))
