"""The laws of a schedule."""

import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from .._core.errors import ArgumentTypeError
from .._core.typing import Scalar, Schedule
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
    """A schedule to verify: ``factory(**numbers)``, at these steps and between them."""

    factory: Callable[..., Schedule]
    numbers: Numbers
    steps: np.ndarray
    rtol: float

    def build(self, **overrides: Scalar) -> Schedule:
        """Make the schedule of the first values, or of others."""
        return self.factory(**{**first_values(self.numbers), **overrides})


def verify_schedule(
    factory: Callable[..., Schedule],
    numbers: Numbers | None = None,
    *,
    steps: Sequence[int] = range(40),
    laws: Iterable[str] | None = None,
    rtol: float = 1e-5,
) -> None:
    """Hold a schedule to the laws that jefficient's own schedules obey.

    Args:
        factory: ``(**numbers) -> (step -> value)``.
        numbers: ``{name: (value, another value)}`` for each number that may be traced, both valid.
            A number whose values are both int is a count of steps: traced as int32, but its
            gradient is checked as that of a float.
        steps: the steps to evaluate; they should cover all boundaries.
        laws: names from `SCHEDULE_LAWS`; by default all.
        rtol: tolerance between static and traced values, relative to the largest.

    Raises:
        LawError: if a law is broken; the message names the law and the number.
        ArgumentError: if a law is unknown.
        ArgumentTypeError: if a number does not have two values.

    Examples:
        >>> import jefficient as jf
        >>> import jefficient.testing
        >>> jf.testing.verify_schedule(jf.linear_schedule, {
        ...     "init_value": (1.0, 0.5), "end_value": (0.1, 0.2), "transition_steps": (10, 20)})
    """
    where = "jf.testing.verify_schedule"
    checked = check_numbers(where, numbers)
    made = built(where, factory, checked)
    if not callable(made):
        raise ArgumentTypeError(
            f"{where}: factory must return a function of the step, got {made!r}."
        )
    case = Case(factory, checked, np.asarray(steps, np.int32), rtol)
    verify(where, SCHEDULE_LAWS, laws, case)


def _traced(case: Case) -> None:
    """a traced number gives the values of a static one, alone and vmapped, with one trace."""
    largest = float(jnp.max(jnp.abs(case.build()(case.steps))))

    def run(**number: Scalar) -> jax.Array:
        return case.build(**number)(case.steps)

    agrees_when_traced(run, case.numbers, case.rtol, case.rtol * largest / 10)


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
    """the value is strongly typed float32 (float64 if the step is), in the step's shape."""
    for step in (3, np.int32(3), jnp.int32(3), 3.0, jnp.float32(3), case.steps):
        _check_value(case.build()(step), np.shape(step), "float32")
    with jax.enable_x64(True):
        _check_value(case.build()(jnp.int32(3)), (), "float32")
        _check_value(case.build()(jnp.float64(3)), (), "float64")


def _check_value(value: ArrayLike, shape: tuple[int, ...], dtype: str) -> None:
    kind = getattr(value, "dtype", type(value).__name__)
    is_weak = getattr(value, "weak_type", False)
    if is_weak or kind != np.dtype(dtype) or np.shape(value) != shape:
        raise AssertionError(
            f"the value must be a strongly typed {dtype} of shape {shape}, got "
            f"{'a weakly typed ' if is_weak else ''}{kind} of shape {np.shape(value)}. "
            f"Return jnp.asarray(value, jnp.float32)."
        )


def _gradient(case: Case) -> None:
    """the gradient in each number is finite, and is the finite difference between integer steps."""
    # Between whole steps, where a schedule may have kinks.
    shifts = itertools.cycle((0.5, 0.3, 0.7, 0.2, 0.6, 0.45))
    stride = min(7, max(1, len(case.steps) // 7))
    steps = [float(t) + next(shifts) for t in case.steps[::stride]]
    floats = {name: (float(a), float(b)) for name, (a, b) in case.numbers.items()}

    def total(**number: Scalar) -> jax.Array:
        at = jnp.asarray(steps, jnp.float64)
        return jnp.sum(case.build(**number)(at) * jnp.arange(1.0, 1.0 + len(steps)))

    has_gradients(total, floats, rtol=1e-5)

    def ends(x: jax.Array, name: str) -> jax.Array:
        return case.build(**{name: x})(jnp.asarray([0.0, 1e6], jnp.float32))

    for name, (x, _) in floats.items():
        with broken(f"Number {name} at {x}, at step 0 and after the end:"):
            finite(jax.jacobian(ends)(jnp.float32(x), name), "the gradient")


SCHEDULE_LAWS: dict[str, Callable[[Case], None]] = {
    "traced": _traced,
    "steps": _steps,
    "shape": _shape,
    "gradient": _gradient,
}
"""The laws of `verify_schedule` by name.

- `traced`: a traced number gives the values of a static one, alone and vmapped, with one trace for
  all values.
- `steps`: steps may be given one by one, as an array, as integers or as floats.
- `shape`: the value is strongly typed float32 (float64 if the step is), in the step's shape.
- `gradient`: the gradient in each number is finite, and is the finite difference.
"""
