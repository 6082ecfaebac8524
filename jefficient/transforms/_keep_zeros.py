"""Training of a pruned model: its zeros stay."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from .._core import trees
from .._core.typing import Params, Tree, Updates
from . import _base
from ._prune import zeroed


class KeepZerosState(NamedTuple):
    """Which parameters were not zero: a tree of bool arrays like the parameters."""

    kept: Tree


def keep_zeros() -> optax.GradientTransformationExtraArgs:
    """Keep what is zero at `init`: u = -θ there, so that θ + u is exactly zero; else u = g.

    Put it last in a chain, to train a model on that was pruned before.

    Returns:
        The transform. Its `update` needs the parameters, and its updates have their dtypes. Its
        state has one bool for each parameter. Some leaves alone: ``masked(keep_zeros(), mask)``;
        biases that begin at zero are to be left out.

    Raises:
        ArgumentError: by `update`, where it gets no parameters.

    Examples:
        >>> import jefficient as jf
        >>> import jax.numpy as jnp
        >>> tx = jf.chain(jf.adam(0.5), jf.keep_zeros())
        >>> params = jnp.array([1.0, 0.0])
        >>> updates, state = tx.update(jnp.ones(2), tx.init(params), params)
        >>> print(jf.apply_updates(params, updates).round(3))
        [0.5 0. ]
    """
    where = "jf.keep_zeros"

    def init(params: Params) -> KeepZerosState:
        trees.check_floating(where, params)
        return KeepZerosState(jax.tree.map(lambda p: jnp.asarray(p != 0), params))

    def update(
        updates: Updates, state: KeepZerosState, params: Params
    ) -> tuple[Updates, KeepZerosState]:
        _base.check_params(where, params)
        (u,) = trees.map_leaves(
            where, zeroed, updates, reads=(params, state.kept), like_params=True
        )
        return u, state

    return _base.transformation(where, KeepZerosState, init, update)
