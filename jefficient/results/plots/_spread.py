"""The best configurations side by side."""

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from ..._core.checks import check_count
from .._axes import counted, labelled, measured_scale, sentence, shown
from .._dataset import trial_values
from .._score import Score
from .._statistics import standard_errors
from ._reading import cut_short, cut_words, means, named, scored, short_names
from ._style import COLORS, MARKERS, Style, draw_nothing, set_scale

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclasses.dataclass(frozen=True)
class SpreadPlot:
    """What a plot of spread shows of the leaders: the best configurations, best first.

    Attributes:
        metric: along x.
        is_low_good: whether the lowest is the best.
        total: how many configurations the sweep has.
        configs: int array (leaders,).
        names: of the leaders, for a sentence.
        short_names: of the leaders, for the y axis.
        title: of the y axis.
        trials: float array (leaders, seeds, folds).
        means: float array (leaders,).
        errors: float array (leaders,): standard error of the mean, NaN where there is none.
    """

    metric: str
    is_low_good: bool
    total: int
    configs: np.ndarray
    names: list[str]
    short_names: list[str]
    title: str
    trials: np.ndarray
    means: np.ndarray
    errors: np.ndarray

    @classmethod
    def of(cls, where: str, dataset: xr.Dataset, score: Score, best: int = 10):
        """Read from a dataset."""
        check_count(where, best=best)
        configs = scored(dataset, score)[:best]
        is_short = cut_short(dataset)
        words = cut_words(dataset)
        title, short = short_names(dataset, configs)
        labels = [
            f"{name}, {words}" if is_short[config] else name
            for name, config in zip(short, configs, strict=True)
        ]
        return cls(
            metric=score.metric,
            is_low_good=score.mode == "min",
            total=dataset.sizes["config"],
            configs=configs,
            names=named(dataset, configs),
            short_names=labels,
            title=title,
            trials=trial_values(dataset, score, score.metric)[configs].astype(float),
            means=means(dataset, score, score.metric)[configs],
            errors=standard_errors(dataset)[configs],
        )

    def draw(self, ax: "Axes") -> str:
        """Draw: the best at the top. No title for the legend."""
        ax.set_xlabel(labelled(self.metric))
        if not self.configs.size:
            draw_nothing(ax, "No configuration has a score in every trial.")
            return ""
        places = np.arange(len(self.configs))
        self._draw_trials(ax, places)
        self._name_trials(ax)
        error = np.nan_to_num(self.errors)
        label = "mean ± standard error" if np.isfinite(self.errors).any() else "mean"
        bar: Style = {"fmt": "|", "color": "black", "linewidth": 2, "zorder": 4}
        bar |= {"markersize": 13, "markeredgewidth": 2.5}
        ax.errorbar(self.means, places, xerr=error, label=label, **bar)
        if self.is_low_good:
            set_scale(ax, "x", measured_scale(self.trials), self.trials)
        ax.set_yticks(places, self.short_names, fontsize=min(8.3, 240 / len(places)))
        ax.set_ylabel(self.title)
        ax.set_ylim(len(places) - 0.5, -0.5)
        ax.grid(axis="y", color="0.92", zorder=0)
        return ""

    def _draw_trials(self, ax: "Axes", places: np.ndarray) -> None:
        """Draw folds by colour, seeds by marker; if there is one fold, seeds by colour too."""
        _, seeds, folds = self.trials.shape
        line: Style = {"linewidth": 0.7, "alpha": 0.35, "zorder": 1}
        dots: Style = {"linestyle": "none", "alpha": 0.75, "markersize": 5, "zorder": 3}
        for seed in range(seeds):
            for fold in range(folds):
                values = self.trials[:, seed, fold]
                color = COLORS[(fold if folds > 1 else seed) % len(COLORS)]
                ax.plot(values, places, "-", color=color, **line)
                ax.plot(values, places, color=color, marker=self._marker(seed, fold), **dots)

    def _name_trials(self, ax: "Axes") -> None:
        """Explain colours and markers in the legend, unless they are too many."""
        _, seeds, folds = self.trials.shape
        if not 1 < seeds * folds <= 12:
            ax.plot([], [], "o", color=COLORS[0], label="trial")
            return
        for fold in range(folds if folds > 1 else 0):
            marker = "o" if seeds > 1 else self._marker(0, fold)
            ax.plot([], [], marker, color=COLORS[fold % len(COLORS)], label=f"fold {fold}")
        for seed in range(seeds if seeds > 1 else 0):
            color = "0.4" if folds > 1 else COLORS[seed % len(COLORS)]
            ax.plot([], [], MARKERS[seed % len(MARKERS)], color=color, label=f"seed {seed}")

    def _marker(self, seed: int, fold: int) -> str:
        """Choose by the seed; with one seed, tell folds of one colour apart."""
        which = seed if self.trials.shape[1] > 1 else fold // len(COLORS)
        return MARKERS[which % len(MARKERS)]

    def described(self) -> str:
        """Say it in a sentence."""
        if not self.configs.size:
            return "No configuration has a score in every trial."
        first, last = (self._shown(i) for i in (0, -1))
        count = len(self.configs)
        which = f"the {count} best" if count > 1 else "the best"
        total = counted(self.total, "configuration")
        text = f"{which} of {total} by {labelled(self.metric)}: "
        return sentence(text + (f"from {first} to {last}" if count > 1 else first))

    def _shown(self, i: int) -> str:
        error = f" ± {self.errors[i]:.2g}" if np.isfinite(self.errors[i]) else ""
        return f"{shown(float(self.means[i]))}{error} ({self.names[i]})"
