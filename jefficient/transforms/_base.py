"""What transforms are made with: their checks, their state, the numbers that they report.

A transform is an `optax.GradientTransformationExtraArgs`, so both libraries' transforms chain in
either direction. Its state is a named tuple. Where the transform has numbers, the last field is
`hyperparameters`: the values in force at the last update as ``{transform: {number: value}}``,
strongly typed scalars that `update` writes and never reads.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias, TypeVar

import jax
import jax.numpy as jnp
import optax

from .._core import checks, numerics, trees
from .._core.errors import ArgumentError, ArgumentTypeError
from .._core.typing import Params, Scalar, ScalarOrSchedule, State, Tree, Updates

T = TypeVar("T")

Report: TypeAlias = dict[str, dict[str, jax.Array]]
"""{transform: {number: value}}, what `jf.hyperparameters` reads."""


def transformation(
    where: str,
    state_type: type,
    init: Callable[..., State],
    update: Callable[[Updates, State, Params], tuple[Updates, State]],
) -> optax.GradientTransformationExtraArgs:
    """Make the pair (init, update); `update` checks its state and the gradients first.

    Args:
        where: the public name, for errors.
        state_type: what `init` returns.
        init: ``params -> state``.
        update: ``(updates, state, params) -> (updates, state)``; `params` may be None.

    Returns:
        The transform. Further keyword arguments of its `update` are accepted and ignored.
    """

    def checked_update(
        updates: Updates, state: State, params: Params = None, **_: object
    ) -> tuple[Updates, State]:
        check_state(where, state_type, state)
        check_gradients(where, updates, params)
        return update(updates, state, params)

    return optax.GradientTransformationExtraArgs(init, checked_update)


class ScheduledState(NamedTuple):
    """Updates made under a schedule (int32; 0 for fixed numbers), and the numbers in force."""

    count: jax.Array
    hyperparameters: Report


def scheduled(
    where: str, numbers: dict[str, ScalarOrSchedule], apply: Callable[..., Updates]
) -> optax.GradientTransformationExtraArgs:
    """Make a transform without memory whose numbers, 0 or more, may be schedules.

    Fixed numbers and schedules have the same state, but only a schedule reads the count: a fixed
    number does not pay for a kernel of its own.

    Args:
        where: the public name, for errors and the report.
        numbers: ``{name: number or schedule}``.
        apply: ``(updates, params, *values in force) -> updates``.

    Returns:
        The transform; it reports the numbers.
    """
    check_not_negative(where, numbers)
    counts = any(map(callable, numbers.values()))

    def init(_: Params) -> ScheduledState:
        count = first_count()
        return ScheduledState(count, report(where, **values_at(where, numbers, count)))

    def update(
        updates: Updates, state: ScheduledState, params: Params
    ) -> tuple[Updates, ScheduledState]:
        now = values_at(where, numbers, state.count)
        count = next_count(state.count) if counts else state.count
        new_state = ScheduledState(count, report(where, **now))
        return apply(updates, params, *now.values()), new_state

    return transformation(where, ScheduledState, init, update)


def either(
    where: str, runs: jax.Array, run: Callable[[], tuple[Updates, State]], state: State
) -> tuple[Updates, State]:
    """Return what `run` returns where `runs` holds, else zero updates and the inner `state`.

    The zeros have the dtypes and shardings of the updates that `run` makes, which need not be
    those of the gradients.
    """
    like, new_state = jax.eval_shape(run)
    check_state_is_kept(where, new_state, state)

    def skip() -> tuple[Updates, State]:
        return jax.tree.map(jnp.zeros_like, like), state

    return jax.lax.cond(runs, run, skip)


def where_due(is_due: jax.Array, renew: Callable[..., T], old: T, *operands: Tree) -> T:
    """Return `renew(*operands)` where it is due, else `old`; without derivatives.

    Under vmap a `lax.cond` works out both sides for all lanes. Here nothing is worked out in a step
    in which no lane is due. `renew` must close over no array that may be traced, and call no
    collective.
    """

    @jax.custom_batching.custom_vmap
    def choose(is_due: jax.Array, old: T, *operands: Tree) -> T:
        return jax.lax.cond(is_due, lambda: renew(*operands), lambda: old)

    @choose.def_vmap
    def choose_in_lanes(size: int, batched: Sequence[Tree], *arguments: Tree) -> tuple[T, Tree]:
        def own(is_due: jax.Array, old: T, *operands: Tree) -> T:
            new = renew(*operands)
            return jax.tree.map(lambda x, y: jnp.where(is_due, x, y), new, old)

        def for_each(tree: Tree, is_batched: Tree) -> Tree:
            return jax.tree.map(
                lambda x, b: x if b else jnp.broadcast_to(x, (size, *jnp.shape(x))),
                tree,
                is_batched,
            )

        is_due, old, *operands = map(for_each, arguments, batched)
        found = where_due(jnp.any(is_due), jax.vmap(own), old, is_due, old, *operands)
        return found, jax.tree.map(lambda _: True, found)

    return choose(*jax.lax.stop_gradient((is_due, old, *operands)))


def check_state_is_kept(where: str, new: State, old: State) -> None:
    """Check that the inner transform's state keeps its tree, shapes and dtypes."""
    before = jax.tree.structure(old)
    after = jax.tree.structure(new)
    if before != after:
        raise ArgumentError(
            f"{where}: the inner state must keep its tree, got {before} -> {after}."
        )
    news = jax.tree_util.tree_leaves_with_path(new)
    for (path, x), y in zip(news, jax.tree.leaves(old), strict=True):
        shape = jnp.shape(y)
        dtype = trees.dtype_of(y)
        if (x.shape, x.dtype) != (shape, dtype):
            raise ArgumentTypeError(
                f"{where}: the inner state must keep shapes and dtypes, got {dtype}{list(shape)} "
                f"-> {x.dtype}{list(x.shape)} at {trees.name_of(path)}."
            )


def check_gradients(where: str, updates: Updates, params: Params) -> None:
    """Check that the gradients are floating, and like the parameters if these are given."""
    if params is None:
        trees.check_floating(where, updates, "gradients")
    else:
        trees.check_like(where, updates, params)


def check_state(where: str, state_type: type, state: State) -> None:
    """Check that the state is what this transform's `init` returns."""
    if not isinstance(state, state_type):
        raise ArgumentError(
            f"{where}: state must be the {state_type.__name__} that init returns, got "
            f"{type(state).__name__}. Was it made by another transform?"
        )


def check_transform(where: str, tx: object, place: str) -> None:
    """Check that `tx` is a gradient transformation; `place` says which argument it is."""
    if not isinstance(tx, optax.GradientTransformation):
        raise ArgumentTypeError(
            f"{where}: {place} must be a gradient transformation, got {tx!r}. "
            f"Did you mean to call it?"
        )


def check_params(where: str, params: Params) -> None:
    """Check that the parameters were passed to `update`."""
    if params is None:
        raise ArgumentError(f"{where}: update must be given the parameters, got params=None.")


def check_not_negative(where: str, numbers: dict[str, ScalarOrSchedule]) -> None:
    """Check that those of `numbers` that are not schedules are finite and not negative."""
    fixed = {name: x for name, x in numbers.items() if not callable(x)}
    checks.check_not_negative(where, **fixed)


def values_at(
    where: str, numbers: dict[str, ScalarOrSchedule], count: jax.Array
) -> dict[str, Scalar]:
    """Return the numbers in force at step `count`; check that schedules return scalars."""
    values = {name: x(count) if callable(x) else x for name, x in numbers.items()}
    checks.check_scalar(where, **values)
    return values


def first_count() -> jax.Array:
    """Return the step counter before any update: int32, shape ()."""
    return jnp.zeros((), jnp.int32)


def next_count(count: jax.Array) -> jax.Array:
    """Return one more, up to 2³¹ - 1, where it stays."""
    return jnp.asarray(optax.safe_increment(count))


def report(where: str, **values: Scalar) -> Report:
    """Return the values in force as strongly typed scalars, under the transform's name.

    They are copies: a state may be donated, and a number that is an array belongs to the caller, or
    stands elsewhere in the state.
    """
    numbers = {name: jnp.array(x, numerics.number_dtype(x)) for name, x in values.items()}
    return {where.removeprefix("jf."): numbers}
