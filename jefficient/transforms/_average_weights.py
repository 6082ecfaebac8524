"""The exponential average of the parameters, which is evaluated in their place."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from .._core import checks, numerics, trees
from .._core.typing import DType, Params, ScalarOrSchedule, State, Updates
from . import _base
from ._apply_updates import apply_updates
from ._extra_args import accepting


class AverageWeightsState(NamedTuple):
    """A decayed sum of parameters, and the state of the inner transform.

    `count` (int32): updates made; `weight` (float32): the sum of what parameters were multiplied
    with, 1 - decayᵗ for a fixed decay; `average`: the decayed sum, one leaf per parameter leaf,
    float32 at least.
    """

    count: jax.Array
    weight: jax.Array
    average: Params
    inner_state: State
    hyperparameters: _base.Report

    def evaluation_params(self, params: Params) -> Params:
        """Return the average, in the parameters' dtypes; the parameters before any update."""

        def leaf(average: jax.Array, p: jax.Array) -> jax.Array:
            is_begun = self.weight > 0
            mean = average / jnp.where(is_begun, self.weight, 1).astype(average.dtype)
            return jnp.where(is_begun, mean.astype(trees.dtype_of(p)), p)

        return jax.tree.map(leaf, self.average, params)


def average_weights(
    tx: optax.GradientTransformation, decay: ScalarOrSchedule
) -> optax.GradientTransformationExtraArgs:
    """Train with `tx` as it is, and keep an exponential average of the parameters for evaluation.

    With θₜ the parameters after update t, a₀ = 0 and w₀ = 0:

        aₜ = decay·aₜ₋₁ + (1 - decay)·θₜ
        wₜ = decay·wₜ₋₁ + (1 - decay)

    and aₜ / wₜ is evaluated. The division by wₜ = 1 - decayᵗ removes the bias towards zero, as in
    Adam. (optax's `ema` averages updates, which is another thing.)

    Args:
        tx: a transform of jefficient or optax.
        decay: between 0, for the parameters themselves, and below 1; may be traced, or a schedule
            of the updates made.

    Returns:
        The transform; its updates are those of `tx`, and its state has one tree of parameters more.
        It reports `decay`. `jf.evaluation_params` finds the average in the state, and `jf.sweep`
        evaluates, ranks, keeps and tests it.

    Raises:
        ArgumentTypeError: where `tx` is not a transform.
        ArgumentError: where `decay` is not in [0, 1); by `update`, where it gets no parameters.

    References:
        Polyak and Juditsky 1992, https://doi.org/10.1137/0330046; Kingma and Ba 2015, section 7.2,
        https://arxiv.org/abs/1412.6980.

    Examples:
        >>> import jefficient as jf
        >>> import jax.numpy as jnp
        >>> tx = jf.average_weights(jf.adam(0.1), decay=0.99)
        >>> state = tx.init(jnp.ones(3))
        >>> updates, state = tx.update(jnp.ones(3), state, jnp.ones(3))
        >>> bool(jnp.allclose(jf.evaluation_params(state, jnp.ones(3)), jnp.ones(3) + updates))
        True
    """
    where = "jf.average_weights"
    _base.check_transform(where, tx, "tx")
    if not callable(decay):
        checks.check_decay(where, decay=decay)
    tx = accepting(tx)

    def init(params: Params) -> AverageWeightsState:
        average = trees.zeros_like(where, params, numerics.compute_dtype)
        count = _base.first_count()
        report = _base.report(where, **_base.values_at(where, {"decay": decay}, count))
        weight = jnp.zeros((), jnp.float32)
        return AverageWeightsState(count, weight, average, tx.init(params), report)

    def update(
        updates: Updates, state: State, params: Params = None, **extra_args: object
    ) -> tuple[Updates, AverageWeightsState]:
        _base.check_state(where, AverageWeightsState, state)
        _base.check_params(where, params)
        (now,) = _base.values_at(where, {"decay": decay}, state.count).values()
        u, inner_state = tx.update(updates, state.inner_state, params, **extra_args)

        def numbers(real: DType) -> tuple[jax.Array]:
            return (numerics.scalar(now, real),)

        moved = apply_updates(params, u)
        _, average = trees.map_leaves(
            where, _averaged, moved, states=(state.average,), numbers=numbers
        )
        (d,) = numbers(jnp.dtype(jnp.float32))
        return u, AverageWeightsState(
            _base.next_count(state.count),
            d * state.weight + (1 - d),
            average,
            inner_state,
            _base.report(where, decay=now),
        )

    return optax.GradientTransformationExtraArgs(init, update)


def _averaged(p: jax.Array, a: jax.Array, decay: jax.Array) -> tuple[jax.Array, jax.Array]:
    return p, decay * a + (1 - decay) * p
