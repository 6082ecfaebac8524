"""Bounds on updates."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from .._core import checks, numerics, trees
from .._core.typing import Scalar, Tree
from . import _base


class ClipByGlobalNormState(NamedTuple):
    """The bound, for the report alone."""

    hyperparameters: dict[str, jax.Array]


def clip_by_global_norm(max_norm: Scalar) -> optax.GradientTransformationExtraArgs:
    """u = g · min(1, max_norm / ‖g‖), ‖g‖ over all leaves together.

    Args:
        max_norm: the bound, max_norm > 0 (inf never clips); may be traced.

    Returns:
        The transform; updates keep shapes and dtypes. The norm is accumulated in at least float32, so float16
        gradients do not overflow it. It reports `max_norm`.

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

    def report() -> ClipByGlobalNormState:
        return ClipByGlobalNormState(_base.report(max_norm=max_norm))

    def update(updates: Tree, _: ClipByGlobalNormState, __: Tree) -> tuple[Tree, ClipByGlobalNormState]:
        norm = trees.global_norm(updates)
        bound = numerics.scalar(max_norm, norm.dtype)
        is_long = norm > bound  # never, where the bound is infinite: inf / inf must not be formed
        factor = jnp.where(is_long, bound / jnp.where(is_long, norm, 1.0), 1.0)

        def leaf(g: jax.Array) -> tuple[jax.Array]:
            return ((numerics.upcast(g) * factor.astype(numerics.compute_dtype(g.dtype))).astype(g.dtype),)

        return trees.map_leaves(where, leaf, updates)[0], report()

    return _base.transformation(where, ClipByGlobalNormState, lambda _: report(), update)
