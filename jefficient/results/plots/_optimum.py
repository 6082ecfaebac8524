"""The best value of a hyperparameter on the curve of scores, or along another hyperparameter."""

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from .._axes import labelled, measured_scale
from .._law import PowerLaw
from .._optimum import Optimum, optimum
from .._score import Score
from ._style import COLORS, Style, draw_edge_crosses, set_scale, set_ticks_at

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclasses.dataclass(frozen=True)
class OptimumPlot:
    """What a plot of an optimum shows.

    Attributes:
        optimum: with its curve; with a law, if it is plotted along another hyperparameter.
        is_low_good: whether the lowest score is the best.
    """

    optimum: Optimum
    is_low_good: bool

    @classmethod
    def of(
        cls,
        where: str,
        dataset: xr.Dataset,
        score: Score,
        name: str,
        by: str | Sequence[str] | None = None,
        level: float = 0.95,
    ):
        """Read from a dataset."""
        return cls(optimum(where, dataset, name, by, level), score.mode == "min")

    def draw(self, ax: "Axes") -> str:
        """Draw. No title for the legend."""
        if self.optimum.law is None:
            self._draw_curve(ax)
        else:
            self._draw_law(ax, self.optimum.law)
        return ""

    def _draw_curve(self, ax: "Axes") -> None:
        best = self.optimum
        curve = best.curve
        x = np.broadcast_to(curve.x[:, None], curve.scores.shape)
        dots: Style = {"alpha": 0.4, "markeredgewidth": 0, "label": "seed or fold"}
        ax.plot(x.ravel(), curve.scores.ravel(), ".", color=COLORS[0], **dots)
        ax.plot(curve.x, curve.scores.mean(axis=1), "o", color=COLORS[0], label="mean")

        window = np.exp(np.linspace(curve.fit.x[0], curve.fit.x[-1], 200))
        ax.plot(window, curve.at(window), "-", color=COLORS[4], label="fit")
        band: Style = {"color": COLORS[1], "alpha": 0.3, "linewidth": 0}
        ax.axvspan(best.low, best.high, label=f"{100 * best.level:g} % interval", **band)
        star: Style = {"color": COLORS[1], "markeredgecolor": "black", "markersize": 14}
        ax.plot(best.value, best.score, "*", label=f"best, at {best.value:.3g}", zorder=4, **star)

        shown = np.concatenate([curve.x, curve.diverged])
        set_scale(ax, "x", "log", shown)
        if self.is_low_good:
            set_scale(ax, "y", measured_scale(curve.scores), curve.scores)
        draw_edge_crosses(ax, curve.diverged, is_at_top=self.is_low_good)
        set_ticks_at(ax, "log", shown)
        ax.set(xlabel=labelled(best.hyperparameter), ylabel=labelled(best.metric))

    def _draw_law(self, ax: "Axes", law: PowerLaw) -> None:
        levels = np.array(list(law.optima), float).reshape(len(law.optima), -1)
        values, lows, highs = np.array([[o.value, o.low, o.high] for o in law.optima.values()]).T
        predicted = np.exp(law.line.at(np.log(levels))[0])
        x = levels[:, 0] if len(law.by) == 1 else predicted

        bars = np.nan_to_num([values - lows, highs - values])
        dots: Style = {"fmt": "o", "color": COLORS[0], "capsize": 3, "label": "best at a level"}
        ax.errorbar(x, values, bars, **dots)
        ends = np.array([x.min(), x.max()])
        if law.trusted is not None and np.isfinite(law.trusted).all():
            ends = np.array([min(ends[0], law.trusted[0]), max(ends[1], law.trusted[1])])
        along = np.geomspace(ends[0], ends[1], 100)
        if len(law.by) == 1:
            centre, half = law.line.at(np.log(along)[:, None])
            band: Style = {"color": COLORS[1], "alpha": 0.3, "linewidth": 0}
            band["label"] = f"{100 * law.level:g} % interval for another level"
            ax.fill_between(along, np.exp(centre - half), np.exp(centre + half), **band)
            ax.plot(along, np.exp(centre), "-", color=COLORS[4], label="power law")
        else:
            ax.plot(along, along, "-", color=COLORS[4], label="power law")
        set_scale(ax, "x", "log", along)
        set_scale(ax, "y", "log", np.concatenate([values, predicted]))
        name = labelled(law.hyperparameter)
        xlabel = labelled(law.by[0]) if len(law.by) == 1 else f"{name}, as the law predicts"
        ax.set(xlabel=xlabel, ylabel=f"best {name}")

    def described(self) -> str:
        """Say it in a sentence."""
        law = self.optimum.law
        return str(self.optimum) if law is None else str(law)
