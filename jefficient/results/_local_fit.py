"""Where a noisy curve has its minimum, and between which ends: a local polynomial.

The curve is known at m values of x by n units (seeds or folds), which are paired: a unit has a
number at every value. A quadratic with a cubic term, since curves rise faster towards divergence
than away from it, is fitted to the means in a window of neighbouring values around the lowest one.
Leave-one-value-out cross-validation chooses the window; of those that predict alike it is the
narrowest whose interval has both ends, which excludes windows by what they say. Coverage was
measured with that rule (see below). Noise grows towards divergence, too, so values count by the
inverse of their variance, which is smoothed over neighbours.

The interval inverts a test. A polynomial has its minimum at x if its slope there is 0, and the
slope at x is linear in the numbers: so each unit has a slope of its own, and a t-test over units
says whether their mean could be 0. All x that are not rejected are the interval. This is Fieller's
(1954) for a quadratic: right for normal numbers however few the units are, however they correlate
between values, and whatever the spread at each value. A percentile bootstrap of 4 to 16 units
covers too little (`tests/benchmarks/coverage.py` measures both).

A window that predicts well is one whose bias is about as large as the noise. Calonico, Cattaneo and
Farrell (2018), "On the effect of bias estimation on coverage accuracy in nonparametric inference",
Journal of the American Statistical Association 113, therefore put the next order into the fit for
the interval: here its interval, in the same window, is joined with the fit's own, if it has ends.

Fieller (1954), "Some problems in interval estimation", Journal of the Royal Statistical Society B
16.
"""

from typing import Any, NamedTuple

import numpy as np

from ._distributions import t_isf

FEWEST = 4
"""Values: three have no quadratic that could fail."""
RESOLUTION = 1e-5
"""Of the minimum."""
ALIKE = 2**0.5
"""Windows are alike in predicting if their errors, from few values, are within this factor. The
narrowest has the least bias, which the interval does not see. A wider one is taken only where noise
leaves the interval of a narrower one without ends."""
ENDS = 16
"""Ends of windows that are tried on each side."""


class LocalFit(NamedTuple):
    """A polynomial around the minimum of a curve.

    Attributes:
        x: float array (window,): the values that it is fitted to.
        centre: where the powers of x begin.
        coefficients: float array (degree + 1,), highest power first.
        minimum: x there.
        low: end of the interval, -inf where there is none; NaN for one unit.
        high: the other end, inf where there is none.
        influence: float array (units,): what each unit adds to the minimum, mean 0.
    """

    x: np.ndarray
    centre: float
    coefficients: np.ndarray
    minimum: float
    low: float
    high: float
    influence: np.ndarray

    def at(self, x: np.ndarray | float) -> np.ndarray:
        """Return the polynomial at x."""
        return np.polyval(self.coefficients, np.asarray(x) - self.centre)


def fit_minimum(x: np.ndarray, values: np.ndarray, factor: float, level: float) -> LocalFit | None:
    """Fit a polynomial around the lowest of the mean values, which has neighbours on both sides.

    Args:
        x: float array (m,), ascending, m >= 4.
        values: float array (m, units).
        factor: the variance of a mean over units is `factor` s².
        level: of the interval.

    Returns:
        The fit; None if it has no minimum inside its window.
    """
    weights = _weights(values)
    degree = 3 if len(x) > FEWEST else 2
    windows = _windows(x, values.mean(axis=1), weights, degree)
    narrowest = None
    for window in windows:
        fit = _fit(x, values, weights, window, degree, factor, level)
        if fit is not None and _has_ends(fit, x):
            return fit
        narrowest = narrowest or fit
    return narrowest


def _has_ends(fit: LocalFit, x: np.ndarray) -> bool:
    """Whether the interval lies within the values; for one unit there is none."""
    return not (fit.low < x[0] or fit.high > x[-1])


def _fit(
    x: np.ndarray,
    values: np.ndarray,
    weights: np.ndarray,
    window: slice,
    degree: int,
    factor: float,
    level: float,
) -> LocalFit | None:
    """Fit the values of a window."""
    lowest = float(x[values.mean(axis=1).argmin()])
    ends = x[0], x[-1]
    x, values, weights = x[window], values[window], weights[window]
    centre = float(x.mean())
    fits = [
        _polynomials(x - centre, values, weights, order)
        for order in (degree, degree + 1)
        if order < len(x)
    ]
    coefficients = fits[0].mean(axis=1)
    minimum = _minimum(coefficients, lowest - centre)
    if not x[0] <= minimum + centre <= x[-1]:
        return None

    low, high = _interval(fits[0], factor, level, minimum)
    for each in fits[1:]:
        wider = _interval(each, factor, level, minimum)
        # where the data cannot tell the next order, nothing bounds its minimum
        if all(ends[0] <= end + centre <= ends[1] for end in wider):
            low, high = min(low, wider[0]), max(high, wider[1])
    slopes = np.vander([minimum], degree)[0] @ _derivative(fits[0])
    curvature = np.polyval(np.polyder(coefficients, 2), minimum)
    return LocalFit(
        x=x,
        centre=centre,
        coefficients=coefficients,
        minimum=float(minimum + centre),
        low=float(low + centre),
        high=float(high + centre),
        influence=-(slopes - slopes.mean()) / curvature,
    )


def _weights(values: np.ndarray) -> np.ndarray:
    """Return the inverse variance of each value, (m,): a geometric mean with its neighbours'."""
    if values.shape[1] == 1:
        return np.ones(len(values))
    rounding = np.square(np.finfo(np.float32).eps * np.abs(values).max()) + np.finfo(float).tiny
    logs = np.pad(np.log(values.var(axis=1, ddof=1) + rounding), 1, mode="edge")
    smooth = (logs[:-2] + logs[1:-1] + logs[2:]) / 3
    return np.exp(smooth.min() - smooth)


def _windows(x: np.ndarray, means: np.ndarray, weights: np.ndarray, degree: int) -> list[slice]:
    """Return windows that predict values near the lowest one about as well as any, narrowest first.

    Every value near it is predicted from the others of the window.
    """
    count = len(x)
    best = int(means.argmin())
    near = max(1, int(np.sqrt(count)) // 3)
    core = slice(max(best - near, 0), min(best + near + 1, count))

    def error(window: tuple[int, int]) -> float:
        part = slice(*window)
        residuals = np.zeros(count)
        residuals[part] = _left_out(x[part], means[part], weights[part], degree)
        return float(np.square(residuals[core]).mean())

    firsts = np.unique(np.linspace(0, core.start, ENDS).round().astype(int)).tolist()
    lasts = np.unique(np.linspace(core.stop, count, ENDS).round().astype(int)).tolist()
    windows = [(i, j) for i in firsts for j in lasts if j - i >= degree + 2]
    errors = np.array([error(window) for window in windows])
    alike = np.flatnonzero(errors <= ALIKE**2 * errors.min())
    narrowest_first = sorted(alike, key=lambda i: x[windows[i][1] - 1] - x[windows[i][0]])
    return [slice(*windows[i]) for i in narrowest_first]


def _left_out(x: np.ndarray, y: np.ndarray, weights: np.ndarray, degree: int) -> np.ndarray:
    """Return y minus what the polynomial through the others says, r / (1 - h)."""
    root = np.sqrt(weights)
    basis, _ = np.linalg.qr(np.vander(x - x.mean(), degree + 1) * root[:, None])
    leverage = np.square(basis).sum(axis=1)
    residuals = y * root - basis @ (basis.T @ (y * root))
    return residuals / np.maximum(1 - leverage, 1e-9) / root


def _polynomials(x: np.ndarray, values: np.ndarray, weights: np.ndarray, degree: int) -> np.ndarray:
    """Fit a polynomial to each unit: coefficients (degree + 1, units), highest power first."""
    root = np.sqrt(weights)[:, None]
    return np.linalg.pinv(np.vander(x, degree + 1) * root) @ (values * root)


def _minimum(coefficients: np.ndarray, near: float) -> float:
    """Return the minimum of a polynomial that is nearest; inf if there is none."""
    slope = np.polyder(coefficients)
    roots = _real(np.roots(slope))
    minima = roots[np.polyval(np.polyder(slope), roots) > 0]
    return float(minima[np.abs(minima - near).argmin()]) if len(minima) else np.inf


def _derivative(coefficients: np.ndarray) -> np.ndarray:
    powers = np.arange(len(coefficients) - 1, 0, -1)
    return coefficients[:-1] * powers[:, None]


def _interval(
    coefficients: np.ndarray, factor: float, level: float, near: float
) -> tuple[float, float]:
    """Invert the t-test of the slope: where slope² = t² variance, around the minimum `near`."""
    derivative = _derivative(coefficients)
    slope = derivative.mean(axis=1)
    if derivative.shape[1] == 1:
        return np.nan, np.nan
    minimum = _minimum(coefficients.mean(axis=1), near)
    if not np.isfinite(minimum):
        return -np.inf, np.inf

    t = t_isf((1 - level) / 2, derivative.shape[1] - 1)
    covariance = factor * np.cov(derivative)
    # without noise both ends are one double root, which is not found: they stay this far apart
    covariance[-1, -1] += np.square(RESOLUTION * np.polyval(np.polyder(slope), minimum))
    flipped = covariance[::-1]  # the powers of x in slope' C slope are the diagonals of this
    orders = range(1 - len(slope), len(slope))
    variance = np.array([flipped.trace(order) for order in orders])
    crossings = _real(np.roots(np.convolve(slope, slope) - t**2 * variance))
    low = crossings[crossings < minimum].max(initial=-np.inf)
    high = crossings[crossings > minimum].min(initial=np.inf)
    return low, high


def _real(roots: Any) -> np.ndarray:
    """Select the real ones."""
    return roots[np.abs(roots.imag) < 1e-9 * (1 + np.abs(roots))].real
