"""Schedules in pieces: jumps at boundaries, and whole schedules one after another."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from .._core import checks
from .._core.checks import is_traced
from .._core.errors import ArgumentError, ArgumentTypeError
from .._core.typing import DType, Scalar, Schedule, Step
from . import _base
from ._warmup import warmup_cosine_decay_schedule

Numbers: TypeAlias = Sequence[Scalar] | jax.Array
"""Numbers in a row: a sequence, or an array of shape (k,)."""


def piecewise_constant_schedule(
    init_value: Scalar,
    boundaries_and_scales: Mapping[int, Scalar] | tuple[Numbers, Numbers] | None = None,
) -> Schedule:
    """Multiply by a factor at each boundary: η_t = η₀ · Π f_i over all b_i <= t.

    Args:
        init_value: η₀, finite.
        boundaries_and_scales: ``{b_i: f_i}``, or a pair ``(boundaries, scales)`` of arrays of shape
            (k,) (or sequences of k numbers), all of which may be traced, while keys of a dict
            cannot. b_i 0 or more, 0 <= f_i < inf; None for none.

    Returns:
        ``step -> value``, in the step's shape, float32 at least. The value changes at step b_i
        itself.

    Raises:
        ArgumentError: where a number is out of range, or boundaries and scales differ in number.

    Examples:
        >>> import jefficient as jf
        >>> import jax, jax.numpy as jnp
        >>> schedule = jf.piecewise_constant_schedule(1.0, {10: 0.5, 20: 0.5})
        >>> [float(schedule(t)) for t in (9, 10, 20)]
        [1.0, 0.5, 0.25]
        >>> def value_at_15(boundary):
        ...     return jf.piecewise_constant_schedule(1.0, ([boundary], [0.5]))(15)
        >>> jax.vmap(value_at_15)(jnp.array([10, 15, 16])).tolist()
        [0.5, 0.5, 1.0]
    """
    where = "jf.piecewise_constant_schedule"
    checks.check_finite(where, init_value=init_value)
    boundaries, scales = _boundaries_and_scales(where, boundaries_and_scales)
    for boundary, scale in zip(boundaries, scales, strict=True):
        checks.check_not_negative(where, boundaries=boundary, scales=scale)

    def schedule(step: Step) -> jax.Array:
        dtype = _base.value_dtype(step, init_value, *scales)
        value = jnp.broadcast_to(jnp.asarray(init_value, dtype), jnp.shape(step))
        for boundary, scale in zip(boundaries, scales, strict=True):
            is_behind = _base.elapsed(step, boundary, dtype) >= 0
            value = jnp.where(is_behind, value * jnp.asarray(scale, dtype), value)
        return value

    return schedule


def _boundaries_and_scales(where: str, given: object) -> tuple[list[Scalar], list[Scalar]]:
    if given is None:
        return [], []
    if isinstance(given, Mapping):
        return list(given), list(given.values())
    if not (isinstance(given, tuple | list) and len(given) == 2):
        raise ArgumentTypeError(
            f"{where}: boundaries_and_scales must be a dict or a pair (boundaries, scales), got "
            f"{given!r}."
        )
    boundaries = numbers_in(where, "boundaries", given[0])
    scales = numbers_in(where, "scales", given[1])
    if len(boundaries) != len(scales):
        raise ArgumentError(
            f"{where}: boundaries and scales must be equally many, got {len(boundaries)} and "
            f"{len(scales)}."
        )
    return boundaries, scales


def numbers_in(where: str, name: str, values: object) -> list[Scalar]:
    """Return the numbers of a sequence, or of an array of one dimension, as a list."""
    if isinstance(values, jax.Array | np.ndarray):
        if values.ndim != 1:
            raise ArgumentError(f"{where}: {name} must have shape (k,), got shape {values.shape}.")
        return [values[i] for i in range(values.shape[0])]
    if not isinstance(values, Sequence) or isinstance(values, str):
        raise ArgumentTypeError(
            f"{where}: {name} must be a sequence of numbers, got {name}={values!r}."
        )
    return list(values)


def join_schedules(schedules: Sequence[Schedule], boundaries: Numbers) -> Schedule:
    """Run one schedule after another, each counting its steps from its own beginning.

    Args:
        schedules: k functions of the step, jefficient's or others.
        boundaries: the k - 1 steps at which the next one begins, increasing, 0 or more; a sequence
            of numbers or an array, traced or not.

    Returns:
        ``step -> value``, in the step's shape, float32 at least.

    Raises:
        ArgumentError: where the numbers of schedules and boundaries do not fit, or boundaries do
            not increase.
        ArgumentTypeError: where a schedule is not a function.

    Examples:
        >>> import jefficient as jf
        >>> warmup, rest = jf.linear_schedule(0.0, 1.0, 10), jf.rsqrt_schedule(1.0, shift=10)
        >>> schedule = jf.join_schedules([warmup, rest], [10])
        >>> [round(float(schedule(t)), 3) for t in (0, 5, 10, 40)]
        [0.0, 0.5, 1.0, 0.5]
    """
    where = "jf.join_schedules"
    if not isinstance(schedules, Iterable):
        raise ArgumentTypeError(
            f"{where}: schedules must be a sequence of functions of the step, got {schedules!r}."
        )
    schedules = list(schedules)
    boundaries = numbers_in(where, "boundaries", boundaries)
    for schedule in schedules:
        if not callable(schedule):
            raise ArgumentTypeError(
                f"{where}: every schedule must be a function of the step, got {schedule!r}."
            )
    if len(schedules) != len(boundaries) + 1:
        raise ArgumentError(
            f"{where}: there must be one boundary between two schedules, got {len(schedules)} "
            f"schedules and {len(boundaries)} boundaries."
        )
    for boundary in boundaries:
        checks.check_not_negative(where, boundaries=boundary)
    for first, second in itertools.pairwise(boundaries):
        if not is_traced(first) and not is_traced(second) and not first < second:
            raise ArgumentError(f"{where}: boundaries must increase, got {second} after {first}.")

    def joined(step: Step) -> jax.Array:
        dtype = _base.value_dtype(step)
        spans = itertools.pairwise([0, *boundaries, None])
        values = [
            schedule(_own_step(step, begin, end, dtype))
            for schedule, (begin, end) in zip(schedules, spans, strict=True)
        ]
        dtype = _base.value_dtype(step, *values)
        value = jnp.broadcast_to(jnp.asarray(values[0], dtype), jnp.shape(step))
        for boundary, following in zip(boundaries, values[1:], strict=True):
            is_behind = _base.elapsed(step, boundary, dtype) >= 0
            value = jnp.where(is_behind, jnp.asarray(following, dtype), value)
        return value

    return joined


def _own_step(step: Step, begin: Any, end: Scalar | None, dtype: DType) -> jax.Array:
    """Return the steps since the schedule's beginning, held at both of its ends.

    Beyond them its value is not used, but might overflow and put NaN into gradients.
    """
    own = jnp.maximum(_base.elapsed(step, begin, dtype), 0)
    if end is None:
        return own
    return jnp.minimum(own, _base.elapsed(end, begin, dtype).astype(own.dtype))


def sgdr_schedule(cosine_kwargs: Iterable[Mapping[str, Scalar]]) -> Schedule:
    """Restart warm: run one `warmup_cosine_decay_schedule` after another.

    Args:
        cosine_kwargs: for each cycle the arguments of `warmup_cosine_decay_schedule`; its
            `decay_steps` is the length of the cycle. Every number may be traced; how many cycles
            there are is static.

    Returns:
        ``step -> value``, in the step's shape, float32 at least. After the last cycle its
        `end_value` stays.

    Raises:
        ArgumentError: where there is no cycle, or a number is out of range or not a scalar.

    References:
        Loshchilov and Hutter 2017, https://arxiv.org/abs/1608.03983, equation 5.

    Examples:
        >>> import jefficient as jf
        >>> cycle = {"init_value": 0.0, "peak_value": 1.0, "warmup_steps": 2, "decay_steps": 12}
        >>> schedule = jf.sgdr_schedule([cycle, cycle | {"peak_value": 0.5}])
        >>> [round(float(schedule(t)), 3) for t in (2, 7, 12, 14, 24)]
        [1.0, 0.5, 0.0, 0.5, 0.0]
    """
    cycles = [dict(kwargs) for kwargs in cosine_kwargs]
    for kwargs in cycles:
        missing = {"init_value", "peak_value", "warmup_steps", "decay_steps"} - set(kwargs)
        if missing:
            raise ArgumentError(
                f"jf.sgdr_schedule: every cycle must have {sorted(missing)}, got {kwargs}."
            )
    if not cycles:
        raise ArgumentError(
            "jf.sgdr_schedule: there must be at least one cycle, got cosine_kwargs=[]."
        )
    schedules = [warmup_cosine_decay_schedule(**kwargs) for kwargs in cycles]
    return join_schedules(schedules, _base.total([kwargs["decay_steps"] for kwargs in cycles])[:-1])
