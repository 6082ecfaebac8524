"""How sure a score and a difference are.

All configurations share their seeds and folds, so differences are paired.

The *units* of a comparison are what repeats it: the seeds or, where there are folds, the folds,
each with the mean over its seeds (seeds of one fold share its held-out rows, so they are no
repetitions of its data). Scores of folds are correlated, since their training rows overlap; as if
they were not, the naive variance s²/k is too small, and too many differences are called real.
Nadeau and Bengio (2003), "Inference for the generalization error", Machine Learning 52, put s² (1/k
+ n_test/n_train) in its place, with k - 1 degrees of freedom.
"""

from typing import NamedTuple

import numpy as np
import xarray as xr
from scipy import special, stats

from ._dataset import flat_trials, score_of, status_of, trial_values
from ._score import Status

FEWEST = 4
"""Variances from which a scatter is estimated: of fewer it says nothing."""


class Units(NamedTuple):
    """What differences are told from.

    `values`: float array (configs, units), NaN where a trial has no score; `factor`: the variance
        of their mean is
    `factor` s²; `resolution`: of the numbers, relative to their size.
    """

    values: np.ndarray
    factor: float
    resolution: float


class Differences(NamedTuple):
    """Mean differences, and a paired t-test of each against zero: arrays (…), one number for each row of units."""

    difference: np.ndarray
    standard_error: np.ndarray
    statistic: np.ndarray
    p_value: np.ndarray  # two-sided


def units_of(dataset: xr.Dataset, variable: str | None = None) -> Units:
    """The variable (by default the score's metric) at the evaluation that counts, in units."""
    score = score_of(dataset)
    variable = variable or score.metric
    values = by_unit(trial_values(dataset, score, variable))
    return Units(values, variance_factor(dataset), np.finfo(dataset[variable].dtype).eps)


def by_unit(values: np.ndarray) -> np.ndarray:
    """(…, seeds, folds) as (…, units): the seeds, or the folds with the mean over seeds in each."""
    values = np.where(np.isfinite(values), values, np.nan).astype(float)
    return values[..., 0] if values.shape[-1] == 1 else values.mean(axis=-2)


def variance_factor(dataset: xr.Dataset) -> float:
    """What makes the variance of a mean of s²: 1/n for n seeds, 1/k + n_test/n_train for k folds."""
    folds = dataset.sizes["fold"]
    if folds == 1:
        return 1 / dataset.sizes["seed"]
    train, test = (float(dataset[name].mean()) for name in ("training_examples", "validation_examples"))
    # without examples: as k equal splits have it
    overlap = test / train if train > 0 else 1 / (folds - 1)
    return 1 / folds + overlap


def standard_errors(dataset: xr.Dataset, variable: str | None = None) -> np.ndarray:
    """Standard error of every configuration's mean, corrected for folds.

    Args:
        dataset: of a result.
        variable: a measured one, by default the score's metric.

    Returns:
        Float array (configs,); NaN where there is one unit, or a trial without a score.
    """
    units = units_of(dataset, variable)
    return np.sqrt(units.factor * _variance(units.values))


def t_test(differences: np.ndarray, factor: float, floor: np.ndarray | float = 0.0) -> Differences:
    """Whether mean differences are other than zero.

    Args:
        differences: float array (…, units).
        factor: the variance of the mean is `factor` s².
        floor: of the standard error: the numbers' own resolution, since differences all alike have
            no spread.

    Returns:
        Arrays (…); the standard error and what follows are NaN for one unit.
    """
    mean = differences.mean(axis=-1)
    error = np.sqrt(factor * _variance(differences) + np.square(floor))
    # 0/0 where nothing differs and nothing is spread: not shown to differ, statistic 0
    statistic = np.divide(mean, error, out=np.zeros_like(mean), where=error != 0)
    statistic = np.where((error == 0) & (mean != 0), np.copysign(np.inf, mean), statistic)
    return Differences(
        mean, error, statistic, 2 * stats.t.sf(np.abs(statistic), degrees_of(differences))
    )


def degrees_of(units: np.ndarray) -> int:
    """Degrees of freedom of a spread over (…, units)."""
    return units.shape[-1] - 1


def against(units: Units, best: np.ndarray | int) -> Differences:
    """Each configuration's mean minus that of the best, tested with `moderated` variances.

    Args:
        units: of configurations that all have a score; `values` (…, configs, units).
        best: int array (…): where the best is.

    Returns:
        Arrays (…, configs).
    """
    here = np.asarray(best)[..., None]
    means, (variances, degrees) = units.values.mean(axis=-1), moderated(units, here)
    difference = means - np.take_along_axis(means, here, axis=-1)
    error = np.sqrt(units.factor * (variances + np.take_along_axis(variances, here, axis=-1)))
    statistic = np.divide(difference, error, out=np.zeros_like(difference), where=error != 0)
    return Differences(
        difference, error, statistic, 2 * stats.t.sf(np.abs(statistic), degrees[..., None])
    )


def moderated(units: Units, best: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each configuration's variance over units, drawn towards what the better ones have, and degrees of freedom.

    What a unit adds to all configurations (its rows, its initial weights) is taken off first: they
    are paired. A few units say little of one configuration's variance, but those of many are alike:
    Smyth (2004), "Linear models and empirical Bayes methods for assessing differential expression",
    Statistical Applications in Genetics and Molecular Biology 3, section 6.2, estimates from their
    scatter how alike, as a prior of so many degrees of freedom. Here the better half (`FEWEST` at
    least) makes the prior, since what has failed scatters more than what has learned; a
    configuration beyond it has its own variance at least. Where all could be equal it is the pooled
    variance; for two configurations the paired t-test.

    Args:
        units: as for `against`.
        best: int array (…, 1).

    Returns:
        Arrays (…, configs) and (…); NaN for one unit.
    """
    values, (configs, count) = units.values, units.values.shape[-2:]
    own = count - 1
    if own == 0 or configs == 1:
        return _variance(values), np.full(values.shape[:-2], np.nan)
    many = min(configs, max(FEWEST, -(-configs // 2)))
    means = values.mean(axis=-1)
    distance = np.abs(means - np.take_along_axis(means, best, axis=-1))
    is_better = distance.argsort(axis=-1, kind="stable").argsort(axis=-1, kind="stable") < many
    residual = values - means[..., None]
    residual = (
        residual - np.where(is_better[..., None], residual, 0).sum(axis=-2, keepdims=True) / many
    )
    variance = np.square(residual).sum(axis=-1) / (own * np.where(is_better, 1 - 1 / many, 1))
    variance = (
        variance + np.square(units.resolution * np.abs(values).max(axis=-1)) + np.finfo(float).tiny
    )
    better = np.take_along_axis(
        variance, np.argsort(~is_better, axis=-1, kind="stable")[..., :many], axis=-1
    )
    logs = np.log(better) - _log_bias(own)
    excess = logs.var(axis=-1, ddof=1) - special.polygamma(1, own / 2)
    is_pooled = excess <= 0
    prior = 2 * _trigamma_inverse(np.where(is_pooled, 1.0, excess))
    common = np.where(
        is_pooled, better.mean(axis=-1), np.exp(logs.mean(axis=-1) + _log_bias(prior))
    )
    share = np.where(is_pooled, 1.0, prior / (prior + own))[..., None]
    degrees = np.minimum(np.where(is_pooled, np.inf, prior + own), own * (many - 1))
    drawn = share * common[..., None] + (1 - share) * variance
    return np.where(is_better, drawn, np.maximum(drawn, variance)), degrees


def _log_bias(degrees: np.ndarray | float) -> np.ndarray | float:
    """The mean of the logarithm of a variance estimate with so many degrees of freedom, less that of the variance."""
    half = np.asarray(degrees) / 2
    return special.digamma(half) - np.log(half)


def _trigamma_inverse(y: np.ndarray) -> np.ndarray:
    """x with trigamma(x) = y > 0, by Newton's method for 1/trigamma, which is nearly straight (Smyth, appendix)."""
    x = 0.5 + 1 / y
    for _ in range(20):
        trigamma = special.polygamma(1, x)
        x = x + trigamma * (1 - trigamma / y) / special.polygamma(2, x)
    return x


def bonferroni(p_values: np.ndarray, comparisons: int) -> np.ndarray:
    """The p-values, corrected for so many comparisons."""
    return np.minimum(p_values * comparisons, 1.0)


def finished(dataset: xr.Dataset) -> np.ndarray:
    """Bool array (configs,): all trials finished, with a finite score."""
    score = score_of(dataset)
    scores = trial_values(dataset, score, score.metric)
    is_there = np.isfinite(scores) & (status_of(dataset) == Status.FINISHED)
    return np.asarray(flat_trials(is_there).all(axis=1))


def _variance(values: np.ndarray) -> np.ndarray:
    """s² along the last axis; NaN for one value."""
    if degrees_of(values) == 0:
        return np.full(values.shape[:-1], np.nan)
    return values.var(axis=-1, ddof=1)
