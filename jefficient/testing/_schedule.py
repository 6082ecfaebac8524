"""The laws of a schedule."""

import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .._core.errors import ArgumentTypeError
from .._core.typing import Schedule
from ._law import (
    Numbers,
    agrees_when_traced,
    broken,
    built,
    check_numbers,
    finite,
    first_values,
    has_gradients,
    same,
    verify,
)


class Case(NamedTuple):
    """What is verified: ``factory(**numbers)``, at integer steps and at others."""

    factory: Callable[..., Schedule]
    numbers: Numbers
    steps: np.ndarray
    rtol: float

    def build(self, **overrides: Any) -> Schedule:
        """The schedule with the first values, or others."""
        return self.factory(**{**first_values(self.numbers), **overrides})


def verify_schedule(
    factory: Callable[..., Schedule],
    numbers: Any = None,
    *,
    steps: Sequence[int] = range(40),
    laws: Iterable[str] | None = None,
    rtol: float = 1e-5,
) -> None:
    """Hold a schedule to the laws of jefficient's own.

    Args:
        factory: ``(**numbers) -> (step -> value)``.
        numbers: ``{name: (value, another value)}`` for each number that may be traced, both valid.
            A number whose values are both int is a count of steps: traced as int32; its gradient is
            checked as of a float.
        steps: the steps to evaluate; they should cover all boundaries.
        laws: names from `SCHEDULE_LAWS`; by default all.
        rtol: how close static and traced values must be, relative to the largest.

    Raises:
        LawError: where a law is broken: which law, which number.
        ArgumentError: where a law is unknown.
        ArgumentTypeError: where a number has not two values.

    Examples:
        >>> import jefficient as jf
        >>> import jefficient.testing
        >>> jf.testing.verify_schedule(jf.linear_schedule, {
        ...     "init_value": (1.0, 0.5), "end_value": (0.1, 0.2), "transition_steps": (10, 20)})
    """
    where = "jf.testing.verify_schedule"
    numbers = check_numbers(where, numbers)
    made = built(where, factory, numbers)
    if not callable(made):
        raise ArgumentTypeError(
            f"{where}: factory must return a function of the step, got {made!r}."
        )
    case = Case(factory, numbers, np.asarray(steps, np.int32), rtol)
    verify(where, SCHEDULE_LAWS, laws, case)


def _traced(case: Case) -> None:
    """a traced number gives the values of the static one, alone and under vmap, with one trace for all values."""
    largest = float(jnp.max(jnp.abs(case.build()(case.steps))))
    agrees_when_traced(
        lambda **number: case.build(**number)(case.steps),
        case.numbers,
        case.rtol,
        case.rtol * largest / 10,
    )


def _steps(case: Case) -> None:
    """steps may be given one by one, as an array, as integers or as floats."""
    schedule = case.build()
    together = schedule(case.steps)
    finite(together, "the value")
    atol = case.rtol * float(jnp.max(jnp.abs(together))) / 10
    same(jnp.stack([schedule(int(t)) for t in case.steps]), together, case.rtol, atol)
    same(schedule(case.steps.astype(np.float32)), together, case.rtol, atol)
    same(jax.jit(schedule)(case.steps), together, case.rtol, atol)


def _shape(case: Case) -> None:
    """the value is strongly typed float32 (float64 where the step is), in the step's shape."""
    for step in (3, np.int32(3), jnp.int32(3), 3.0, jnp.float32(3), case.steps):
        _check_value(case.build()(step), np.shape(step), "float32")
    with jax.enable_x64(True):
        _check_value(case.build()(jnp.int32(3)), (), "float32")
        _check_value(case.build()(jnp.float64(3)), (), "float64")


def _check_value(value: Any, shape: tuple[int, ...], dtype: str) -> None:
    got = (
        getattr(value, "dtype", type(value).__name__),
        np.shape(value),
        getattr(value, "weak_type", False),
    )
    if got != (np.dtype(dtype), shape, False):
        raise AssertionError(
            f"the value must be a strongly typed {dtype} of shape {shape}, got {got[0]} of shape {got[1]}"
            f"{', weakly typed' if got[2] else ''}. Return jnp.asarray(value, jnp.float32)."
        )


def _gradient(case: Case) -> None:
    """the gradient in each number is finite, and is the finite difference between integer steps."""
    shifts = itertools.cycle(
        (0.5, 0.3, 0.7, 0.2, 0.6, 0.45)
    )  # off the kinks, which are at whole steps
    steps = [float(t) + next(shifts) for t in case.steps[:: min(7, max(1, len(case.steps) // 7))]]
    floats = {name: (float(a), float(b)) for name, (a, b) in case.numbers.items()}

    def total(**number: Any) -> jax.Array:
        at = jnp.asarray(steps, jnp.float64)
        return jnp.sum(case.build(**number)(at) * jnp.arange(1.0, 1.0 + len(steps)))

    has_gradients(total, floats, rtol=1e-5)

    def ends(**number: Any) -> jax.Array:
        return case.build(**number)(jnp.asarray([0.0, 1e6], jnp.float32))

    for name, (x, _) in floats.items():
        with broken(f"Number {name} at {x}, at step 0 and after the end:"):
            finite(
                jax.jacobian(lambda x, name=name: ends(**{name: x}))(jnp.float32(x)), "the gradient"
            )


SCHEDULE_LAWS: dict[str, Callable[[Case], None]] = {
    "traced": _traced,
    "steps": _steps,
    "shape": _shape,
    "gradient": _gradient,
}
"""The laws of `verify_schedule` by name.

`traced`: a traced number gives the values of the static one, alone and under vmap, with one trace
    for all values.
`steps`: steps may be given one by one, as an array, as integers or as floats.
`shape`: the value is strongly typed float32 (float64 where the step is), in the step's shape.
`gradient`: the gradient in each number is finite, and is the finite difference.
"""
