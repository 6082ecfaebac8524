"""A measured value against one hyperparameter."""

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import xarray as xr

from .._axes import labelled, measured_scale, scale_of, sentence, shown
from .._dataset import flat_trials, ranking, status_of, trial_values
from .._score import Score, Status
from .._sensitivity import slope_of
from .._statistics import standard_errors
from ._reading import (
    best_of,
    check_axis,
    cut_short,
    cut_words,
    distinguishing,
    diverged_words,
    has,
    is_cut,
    is_low_good,
    means,
    measured_or_metric,
    short_words,
)
from ._style import COLORS, MANY, Style, draw_edge_crosses, set_scale, set_ticks_at

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_ARROW = 0.25
"""Length of an arrow along x: a factor of e to this power."""

BARS = 100
"""Error bars beside each other, at most."""


@dataclasses.dataclass(frozen=True)
class ValuesPlot:
    """What a plot of values shows.

    Attributes:
        hyperparameter: along x.
        variable: along y.
        metric: what ranks.
        x: float array (configs,); the place among `categories` if those are not empty.
        categories: labels, for a hyperparameter without numbers.
        trials: float array (configs, trials), NaN where there is none.
        is_stopped: bool array (configs, trials): neither finished nor diverged.
        is_short: bool array (configs,): whether a trial of it is.
        stopped_words: what those are called in the legend.
        is_joined: whether a line joins the means: configurations differ in x alone, or several
            have the same x.
        at: int array: the best configuration at each value of x, in the order of x.
        means: float array (configs,).
        errors: float array (configs,): standard error of the mean, NaN where there is none.
        best: the best configuration, None if none has a score.
        diverged: bool array (configs,).
        is_low_good: whether the lowest is the best.
        slope: the configuration at which a derivative is drawn, and the derivative in the logarithm
            of x; None for none.
    """

    hyperparameter: str
    variable: str
    metric: str
    x: np.ndarray
    categories: tuple[str, ...]
    trials: np.ndarray
    is_stopped: np.ndarray
    is_short: np.ndarray
    stopped_words: str
    is_joined: bool
    at: np.ndarray
    means: np.ndarray
    errors: np.ndarray
    best: int | None
    diverged: np.ndarray
    is_low_good: bool
    slope: tuple[int, float] | None = None

    @classmethod
    def of(
        cls,
        where: str,
        dataset: xr.Dataset,
        score: Score,
        hyperparameter: str,
        variable: str | None = None,
        sensitivity: pd.DataFrame | None = None,
    ):
        """Read from a dataset."""
        check_axis(where, dataset, "hyperparameter", hyperparameter)
        variable = measured_or_metric(where, dataset, score, variable)
        slope = None
        if sensitivity is not None:
            slope = slope_of(where, sensitivity, hyperparameter, variable)
        x, categories = _positions(dataset[hyperparameter].values)
        order = ranking(dataset, score)
        _, first = np.unique(x[order], return_index=True)
        meet = len(first) < len(x) or distinguishing(dataset, order) == [hyperparameter]
        return cls(
            hyperparameter=hyperparameter,
            variable=variable,
            metric=score.metric,
            x=x,
            categories=categories,
            trials=flat_trials(trial_values(dataset, score, variable)),
            is_stopped=is_cut(flat_trials(status_of(dataset))),
            is_short=cut_short(dataset),
            stopped_words=cut_words(dataset),
            is_joined=not categories and meet,
            at=order[first],
            means=means(dataset, score, variable),
            errors=standard_errors(dataset, variable),
            best=best_of(dataset, score),
            diverged=has(dataset, Status.DIVERGED),
            is_low_good=is_low_good(score, variable),
            slope=slope,
        )

    def draw(self, ax: "Axes") -> str:
        """Draw. No title for the legend."""
        self._draw_trials(ax)
        self._draw_means(ax)
        if self.best is not None:
            label = f"best, at {self._label(self.best)}"
            star: Style = {"color": COLORS[1], "markeredgecolor": "black", "markersize": 14}
            ax.plot(self.x[self.best], self.means[self.best], "*", label=label, zorder=4, **star)
        self._draw_slope(ax)
        scale = "linear" if self.categories else scale_of(self.x)
        set_scale(ax, "x", scale, self.x)
        if self.is_low_good:
            set_scale(ax, "y", measured_scale(self.trials), self.trials)
        draw_edge_crosses(ax, self.x[self.diverged], is_at_top=self.is_low_good)
        set_ticks_at(ax, scale, self.x)
        if self.categories:
            slant = {"rotation": 30, "ha": "right"} if sum(map(len, self.categories)) > 50 else {}
            ax.set_xticks(range(len(self.categories)), self.categories, **slant)
            ax.set_xlim(-0.5, len(self.categories) - 0.5)
        elif scale == "symlog":
            ax.set_xlim(left=-0.5 * self.x[self.x > 0].min())  # 0 is the lowest there is
        ax.set(xlabel=labelled(self.hyperparameter), ylabel=labelled(self.variable))
        return ""

    def _draw_trials(self, ax: "Axes") -> None:
        x = np.broadcast_to(self.x[:, None], self.trials.shape)
        is_many = self.trials.size > MANY
        size = 6 if np.isfinite(self.trials).sum() > 200 else 9
        style: Style = {"markersize": 2 if is_many else size, "rasterized": is_many}
        style |= {"alpha": 0.4, "markeredgewidth": 0}
        for mask, color, label in (
            (~self.is_stopped, COLORS[0], "trial"),
            (self.is_stopped, "0.5", self.stopped_words),
        ):
            y = self.trials[mask]
            if np.isfinite(y).any():
                ax.plot(x[mask], y, ".", color=color, label=label, **style)

    def _draw_means(self, ax: "Axes") -> None:
        """Join the means of what finished; those of an earlier evaluation are hollow."""
        short = self.at[self.is_short[self.at]]
        if np.isfinite(self.means[short]).any():
            hollow: Style = {"color": COLORS[0], "markerfacecolor": "none", "markersize": 6}
            hollow["label"] = f"mean, {self.stopped_words}"
            ax.plot(self.x[short], self.means[short], "o", **hollow)

        done = self.at[~self.is_short[self.at]]
        x = self.x[done]
        y = self.means[done]
        error = self.errors[done]
        label = "mean" if len(self.at) == len(self.x) else "mean of the best at each value"
        style: Style = {"color": COLORS[0], "label": label}
        if not np.isfinite(y).any():
            return
        if self.is_joined:
            ax.plot(x, y, "-" if len(x) > 40 else "o-", markersize=4, **style)
            if np.isfinite(error).any():
                band: Style = {"color": COLORS[0], "alpha": 0.2, "linewidth": 0}
                band["label"] = "± one standard error"
                ax.fill_between(x, y - error, y + error, **band)
        elif len(x) > BARS:
            ax.plot(x, y, ".", markersize=2, rasterized=True, **style)
        else:
            ax.errorbar(x, y, np.nan_to_num(error), fmt="o", capsize=3, markersize=4, **style)

    def _draw_slope(self, ax: "Axes") -> None:
        """Draw an arrow along the tangent, the way the score gets better."""
        if self.slope is None:
            return
        config, derivative = self.slope
        is_up = (derivative < 0) == self.is_low_good
        length = _ARROW if is_up else -_ARROW
        x, y = self.x[config], self.means[config]
        ends = (x * np.exp(length), y + derivative * length), (x, y)
        style = {
            "arrowstyle": "-|>",
            "color": COLORS[1],
            "linewidth": 2,
            "shrinkA": 0,
            "shrinkB": 0,
        }
        ax.annotate("", *ends, arrowprops=style, zorder=5)
        ax.update_datalim(ends)
        ax.plot([], [], "-", color=COLORS[1], label="derivative")

    def _label(self, config: int) -> str:
        return self.categories[int(self.x[config])] if self.categories else f"{self.x[config]:.3g}"

    def described(self) -> str:
        """Say it in a sentence."""
        text = f"{labelled(self.variable)} against {labelled(self.hyperparameter)}: "
        if self.best is None:
            text += "no configuration has a score"
        else:
            is_metric = self.variable == self.metric
            text += "best" if is_metric else f"where {labelled(self.metric)} is best"
            text += f", {shown(float(self.means[self.best]))}, at {self._label(self.best)}"
        if self.slope is not None:
            config, derivative = self.slope
            text += f"; derivative in its logarithm {shown(derivative)} at {self._label(config)}"
        text += diverged_words(int(self.diverged.sum()), len(self.x))
        return sentence(text + short_words(int(self.is_short.sum()), len(self.x)))


def _positions(values: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return places on the x axis, and their labels if the values are not numbers."""
    if np.issubdtype(values.dtype, np.number):
        return values.astype(float), ()
    place = {label: i for i, label in enumerate(dict.fromkeys(map(str, values)))}
    return np.array([place[str(x)] for x in values], float), tuple(map(shown, place))
