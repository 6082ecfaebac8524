"""One step for several microbatches."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.typing import DTypeLike

from .._core import checks, numerics, trees
from .._core.typing import DType, Params, ScalarOrSchedule, State, Updates
from . import _base
from ._extra_args import accepting


class AccumulateState(NamedTuple):
    """The gradients gathered since the last step, and the state of the inner transform.

    `mini_step` (int32): microbatches gathered; `gradient_step` (int32): steps made; `mean`: their
    share of the mean so far, one leaf per parameter leaf, in `accumulator_dtype`.
    """

    mini_step: jax.Array
    gradient_step: jax.Array
    mean: Updates
    inner_state: State
    hyperparameters: _base.Report


def accumulate(
    tx: optax.GradientTransformation,
    every_k: ScalarOrSchedule,
    *,
    accumulator_dtype: DTypeLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    """Gather the mean of `every_k` gradients, then make one step of `tx` with it.

    Updates between are zero. With microbatches of equal size that is the step of one batch
    `every_k` times the size, to rounding.

    Args:
        tx: a transform of jefficient or optax whose state keeps its dtypes.
        every_k: microbatches a step, a whole number, 1 or more; may be traced, or a schedule of
            the steps made (rounded down to a whole number, at least 1).
        accumulator_dtype: dtype of the mean; by default each parameter's, but float32 at least.
            Static.

    Returns:
        The transform; its state is one gradient more than that of `tx`. It reports `every_k`. The
        inner update runs once in `every_k` calls, by `lax.cond`; under vmap, where lanes may
        differ, it runs at every call and its result is taken once in `every_k`. Keyword arguments
        of `update` reach `tx` as they are at the last microbatch.

    Raises:
        ArgumentTypeError: where `tx` is not a transform.
        ArgumentError: where `every_k` is below one, not whole or not a scalar; by `update`, where
            gradients and parameters differ in structure or shape (it names the leaf).

    Examples:
        >>> import jefficient as jf
        >>> import jax.numpy as jnp
        >>> tx = jf.accumulate(jf.sgd(1.0), every_k=2)
        >>> state = tx.init(jnp.zeros(2))
        >>> updates, state = tx.update(jnp.array([1.0, 0.0]), state)
        >>> updates.tolist()
        [0.0, 0.0]
        >>> updates, state = tx.update(jnp.array([3.0, 1.0]), state)
        >>> updates.tolist()
        [-2.0, -0.5]
    """
    where = "jf.accumulate"
    _base.check_transform(where, tx, "tx")
    if not callable(every_k):
        checks.check_whole(where, 1, every_k=every_k)
    checks.check_dtype(where, accumulator_dtype=accumulator_dtype)
    tx = accepting(tx)

    def k_at(count: jax.Array) -> jax.Array:
        (k,) = _base.values_at(where, {"every_k": every_k}, count).values()
        return jnp.maximum(numerics.whole(k), 1)

    def mean_dtype(dtype: DType) -> DTypeLike:
        return numerics.compute_dtype(dtype) if accumulator_dtype is None else accumulator_dtype

    def init(params: Params) -> AccumulateState:
        mean = trees.zeros_like(where, params, mean_dtype)
        gathered = _base.first_count()
        made = _base.first_count()  # an array of its own, since a state may be donated
        report = _base.report(where, every_k=k_at(made))
        return AccumulateState(gathered, made, mean, tx.init(params), report)

    def update(
        updates: Updates, state: State, params: Params = None, **extra_args: object
    ) -> tuple[Updates, AccumulateState]:
        _base.check_state(where, AccumulateState, state)
        _base.check_gradients(where, updates, params)
        k = k_at(state.gradient_step)
        mini_step = _base.next_count(state.mini_step)
        steps = mini_step >= k

        def numbers(real: DType) -> tuple[jax.Array, jax.Array]:
            return numerics.scalar(k, real), steps

        g, mean = trees.map_leaves(where, _add, updates, states=(state.mean,), numbers=numbers)

        def step() -> tuple[Updates, State]:
            return tx.update(g, state.inner_state, params, **extra_args)

        u, inner_state = _base.either(where, steps, step, state.inner_state)
        return u, AccumulateState(
            jnp.where(steps, 0, mini_step),
            jnp.where(steps, _base.next_count(state.gradient_step), state.gradient_step),
            mean,
            inner_state,
            _base.report(where, every_k=k),
        )

    return optax.GradientTransformationExtraArgs(init, update)


def _add(
    g: jax.Array, mean: jax.Array, k: jax.Array, steps: jax.Array
) -> tuple[jax.Array, jax.Array]:
    mean = mean + g / k
    return mean, jnp.where(steps, 0, mean)
