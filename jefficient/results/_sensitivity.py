"""Derivatives of a score as a table: which way to go from a configuration, and what is idle."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
import xarray as xr

from .._core.errors import ArgumentError, ArgumentTypeError
from ._dataset import hyperparameters, score_of
from ._statistics import by_unit, variance, variance_factor

COLUMNS = ("value", "derivative", "standard_error", "advice")

EXPLODING = 100.0
"""A derivative explodes if, taken at its word, 1 % of the hyperparameter moves the score by more
than the whole of what it was before training or is after it."""


class Derivatives(NamedTuple):
    """Derivatives of a configuration's score, trial by trial.

    Attributes:
        numbers: the hyperparameters that are differentiated, name to array (…).
        score: float array (seeds, folds).
        first: the score before any update, float array (seeds, folds); NaN for a training metric.
        gradients: name to float array (seeds, folds, …).
    """

    numbers: dict[str, np.ndarray]
    score: np.ndarray
    first: np.ndarray
    gradients: dict[str, np.ndarray]

    def in_logarithm(self, name: str) -> np.ndarray:
        """Return x·∂score/∂x, float array (seeds, folds, …)."""
        return self.gradients[name].astype(float) * self.numbers[name].astype(float)

    def is_exploding(self, name: str) -> np.ndarray:
        """Return for which elements derivatives of a trial explode, bool array (…)."""
        scale = np.fmax(np.abs(self.score), np.abs(self.first)).astype(float)
        slopes = np.abs(self.in_logarithm(name))
        bound = EXPLODING * scale.reshape(*scale.shape, *(1 for _ in slopes.shape[2:]))
        return np.asarray((slopes > bound).any(axis=(0, 1)))


def mean_and_error(values: np.ndarray, factor: float) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard error over (seeds, folds, …), arrays (…); NaN errors for one unit.

    The units are those of `by_unit`; the variance of the mean is `factor` s².
    """
    values = np.moveaxis(np.asarray(values, float), (0, 1), (-2, -1))
    return values.mean(axis=(-2, -1)), np.sqrt(factor * variance(by_unit(values)))


def check_sensitivity(where: str, table: object) -> None:
    """Refuse what `Result.sensitivity` did not return."""
    is_frame = isinstance(table, pd.DataFrame)
    if not is_frame or tuple(table.columns) != COLUMNS or "config" not in table.attrs:
        raise ArgumentTypeError(
            f"{where}: sensitivity must be a table from Result.sensitivity, got a "
            f"{type(table).__name__}."
        )


def slope_of(where: str, table: pd.DataFrame, name: str, variable: str) -> tuple[int, float]:
    """Return the configuration of a table, and the derivative in the logarithm of one number."""
    check_sensitivity(where, table)
    if table.attrs["metric"] != variable:
        raise ArgumentError(
            f"{where}: sensitivity must be that of {variable}, got that of "
            f"{table.attrs['metric']}. Rank by it: result.ranked_by({variable!r})."
        )
    has = [str(x) for x in table.index[np.isfinite(table["derivative"].to_numpy(float))]]
    if name not in has:
        raise ArgumentError(
            f"{where}: sensitivity must have a derivative in {name}, got those in {has}."
        )
    return int(table.attrs["config"]), float(table.loc[name, "derivative"])


def sensitivity_table(
    dataset: xr.Dataset, space: Mapping[str, tuple], config: int, derivatives: Derivatives
) -> pd.DataFrame:
    """Write derivatives as a table; see `Result.sensitivity`."""
    score = score_of(dataset)
    factor = variance_factor(dataset)
    _, noise = mean_and_error(derivatives.score, factor)
    rows: dict[str, tuple] = {}
    for name in hyperparameters(dataset):
        if name not in derivatives.gradients:
            value = space[name][config]
            is_whole = isinstance(value, int) and not isinstance(value, bool)
            why = "a whole number has none" if is_whole else "a static value has none"
            rows[name] = (value, np.nan, np.nan, why)
            continue
        means, errors = mean_and_error(derivatives.in_logarithm(name), factor)
        exploding = derivatives.is_exploding(name)
        for place, x in np.ndenumerate(derivatives.numbers[name]):
            label = f"{name}[{', '.join(map(str, place))}]" if place else name
            mean, error = float(means[place]), float(errors[place])
            advice = _advice(mean, error, float(noise), score.sign * np.sign(float(x)))
            if x == 0:
                mean, error, advice = np.nan, np.nan, "zero has no logarithm"
            elif exploding[place]:
                advice = "explodes"
            rows[label] = (float(x), mean, error, advice)
    table = pd.DataFrame.from_dict(rows, orient="index", columns=list(COLUMNS))
    table.index.name = "hyperparameter"
    table.attrs |= {"config": config, "metric": score.metric}
    return table


def _advice(derivative: float, error: float, noise: float, sign: float) -> str:
    """Say which way the score gets better, or that it does not tell.

    `sign` is that of the hyperparameter, times -1 where the largest score is the best.
    """
    if abs(derivative) + 2 * error < noise:  # never, where one trial leaves no errors
        return "does not matter"
    if derivative == 0:
        return "does not matter"
    if abs(derivative) <= 2 * error:
        return "unclear"
    return "lower" if sign * derivative > 0 else "raise"
