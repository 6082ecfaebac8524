"""Pictures of a result. matplotlib is imported where a picture is drawn: it is an extra."""

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from .._core.errors import ArgumentError, JefficientError
from ._dataset import flat_trials, hyperparameters, measured, ranking, status_of, trial_values
from ._score import Score, Status, nan_mean

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclasses.dataclass(frozen=True)
class Plot:
    """The pictures; each takes and returns matplotlib `Axes`."""

    dataset: xr.Dataset
    score: Score

    def values(self, hyperparameter: str, variable: str | None = None, *, ax: "Axes | None" = None) -> "Axes":
        """A measured value against one hyperparameter: every trial a dot, diverged ones red crosses.

        The line joins the means over seeds and folds. Where the space has other axes, it joins those of the
        configuration that scores best at each value.

        Args:
            hyperparameter: a numeric axis of the space; shown on a log axis where its values are evenly spread there.
            variable: what to show, by default the score's metric.
            ax: where to draw, by default a new figure.

        Returns:
            The axes.

        Raises:
            ArgumentError: where there is no such hyperparameter or variable, or it has no numbers.
            JefficientError: where matplotlib is not installed.
        """
        where, variable = "jf.Result.plot.values", variable or self.score.metric
        self._check(where, hyperparameter, variable)
        ax = _axes(where) if ax is None else ax
        x = np.asarray(self.dataset[hyperparameter].values, float)
        trials = flat_trials(trial_values(self.dataset, self.score, variable))
        order = ranking(self.dataset, self.score)
        values, first = np.unique(x[order], return_index=True)
        best = order[first]  # at each value of x
        means = np.where(np.isfinite(trials).all(axis=1), nan_mean(trials), np.nan)[best]

        ax.plot(np.repeat(x, trials.shape[1]), trials.ravel(), ".", color="C0", alpha=0.4, label="trial")
        ax.plot(
            values, means, "-", color="C0", label="mean" if len(values) == len(x) else "mean of the best at each value"
        )
        if _is_log(x):
            ax.set_xscale("log")
        self._draw_diverged(ax, x, height=0.97 if variable.endswith("loss") else 0.03)
        ax.set_xlabel(hyperparameter.replace("_", " "))
        ax.set_ylabel(variable.replace("valid_", "validation ").replace("_", " "))
        ax.legend(fontsize="small")
        return ax

    def _draw_diverged(self, ax: "Axes", x: np.ndarray, height: float) -> None:
        """A cross for each configuration with a diverged trial, at the bad edge: it has no value."""
        diverged = (flat_trials(status_of(self.dataset)) == Status.DIVERGED).any(axis=1)
        if diverged.any():
            style = {"color": "red", "markersize": 8, "label": "diverged", "clip_on": False}
            ax.plot(x[diverged], np.full(diverged.sum(), height), "x", transform=ax.get_xaxis_transform(), **style)

    def _check(self, where: str, hyperparameter: str, variable: str) -> None:
        names = hyperparameters(self.dataset)
        if hyperparameter not in names:
            raise ArgumentError(f"{where}: hyperparameter must be one of {names}, got {hyperparameter!r}.")
        if not np.issubdtype(self.dataset[hyperparameter].dtype, np.number):
            raise ArgumentError(f"{where}: hyperparameter must have numbers for values, got {hyperparameter!r}.")
        if variable not in measured(self.dataset):
            raise ArgumentError(f"{where}: variable must be one of {measured(self.dataset)}, got {variable!r}.")


def _axes(where: str) -> "Axes":
    try:
        import matplotlib.pyplot as plt
    except ImportError:
        raise JefficientError(f"{where}: matplotlib must be installed: pip install 'jefficient[plot]'.") from None
    return plt.subplots(layout="constrained")[1]


def _is_log(x: np.ndarray) -> bool:
    """Positive values over more than a decade, more evenly spread in their logarithms."""
    values = np.unique(x)
    if len(values) < 3 or values[0] <= 0 or values[-1] < 10 * values[0]:
        return False

    def unevenness(v: Any) -> float:
        return float(np.std(np.diff(v)) / np.mean(np.diff(v)))

    return unevenness(np.log(values)) < unevenness(values)
