"""How a transform is put together: its checks, its state, the numbers it reports.

A transform is an `optax.GradientTransformationExtraArgs`, so both libraries' transforms chain in
either direction. Its state is a named tuple. Where the transform has numbers, the last field is
`hyperparameters`: the values in force at the last update as ``{transform: {number: value}}``,
strongly typed scalars that `update` writes and never reads.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import optax

from .._core import checks, numerics, trees
from .._core.errors import ArgumentError, ArgumentTypeError
from .._core.typing import Scalar, ScalarOrSchedule, Tree

EmptyState = optax.EmptyState

Report: TypeAlias = dict[str, dict[str, jax.Array]]
"""{transform: {number: value}}, what `jf.hyperparameters` reads."""


def transformation(
    where: str,
    state_type: type,
    init: Callable[..., Any],
    update: Callable[[Tree, Any, Tree], tuple[Tree, Any]],
) -> optax.GradientTransformationExtraArgs:
    """The pair (init, update), with `update` guarded: its own state, gradients like the parameters.

    Args:
        where: the public name, for errors.
        state_type: what `init` returns.
        init: ``params -> state``.
        update: ``(updates, state, params) -> (updates, state)``; `params` may be None.

    Returns:
        The transform. Further keyword arguments of its `update` are accepted and ignored.
    """

    def checked_update(
        updates: Tree, state: Any, params: Tree = None, **extra_args: Any
    ) -> tuple[Tree, Any]:
        del extra_args
        check_state(where, state_type, state)
        check_gradients(where, updates, params)
        return update(updates, state, params)

    return optax.GradientTransformationExtraArgs(init, checked_update)


def either(
    where: str, runs: jax.Array, run: Callable[[], tuple[Tree, Any]], state: Any
) -> tuple[Tree, Any]:
    """What `run` returns where `runs`, else zero updates and the inner `state` as it is.

    The zeros have the dtypes of the updates that `run` makes, which need not be those of the
    gradients.
    """
    like, new_state = jax.eval_shape(run)
    check_state_is_kept(where, new_state, state)

    def skip() -> tuple[Tree, Any]:
        return jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), like), state

    return jax.lax.cond(runs, run, skip)


def check_state_is_kept(where: str, new: Any, old: Any) -> None:
    """The inner transform's state keeps its tree, shapes and dtypes."""
    if jax.tree.structure(new) != jax.tree.structure(old):
        raise ArgumentError(
            f"{where}: the inner state must keep its tree, got {jax.tree.structure(old)} -> {jax.tree.structure(new)}."
        )
    for (path, x), y in zip(
        jax.tree_util.tree_leaves_with_path(new), jax.tree.leaves(old), strict=True
    ):
        shape, dtype = jnp.shape(y), trees.dtype_of(y)
        if (x.shape, x.dtype) != (shape, dtype):
            raise ArgumentTypeError(
                f"{where}: the inner state must keep shapes and dtypes, got {dtype}{list(shape)} -> "
                f"{x.dtype}{list(x.shape)} at {trees.name_of(path)}."
            )


def check_gradients(where: str, updates: Tree, params: Tree) -> None:
    """The gradients are floating, and like the parameters where these are given."""
    if params is None:
        trees.check_floating(where, updates, "gradients")
    else:
        trees.check_like(where, updates, params)


def check_state(where: str, state_type: type, state: Any) -> None:
    """The state is what this transform's `init` returns."""
    if not isinstance(state, state_type):
        raise ArgumentError(
            f"{where}: state must be the {state_type.__name__} that init returns, got {type(state).__name__}. "
            f"Was it made by another transform?"
        )


def check_transform(where: str, tx: Any, place: str) -> None:
    """`tx` is a gradient transformation; `place` says which argument it is."""
    if not isinstance(tx, optax.GradientTransformation):
        raise ArgumentTypeError(
            f"{where}: {place} must be a gradient transformation, got {tx!r}. Did you mean to call it?"
        )


def check_params(where: str, params: Tree) -> None:
    """The parameters were passed to `update`."""
    if params is None:
        raise ArgumentError(f"{where}: update must be given the parameters, got params=None.")


def check_unless_schedule(
    check: Callable[..., None], where: str, **numbers: ScalarOrSchedule
) -> None:
    """Check those of `numbers` that are not schedules."""
    check(where, **{name: x for name, x in numbers.items() if not callable(x)})


def value_at(where: str, name: str, number: ScalarOrSchedule, count: jax.Array) -> Scalar:
    """The number in force at step `count`; what a schedule returns is checked to be a scalar."""
    if not callable(number):
        return number
    value = number(count)
    checks.check_scalar(where, **{name: value})
    return value


def values_at(
    where: str, numbers: dict[str, ScalarOrSchedule], count: jax.Array
) -> dict[str, Scalar]:
    """`value_at` of several numbers."""
    return {name: value_at(where, name, x, count) for name, x in numbers.items()}


def first_count() -> jax.Array:
    """The step counter before any update: int32, shape ()."""
    return jnp.zeros((), jnp.int32)


def next_count(count: jax.Array) -> jax.Array:
    """One more, up to 2³¹ - 1, where it stays."""
    return jnp.asarray(optax.safe_increment(count))


def count_under(
    number: ScalarOrSchedule | dict[str, ScalarOrSchedule], count: jax.Array
) -> jax.Array:
    """The count after an update: one more where a schedule reads it, as it was where all numbers are fixed.

    So numbers and schedules have the same state, and a fixed number does not cost a kernel of its
    own to compile.
    """
    numbers = number.values() if isinstance(number, dict) else (number,)
    return next_count(count) if any(map(callable, numbers)) else count


def report(where: str, **values: Scalar) -> Report:
    """The values in force as strongly typed scalars, under the transform's name: for the field `hyperparameters`.

    Copies: a state may be donated, and a number that is an array is the caller's, or stands
        elsewhere in the state.
    """
    return {
        where.removeprefix("jf."): {
            name: jnp.array(x, numerics.number_dtype(x)) for name, x in values.items()
        }
    }
