"""Limits on the size of updates."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from .._core import checks, numerics, trees
from .._core.typing import Params, Scalar, State, Updates
from . import _base

_HUGE = 2.0**64


class ClipByGlobalNormState(NamedTuple):
    """Whether the last update was made shorter (bool, shape ()), and `max_norm`: reports only."""

    is_clipped: jax.Array
    hyperparameters: _base.Report


class ClipState(NamedTuple):
    """`max_delta`, for the report only."""

    hyperparameters: _base.Report


def clip(max_delta: Scalar) -> optax.GradientTransformationExtraArgs:
    """Clip number by number: u = min(max(g, -max_delta), max_delta).

    Args:
        max_delta: the largest absolute value, above 0; infinity never clips. May be traced.

    Returns:
        The transform; updates keep shapes and dtypes. It reports `max_delta`. A NaN stays NaN.

    Raises:
        ArgumentError: where `max_delta` is not above 0 or not a scalar.
        ArgumentTypeError: by `update`, where a leaf is complex, which has no order; it names the
            leaf.

    Examples:
        >>> import jefficient as jf
        >>> import jax.numpy as jnp
        >>> tx = jf.clip(1.0)
        >>> tx.update(jnp.array([3.0, -0.5]), tx.init(jnp.zeros(2)))[0].tolist()
        [1.0, -0.5]
    """
    where = "jf.clip"
    checks.check_positive(where, max_delta=max_delta)

    def report() -> ClipState:
        return ClipState(_base.report(where, max_delta=max_delta))

    def update(updates: Updates, _: ClipState, __: Params) -> tuple[Updates, ClipState]:
        trees.check_real(where, updates)
        return trees.map_leaves(where, _clip, updates, numbers=(max_delta,))[0], report()

    return _base.transformation(where, ClipState, lambda _: report(), update)


def clip_by_global_norm(max_norm: Scalar) -> optax.GradientTransformationExtraArgs:
    """Shorten the update: u = g · min(1, max_norm / ‖g‖), ‖g‖ over all leaves together.

    Args:
        max_norm: the longest norm, max_norm > 0 (inf never clips); may be traced.

    Returns:
        The transform; updates keep shapes and dtypes. The norm is accumulated in at least float32,
        so float16 gradients do not overflow it. As in optax, all updates are zero where it
        overflows float32 (above 1e19), and NaN where it is NaN. It reports `max_norm`.

    Raises:
        ArgumentError: where `max_norm` is not above zero, NaN or not a scalar.

    References:
        Pascanu et al. 2013, https://arxiv.org/abs/1211.5063, algorithm 1.

    Examples:
        >>> import jefficient as jf
        >>> import jax.numpy as jnp
        >>> tx = jf.clip_by_global_norm(1.0)
        >>> print(tx.update(jnp.array([3.0, 4.0]), tx.init(jnp.zeros(2)))[0].round(3))
        [0.6 0.8]
    """
    where = "jf.clip_by_global_norm"
    checks.check_positive(where, max_norm=max_norm)

    def report(is_clipped: jax.Array) -> ClipByGlobalNormState:
        return ClipByGlobalNormState(is_clipped, _base.report(where, max_norm=max_norm))

    def update(
        updates: Updates, _: ClipByGlobalNormState, __: Params
    ) -> tuple[Updates, ClipByGlobalNormState]:
        norm = trees.global_norm(updates)
        longest = numerics.scalar(max_norm, norm.dtype)
        is_short = norm <= longest  # also where both are infinite: inf / inf must not be formed
        # The quotient of a huge norm is subnormal, which may count as zero: halve both 64 times.
        halved = jnp.where(norm > _HUGE, 1 / _HUGE, 1.0)
        factor = jnp.where(is_short, 1.0, longest / jnp.where(is_short, 1.0, norm * halved))
        by = jnp.where(is_short, 1.0, halved)
        (u,) = trees.map_leaves(where, _scaled_twice, updates, numbers=(by, factor))
        return u, report(~is_short)

    return _base.transformation(
        where, ClipByGlobalNormState, lambda _: report(jnp.array(False)), update
    )


def _scaled_twice(g: jax.Array, halved: jax.Array, factor: jax.Array) -> tuple[jax.Array]:
    return ((g * halved) * factor,)


def _clip(g: jax.Array, max_delta: jax.Array) -> tuple[jax.Array]:
    return (jnp.clip(g, -max_delta, max_delta),)


def clipped(state: State) -> jax.Array | None:
    """Tell whether a `clip_by_global_norm` anywhere in a state made the last update shorter.

    Without such a transform the answer is None.
    """
    is_clip = lambda node: isinstance(node, ClipByGlobalNormState)  # noqa: E731
    found = [node.is_clipped for node in jax.tree.leaves(state, is_leaf=is_clip) if is_clip(node)]
    return functools.reduce(jnp.logical_or, found) if found else None
