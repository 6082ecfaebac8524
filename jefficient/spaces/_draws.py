"""Configurations drawn from ranges, as a Sobol' sequence or independently."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from .._core.checks import check_count, check_size, check_whole, is_number
from .._core.errors import ArgumentError, ArgumentTypeError
from ._axis import Axis
from ._ranges import Choice, Range, positions_shape
from ._space import Space, merged


def sobol(n: int, /, *, seed: int = 0, **ranges: Range | Axis) -> Space:
    """Draw the first n points of a scrambled Sobol' sequence, with smaller gaps than random draws.

    Any n is allowed. With a power of two the points are balanced: every half, quarter, … of a range
    has equally many of them, and so have such boxes of several ranges down to some size. With
    another n these counts may differ by one, and gaps are somewhat larger. A larger n appends
    points. Dimension i of the sequence is the i-th name in alphabetical order, so the order in
    which the ranges are written makes no difference. An array takes a dimension for each of its
    entries, the last axis varying fastest.

    Args:
        n: number of points. Whole numbers and choices may make some of them equal: these are
            merged, with a `JefficientWarning`.
        seed: seed of the scrambling, 0 <= seed < 2³¹; the same seed draws the same points.
        **ranges: for each hyperparameter `jf.Uniform`, `jf.LogUniform`, `jf.Choice`, or what
            `jf.static` returns.

    Returns:
        A `Space` of at most n configurations, in the order of the sequence.

    Raises:
        ArgumentError: if there is no range, if n or the seed is out of bounds, or if there are more
            dimensions than the 21201 of the sequence.
        ArgumentTypeError: if a hyperparameter has a value or a list of values in place of a range.

    References:
        Owen (1998), Scrambling Sobol' and Niederreiter-Xing points; drawn by
        `scipy.stats.qmc.Sobol`.

    Examples:
        >>> import jefficient as jf
        >>> space = jf.sobol(8, learning_rate=jf.LogUniform(1e-4, 1e-1), l2=jf.Uniform(0, 1e-2))
        >>> len(space), sum(x < 5e-3 for x in space.columns["l2"])
        (8, 4)
    """
    where = "jf.sobol"
    checked = _checked(where, n, seed, ranges)
    from scipy.stats import qmc  # imported here, since it takes most of a second

    log2_n = (n - 1).bit_length()
    dimensions = _dimensions(checked)
    if dimensions > qmc.Sobol.MAXDIM:
        raise ArgumentError(
            f"{where}: there must be at most {qmc.Sobol.MAXDIM} numbers in a configuration, got "
            f"{dimensions}. jf.random has no such bound."
        )
    points = qmc.Sobol(dimensions, scramble=True, rng=int(seed)).random_base2(log2_n)
    return merged(where, _drawn(checked, points[:n], list(ranges)))


def random(n: int, /, *, seed: int = 0, **ranges: Range | Axis) -> Space:
    """Draw n independent points.

    A larger n appends draws. The order in which the ranges are written makes no difference.

    Args:
        n: number of draws. Whole numbers and choices may make some of them equal: these are
            merged, with a `JefficientWarning`.
        seed: seed of NumPy's generator, 0 <= seed < 2³¹; the same seed draws the same points.
        **ranges: for each hyperparameter `jf.Uniform`, `jf.LogUniform`, `jf.Choice`, or what
            `jf.static` returns.

    Returns:
        A `Space` of at most n configurations, in the order of the draws.

    Raises:
        ArgumentError: if there is no range, or if n or the seed is out of bounds.
        ArgumentTypeError: if a hyperparameter has a value or a list of values in place of a range.

    References:
        Bergstra and Bengio (2012), Random search for hyper-parameter optimization.

    Examples:
        >>> import jefficient as jf
        >>> rate, sizes = jf.LogUniform(1e-4, 1e-1), jf.Choice([16, 64, 256])
        >>> space = jf.random(8, learning_rate=rate, batch_size=sizes)
        >>> space == jf.random(8, batch_size=sizes, learning_rate=rate)
        True
    """
    where = "jf.random"
    checked = _checked(where, n, seed, ranges)
    points = np.random.default_rng(int(seed)).random((n, _dimensions(checked)))
    return merged(where, _drawn(checked, points, list(ranges)))


def _checked(where: str, n: int, seed: int, ranges: Mapping[str, Range | Axis]) -> dict[str, Range]:
    """Check all arguments; return the ranges in alphabetical order of their names."""
    check_count(where, n=n)
    check_size(where, "configurations", draws=n)
    check_whole(where, 0, seed=seed)
    checked = checked_ranges(where, {name: ranges[name] for name in sorted(ranges)})
    check_size(where, "numbers", draws=n, numbers_each=_dimensions(checked))
    return checked


def checked_ranges(where: str, ranges: Mapping[str, object]) -> dict[str, Range]:
    """Check the ranges, and turn what `jf.static` returns into a choice."""
    if not ranges:
        raise ArgumentError(f"{where}: at least one range must be given, got none.")
    return {name: _range(where, name, x) for name, x in ranges.items()}


def _range(where: str, name: str, given: object) -> Range:
    if isinstance(given, Range):
        return given
    if isinstance(given, Axis):
        return Choice(given)
    raise ArgumentTypeError(
        f"{where}: {name} must be jf.Uniform, jf.LogUniform, jf.Choice or jf.static, got "
        f"{name}={given!r}. {_advice(name, given)}"
    )


def _advice(name: str, given: Any) -> str:
    """Say what to write for something that is no range."""
    if isinstance(given, type):
        return "Call it with its bounds or values."
    if isinstance(given, Mapping):
        return f"For values with labels write {name}=jf.static({{…}})."
    is_array = isinstance(given, Iterable) and getattr(given, "shape", (0,)) != ()
    if isinstance(given, str | bytes) or not is_array:
        return f"For a single value write {name}=jf.Choice([{given!r}])."
    advice = f"To choose one of the values write {name}=jf.Choice([…])"
    values = list(given)
    if len(values) == 2 and all(map(is_number, values)):
        advice += f", to draw between them {name}=jf.Uniform({values[0]}, {values[1]})"
    return f"{advice}."


def _drawn(ranges: dict[str, Range], points: np.ndarray, order: list[str]) -> dict[str, Axis]:
    """Map points of the unit cube, (n, dimensions), to columns in the given order of names."""
    columns = {}
    begin = 0
    for name, each in ranges.items():
        shape = positions_shape(each)
        end = begin + math.prod(shape)
        columns[name] = each.at(points[:, begin:end].reshape(-1, *shape))
        begin = end
    return {name: columns[name] for name in order}


def _dimensions(ranges: Mapping[str, Range]) -> int:
    """Return how many numbers a configuration has."""
    return sum(math.prod(positions_shape(each)) for each in ranges.values())
