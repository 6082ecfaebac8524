"""A hyperparameter that is an array, as a curve for each configuration."""

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from ..._core.checks import check_count, one_of
from ..._core.errors import ArgumentError
from .._axes import labelled, measured_scale, sentence, shown
from .._dataset import hyperparameters
from .._score import Score, Status
from .._values import arrays
from ._reading import (
    best_of,
    cut_short,
    cut_words,
    diverged_words,
    has,
    means,
    scored,
    short_words,
)
from ._style import GREY, MANY, Style, norm_of, set_scale

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import Collection


@dataclasses.dataclass(frozen=True)
class KnotsPlot:
    """What a plot of knots shows.

    Attributes:
        hyperparameter: along y.
        along: the hyperparameter along x; None for positions that are alike in all configurations.
        x: float array (configs, knots), rising.
        y: float array (configs, knots).
        metric: what the colour is.
        is_low_good: whether the lowest is the best.
        means: float array (configs,).
        best: the best configuration, None if none has a score.
        leaders: int array: the configurations that have the colour of their score, best first.
        diverged: bool array (configs,).
        is_short: bool array (configs,): whether a trial of it neither finished nor diverged.
        short_words: what those are called in the legend.
    """

    hyperparameter: str
    along: str | None
    x: np.ndarray
    y: np.ndarray
    metric: str
    is_low_good: bool
    means: np.ndarray
    best: int | None
    leaders: np.ndarray
    diverged: np.ndarray
    is_short: np.ndarray
    short_words: str

    @classmethod
    def of(
        cls,
        where: str,
        dataset: xr.Dataset,
        score: Score,
        hyperparameter: str,
        at: ArrayLike | None = None,
        best: int | None = None,
    ):
        """Read from a dataset."""
        if best is not None:
            check_count(where, best=best)
        y = _rows(where, dataset, "hyperparameter", hyperparameter)
        x = _positions(where, dataset, at, y.shape)
        order = np.argsort(x, axis=1, kind="stable")
        return cls(
            hyperparameter=hyperparameter,
            along=at if isinstance(at, str) else None,
            x=np.take_along_axis(x, order, axis=1),
            y=np.take_along_axis(y, order, axis=1),
            metric=score.metric,
            is_low_good=score.mode == "min",
            means=means(dataset, score, score.metric),
            best=best_of(dataset, score),
            leaders=scored(dataset, score)[:best],
            diverged=has(dataset, Status.DIVERGED),
            is_short=cut_short(dataset),
            short_words=cut_words(dataset),
        )

    def draw(self, ax: "Axes") -> str:
        """Draw. No title for the legend."""
        done = np.isfinite(self.means) & ~self.is_short
        others = np.setdiff1d(np.flatnonzero(done), self.leaders)
        if others.size:
            grey: Style = {"color": GREY, "linewidth": 0.5, "label": "others"}
            self._draw_lines(ax, others, **grey)
        self._draw_leaders(ax, self.leaders[done[self.leaders]])
        for config, style in (
            (np.flatnonzero(self.diverged), {"color": "red", "label": "diverged"}),
            (np.flatnonzero(self.is_short), {"color": "0.4", "label": self.short_words}),
        ):
            if config.size:
                dotted: Style = {"linestyle": ":", "linewidth": 1, **style}
                self._draw_lines(ax, config, **dotted)
        if self.best is not None:
            thick: Style = {"color": "black", "linewidth": 2.5, "markersize": 6, "zorder": 4}
            ax.plot(self.x[self.best], self.y[self.best], "o-", label="best", **thick)
        ax.autoscale_view()
        set_scale(ax, "y", measured_scale(self.y), self.y)
        xlabel = "knot" if self.along is None else labelled(self.along)
        ax.set(xlabel=xlabel, ylabel=labelled(self.hyperparameter))
        return ""

    def _draw_leaders(self, ax: "Axes", best_first: np.ndarray) -> None:
        """Draw what finished in the colours of the scores, the better ones on top."""
        if not best_first.size:
            return
        worst_first = best_first[::-1]
        scores = self.means[worst_first]
        scale = measured_scale(scores) if self.is_low_good else "linear"
        colors: Style = {
            "cmap": "viridis_r" if self.is_low_good else "viridis",
            "norm": norm_of(scale, scores),
            "array": scores,
        }
        lines = self._draw_lines(ax, worst_first, linewidth=1, alpha=0.7, **colors)
        figure: Any = ax.figure
        bar = figure.colorbar(lines, ax=ax, label=labelled(self.metric))
        set_scale(bar.ax, "y", scale, scores)

    def _draw_lines(self, ax: "Axes", configs: np.ndarray, **style: Any) -> "Collection":
        from matplotlib.collections import LineCollection

        segments = np.stack([self.x[configs], self.y[configs]], axis=-1)
        is_many = segments.size > 2 * MANY
        return ax.add_collection(LineCollection(list(segments), rasterized=is_many, **style))

    def described(self) -> str:
        """Say it in a sentence."""
        text = f"{labelled(self.hyperparameter)} of each configuration, coloured by "
        text += f"{labelled(self.metric)}: "
        if self.best is None:
            text += "no configuration has a score"
        else:
            numbers = ", ".join(map(shown, self.y[self.best].tolist()))
            text += f"best, {shown(float(self.means[self.best]))}, at {numbers}"
        count = len(self.means)
        text += diverged_words(int(self.diverged.sum()), count)
        return sentence(text + short_words(int(self.is_short.sum()), count))


def _rows(where: str, dataset: xr.Dataset, argument: str, name: str) -> np.ndarray:
    """Return the values of a hyperparameter that is an array of one dimension, (configs, knots)."""
    names = [x for x in hyperparameters(dataset) if dataset[x].ndim > 1]
    if not names:
        raise ArgumentError(
            f"{where}: a hyperparameter must be an array, got numbers and labels alone. "
            f"result.plot.values shows one of those."
        )
    one_of(where, argument, name, names)
    values = arrays(dataset, name)
    if values.ndim > 2:
        raise ArgumentError(
            f"{where}: {argument} must have one dimension to be a curve, got {name!r} with arrays "
            f"of shape {values.shape[1:]}. result.dataset[{name!r}] has the numbers."
        )
    return values.astype(float)


def _positions(
    where: str, dataset: xr.Dataset, at: ArrayLike | None, shape: tuple[int, ...]
) -> np.ndarray:
    """Return where the knots are along x, (configs, knots)."""
    if isinstance(at, str):
        x = _rows(where, dataset, "at", at)
    else:
        x = np.arange(shape[1], dtype=float) if at is None else np.asarray(at, float)
    if x.shape not in (shape, shape[1:]):
        raise ArgumentError(
            f"{where}: at must have a position for each of the {shape[1]} numbers, got shape "
            f"{x.shape[-1:] if x.ndim else ()}."
        )
    return np.broadcast_to(x, shape)
