"""Updates times a number: fixed, a learning rate, or a schedule."""

from typing import NamedTuple

import jax
import optax

from .._core import checks, numerics, trees
from .._core.errors import ArgumentTypeError
from .._core.typing import DType, Params, Scalar, ScalarOrSchedule, Schedule, Updates
from . import _base
from ._names import public, reporting_as


class ScaleState(NamedTuple):
    """The factor, for the report alone."""

    hyperparameters: _base.Report


def identity() -> optax.GradientTransformationExtraArgs:
    """Return the updates as they are.

    Returns:
        A transform with an empty state.

    Examples:
        >>> import jefficient as jf
        >>> tx = jf.identity()
        >>> tx.update({"w": 1.0}, tx.init({"w": 1.0}))[0]
        {'w': 1.0}
    """
    where, _ = public("jf.identity")
    return _base.transformation(
        where,
        optax.EmptyState,
        lambda _: optax.EmptyState(),
        lambda updates, state, _: (updates, state),
    )


def scale(step_size: Scalar) -> optax.GradientTransformationExtraArgs:
    """Multiply the updates by a number: u = step_size · g.

    Args:
        step_size: the factor, finite, any sign; may be traced.

    Returns:
        The transform; updates keep their shapes and dtypes.

    Raises:
        ArgumentError: where `step_size` is not finite or not a scalar.

    Examples:
        >>> import jefficient as jf
        >>> import jax.numpy as jnp
        >>> tx = jf.scale(-0.5)
        >>> tx.update(jnp.array([2.0, 4.0]), tx.init(jnp.zeros(2)))[0].tolist()
        [-1.0, -2.0]
    """
    where = "jf.scale"
    checks.check_finite(where, step_size=step_size)

    def report() -> ScaleState:
        return ScaleState(_base.report(where, step_size=step_size))

    def update(updates: Updates, _: ScaleState, __: Params) -> tuple[Updates, ScaleState]:
        return times(where, step_size, updates), report()

    return _base.transformation(where, ScaleState, lambda _: report(), update)


def scale_by_schedule(step_size_fn: Schedule) -> optax.GradientTransformationExtraArgs:
    """Multiply the updates by a schedule: u = step_size_fn(t) · g.

    t = 0, 1, 2, … is the number of updates made before.

    Args:
        step_size_fn: a schedule, int32 step of shape () to a number.

    Returns:
        The transform; it reports `step_size`. The count stops at 2³¹ - 1.

    Raises:
        ArgumentTypeError: where `step_size_fn` is not a function.

    Examples:
        >>> import jefficient as jf
        >>> import jax.numpy as jnp
        >>> tx = jf.scale_by_schedule(jf.exponential_decay(1.0, transition_steps=1, decay_rate=0.5))
        >>> state = tx.init(jnp.zeros(1))
        >>> for _ in range(3):
        ...     updates, state = tx.update(jnp.array([8.0]), state)
        >>> updates.tolist()
        [2.0]
    """
    if not callable(step_size_fn):
        raise ArgumentTypeError(
            f"jf.scale_by_schedule: step_size_fn must be a function of the step, got "
            f"{step_size_fn!r}. For a fixed number use jf.scale."
        )
    return _scale_by("jf.scale_by_schedule", {"step_size": step_size_fn}, sign=1)


def scale_by_learning_rate(
    learning_rate: ScalarOrSchedule | None = None, *, flip_sign: bool = True
) -> optax.GradientTransformationExtraArgs:
    """Step downhill: u = -η_t · g.

    Args:
        learning_rate: η, 0 <= η < inf: a number, traced or not, or a schedule; None leaves the
            updates as they are.
        flip_sign: whether to turn gradients (uphill) into updates (downhill). Static.

    Returns:
        The transform; it reports `learning_rate`. Numbers and schedules have the same state.

    Raises:
        ArgumentError: where `learning_rate` is negative, not finite or not a scalar.

    Examples:
        >>> import jefficient as jf
        >>> import jax.numpy as jnp
        >>> tx = jf.scale_by_learning_rate(0.5)
        >>> tx.update(jnp.array([2.0, 4.0]), tx.init(jnp.zeros(2)))[0].tolist()
        [-1.0, -2.0]
    """
    checks.check_flag("jf.scale_by_learning_rate", flip_sign=flip_sign)
    if learning_rate is not None:
        return step_downhill(learning_rate, flip_sign)
    with reporting_as("jf.scale_by_learning_rate"):
        return identity()


def step_downhill(
    learning_rate: ScalarOrSchedule, flip_sign: bool = True
) -> optax.GradientTransformationExtraArgs:
    """Return `scale_by_learning_rate` of a rate that must not be None."""
    where, numbers = public("jf.scale_by_learning_rate", learning_rate=learning_rate)
    return _scale_by(where, numbers, sign=-1 if flip_sign else 1)


def _scale_by(
    where: str, numbers: dict[str, ScalarOrSchedule], sign: int
) -> optax.GradientTransformationExtraArgs:
    return _base.scheduled(
        where, numbers, lambda updates, _, factor: times(where, factor, updates, sign)
    )


def times(where: str, factor: Scalar, updates: Updates, sign: int = 1) -> Updates:
    """Multiply every leaf by ``sign · factor``."""

    def signed(dtype: DType) -> tuple[jax.Array]:
        return (sign * numerics.scalar(factor, dtype),)  # an unsigned factor has no -1

    return trees.map_leaves(where, scaled, updates, numbers=signed)[0]


def scaled(g: jax.Array, factor: jax.Array) -> tuple[jax.Array]:
    return (factor * g,)
