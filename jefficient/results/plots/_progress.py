"""The best so far against the configurations that were run."""

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from scipy.special import gammaln

from .._axes import counted, labelled, measured_scale, sentence, shown
from .._dataset import EVALUATIONS, array_of
from .._score import Score
from .._statistics import finished
from ._reading import means, scored
from ._style import COLORS, Style, draw_nothing, set_scale

if TYPE_CHECKING:
    from matplotlib.axes import Axes

POINTS = 200
"""Of the expected curve, at most."""


@dataclasses.dataclass(frozen=True)
class ProgressPlot:
    """What a plot of progress shows.

    Attributes:
        metric: along y.
        is_low_good: whether the lowest is the best.
        so_far: float array (configs,): the best of the first n configurations that ended; NaN
            before the first with a score.
        n: int array (points,): configurations drawn.
        expected: float array (points,): of the best of n.
        low: float array (points,): its 5 % quantile.
        high: float array (points,): its 95 % quantile.
    """

    metric: str
    is_low_good: bool
    so_far: np.ndarray
    n: np.ndarray
    expected: np.ndarray
    low: np.ndarray
    high: np.ndarray

    @classmethod
    def of(cls, where: str, dataset: xr.Dataset, score: Score):
        """Read from a dataset."""
        del where
        values = score.sign * means(dataset, score, score.metric)
        is_finished = finished(dataset)
        counted = np.where(is_finished, values, np.nan) if is_finished.any() else values

        seconds = array_of(dataset, "seconds", *EVALUATIONS).reshape(len(values), -1)
        ended = np.where(np.isfinite(seconds), seconds, -np.inf).max(axis=1)
        ended[np.isinf(ended)] = np.inf  # never evaluated: last
        by_end = np.argsort(ended, kind="stable")
        so_far = np.minimum.accumulate(np.nan_to_num(counted[by_end], nan=np.inf))

        spaced = np.linspace if len(values) <= POINTS else np.geomspace
        n = np.unique(spaced(1, len(values), min(POINTS, len(values))).round().astype(int))
        curves = expected_best(values[scored(dataset, score)], len(values), n)
        # the low quantile of a negated score is the high one of the score
        low, high = curves[1:][:: score.sign]
        return cls(
            metric=score.metric,
            is_low_good=score.mode == "min",
            so_far=score.sign * np.where(np.isinf(so_far), np.nan, so_far),
            n=n,
            expected=score.sign * curves[0],
            low=score.sign * low,
            high=score.sign * high,
        )

    def draw(self, ax: "Axes") -> str:
        """Draw. No title for the legend."""
        ax.set(xlabel="configurations", ylabel=f"best {labelled(self.metric)}")
        if not np.isfinite(self.so_far).any():
            draw_nothing(ax, "No configuration has a score in every trial.")
            return ""
        band: Style = {"color": COLORS[1], "alpha": 0.25, "linewidth": 0}
        ax.fill_between(self.n, self.low, self.high, label="90 % of such draws", **band)
        style: Style = {"color": COLORS[1], "label": "expected, of n drawn at random"}
        ax.plot(self.n, self.expected, "--" if len(self.n) > 1 else "o", **style)
        count = np.arange(1, len(self.so_far) + 1)
        style = {"color": COLORS[0], "label": "best so far, in the order they ended"}
        style["drawstyle"] = "steps-post"
        ax.plot(count, self.so_far, "-" if len(count) > 1 else "s", **style)
        if self.is_low_good:
            drawn = np.concatenate([self.so_far, self.expected, self.low, self.high])
            set_scale(ax, "y", measured_scale(drawn), drawn)
        if len(count) > 100:
            ax.set_xscale("log")
        else:
            ax.locator_params("x", integer=True)
        return ""

    def described(self) -> str:
        """Say it in a sentence."""
        if not np.isfinite(self.so_far).any():
            return "No configuration has a score in every trial."
        reached = int((self.so_far == self.so_far[-1]).argmax()) + 1
        half = int(np.searchsorted(self.n, (len(self.so_far) + 1) // 2))
        return sentence(
            f"best {labelled(self.metric)} of {counted(len(self.so_far), 'configuration')}: "
            f"{shown(float(self.so_far[-1]))}, reached after {reached}; of {self.n[half]} drawn at "
            f"random the best has {shown(float(self.expected[half]))} on average"
        )


def expected_best(scores: np.ndarray, total: int, n: np.ndarray) -> np.ndarray:
    """Return expectation and quantiles of the score that ranks first of n drawn ones: exact.

    Drawn without replacement, the i-th of N is the first of n with probability C(N - i, n - 1) /
    C(N, n). Configurations without a score are never the first: the numbers are conditional on at
    least one with a score among those drawn.

    Args:
        scores: float array (scores,), in the order of the ranking.
        total: N, configurations, with a score or not.
        n: int array (points,), 1 ≤ n ≤ N.

    Returns:
        Float array (3, points): expectation, 5 % and 95 % quantile, NaN if there are no scores.
    """
    if not scores.size:
        return np.full((3, len(n)), np.nan)
    n = n[:, None]
    others = total - np.arange(1, len(scores) + 1)  # N - i: those that rank behind the i-th
    is_possible = others >= n - 1
    ways = _log_choose(np.where(is_possible, others, n - 1), n - 1)
    weights = np.where(is_possible, np.exp(ways - _log_choose(np.full(1, total), n)), 0.0)
    weights /= weights.sum(axis=1, keepdims=True)
    rising = np.argsort(scores, kind="stable")
    reached = np.cumsum(weights[:, rising], axis=1)
    low, high = (
        scores[rising][np.minimum((reached < q).sum(axis=1), len(scores) - 1)] for q in (0.05, 0.95)
    )
    return np.stack([weights @ scores, low, high])


def _log_choose(n: np.ndarray, k: np.ndarray) -> np.ndarray:
    return gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)
