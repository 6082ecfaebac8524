"""Tests of all configurations against the best, with variances that learn from each other.

Three seeds say little of one configuration's variance, but the variances of many configurations are
alike. Smyth (2004), "Linear models and empirical Bayes methods for assessing differential
expression", Statistical Applications in Genetics and Molecular Biology 3, section 6.2, estimates
from the scatter of the variances how alike they are, as a prior of so many degrees of freedom.
"""

import numpy as np
from scipy import special

from ._distributions import t_sf
from ._statistics import Differences, Units, variance

FEWEST = 4
"""Variances from which a scatter is estimated: the scatter of fewer says nothing."""


def against(units: Units, best: np.ndarray | int) -> Differences:
    """Test each configuration's mean against that of the best, with `moderated` variances.

    Args:
        units: of configurations that all have a score; `values` (…, configs, units).
        best: int array (…): the number of the best.

    Returns:
        Arrays (…, configs).
    """
    best = np.asarray(best)[..., None]
    means = units.values.mean(axis=-1)
    variances, degrees = moderated(units, best)
    difference = means - np.take_along_axis(means, best, axis=-1)
    error = np.sqrt(units.factor * (variances + np.take_along_axis(variances, best, axis=-1)))
    statistic = np.divide(difference, error, out=np.zeros_like(difference), where=error != 0)
    p_value = 2 * t_sf(np.abs(statistic), degrees[..., None])
    return Differences(difference, error, statistic, p_value)


def moderated(units: Units, best: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Estimate each configuration's variance over units, drawn towards that of the better half.

    The better half (`FEWEST` at least) makes the prior, since what has failed scatters more than
    what has learned; a configuration beyond it has its own variance at least. If all variances
    could be equal, the result is the pooled variance; for two configurations, the paired t-test.

    Args:
        units: as for `against`.
        best: int array (…, 1).

    Returns:
        Variances (…, configs) and their degrees of freedom (…); NaN for one unit.
    """
    values = units.values
    configs, count = values.shape[-2:]
    own = count - 1
    if own == 0 or configs == 1:
        return variance(values), np.full(values.shape[:-2], np.nan)

    many = min(configs, max(FEWEST, -(-configs // 2)))
    means = values.mean(axis=-1)
    distance = np.abs(means - np.take_along_axis(means, best, axis=-1))
    is_better = distance.argsort(axis=-1, kind="stable").argsort(axis=-1, kind="stable") < many

    # A unit's effect on all configurations (its examples, its initial weights) cancels in
    # differences: its mean over the better half is taken off, at the price of 1/many of a degree.
    residual = values - means[..., None]
    common = np.where(is_better[..., None], residual, 0).sum(axis=-2, keepdims=True) / many
    squares = np.square(residual - common).sum(axis=-1)
    own_variance = squares / (own * np.where(is_better, 1 - 1 / many, 1))

    # Scores that agree to the last digit are not exact; and logarithms need what is positive.
    rounding = np.square(units.resolution * np.abs(values).max(axis=-1))
    own_variance = own_variance + rounding + np.finfo(float).tiny

    places = np.argsort(~is_better, axis=-1, kind="stable")[..., :many]
    prior_variance, prior = _prior(np.take_along_axis(own_variance, places, axis=-1), own)
    share = (own / (prior + own))[..., None]  # 0 for an infinite prior
    drawn = (1 - share) * prior_variance[..., None] + share * own_variance

    # The pooled variance has own * (many - 1) degrees: no prior can know more than it was made of.
    degrees = np.minimum(prior + own, own * (many - 1))
    return np.where(is_better, drawn, np.maximum(drawn, own_variance)), degrees


def shrunk(variances: np.ndarray, own: int) -> np.ndarray:
    """Draw variances (…, many) of `own` degrees of freedom towards what they have in common."""
    common, prior = _prior(variances, own)
    share = (own / (prior + own))[..., None]  # 0 for an infinite prior
    return (1 - share) * common[..., None] + share * variances


def _prior(variances: np.ndarray, own: int) -> tuple[np.ndarray, np.ndarray]:
    """Estimate what variances (…, many) of `own` degrees of freedom have in common.

    The logarithm of such a variance has the variance trigamma(own / 2) by chance; what it has
    beyond that is trigamma(prior / 2), the scatter of the true ones.

    Returns:
        The common variance (…) and its degrees of freedom (…), infinite if there is no scatter
        beyond chance: then all are equal, and the common one is their mean.
    """
    logs = np.log(variances) - _log_bias(own)
    excess = logs.var(axis=-1, ddof=1) - special.polygamma(1, own / 2)
    is_pooled = excess <= 0
    degrees = 2 * _trigamma_inverse(np.where(is_pooled, 1.0, excess))
    common = np.exp(logs.mean(axis=-1) + _log_bias(degrees))
    common = np.where(is_pooled, variances.mean(axis=-1), common)
    return common, np.where(is_pooled, np.inf, degrees)


def _log_bias(degrees: np.ndarray | float) -> np.ndarray | float:
    """Return E[log s²] - log σ² for a variance estimate of so many degrees of freedom."""
    half = np.asarray(degrees) / 2
    return special.digamma(half) - np.log(half)


def _trigamma_inverse(y: np.ndarray) -> np.ndarray:
    """Solve trigamma(x) = y > 0: Newton's method on 1/trigamma, nearly linear (Smyth, appendix)."""
    x = 0.5 + 1 / y
    for _ in range(20):
        trigamma = special.polygamma(1, x)
        x = x + trigamma * (1 - trigamma / y) / special.polygamma(2, x)
    return x
