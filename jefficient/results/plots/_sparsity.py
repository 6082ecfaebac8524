"""Share of zeros against the score."""

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from ..._core.errors import ArgumentError, JefficientError
from .._axes import labelled, measured_scale, scale_of, sentence, shown
from .._dataset import flat_trials, trial_values
from .._score import Score
from ._reading import best_of, check_axis, means, with_axes
from ._style import COLORS, MANY, Style, draw_nothing, draw_ring, norm_of, set_scale

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclasses.dataclass(frozen=True)
class SparsityPlot:
    """What a plot of sparsity shows.

    Attributes:
        metric: along y.
        is_low_good: whether the lowest is the best.
        zeros: float array (configs,): share of parameters that are exactly 0, along x.
        means: float array (configs,).
        hyperparameter: what the colour is; None for none.
        strength: its values, float array (configs,).
        best: the best configuration, None if none has a score.
    """

    metric: str
    is_low_good: bool
    zeros: np.ndarray
    means: np.ndarray
    hyperparameter: str | None
    strength: np.ndarray
    best: int | None

    @classmethod
    def of(cls, where: str, dataset: xr.Dataset, score: Score, hyperparameter: str | None = None):
        """Read from a dataset."""
        if "zeros" not in dataset or not (dataset["zeros"].values > 0).any():
            raise JefficientError(
                f"{where}: some parameter must be exactly 0 at some evaluation, got none that is. "
                "Proximal steps make zeros, such as jf.proximal_l1."
            )
        hyperparameter = _strength(where, dataset, hyperparameter)
        unused = np.full(dataset.sizes["config"], np.nan)
        return cls(
            metric=score.metric,
            is_low_good=score.mode == "min",
            zeros=flat_trials(trial_values(dataset, score, "zeros")).mean(axis=1, dtype=float),
            means=means(dataset, score, score.metric),
            hyperparameter=hyperparameter,
            strength=dataset[hyperparameter].values.astype(float) if hyperparameter else unused,
            best=best_of(dataset, score),
        )

    def draw(self, ax: "Axes") -> str:
        """Draw. No title for the legend."""
        ax.set(xlabel="share of parameters that are exactly 0", ylabel=labelled(self.metric))
        if self.best is None:
            draw_nothing(ax, "No configuration has a score in every trial.")
            return ""
        seen = np.isfinite(self.means)
        style: Style = {"s": 12 if len(seen) > MANY else 45, "rasterized": len(seen) > MANY}
        if self.hyperparameter is None:
            ax.scatter(self.zeros[seen], self.means[seen], color=COLORS[0], **style)
        else:
            scale = scale_of(self.strength)
            style |= {"c": self.strength[seen], "cmap": "viridis", "edgecolor": "0.3"}
            style |= {"norm": norm_of(scale, self.strength), "linewidth": 0.4}
            dots = ax.scatter(self.zeros[seen], self.means[seen], **style)
            figure: Any = ax.figure
            bar = figure.colorbar(dots, ax=ax, label=labelled(self.hyperparameter))
            set_scale(bar.ax, "y", scale, self.strength)
        draw_ring(ax, self.zeros[self.best], self.means[self.best])
        if self.is_low_good:
            set_scale(ax, "y", measured_scale(self.means), self.means)
        return ""

    def described(self) -> str:
        """Say it in a sentence."""
        text = f"{labelled(self.metric)} against the share of zeros: "
        if self.best is None:
            return sentence(text + "no configuration has a score")
        sparsest = int(np.nanargmax(self.zeros))
        shares = [shown(100 * float(self.zeros[i])) for i in (self.best, sparsest)]
        scores = [shown(float(self.means[i])) for i in (self.best, sparsest)]
        return sentence(
            f"{text}the best, {scores[0]}, has {shares[0]} % of them; the sparsest has {shares[1]} "
            f"% and {scores[1]}"
        )


def _strength(where: str, dataset: xr.Dataset, hyperparameter: str | None) -> str | None:
    """Return the given hyperparameter, by default `l1` or the first with "l1" in its name."""
    if hyperparameter is None:
        names = [x for x in with_axes(dataset) if len(np.unique(dataset[x].values)) > 1]
        numeric = [name for name in names if np.issubdtype(dataset[name].dtype, np.number)]
        return "l1" if "l1" in numeric else next((name for name in numeric if "l1" in name), None)
    check_axis(where, dataset, "hyperparameter", hyperparameter)
    if not np.issubdtype(dataset[hyperparameter].dtype, np.number):
        raise ArgumentError(
            f"{where}: hyperparameter must have numbers for values, got "
            f"hyperparameter={hyperparameter!r}. Leave it out for dots of one colour."
        )
    return hyperparameter
