"""Standard errors of scores, and tests of differences.

All configurations share their seeds and folds, so differences are paired.

The *units* of a comparison are what repeats it: the seeds or, where there are folds, the folds,
each with the mean over its seeds (seeds of one fold share its validation set, so they do not repeat
its data). Scores of folds are correlated, since their training sets overlap. The naive variance of
their mean, s²/k, holds for independent scores: here it is too small, and too many differences would
be called real. Nadeau and Bengio (2003), "Inference for the generalization error", Machine Learning
52, put s² (1/k + n_test/n_train) in its place, with k - 1 degrees of freedom.
"""

from typing import NamedTuple

import numpy as np
import xarray as xr

from ._dataset import EXAMPLES, flat_trials, score_of, status_of, trial_values
from ._distributions import t_sf
from ._score import Status

_ROUNDING = 1e-5
"""Seeds shuffle the examples of a batch, whose sums then differ in the last digits."""


def are_alike(values: np.ndarray, axis: int) -> bool:
    """Return whether numbers along an axis, of seeds or folds, are the same but for rounding."""
    first = np.take(values, [0], axis)
    return bool(np.isclose(values, first, rtol=_ROUNDING, atol=0, equal_nan=True).all())


class Units(NamedTuple):
    """Scores of configurations, one for each unit.

    Attributes:
        values: float array (configs, units), NaN where a trial has no score.
        factor: the variance of their mean is `factor` s².
        resolution: of the numbers, relative to their size.
    """

    values: np.ndarray
    factor: float
    resolution: float


class Differences(NamedTuple):
    """Mean differences, and a t-test of each against zero: arrays (…)."""

    difference: np.ndarray
    standard_error: np.ndarray
    statistic: np.ndarray
    p_value: np.ndarray  # two-sided


def units_of(dataset: xr.Dataset, variable: str | None = None) -> Units:
    """Average a variable, by default the score's metric, at the evaluation that counts, by unit."""
    score = score_of(dataset)
    variable = variable or score.metric
    values = by_unit(trial_values(dataset, score, variable))
    return Units(values, variance_factor(dataset), np.finfo(dataset[variable].dtype).eps)


def by_unit(values: np.ndarray) -> np.ndarray:
    """Reduce (…, seeds, folds) to (…, units): the seeds, or the folds, each the mean over seeds."""
    values = np.where(np.isfinite(values), values, np.nan).astype(float)
    return values[..., 0] if values.shape[-1] == 1 else values.mean(axis=-2)


def variance_factor(dataset: xr.Dataset) -> float:
    """Return (variance of a mean) / s²: 1/n for n seeds, 1/k + n_test/n_train for k folds."""
    train, test = (float(dataset[name].mean()) for name in EXAMPLES)
    return factor_of(dataset.sizes["seed"], dataset.sizes["fold"], train, test)


def factor_of(seeds: int, folds: int, train: float, test: float) -> float:
    """Return (variance of a mean) / s², for folds of so many examples on average."""
    if folds == 1:
        return 1 / seeds
    # without examples: as k equal splits have it
    overlap = test / train if train > 0 else 1 / (folds - 1)
    return 1 / folds + overlap


def standard_errors(dataset: xr.Dataset, variable: str | None = None) -> np.ndarray:
    """Return the standard error of every configuration's mean, corrected for folds.

    Args:
        dataset: of a result.
        variable: a measured one, by default the score's metric.

    Returns:
        Float array (configs,); NaN where there is one unit, or a trial without a score.
    """
    units = units_of(dataset, variable)
    return np.sqrt(units.factor * variance(units.values))


def t_test(differences: np.ndarray, factor: float, floor: np.ndarray | float = 0.0) -> Differences:
    """Test whether mean differences are other than zero.

    Args:
        differences: float array (…, units).
        factor: the variance of the mean is `factor` s².
        floor: of the standard error: the numbers' own resolution. Differences that agree to the
            last digit have no spread, but are not exact.

    Returns:
        Arrays (…); the standard error and what follows are NaN for one unit.
    """
    mean = differences.mean(axis=-1)
    error = np.sqrt(factor * variance(differences) + np.square(floor))
    # without spread, 0/0 is not shown to differ (statistic 0), and x/0 is certain
    statistic = np.divide(mean, error, out=np.zeros_like(mean), where=error != 0)
    statistic = np.where((error == 0) & (mean != 0), np.copysign(np.inf, mean), statistic)
    p_value = 2 * t_sf(np.abs(statistic), differences.shape[-1] - 1)
    return Differences(mean, error, statistic, p_value)


def paired_test(units: Units, a: int, b: int) -> Differences:
    """Test whether the means of two configurations differ, with the spread of their difference."""
    pair = units.values[[a, b]]
    return t_test(pair[0] - pair[1], units.factor, units.resolution * np.abs(pair).max())


def bonferroni(p_values: np.ndarray, comparisons: int) -> np.ndarray:
    """Correct p-values for so many comparisons."""
    return np.minimum(p_values * comparisons, 1.0)


def finished(dataset: xr.Dataset) -> np.ndarray:
    """Return whether all trials finished with a finite score, bool array (configs,)."""
    score = score_of(dataset)
    scores = trial_values(dataset, score, score.metric)
    is_there = np.isfinite(scores) & (status_of(dataset) == Status.FINISHED)
    return np.asarray(flat_trials(is_there).all(axis=1))


def variance(values: np.ndarray) -> np.ndarray:
    """Return s² along the last axis; NaN for one value."""
    if values.shape[-1] == 1:
        return np.full(values.shape[:-1], np.nan)
    return values.var(axis=-1, ddof=1)
