"""Smaller steps once the loss no longer falls."""

from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from .._core import checks, numerics, trees
from .._core.errors import ArgumentError
from .._core.typing import Params, Scalar, State, Updates
from . import _base
from ._scale import times


class ReduceOnPlateauState(NamedTuple):
    """The values so far.

    `reduction`: the factor in force; `best_value`: the best mean value; `plateau_count` (int32):
    means in a row without improvement; `cooldown_count` (int32): means still to be passed over;
    `count` (int32) and `avg_value`: the values gathered for the next mean. Floating scalars have
    the widest dtype of the parameters, float32 at least.
    """

    reduction: jax.Array
    best_value: jax.Array
    plateau_count: jax.Array
    cooldown_count: jax.Array
    count: jax.Array
    avg_value: jax.Array
    hyperparameters: _base.Report


def reduce_on_plateau(
    factor: Scalar = 0.1,
    patience: Scalar = 10,
    rtol: Scalar = 1e-4,
    atol: Scalar = 0.0,
    cooldown: Scalar = 0,
    accumulation_size: Scalar = 1,
    min_scale: Scalar = 0.0,
) -> optax.GradientTransformationExtraArgs:
    """Scale by s, reduced by `factor` when the value has not improved for `patience` means.

    Put it last in a chain: u = s · g. The value (a training or validation loss) is given to
    `update` as `value=`, as `jf.train_step` does; `accumulation_size` values make one mean v, which
    improves on the best one where v < best - rtol·|best| - atol.

    Args:
        factor: 0 < factor < 1.
        patience: means without improvement before a reduction, a whole number, 1 or more.
        rtol: relative improvement that counts, 0 <= rtol <= 1.
        atol: absolute improvement that counts, 0 <= atol < inf.
        cooldown: means after a reduction that are passed over, a whole number, 0 or more.
        accumulation_size: values in a mean, a whole number, 1 or more.
        min_scale: where s stops, 0 <= min_scale <= 1.

    Every number may be traced.

    Returns:
        The transform; updates keep shapes and dtypes. It reports its numbers and `scale`, the
        factor s in force.

    Raises:
        ArgumentError: where a number is out of range or not a scalar; by `update`, where `value` is
            missing.

    Examples:
        >>> import jefficient as jf
        >>> import jax.numpy as jnp
        >>> tx = jf.chain(jf.sgd(1.0), jf.reduce_on_plateau(factor=0.5, patience=2))
        >>> state = tx.init(jnp.ones(1))
        >>> for value in (3.0, 2.0, 2.0, 2.0):
        ...     updates, state = tx.update(jnp.ones(1), state, value=value)
        ...     print(updates.tolist())
        [-1.0]
        [-1.0]
        [-1.0]
        [-0.5]
    """
    where = "jf.reduce_on_plateau"
    checks.check_between(where, factor=factor)
    checks.check_whole(where, 1, patience=patience, accumulation_size=accumulation_size)
    checks.check_whole(where, 0, cooldown=cooldown)
    checks.check_share(where, rtol=rtol, min_scale=min_scale)
    checks.check_not_negative(where, atol=atol)
    numbers = {
        "factor": factor,
        "patience": patience,
        "rtol": rtol,
        "atol": atol,
        "cooldown": cooldown,
        "accumulation_size": accumulation_size,
        "min_scale": min_scale,
    }

    def report(scale: jax.Array) -> _base.Report:
        return _base.report(where, scale=scale, **numbers)

    def init(params: Params) -> ReduceOnPlateauState:
        trees.check_floating(where, params)
        dtypes = [numerics.real_dtype(jnp.result_type(p)) for p in jax.tree.leaves(params)]
        dtype = numerics.compute_dtype(*dtypes)
        scale, best, mean = (jnp.full((), x, dtype) for x in (1, jnp.inf, 0))
        # Three arrays, since a state may be donated.
        plateau, cooldown, count = (_base.first_count() for _ in range(3))
        return ReduceOnPlateauState(scale, best, plateau, cooldown, count, mean, report(scale))

    def update(
        updates: Updates,
        state: State,
        params: Params = None,
        *,
        value: Scalar | None = None,
        **_: object,
    ) -> tuple[Updates, ReduceOnPlateauState]:
        _base.check_state(where, ReduceOnPlateauState, state)
        _base.check_gradients(where, updates, params)
        if value is None:
            raise ArgumentError(
                f"{where}: update must be given the value to watch, got value=None."
            )
        checks.check_scalar(where, value=value)
        count = _base.next_count(state.count)
        dtype = state.avg_value.dtype
        mean = state.avg_value + (jnp.asarray(value, dtype) - state.avg_value) / count.astype(dtype)
        gathered = state._replace(count=count, avg_value=mean)
        is_full = count >= numerics.whole(accumulation_size)
        compared = _compared(gathered, numbers)
        new = jax.tree.map(lambda a, b: jnp.where(is_full, a, b), compared, gathered)
        return times(where, new.reduction, updates), new._replace(
            hyperparameters=report(new.reduction)
        )

    return optax.GradientTransformationExtraArgs(init, update)


def _compared(state: ReduceOnPlateauState, numbers: Mapping[str, Scalar]) -> ReduceOnPlateauState:
    """Compare the mean with the best one, and begin the next."""
    best = state.best_value
    mean = state.avg_value
    dtype = mean.dtype
    rtol, atol, factor, min_scale = (
        numerics.scalar(numbers[name], dtype) for name in ("rtol", "atol", "factor", "min_scale")
    )
    is_first = best == jnp.inf
    known = jnp.where(is_first, 0, best)
    margin = rtol * jnp.abs(known) + atol
    improves = jnp.where(is_first, mean < jnp.inf, mean < known - margin)
    bad = jnp.where(improves, 0, _base.next_count(state.plateau_count))
    is_cooling = state.cooldown_count > 0
    reduces = ~is_cooling & (bad >= numerics.whole(numbers["patience"]))
    smaller = jnp.maximum(state.reduction * factor, min_scale)
    cooldown = jnp.where(reduces, numerics.whole(numbers["cooldown"]), 0)
    return state._replace(
        reduction=jnp.where(reduces, smaller, state.reduction),
        best_value=jnp.where(improves, mean, best),
        plateau_count=jnp.where(is_cooling | reduces, 0, bad),
        cooldown_count=jnp.where(is_cooling, state.cooldown_count - 1, cooldown),
        count=_base.first_count(),
        avg_value=jnp.zeros((), dtype),
    )
