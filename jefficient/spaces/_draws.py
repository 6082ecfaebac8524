"""Points drawn from ranges: evenly, as Sobol' points, or independently."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from .._core.checks import check_count, check_whole, is_number
from .._core.errors import ArgumentError, ArgumentTypeError
from ._axis import Axis
from ._ranges import Choice, Range
from ._space import Space, merged


def sobol(n: int, /, *, seed: int = 0, **ranges: Range | Axis) -> Space:
    """The first n points of a scrambled Sobol' sequence: they leave smaller gaps than independent draws do.

    Any n is allowed. With a power of two the points are balanced: every half, quarter, … of a range
    holds equally many of them, and so do such boxes of several ranges down to some size. With
    another n a part of a range may hold one point more or less than another of its size, and gaps
    are larger than need be. A larger n adds points to the same first ones. Dimension i of the
    sequence is the i-th name in alphabetical order, so it makes no difference in which order the
    ranges are written.

    Args:
        n: points to draw. Fewer configurations come out where whole numbers or choices make some
            equal: they are merged, with a `JefficientWarning`.
        seed: of the scrambling, 0 <= seed < 2³¹: the same seed has the same points.
        **ranges: for each hyperparameter `jf.Uniform`, `jf.LogUniform`, `jf.Choice`, or what
            `jf.static` returns.

    Returns:
        A `Space` of n configurations at most, in the order of the sequence.

    Raises:
        ArgumentError: where there is no range, or n or the seed is out of bounds.
        ArgumentTypeError: where a hyperparameter has a value, or a list of them, for a range.

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
    known = _checked(where, n, seed, ranges)
    from scipy.stats import qmc  # most of a second, for who wants it

    whole = qmc.Sobol(len(known), scramble=True, rng=int(seed)).random_base2((n - 1).bit_length())
    return merged(where, _drawn(known, whole[:n], list(ranges)))


def random(n: int, /, *, seed: int = 0, **ranges: Range | Axis) -> Space:
    """n independent draws.

    A larger n adds draws to the same first ones. The order in which ranges are written makes no
    difference.

    Args:
        n: draws. Fewer configurations come out where some are equal: they are merged, with a
            `JefficientWarning`.
        seed: of NumPy's generator, 0 <= seed < 2³¹: the same seed has the same draws.
        **ranges: for each hyperparameter `jf.Uniform`, `jf.LogUniform`, `jf.Choice`, or what
            `jf.static` returns.

    Returns:
        A `Space` of n configurations at most, in the order of the draws.

    Raises:
        ArgumentError: where there is no range, or n or the seed is out of bounds.
        ArgumentTypeError: where a hyperparameter has a value, or a list of them, for a range.

    References:
        Bergstra and Bengio (2012), Random search for hyper-parameter optimization.

    Examples:
        >>> import jefficient as jf
        >>> space = jf.random(8, learning_rate=jf.LogUniform(1e-4, 1e-1), batch_size=jf.Choice([16, 64, 256]))
        >>> space == jf.random(8, batch_size=jf.Choice([16, 64, 256]), learning_rate=jf.LogUniform(1e-4, 1e-1))
        True
    """
    where = "jf.random"
    known = _checked(where, n, seed, ranges)
    points = np.random.default_rng(int(seed)).random((n, len(known)))
    return merged(where, _drawn(known, points, list(ranges)))


def _checked(where: str, n: int, seed: int, ranges: dict[str, Any]) -> dict[str, Range]:
    """The ranges, in alphabetical order of their names."""
    check_count(where, n=n)
    check_whole(where, 0, seed=seed)
    return checked_ranges(where, {name: ranges[name] for name in sorted(ranges)})


def checked_ranges(where: str, ranges: Mapping[str, Any]) -> dict[str, Range]:
    """The ranges; what `jf.static` returns is one to choose from."""
    if not ranges:
        raise ArgumentError(f"{where}: at least one range must be given, got none.")
    return {name: _range(where, name, x) for name, x in ranges.items()}


def _range(where: str, name: str, given: Any) -> Range:
    if isinstance(given, Range):
        return given
    if isinstance(given, Axis):
        return Choice(given)
    rule = f"{where}: {name} must be jf.Uniform, jf.LogUniform, jf.Choice or jf.static, got {name}={given!r}."
    if isinstance(given, type):
        raise ArgumentTypeError(f"{rule} Call it with its bounds or values.")
    if isinstance(given, Mapping):
        raise ArgumentTypeError(f"{rule} For values with labels write {name}=jf.static({{…}}).")
    if (
        isinstance(given, str | bytes)
        or not isinstance(given, Iterable)
        or getattr(given, "shape", (0,)) == ()
    ):
        raise ArgumentTypeError(f"{rule} For a single value write {name}=jf.Choice([{given!r}]).")
    advice, values = f"To choose one of the values write {name}=jf.Choice([…])", list(given)
    if len(values) == 2 and all(map(is_number, values)):
        advice += f", to draw between them {name}=jf.Uniform({values[0]}, {values[1]})"
    raise ArgumentTypeError(f"{rule} {advice}.")


def _drawn(ranges: dict[str, Range], points: np.ndarray, order: list[str]) -> dict[str, Axis]:
    """The columns at points (n, len(ranges)), in the order in which they were asked for."""
    columns = {name: each.at(u) for (name, each), u in zip(ranges.items(), points.T, strict=True)}
    return {name: columns[name] for name in order}
