"""Steps that are skipped where a gradient is not finite."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from .._core import checks, numerics, trees
from .._core.typing import Params, Scalar, State, Updates
from . import _base
from ._extra_args import accepting


class ApplyIfFiniteState(NamedTuple):
    """The bad gradients so far, and the state of the inner transform.

    `notfinite_count` (int32): bad gradients in a row; `last_finite` (bool): whether the last one
    was good; `total_notfinite` (int32): bad gradients in all.
    """

    notfinite_count: jax.Array
    last_finite: jax.Array
    total_notfinite: jax.Array
    inner_state: State
    hyperparameters: _base.Report


def apply_if_finite(
    inner: optax.GradientTransformation, max_consecutive_errors: Scalar
) -> optax.GradientTransformationExtraArgs:
    """Skip a step whose gradient is not finite: zero updates, the inner state as it was.

    After `max_consecutive_errors` bad gradients in a row the next one is let through, so that a run
    that is lost shows it.

    Args:
        inner: a transform of jefficient or optax whose state keeps its dtypes.
        max_consecutive_errors: bad gradients in a row that are skipped, a whole number, 0 or more;
            may be traced.

    Returns:
        The transform. It reports `max_consecutive_errors`. Under vmap each lane decides for itself:
        both ways are computed and one is taken, so no lane's NaN reaches another (nor, by way of
        gradients, its own numbers).

    Raises:
        ArgumentTypeError: where `inner` is not a transform.
        ArgumentError: where `max_consecutive_errors` is negative, not whole or not a scalar.

    Examples:
        >>> import jefficient as jf
        >>> import jax.numpy as jnp
        >>> tx = jf.apply_if_finite(jf.sgd(0.5), max_consecutive_errors=3)
        >>> state = tx.init(jnp.ones(2))
        >>> updates, state = tx.update(jnp.array([1.0, jnp.nan]), state)
        >>> updates.tolist(), int(state.total_notfinite)
        ([0.0, 0.0], 1)
        >>> tx.update(jnp.array([1.0, 2.0]), state)[0].tolist()
        [-0.5, -1.0]
    """
    where = "jf.apply_if_finite"
    _base.check_transform(where, inner, "inner")
    checks.check_whole(where, 0, max_consecutive_errors=max_consecutive_errors)
    inner = accepting(inner)

    def report() -> _base.Report:
        return _base.report(where, max_consecutive_errors=max_consecutive_errors)

    def init(params: Params) -> ApplyIfFiniteState:
        in_a_row = _base.first_count()
        in_all = _base.first_count()  # an array of its own, since a state may be donated
        return ApplyIfFiniteState(in_a_row, jnp.array(True), in_all, inner.init(params), report())

    def update(
        updates: Updates, state: State, params: Params = None, **extra_args: object
    ) -> tuple[Updates, ApplyIfFiniteState]:
        _base.check_state(where, ApplyIfFiniteState, state)
        _base.check_gradients(where, updates, params)
        updates = jax.tree.map(numerics.array, updates)
        is_finite = trees.all_finite(updates)
        errors = jnp.where(is_finite, 0, _base.next_count(state.notfinite_count))
        runs = is_finite | (errors > numerics.whole(max_consecutive_errors))

        def run() -> tuple[Updates, State]:
            # Under vmap this runs always, and a NaN would reach the gradients of a skipped step.
            g = jax.tree.map(lambda x: jnp.where(runs, x, jnp.zeros_like(x)), updates)
            return inner.update(g, state.inner_state, params, **extra_args)

        u, inner_state = _base.either(where, runs, run, state.inner_state)
        total = jnp.where(is_finite, state.total_notfinite, _base.next_count(state.total_notfinite))
        return u, ApplyIfFiniteState(errors, is_finite, total, inner_state, report())

    return optax.GradientTransformationExtraArgs(init, update)
