"""What the checks read: the best configuration, its curves, and its neighbours."""

import dataclasses
import functools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import xarray as xr

from .._dataset import (
    TRIAL,
    array_of,
    flat_trials,
    hyperparameters,
    in_largest_fold,
    is_prequential,
    measured,
    ranking,
    score_of,
    status_of,
    trial_values,
)
from .._distributions import normal_isf
from .._score import Score, Status
from .._statistics import (
    Units,
    are_alike,
    by_unit,
    finished,
    paired_test,
    t_test,
    units_of,
    variance_factor,
)
from .._values import column

LEVEL = 0.05
"""Differences whose p-value is not above this are taken for real."""
EVALUATIONS_FOR_JITTER = 6
"""Third differences of fewer evaluations than this are too few for a median."""


class Finding(NamedTuple):
    """What a check found: a `Check` without its name."""

    severity: str
    evidence: str
    next_step: str


def mend_data(dataset: xr.Dataset) -> str:
    """Say what to do about data that hold NaN or inf, where a sweep recorded some; else nothing."""
    if "nonfinite" not in dataset.attrs:
        return ""
    return f"Drop or replace examples that are not finite: there are {dataset.attrs['nonfinite']}."


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
        """From the first evaluation to the best one: the scale of smaller changes."""
        return float(self.mean[0] - self.mean.min())

    def is_real(self, low: int, high: int) -> bool:
        """Test whether the value at the evaluation `high` is above that at `low`.

        There is noise between units, for a paired t-test, and from evaluation to evaluation, the
        jitter of the mean curve. The test against jitter is corrected for as many comparisons as
        evaluations, since one of the two evaluations is often the best of all. A single unit has
        the jitter only, and a few evaluations of it are not enough for a test.
        """
        units, evaluations = self.values.shape
        rise = self.values[:, high] - self.values[:, low]
        test = t_test(rise, self.factor)
        if units > 1 and not (test.difference > 0 and test.p_value / 2 <= LEVEL):
            return False
        if evaluations < EVALUATIONS_FOR_JITTER:
            return units > 1
        return bool(rise.mean() > normal_isf(LEVEL / evaluations) * np.sqrt(2) * self.jitter)

    @property
    def jitter(self) -> float:
        """Standard deviation of the mean curve about a smooth one, from third differences.

        Their variance is 20 σ² (1 + 9 + 9 + 1). The larger of two estimates: their median, which a
        steep beginning does not affect, and their root mean square in the second half, more exact
        if there are many evaluations.
        """
        third = np.diff(self.mean, n=3)
        middle = np.median(np.abs(third)) / normal_isf(0.25)
        late = np.sqrt(np.mean(np.square(third[len(third) // 2 :])))
        return float(max(middle, late) / np.sqrt(20))


@dataclasses.dataclass(frozen=True)
class Reading:
    """A result whose best configuration finished."""

    dataset: xr.Dataset

    @functools.cached_property
    def score(self) -> Score:
        """What ranks the configurations."""
        return score_of(self.dataset)

    @property
    def is_prequential(self) -> bool:
        """Whether every batch was tested before it was trained on."""
        return is_prequential(self.dataset)

    @functools.cached_property
    def best(self) -> int:
        """The best configuration."""
        return int(ranking(self.dataset, self.score)[0])

    @functools.cached_property
    def finished(self) -> np.ndarray:
        """Whether all trials finished with a finite score, bool array (configs,)."""
        return finished(self.dataset)

    @functools.cached_property
    def diverged(self) -> np.ndarray:
        """Whether at least one trial diverged, bool array (configs,)."""
        return (flat_trials(status_of(self.dataset)) == Status.DIVERGED).any(axis=1)

    @functools.cached_property
    def units(self) -> Units:
        """The scores by unit: folds or, with one fold, seeds."""
        return units_of(self.dataset)

    @functools.cached_property
    def means(self) -> np.ndarray:
        """Mean scores, float array (configs,); the smaller, the better."""
        return self.score.sign * self.units.values.mean(axis=1)

    @functools.cached_property
    def are_seeds_alike(self) -> bool:
        """Whether there are several seeds, and all measured the same, but for rounding."""
        each = [trial_values(self.dataset, self.score, name) for name in measured(self.dataset)]
        of_finished = np.stack(each)[:, self.finished]
        return of_finished.shape[2] > 1 and are_alike(of_finished, axis=2)

    @property
    def repeats(self) -> str:
        """What would repeat a configuration with other numbers, in words."""
        if self.is_prequential:
            return "seeds, or another stretch of the stream"
        return "folds" if self.are_seeds_alike else "seeds or folds"

    @functools.cached_property
    def axes(self) -> dict[str, np.ndarray]:
        """The hyperparameters with numbers, float arrays (configs,)."""
        columns = {name: column(self.dataset, name) for name in hyperparameters(self.dataset)}
        return {
            name: x.astype(float)
            for name, x in columns.items()
            if np.issubdtype(x.dtype, np.number)
        }

    def p_value(self, config: int) -> float:
        """Test whether a configuration differs from the best; not corrected for many of them."""
        return float(paired_test(self.units, config, self.best).p_value)

    def beside(self, name: str, direction: int) -> int | None:
        """Find what differs from the best in one axis alone: next larger (1) or smaller (-1)."""
        x = self.axes[name]
        is_like = np.ones(len(x), bool)
        for other in hyperparameters(self.dataset):
            if other != name:
                others = column(self.dataset, other)
                is_like &= others == others[self.best]
        distance = np.where(direction * (x - x[self.best]) > 0, np.abs(x - x[self.best]), np.inf)
        candidates = np.flatnonzero(is_like & (distance == distance.min()) & np.isfinite(distance))
        return int(candidates[0]) if len(candidates) else None

    def curve(self, name: str) -> Curve | None:
        """Return a measured variable of the best configuration, None if there is none."""
        if name not in self.dataset:
            return None
        trials = array_of(self.dataset, name, "config", "evaluation", *TRIAL[1:])
        values = by_unit(trials[self.best]).T
        seen = np.isfinite(values).all(axis=0)
        if not seen.any():
            return None
        sign = self.score.sign if name == self.score.metric else 1
        when = [self.when[evaluation] for evaluation in np.flatnonzero(seen)]
        return Curve(sign * values[:, seen], when, variance_factor(self.dataset))

    @functools.cached_property
    def when(self) -> list[str]:
        """Say when each evaluation of the best configuration was: in epochs, or in steps.

        In steps if there are no examples, or a stream of them.
        """
        are_epochs_alike = (
            "fold" in self.dataset["step"].dims or "fold" not in self.dataset["epoch"].dims
        )
        has_epochs = self.dataset["training_examples"].values.max() > 0 and not self.is_prequential
        if has_epochs and are_epochs_alike:
            epochs = in_largest_fold(self.dataset, "epoch")[self.best]
            return [f"epoch {round(epoch, 1):g}" for epoch in epochs.tolist()]
        return [f"step {int(x)}" for x in in_largest_fold(self.dataset, "step")[self.best]]

    def varied(self) -> Iterator[tuple[str, np.ndarray]]:
        """Iterate over the axes with numbers that vary, each with its distinct values."""
        for name, x in self.axes.items():
            values = np.unique(x)
            if len(values) > 1:
                yield name, values
