"""The leaders side by side."""

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from ..._core.errors import ArgumentError
from .._axes import labelled, measured_scale, sentence, shown
from .._dataset import TRIAL, trial_values
from .._score import Score, Status
from .._statistics import standard_errors
from ._reading import has, means, named, scored, short_names
from ._style import COLORS, MARKERS, Style, draw_nothing, set_scale

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclasses.dataclass(frozen=True)
class SpreadPlot:
    """What there is to draw, of the leaders alone, best first.

    Attributes:
        metric: along x.
        is_low_good: whether the lowest is the best.
        total: configurations there are.
        configs: int array (leaders,).
        names: of the leaders, for a sentence.
        short_names: of the leaders, for an axis.
        title: of that axis.
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
        if best < 1:
            raise ArgumentError(f"{where}: best must be positive, got best={best}.")
        configs = scored(dataset, score)[:best]
        stopped = has(dataset, Status.STOPPED)
        title, short = short_names(dataset, configs)
        return cls(
            metric=score.metric,
            is_low_good=score.mode == "min",
            total=dataset.sizes[TRIAL[0]],
            configs=configs,
            names=named(dataset, configs),
            short_names=[
                f"{name}, stopped" if stopped[c] else name
                for name, c in zip(short, configs, strict=True)
            ],
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
        rows = np.arange(len(self.configs))
        self._draw_trials(ax, rows)
        error = np.nan_to_num(self.errors)
        style: Style = {
            "fmt": "|",
            "color": "black",
            "markersize": 13,
            "markeredgewidth": 2.5,
            "linewidth": 2,
            "zorder": 4,
        }
        label = "mean ± standard error" if np.isfinite(self.errors).any() else "mean"
        ax.errorbar(self.means, rows, xerr=error, label=label, **style)
        if self.is_low_good:
            set_scale(ax, "x", measured_scale(self.trials), self.trials)
        ax.set_yticks(rows, self.short_names, fontsize=min(8.3, 240 / len(rows)))
        ax.set_ylabel(self.title)
        ax.set_ylim(len(rows) - 0.5, -0.5)
        ax.grid(axis="y", color="0.92", zorder=0)
        return ""

    def _draw_trials(self, ax: "Axes", rows: np.ndarray) -> None:
        """Folds by colour, seeds by marker; where there is one fold, seeds by colour too."""
        _, seeds, folds = self.trials.shape
        is_named = seeds * folds <= 12 and seeds * folds > 1
        for seed in range(seeds):
            for fold in range(folds):
                values, which = self.trials[:, seed, fold], fold if folds > 1 else seed
                style: Style = {
                    "color": COLORS[which % len(COLORS)],
                    "marker": self._marker(seed, fold),
                }
                ax.plot(
                    values, rows, "-", color=style["color"], linewidth=0.7, alpha=0.35, zorder=1
                )
                ax.plot(values, rows, linestyle="none", alpha=0.75, markersize=5, zorder=3, **style)
        if not is_named:
            ax.plot([], [], "o", color=COLORS[0], label="trial")
            return
        for fold in range(folds if folds > 1 else 0):
            marker = "o" if seeds > 1 else self._marker(0, fold)
            ax.plot([], [], marker, color=COLORS[fold % len(COLORS)], label=f"fold {fold}")
        for seed in range(seeds if seeds > 1 else 0):
            color = "0.4" if folds > 1 else COLORS[seed % len(COLORS)]
            ax.plot([], [], MARKERS[seed % len(MARKERS)], color=color, label=f"seed {seed}")

    def _marker(self, seed: int, fold: int) -> str:
        """Of a seed; with one seed it tells folds of one colour apart."""
        return MARKERS[(seed if self.trials.shape[1] > 1 else fold // len(COLORS)) % len(MARKERS)]

    def described(self) -> str:
        """In a sentence."""
        if not self.configs.size:
            return "No configuration has a score in every trial."
        first, last = (self._shown(i) for i in (0, -1))
        text = f"the {len(self.configs)} best of {self.total} configurations by {labelled(self.metric)}: "
        return sentence(text + (f"from {first} to {last}" if len(self.configs) > 1 else first))

    def _shown(self, i: int) -> str:
        error = f" ± {self.errors[i]:.2g}" if np.isfinite(self.errors[i]) else ""
        return f"{shown(float(self.means[i]))}{error} ({self.names[i]})"
