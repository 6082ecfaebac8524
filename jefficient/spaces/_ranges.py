"""Ranges to draw from: each maps positions between 0 and 1 to values."""

import dataclasses
import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from .._core.checks import check_count, check_finite, check_flag, check_size, is_number
from .._core.errors import ArgumentError, ArgumentTypeError
from .._core.numerics import device_numbers
from ._axis import Axis
from ._identity import python_values


@dataclasses.dataclass(frozen=True)
class Uniform:
    """Evenly spread numbers, low <= x < high: at position u, ``low + u (high - low)``.

    The values are float32, as programs get them, written as the shortest decimal that rounds to
    them. With `integer` they are Python ints, low <= k <= high, all equally likely: ``⌊low + u
    (high - low + 1)⌋``.

    Args:
        low: the lower bound.
        high: the upper bound.
        integer: whether to draw whole numbers, both bounds included.
        shape: of the array that a value is; () for a number. Its entries are drawn independently
            (by `jf.sobol` as dimensions of their own).

    Raises:
        ArgumentError: if low >= high, or if a bound does not fit float32, or with `integer` is not
            a whole number that fits int32; or if a size of the shape is below 1.
        ArgumentTypeError: if a bound is not a number, or the shape is no tuple of whole numbers.

    Examples:
        >>> import jefficient as jf
        >>> import numpy as np
        >>> jf.Uniform(0.5, 0.9).at(np.array([0.0, 0.25])).values
        (0.5, 0.6)
        >>> jf.Uniform(1, 6, integer=True).at(np.array([0.0, 0.25, 0.99])).values
        (1, 2, 6)
        >>> jf.random(1, offsets=jf.Uniform(-1, 1, shape=(2, 3))).numbers("offsets").shape
        (1, 2, 3)
    """

    low: float
    high: float
    integer: bool = dataclasses.field(default=False, kw_only=True)
    shape: tuple[int, ...] = dataclasses.field(default=(), kw_only=True)

    def __post_init__(self):
        _check("jf.Uniform", self)
        if not self.low < self.high:
            raise ArgumentError(
                f"jf.Uniform: low < high must hold, got low={self.low}, high={self.high}."
            )

    def at(self, u: np.ndarray) -> Axis:
        """Return the values at positions u, float array (n, *shape) with 0 <= u < 1."""
        low, high = _bounds(self)
        return self.axis(low + u * (high - low))

    def axis(self, x: np.ndarray) -> Axis:
        """Return numbers (n, *shape) as programs get them, within the bounds."""
        return _numbers(self, x)


@dataclasses.dataclass(frozen=True)
class LogUniform:
    """Numbers with evenly spread logarithms, 0 < low <= x < high: ``low (high / low)ᵘ``.

    For learning rates, decay strengths, and whatever else matters by its order of magnitude. The
    values are float32, as programs get them, written as the shortest decimal that rounds to them.
    With `integer` they are Python ints, low <= k <= high: draws of ``LogUniform(low - 1/2, high +
    1/2)``, rounded.

    Args:
        low: the lower bound, above 0.
        high: the upper bound.
        integer: whether to draw whole numbers, both bounds included.
        shape: of the array that a value is; () for a number. Its entries are drawn independently
            (by `jf.sobol` as dimensions of their own).

    Raises:
        ArgumentError: if 0 < low < high does not hold, or if a bound does not fit float32, or with
            `integer` is not a whole number that fits int32; or if a size of the shape is below 1.
        ArgumentTypeError: if a bound is not a number, or the shape is no tuple of whole numbers.

    Examples:
        >>> import jefficient as jf
        >>> import numpy as np
        >>> jf.LogUniform(1e-4, 1.0).at(np.array([0.0, 0.25, 0.5])).values
        (0.0001, 0.001, 0.01)
        >>> jf.LogUniform(16, 256, integer=True).at(np.array([0.0, 0.5, 0.999])).values
        (16, 63, 256)
        >>> jf.sobol(4, rates=jf.LogUniform(1e-4, 1e-1, shape=(8,))).numbers("rates").shape
        (4, 8)
    """

    low: float
    high: float
    integer: bool = dataclasses.field(default=False, kw_only=True)
    shape: tuple[int, ...] = dataclasses.field(default=(), kw_only=True)

    def __post_init__(self):
        _check("jf.LogUniform", self)
        if not 0 < self.low < self.high:
            advice = " For a range that touches 0 use jf.Uniform." if self.low <= 0 else ""
            raise ArgumentError(
                f"jf.LogUniform: 0 < low < high must hold, got low={self.low}, high={self.high}."
                f"{advice}"
            )

    def at(self, u: np.ndarray) -> Axis:
        """Return the values at positions u, float array (n, *shape) with 0 <= u < 1."""
        low, high = map(math.log, _bounds(self))
        return self.axis(np.exp(low + u * (high - low)))

    def axis(self, x: np.ndarray) -> Axis:
        """Return numbers (n, *shape) as programs get them, within the bounds."""
        return _numbers(self, x)


@dataclasses.dataclass(frozen=True)
class Choice:
    """One of k values, all equally likely: at position u, ``values[⌊u k⌋]``.

    Args:
        values: different values: a list, an array whose first axis counts them, or what `jf.static`
            returns. Numbers and arrays are traced, everything else is static, as in `jf.grid`.

    Raises:
        ArgumentError: if there is no value, or if a value is given twice or needs a label.
        ArgumentTypeError: if `values` is a single value.

    Examples:
        >>> import jefficient as jf
        >>> import numpy as np
        >>> jf.Choice([16, 64, 256]).at(np.array([0.0, 0.5, 0.9])).values
        (16, 64, 256)
    """

    values: Iterable[Any]
    labels: tuple | None = dataclasses.field(init=False, repr=False)

    def __post_init__(self):
        axis = Axis.of("jf.Choice", "values", self.values)
        object.__setattr__(self, "values", axis.values)
        object.__setattr__(self, "labels", axis.labels)

    def at(self, u: np.ndarray) -> Axis:
        """Return the values at positions u, float array (n,) with 0 <= u < 1."""
        return self.axis((u * len(tuple(self.values))).astype(int))

    def axis(self, x: np.ndarray) -> Axis:
        """Return the values at indices x, int array (n,)."""
        return Axis(tuple(self.values), self.labels).take(x.tolist())


Range = Uniform | LogUniform | Choice
"""What `jf.sobol` and `jf.random` draw from."""


def _check(where: str, bounds: Uniform | LogUniform) -> None:
    """Check that bounds are finite and fit float32; with `integer`, that they are whole."""
    check_flag(where, integer=bounds.integer)
    _check_shape(where, bounds.shape)
    for name, x in (("low", bounds.low), ("high", bounds.high)):
        if not is_number(x):
            raise ArgumentTypeError(f"{where}: {name} must be a Python number, got {name}={x!r}.")
        check_finite(where, **{name: x})
        if bounds.integer and not (x == int(x) and abs(x) < 2**31):
            raise ArgumentError(
                f"{where}: {name} must be a whole number between -2³¹ and 2³¹ with integer=True, "
                f"got {name}={x}."
            )
        device_numbers(where, name, float(x))


def _check_shape(where: str, shape: object) -> None:
    """Check for a tuple of sizes of at least one."""
    if not isinstance(shape, tuple):
        raise ArgumentTypeError(
            f"{where}: shape must be a tuple, got shape={shape!r}. For k numbers in a row write "
            f"shape=(k,)."
        )
    for size in shape:
        check_count(where, shape=size)
    check_size(where, "numbers", **{f"shape[{i}]": size for i, size in enumerate(shape)})


def positions_shape(given: Range) -> tuple[int, ...]:
    """Return the shape of the positions of one value: that of the array; a choice takes one."""
    return () if isinstance(given, Choice) else given.shape


def _bounds(given: Uniform | LogUniform) -> tuple[float, float]:
    """Return the bounds before rounding, which are half a unit wider for whole numbers."""
    margin = 0.5 if given.integer else 0.0
    return given.low - margin, given.high + margin


def _numbers(given: Uniform | LogUniform, x: np.ndarray) -> Axis:
    """Return `x` as Python numbers or arrays; rounding does not take them out of the bounds."""
    if given.integer:
        whole = np.clip(np.floor(x + 0.5), given.low, given.high).astype(int)
        return Axis(python_values(whole.ravel())).shaped(given.shape)
    low, high = float(given.low), float(given.high)
    numbers = python_values(x.astype(np.float32).ravel())
    return Axis(tuple(min(max(value, low), high) for value in numbers)).shaped(given.shape)
