"""The optimum of a hyperparameter: where it is, how sure that is, and what a wrong value costs."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from .._core import html
from .._core.checks import check_between, one_of
from .._core.errors import ArgumentError
from .._core.text import displayed
from ._axes import labelled, shown
from ._dataset import flat_trials, hyperparameters, is_prequential, ranking, score_of, status_of
from ._law import Level, PowerLaw, fit_law, level_of
from ._local_fit import FEWEST, LocalFit, fit_minimum
from ._score import Status
from ._statistics import are_alike, finished, units_of
from ._values import column, is_array

SPAN = float(np.sqrt(10))
"""Sensitivity is a mean over the optimum divided by this to the optimum times this: a decade."""


class Curve(NamedTuple):
    """What an optimum is read from: configurations that differ in one hyperparameter.

    Attributes:
        x: float array (values,): those at which all trials finished, ascending.
        scores: float array (values, units).
        diverged: float array (diverged,): those at which a trial diverged.
        fit: the polynomial in log x.
        is_log: whether it is that of the score's logarithm.
        sign: times it, the smaller score is the better one.
    """

    x: np.ndarray
    scores: np.ndarray
    diverged: np.ndarray
    fit: LocalFit
    is_log: bool
    sign: int

    def at(self, x: np.ndarray | float) -> np.ndarray:
        """Return the score at x: the fit in its window, else lines through the means.

        NaN outside the values that finished.
        """
        log_x = np.log(np.asarray(x, float))
        fitted = self.fit.at(log_x)
        fitted = np.exp(fitted) if self.is_log else self.sign * fitted
        means = self.scores.mean(axis=1)
        lines = np.interp(log_x, np.log(self.x), means, left=np.nan, right=np.nan)
        is_near = (log_x >= self.fit.x[0]) & (log_x <= self.fit.x[-1])
        return np.where(is_near, fitted, lines)


@dataclasses.dataclass(frozen=True)
class Optimum:
    """The best value of a hyperparameter, from the curve of scores against its logarithm.

    Attributes:
        hyperparameter: its name.
        metric: name of the score.
        value: where the curve is best; not one of the values that were tried.
        low: end of the interval for it; NaN for one seed and one fold.
        high: the other end.
        level: of the interval.
        score: the curve there.
        sensitivity: how much worse the score is on average over `sensitivity_range`, evenly in the
            logarithm; positive, in the score's unit.
        sensitivity_range: from a factor of √10 below the optimum to one above it, as far as values
            finished.
        half: how much worse the score is at half the value; NaN where none that finished reaches.
        double: how much worse it is at double the value.
        diverges_above: between the largest value at which all trials finished and the smallest at
            which one diverged, the geometric middle; NaN if none diverged above the optimum.
        diverges_low: the largest at which all finished.
        diverges_high: the smallest at which one would have diverged in other seeds, too, at
            `level`; inf if in these few it could have been none.
        others: the other hyperparameters, as the best configuration has them.
        law: how the optimum moves along `by`; None without.
    """

    hyperparameter: str
    metric: str
    value: float
    low: float
    high: float
    level: float
    score: float
    sensitivity: float
    sensitivity_range: tuple[float, float]
    half: float
    double: float
    diverges_above: float
    diverges_low: float
    diverges_high: float
    others: Mapping[str, Any]
    law: PowerLaw | None = None
    curve: Curve = dataclasses.field(repr=False, kw_only=True)

    def _repr_html_(self) -> str:
        return html.paragraph(str(self))

    def __str__(self) -> str:
        name = labelled(self.hyperparameter)
        text = f"The best {name} is {shown(self.value)}"
        if np.isfinite(self.low):
            text += f" ({100 * self.level:g} % interval {shown(self.low)} to {shown(self.high)})"
        text += f", with {labelled(self.metric)} {self.score:.4g}"
        costs = {"half of it": self.half, "double": self.double}
        known = [f"{cost:.2g} at {where}" for where, cost in costs.items() if np.isfinite(cost)]
        if known:
            text += f"; worse by {' and '.join(known)}"
        if np.isfinite(self.diverges_above):
            low, high = shown(self.diverges_low), shown(self.diverges_high)
            ends = f"{low} to {high}" if np.isfinite(self.diverges_high) else f"at least {low}"
            text += f"; diverges above {shown(self.diverges_above)} ({ends})"
        return displayed(text + "." + (f" {self.law}" if self.law else ""))


def optimum(
    where: str,
    dataset: xr.Dataset,
    name: str,
    by: str | Sequence[str] | None = None,
    level: float = 0.95,
) -> Optimum:
    """See `Result.optimum`."""
    x = _numbers(where, dataset, "name", name)
    check_between(where, level=level)
    names = [by] if isinstance(by, str) else list(by or ())
    columns = {each: _numbers(where, dataset, "by", each) for each in names}
    if name in columns:
        raise ArgumentError(f"{where}: by must be another hyperparameter, got by={by!r}.")
    order = ranking(dataset, score_of(dataset))
    order = order[finished(dataset)[order]]
    if not len(order):
        raise ArgumentError(
            f"{where}: a configuration must have finished with a finite score, got none of "
            f"{dataset.sizes['config']}. result.checks() says what to do."
        )
    if not names:
        return _optimum(where, dataset, name, x, order, level, units_needed=2)

    for each, values in columns.items():
        if values.min() <= 0:
            raise ArgumentError(
                f"{where}: by must be positive, since a power law is a line in logarithms, got "
                f"{each}={values.min():g}."
            )
    table = np.stack(list(columns.values()), axis=1)
    found: dict[tuple[float, ...], Optimum] = {}
    refused: dict[tuple[float, ...], str] = {}
    for point in map(tuple, np.unique(table, axis=0).tolist()):
        is_here = (table == point).all(axis=1)
        try:
            found[point] = _optimum(
                where, dataset, name, x, order[is_here[order]], level, is_here=is_here
            )
        except ArgumentError as error:
            refused[point] = str(error).removeprefix(f"{where}: ")
    levels = [Level(point, np.log(o.value), o.curve.fit.influence) for point, o in found.items()]
    law = fit_law(where, name, names, levels, refused, units_of(dataset).factor, level)
    sign = score_of(dataset).sign
    best = min(found.values(), key=lambda each: sign * each.score)
    optima = {level_of(point): each for point, each in found.items()}
    return dataclasses.replace(best, law=dataclasses.replace(law, optima=optima))


def _numbers(where: str, dataset: xr.Dataset, argument: str, name: str) -> np.ndarray:
    """Return the values of a hyperparameter that is neither an array nor has labels."""
    one_of(where, argument, name, hyperparameters(dataset))
    if is_array(dataset, name):
        raise ArgumentError(
            f"{where}: {argument} must have numbers for values, got {name!r}, which has arrays. "
            "Sweep a number that multiplies them."
        )
    values = column(dataset, name)
    if not np.issubdtype(values.dtype, np.number):
        raise ArgumentError(
            f"{where}: {argument} must have numbers for values, got {name!r}, which has labels. "
            "result.ties() compares those."
        )
    return values.astype(float)


def _optimum(
    where: str,
    dataset: xr.Dataset,
    name: str,
    x: np.ndarray,
    order: np.ndarray,
    level: float,
    *,
    units_needed: int = 1,
    is_here: np.ndarray | None = None,
) -> Optimum:
    """Find the optimum on the row of the best configuration.

    The row has the others as the best has them. The best over the others at each value would have
    the same minimum, but kinks where it changes rows, and a mean of noise that was selected.
    """
    best = int(order[0]) if len(order) else -1
    if best < 0:
        raise ArgumentError(
            f"{where}: a configuration must have finished with a finite score, got none. Sweep "
            f"smaller values of {name}."
        )
    others = {
        each: column(dataset, each)[[best]].tolist()[0]
        for each in hyperparameters(dataset)
        if each != name
    }
    is_row = np.ones(len(x), bool) if is_here is None else is_here.copy()
    for each, label in others.items():
        is_row &= column(dataset, each) == label
    row = _row(where, dataset, name, x, np.flatnonzero(is_row), others, units_needed)
    return _read(where, dataset, name, row, others, level)


class _Row(NamedTuple):
    x: np.ndarray
    scores: np.ndarray
    status: np.ndarray  # (configs, trials), with the x of each in `at`
    at: np.ndarray


def _row(
    where: str,
    dataset: xr.Dataset,
    name: str,
    x: np.ndarray,
    configs: np.ndarray,
    others: Mapping[str, Any],
    units_needed: int,
) -> _Row:
    """Select what finished and has a logarithm; refuse what is too little."""
    configs = configs[np.argsort(x[configs], kind="stable")]
    status = flat_trials(status_of(dataset))[configs]
    done = configs[finished(dataset)[configs]]
    units = units_of(dataset)
    means = score_of(dataset).sign * units.values[done].mean(axis=1)
    if x[done].min() < 0 or x[done][means.argmin()] == 0:
        raise ArgumentError(
            f"{where}: {name} must be positive, since the curve is one over its logarithm, got "
            f"{name}={x[done].min():g}. result.plot.values({name!r}) shows it."
        )
    done = done[x[done] > 0]
    if len(done) < FEWEST:
        fixed = ", ".join(f"{each}={shown(value)}" for each, value in others.items())
        beside = f" with the others as in the best configuration ({fixed})" if others else ""
        raise ArgumentError(
            f"{where}: {FEWEST} values of {name} must have finished{beside}, got {len(done)}. "
            f"Sweep more values of {name} there: jf.grid has them beside each other, where drawn "
            "spaces have one each."
        )
    if units.values.shape[1] < units_needed:
        raise ArgumentError(
            f"{where}: there must be several seeds or folds, got one of each: nothing tells how "
            f"sure the optimum is. Ask jf.sweep for seeds=5{', or folds=5' * _has_folds(dataset)}."
        )
    if units_needed > 1 and are_alike(units.values[done], axis=1):
        raise ArgumentError(
            f"{where}: {'folds' if dataset.sizes['fold'] > 1 else 'seeds'} must give different "
            f"numbers, got {units.values.shape[1]} that are alike: nothing tells how sure the "
            f"optimum is.{_instead(dataset)}"
        )
    return _Row(x[done], units.values[done], status, x[configs])


def _has_folds(dataset: xr.Dataset) -> bool:
    """Whether a sweep like this may have folds: a stream has none, and what has no examples."""
    return not is_prequential(dataset) and bool(dataset["training_examples"].values.all())


def _instead(dataset: xr.Dataset) -> str:
    """Say what repeats a training that draws nothing from its seed."""
    if is_prequential(dataset):
        return " Sweep another stretch of the stream."
    may_fold = _has_folds(dataset) and dataset.sizes["fold"] == 1
    return " Ask jf.sweep for folds=5, or a splitter." if may_fold else ""


def _read(
    where: str, dataset: xr.Dataset, name: str, row: _Row, others: Mapping[str, Any], level: float
) -> Optimum:
    """Fit the curve, or refuse it, and read the optimum from it."""
    score = score_of(dataset)
    x = row.x
    diverged = row.at[(row.status == Status.DIVERGED).any(axis=1)]
    values = score.sign * row.scores
    means = values.mean(axis=1)
    is_log = score.mode == "min" and bool(row.scores.min() > 0)
    if is_log:
        # the mean of these is the logarithm of the mean
        values = np.log(means)[:, None] + (values - means[:, None]) / means[:, None]

    place = int(means.argmin())
    if place in (0, len(x) - 1):
        raise ArgumentError(f"{where}: {_at_an_edge(name, x, place, diverged)}")
    fit = fit_minimum(np.log(x), values, units_of(dataset).factor, level)
    if fit is None:
        raise ArgumentError(
            f"{where}: the curve over {name} must have a minimum, got none near the best value, "
            f"{shown(x[place])}: noise hides it, or the values are too far apart. Sweep more "
            f"values between {shown(x[place - 1])} and {shown(x[place + 1])}, or more seeds."
        )
    is_open_below = fit.low < np.log(x[0])
    if is_open_below or fit.high > np.log(x[-1]):
        side, end, way = ("below", x[0], "smaller") if is_open_below else ("above", x[-1], "larger")
        raise ArgumentError(
            f"{where}: the best {name} must be within the values that finished, "
            f"{shown(x[0])} to {shown(x[-1])}, at a level of {level:g}, got an interval that ends "
            f"{side} {shown(end)}. Sweep more seeds, more values, or {way} ones."
        )
    curve = Curve(x, row.scores, diverged, fit, is_log, score.sign)
    return _from_curve(dataset, name, curve, row, others, level)


def _from_curve(
    dataset: xr.Dataset,
    name: str,
    curve: Curve,
    row: _Row,
    others: Mapping[str, Any],
    level: float,
) -> Optimum:
    value, low, high = np.exp([curve.fit.minimum, curve.fit.low, curve.fit.high]).tolist()
    best = float(curve.at(value))

    def excess(x: np.ndarray | float) -> np.ndarray:
        return curve.sign * (curve.at(x) - best)

    ends = (max(value / SPAN, float(curve.x[0])), min(value * SPAN, float(curve.x[-1])))
    above = _frontier(row, value, dataset.sizes["fold"], level)
    return Optimum(
        hyperparameter=name,
        metric=score_of(dataset).metric,
        value=value,
        low=low,
        high=high,
        level=level,
        score=best,
        sensitivity=float(np.mean(excess(np.geomspace(*ends, 1001)[1:-1]))),
        sensitivity_range=ends,
        half=float(excess(value / 2)),
        double=float(excess(value * 2)),
        diverges_above=float(np.sqrt(above[0] * above[1])),
        diverges_low=above[0],
        diverges_high=above[2],
        others=others,
        curve=curve,
    )


def _frontier(row: _Row, value: float, folds: int, level: float) -> tuple[float, float, float]:
    """Return the largest value without a divergence, the smallest with one, and its upper end.

    Of units that are drawn anew with replacement, n of n, none diverges up to x with probability
    (share of units that do not)ⁿ: the quantile of the bootstrap, without drawing.
    """
    above = row.at > value
    is_diverged = row.status == Status.DIVERGED
    if not is_diverged[above].any():
        return np.nan, np.nan, np.nan
    smallest = row.at[above & is_diverged.any(axis=1)].min()
    largest = row.at[~is_diverged.any(axis=1) & (row.at < smallest)].max()

    units = is_diverged.reshape(len(is_diverged), -1, folds)
    by_unit = units[..., 0] if folds == 1 else units.any(axis=1)
    so_far = np.logical_or.accumulate(by_unit[above], axis=0)
    spared = (1 - so_far.mean(axis=1)) ** by_unit.shape[1]
    certain = row.at[above][spared <= (1 - level) / 2]
    return float(largest), float(smallest), float(certain.min(initial=np.inf))


def _at_an_edge(name: str, x: np.ndarray, place: int, diverged: np.ndarray) -> str:
    """Say what to sweep next where the best value has no neighbour on one side."""
    is_high = place > 0
    extreme = "largest" if is_high else "smallest"
    beyond = diverged[diverged > x[-1]] if is_high else diverged[diverged < x[0]]
    factor = x[-1] / x[-2] if is_high else x[0] / x[1]
    text = (
        f"the best {name} must have worse values on both sides, got {shown(float(x[place]))}, the "
        f"{extreme} that finished. "
    )
    if len(beyond):
        end = float(beyond.min() if is_high else beyond.max())
        return text + f"Sweep values between it and {shown(end)}, where training diverged."
    way = "larger" if is_high else "smaller"
    return text + f"Sweep {way} ones, {shown(float(x[place] * factor))} and beyond."
