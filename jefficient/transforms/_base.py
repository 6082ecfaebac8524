"""How a transform is put together: its checks, its state, the numbers it reports.

A transform is an `optax.GradientTransformationExtraArgs`, so both libraries' transforms chain in either direction.
Its state is a named tuple. Where the transform has numbers, the last field is `hyperparameters`: the values in force
at the last update, strongly typed scalars that `update` writes and never reads.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from .._core import checks, numerics, trees
from .._core.errors import ArgumentError
from .._core.typing import Scalar, ScalarOrSchedule, Tree

EmptyState = optax.EmptyState


def transformation(
    where: str,
    state_type: type,
    init: Callable[[Tree], Any],
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

    def checked_init(params: Tree) -> Any:
        return init(params)

    def checked_update(updates: Tree, state: Any, params: Tree = None, **extra_args: Any) -> tuple[Tree, Any]:
        del extra_args
        check_state(where, state_type, state)
        if params is not None:
            trees.check_like(where, updates, params)
        return update(updates, state, params)

    return optax.GradientTransformationExtraArgs(checked_init, checked_update)


def check_state(where: str, state_type: type, state: Any) -> None:
    """The state is what this transform's `init` returns."""
    if not isinstance(state, state_type):
        raise ArgumentError(
            f"{where}: state must be the {state_type.__name__} that init returns, got {type(state).__name__}. "
            f"Was it made by another transform?"
        )


def check_params(where: str, params: Tree) -> None:
    """The parameters were passed to `update`."""
    if params is None:
        raise ArgumentError(f"{where}: update must be given the parameters, got params=None.")


def check_unless_schedule(check: Callable[..., None], where: str, **numbers: ScalarOrSchedule) -> None:
    """Check those of `numbers` that are not schedules."""
    check(where, **{name: x for name, x in numbers.items() if not callable(x)})


def value_at(where: str, name: str, number: ScalarOrSchedule, count: jax.Array) -> Scalar:
    """The number in force at step `count`; what a schedule returns is checked to be a scalar."""
    if not callable(number):
        return number
    value = number(count)
    checks.check_scalar(where, **{name: value})
    return value


def first_count() -> jax.Array:
    """The step counter before any update: int32, shape ()."""
    return jnp.zeros((), jnp.int32)


def next_count(count: jax.Array) -> jax.Array:
    """One more, up to 2³¹ - 1, where it stays."""
    return jnp.asarray(optax.safe_increment(count))


def report(**values: Scalar) -> dict[str, jax.Array]:
    """The values in force as strongly typed scalars, for the field `hyperparameters`."""
    return {name: numerics.scalar(x) for name, x in values.items()}


class Reported(NamedTuple):
    """A number that a transform wrote into its state."""

    path: str
    name: str
    value: jax.Array


def reported(state: Any) -> Iterator[Reported]:
    """Every number reported anywhere in a (chained, masked, partitioned) state, in tree order."""

    def reports(node: Any) -> bool:
        return isinstance(node, tuple) and isinstance(getattr(node, "hyperparameters", None), dict)

    for path, node in jax.tree_util.tree_leaves_with_path(state, is_leaf=reports):
        if reports(node):
            for name, value in node.hyperparameters.items():
                yield Reported(jax.tree_util.keystr(path, simple=True, separator="."), name, value)
