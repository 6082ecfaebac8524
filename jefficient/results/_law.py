"""How an optimum moves along another hyperparameter: a power law."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from .._core.checks import check_positive_finite
from .._core.errors import ArgumentError, ArgumentTypeError
from .._core.text import displayed
from .._core.warn import warn
from ._axes import labelled, shown
from ._distributions import t_isf
from ._moderated import shrunk

FEWEST = 3
"""Levels: a line through two cannot fail."""
TRUSTED = 2.0
"""A prediction that may be wrong by more than this factor is not to be trusted."""

Point = tuple[float, ...]


def level_of(point: Point) -> float | Point:
    """Name a level: by its number, if it has one."""
    return point[0] if len(point) == 1 else point


class Level(NamedTuple):
    """The optimum at one level.

    Attributes:
        point: the value of each hyperparameter in `by`.
        log_optimum: the logarithm of the best value.
        influence: float array (units,): what each unit adds to it, mean 0.
    """

    point: Point
    log_optimum: float
    influence: np.ndarray


@dataclasses.dataclass(frozen=True)
class PowerLaw:
    """The best value as c·x^exponent, fitted in logarithms.

    Attributes:
        hyperparameter: whose best value it is.
        by: the names of what it depends on.
        exponent: a float for one name in `by`, for several a dict of them.
        low: end of the interval for the exponent.
        high: the other end.
        level: of the interval.
        scatter: standard deviation of the optima about the law beyond noise, in the logarithm.
        trusted: for one name in `by`: from where to where `predict` is known to a factor of 2, at
            most one range of the levels beyond them; NaN where nowhere. None for several.
        optima: level (a number, or a tuple for several names) to its `Optimum`.
        refused: level to why it has none.
    """

    hyperparameter: str
    by: tuple[str, ...]
    exponent: float | Mapping[str, float]
    low: float | Mapping[str, float]
    high: float | Mapping[str, float]
    level: float
    scatter: float
    trusted: tuple[float, float] | None
    optima: Mapping[Any, Any] = dataclasses.field(repr=False)
    refused: Mapping[Any, str]
    line: "Line" = dataclasses.field(repr=False, kw_only=True)

    def predict(self, x: float | Mapping[str, float]) -> tuple[float, float, float]:
        """Predict the best value at a level, with the interval for it.

        Args:
            x: the value of `by`; a dict of them for several names.

        Returns:
            (value, low, high); the interval holds the optimum at a level that was not tried: that
            of the line, and the scatter of the optima about it. Outside `trusted` (for several
            names: outside the levels that were tried) a `JefficientWarning` says so.

        Raises:
            ArgumentError: if a value is not positive.
            ArgumentTypeError: if it has not the names in `by`.
        """
        where = "jf.PowerLaw.predict"
        given = dict(x) if isinstance(x, Mapping) else {self.by[0]: x}
        if set(given) != set(self.by):
            raise ArgumentTypeError(f"{where}: x must have values of {list(self.by)}, got x={x!r}.")
        check_positive_finite(where, **given)
        point = np.array([given[name] for name in self.by], float)
        low, high = self.line.range if self.trusted is None else np.array(self.trusted)[:, None]
        if not ((point >= low) & (point <= high)).all():
            inside = " and ".join(
                f"{name} {shown(float(a))} to {shown(float(b))}"
                for name, a, b in zip(self.by, low, high, strict=True)
            )
            if np.isnan(low).any():
                inside = "which is nowhere: the optima scatter too much"
            warn(
                f"{where}: x should be where the law can be trusted, {inside}, got x={x!r}. Sweep "
                "a level nearer to it."
            )
        centre, half = self.line.at(np.log(point)[None])
        return tuple(np.exp([centre[0], centre[0] - half[0], centre[0] + half[0]]).tolist())

    def __str__(self) -> str:
        def of(value: float | Mapping[str, float], name: str) -> float:
            return value[name] if isinstance(value, Mapping) else value

        level = f"{100 * self.level:g} %"
        parts = [
            f"{labelled(name)} to the power of {shown(of(self.exponent, name))} ({level} interval "
            f"{shown(of(self.low, name))} to {shown(of(self.high, name))})"
            for name in self.by
        ]
        count = len(self.optima)
        text = f"The best {labelled(self.hyperparameter)} grows as {' times '.join(parts)}"
        return displayed(f"{text}, from {count} levels.")


class Line(NamedTuple):
    """A line in logarithms, and how sure it is.

    Attributes:
        coefficients: float array (1 + names,), the intercept first.
        by_noise: their covariance by noise between units.
        by_scatter: their covariance by scatter between levels.
        scatter: variance of the optima about the line, beyond noise.
        degrees: of freedom of the two.
        level: of intervals.
        range: float array (2, names): ends of the levels.
    """

    coefficients: np.ndarray
    by_noise: np.ndarray
    by_scatter: np.ndarray
    scatter: float
    degrees: tuple[int, int]
    level: float
    range: np.ndarray

    def at(self, log_x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the line at (points, names), and half the interval for a new optimum there."""
        rows = np.column_stack([np.ones(len(log_x)), log_x])
        return rows @ self.coefficients, self.half(rows, self.scatter)

    def half(self, rows: np.ndarray, more: float = 0.0) -> np.ndarray:
        """Return half the interval of rows @ coefficients, (rows,).

        Degrees of freedom of a sum of two variances: Welch (1947) and Satterthwaite (1946).
        """
        noise = np.einsum("ij,jk,ik->i", rows, self.by_noise, rows)
        scatter = np.einsum("ij,jk,ik->i", rows, self.by_scatter, rows) + more
        units, levels = self.degrees
        below = np.zeros_like(noise)
        for variance, count in ((noise, units), (scatter, levels)):
            below += variance**2 / count if count else 0.0
        above = (noise + scatter) ** 2
        degrees = np.divide(above, below, out=np.full_like(above, np.inf), where=below > 0)
        return t_isf((1 - self.level) / 2, degrees) * np.sqrt(noise + scatter)


def fit_law(
    where: str,
    name: str,
    by: Sequence[str],
    levels: Sequence[Level],
    refused: Mapping[Point, str],
    factor: float,
    level: float,
) -> PowerLaw:
    """Fit a line in logarithms through the optima.

    A level counts by the inverse of its variance: that of noise, drawn towards the other levels',
    and the scatter beyond noise, by DerSimonian and Laird (1986), "Meta-analysis in clinical
    trials", Controlled Clinical Trials 7. The units are the same at all levels, so each has a line
    of its own: what it adds to the coefficients has the noise of all levels, correlated or not.
    With one unit all that is known is the scatter.
    """
    count = len(levels)
    points = np.array([each.point for each in levels]).reshape(count, len(by))
    needed = max(FEWEST, len(by) + 2)
    design = np.column_stack([np.ones(count), np.log(points)])
    rank = np.linalg.matrix_rank(design) if count else 0
    if count < needed or rank < design.shape[1]:
        shown_by = by[0] if len(by) == 1 else tuple(by)
        first = ""
        for point, why in list(refused.items())[:1]:
            first = f" At {shown_by}={level_of(point)}: {why}"
        raise ArgumentError(
            f"{where}: {needed} levels of by must have an optimum, and names in by vary apart, got "
            f"{count} of {count + len(refused)} for by={shown_by!r}.{first}"
        )
    line = _line(design, levels, factor, level)
    half = line.half(np.eye(design.shape[1]))[1:]
    slopes = line.coefficients[1:]

    def each(values: np.ndarray) -> float | dict[str, float]:
        return float(values[0]) if len(by) == 1 else dict(zip(by, values.tolist(), strict=True))

    return PowerLaw(
        hyperparameter=name,
        by=tuple(by),
        exponent=each(slopes),
        low=each(slopes - half),
        high=each(slopes + half),
        level=level,
        scatter=float(np.sqrt(line.scatter)),
        trusted=_trusted(line) if len(by) == 1 else None,
        optima={},
        refused={level_of(point): text for point, text in refused.items()},
        line=line,
    )


def _line(design: np.ndarray, levels: Sequence[Level], factor: float, level: float) -> Line:
    """Fit, with the scatter between levels that noise does not explain."""
    y = np.array([each.log_optimum for each in levels])
    influences = np.stack([each.influence for each in levels])
    units = influences.shape[1] - 1
    free = len(y) - design.shape[1]
    noise = np.zeros(len(y))
    if units:
        noise = factor * shrunk(influences.var(axis=1, ddof=1) + np.finfo(float).tiny, units)

    weights = 1 / noise if units else np.ones(len(y))
    solve = _solver(design, weights)
    residuals = y - design @ (solve @ y)
    excess = weights @ np.square(residuals) - (free if units else 0)
    scatter = max(0.0, excess / (weights.sum() - np.trace(solve @ (weights[:, None] * design))))

    solve = _solver(design, 1 / (noise + scatter)) if units and scatter else solve
    by_noise = np.zeros((design.shape[1],) * 2)
    if units:
        by_noise = factor * np.cov(solve @ influences)
    ends = np.exp([design[:, 1:].min(axis=0), design[:, 1:].max(axis=0)])
    by_scatter = scatter * solve @ solve.T
    return Line(solve @ y, by_noise, by_scatter, scatter, (units, free), level, ends)


def _solver(design: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the matrix that makes coefficients of y, by weighted least squares."""
    root = np.sqrt(weights)
    return np.linalg.pinv(design * root[:, None]) * root


def _trusted(line: Line) -> tuple[float, float]:
    """Find from where to where the prediction is known to a factor."""
    low, high = np.log(line.range[:, 0])
    x = np.linspace(low - (high - low), high + (high - low), 601)
    is_known = line.at(x[:, None])[1] <= np.log(TRUSTED)
    middle = len(x) // 2
    if not is_known[middle]:
        return np.nan, np.nan
    unknown = np.flatnonzero(~is_known)
    first = unknown[unknown < middle].max(initial=-1) + 1
    last = unknown[unknown > middle].min(initial=len(x)) - 1
    return float(np.exp(x[first])), float(np.exp(x[last]))
