"""What the checks evaluate: the best configuration, its curves, and what lies beside it."""

import dataclasses
import functools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import xarray as xr
from scipy import stats

from .._dataset import TRIAL, flat_trials, hyperparameters, ranking, score_of, status_of
from .._score import Score, Status
from .._statistics import (
    Differences,
    Units,
    by_unit,
    finished,
    standard_errors,
    t_test,
    units_of,
    variance_factor,
)

LEVEL = 0.05
"""Differences whose p-value is not above this are taken for real."""
LOOKS_FOR_JITTER = 6
"""Third differences of fewer evaluations than this are too few for a median."""


class Finding(NamedTuple):
    """What a check says. `severity`: "warning", the answer may be wrong; "note", it could be better or cheaper."""

    severity: str
    evidence: str
    next_step: str


@dataclasses.dataclass(frozen=True)
class Curve:
    """A variable of the best configuration at each evaluation.

    Attributes:
        values: float array (units, evaluations), finite; the smaller, the better.
        when: for each evaluation, in words.
        factor: the variance of a mean over units is `factor` s².
    """

    values: np.ndarray
    when: list[str]
    factor: float

    @functools.cached_property
    def mean(self) -> np.ndarray:
        """Float array (evaluations,)."""
        return self.values.mean(axis=0)

    @property
    def evaluations(self) -> int:
        """How many there are."""
        return len(self.mean)

    @property
    def gain(self) -> float:
        """From the first evaluation to the best one: what smaller changes are measured by."""
        return float(self.mean[0] - self.mean.min())

    def is_real(self, low: int, high: int) -> bool:
        """Whether the value at the evaluation `high` is above that at `low` by more than noise.

        There is noise between units, told by a paired t-test, and from evaluation to evaluation,
        told by the jitter of the mean curve; that is judged with as many comparisons as
        evaluations, since one of the two evaluations is often the best of all. A single unit has
        the jitter only, and no more than a few evaluations of it say nothing.
        """
        units, evaluations = self.values.shape
        rise = self.values[:, high] - self.values[:, low]
        test = t_test(rise, self.factor)
        if units > 1 and not (test.difference > 0 and test.p_value / 2 <= LEVEL):
            return False
        if evaluations < LOOKS_FOR_JITTER:
            return units > 1
        return bool(rise.mean() > stats.norm.isf(LEVEL / evaluations) * np.sqrt(2) * self.jitter)

    @property
    def jitter(self) -> float:
        """Standard deviation of the mean curve about a smooth one, from third differences: their variance is 20 σ².

        The larger of two estimates: their median, which a steep beginning does not sway, and, surer
        where there are many evaluations, their root mean square in the second half.
        """
        third = np.diff(self.mean, n=3)
        middle = np.median(np.abs(third)) / stats.norm.isf(0.25)
        return float(max(middle, np.sqrt(np.mean(third[len(third) // 2 :] ** 2))) / np.sqrt(20))


@dataclasses.dataclass(frozen=True)
class Reading:
    """A result whose best configuration finished."""

    dataset: xr.Dataset

    @functools.cached_property
    def score(self) -> Score:
        """What ranks the configurations."""
        return score_of(self.dataset)

    @functools.cached_property
    def best(self) -> int:
        """The best configuration."""
        return int(ranking(self.dataset, self.score)[0])

    @functools.cached_property
    def finished(self) -> np.ndarray:
        """Bool array (configs,): all trials finished, with a finite score."""
        return finished(self.dataset)

    @functools.cached_property
    def diverged(self) -> np.ndarray:
        """Bool array (configs,): at least one trial diverged."""
        return (flat_trials(status_of(self.dataset)) == Status.DIVERGED).any(axis=1)

    @functools.cached_property
    def units(self) -> Units:
        """The scores in what repeats a comparison: folds or, with one fold, seeds."""
        return units_of(self.dataset)

    @property
    def repeats(self) -> int:
        """How many units there are."""
        return self.units.values.shape[1]

    @functools.cached_property
    def means(self) -> np.ndarray:
        """Mean scores, float array (configs,); the smaller, the better."""
        return self.score.sign * self.units.values.mean(axis=1)

    @functools.cached_property
    def errors(self) -> np.ndarray:
        """Standard errors of the means, float array (configs,)."""
        return standard_errors(self.dataset)

    @functools.cached_property
    def axes(self) -> dict[str, np.ndarray]:
        """The hyperparameters with numbers, float arrays (configs,)."""
        columns = {name: self.dataset[name].values for name in hyperparameters(self.dataset)}
        return {
            name: x.astype(float)
            for name, x in columns.items()
            if np.issubdtype(x.dtype, np.number)
        }

    def behind(self, config: int) -> Differences:
        """How far a configuration is behind the best: the difference is positive.

        No correction for many of them.
        """
        pair = self.score.sign * self.units.values[[config, self.best]]
        return t_test(
            pair[0] - pair[1], self.units.factor, self.units.resolution * np.abs(pair).max()
        )

    def beside(self, name: str, direction: int) -> int | None:
        """The configuration with the next value of an axis, larger (1) or smaller (-1), and all else like the best."""
        x = self.axes[name]
        others = (
            self.dataset[other].values for other in hyperparameters(self.dataset) if other != name
        )
        is_like = np.logical_and.reduce(
            [np.ones(len(x), bool), *(v == v[self.best] for v in others)]
        )
        distance = np.where(direction * (x - x[self.best]) > 0, np.abs(x - x[self.best]), np.inf)
        candidates = np.flatnonzero(is_like & (distance == distance.min()) & np.isfinite(distance))
        return int(candidates[0]) if len(candidates) else None

    def curve(self, name: str) -> Curve | None:
        """A measured variable of the best configuration; None where there is none such."""
        if name not in self.dataset:
            return None
        values = by_unit(
            np.moveaxis(self.dataset[name].transpose(*TRIAL, "evaluation").values[self.best], -1, 0)
        ).T
        seen = np.isfinite(values).all(axis=0)
        sign = self.score.sign if name == self.score.metric else 1
        when = [self._when(evaluation) for evaluation in np.flatnonzero(seen).tolist()]
        return (
            Curve(sign * values[:, seen], when, variance_factor(self.dataset))
            if seen.any()
            else None
        )

    def _when(self, evaluation: int) -> str:
        step, epoch = (
            self.dataset[name].transpose("config", "evaluation").values
            for name in ("step", "epoch")
        )
        has_rows = self.dataset["training_examples"].values.max() > 0
        return (
            f"epoch {round(float(epoch[self.best, evaluation]), 1):g}"
            if has_rows
            else f"step {step[self.best, evaluation]}"
        )

    def varied(self) -> Iterator[tuple[str, np.ndarray]]:
        """The axes with numbers that vary, each with its distinct values."""
        for name, x in self.axes.items():
            values = np.unique(x)
            if len(values) > 1:
                yield name, values
