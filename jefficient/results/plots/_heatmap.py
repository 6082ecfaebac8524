"""Scores over two hyperparameters: cells of a product, dots of any other space."""

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from ..._core.errors import ArgumentError
from .._axes import counted, labelled, measured_scale, scale_of, sentence, shown
from .._dataset import ranking
from .._score import Score, Status
from ._reading import (
    best_of,
    check_axis,
    cut_short,
    cut_words,
    has,
    is_low_good,
    means,
    measured_or_metric,
    short_words,
    with_axes,
)
from ._style import MANY, Style, draw_crosses, draw_ring, norm_of, set_scale

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable

VALUES = 50
"""Of a hyperparameter, at most, for cells."""
TICKS = (8, 14)
"""Labelled cells, at most, along x and along y."""
LETTERS = 36
"""Of the labels along x, in all, that fit without a slant; gaps between them left out."""


@dataclasses.dataclass(frozen=True)
class HeatmapPlot:
    """What a heatmap shows.

    Attributes:
        names: of the two hyperparameters, along x and along y.
        variable: what the colour is.
        columns: the values of both in every configuration.
        values: the distinct values of both, in order.
        place: int array (2, configs): where among them each configuration is.
        is_product: whether cells are drawn; otherwise dots, for a space that is no product.
        means: float array (configs,).
        cells: int array (len of y, len of x): the best configuration of each cell, -1 for none; (0,
            0) if there are too many values for cells.
        diverged: bool array (configs,).
        is_short: bool array (configs,): whether a trial neither finished nor diverged.
        short_words: what those are called in the legend.
        best: the best configuration, None if none has a score.
        is_low_good: whether the lowest is the best.
    """

    names: tuple[str, str]
    variable: str
    columns: tuple[np.ndarray, np.ndarray]
    values: tuple[np.ndarray, np.ndarray]
    place: np.ndarray
    is_product: bool
    means: np.ndarray
    cells: np.ndarray
    diverged: np.ndarray
    is_short: np.ndarray
    short_words: str
    best: int | None
    is_low_good: bool

    @classmethod
    def of(
        cls,
        where: str,
        dataset: xr.Dataset,
        score: Score,
        x: str | None = None,
        y: str | None = None,
        variable: str | None = None,
    ):
        """Read from a dataset."""
        variable = measured_or_metric(where, dataset, score, variable)
        names = _two(where, dataset, score, x, y)
        columns = dataset[names[0]].values, dataset[names[1]].values
        x_values, x_place = np.unique(columns[0], return_inverse=True)
        y_values, y_place = np.unique(columns[1], return_inverse=True)
        shape = len(y_values), len(x_values)
        cells = np.full(shape if max(shape) <= VALUES else (0, 0), -1)
        if cells.size:
            worst_first = ranking(dataset, score)[::-1]  # so that the best is written last
            cells[y_place[worst_first], x_place[worst_first]] = worst_first
        return cls(
            names=names,
            variable=variable,
            columns=columns,
            values=(x_values, y_values),
            place=np.stack([x_place, y_place]),
            is_product=_is_product(cells),
            means=means(dataset, score, variable),
            cells=cells,
            diverged=has(dataset, Status.DIVERGED),
            is_short=cut_short(dataset),
            short_words=cut_words(dataset),
            best=best_of(dataset, score),
            is_low_good=is_low_good(score, variable),
        )

    def draw(self, ax: "Axes") -> str:
        """Draw. No title for the legend."""
        ax.set(xlabel=labelled(self.names[0]), ylabel=labelled(self.names[1]))
        shown_means = self.means[self.cells[self.cells >= 0]] if self.is_product else self.means
        scale = measured_scale(shown_means) if self.is_low_good else "linear"
        colors: Style = {
            "cmap": "viridis_r" if self.is_low_good else "viridis",
            "norm": norm_of(scale, shown_means),
        }
        mappable = self._draw_cells(ax, colors) if self.is_product else self._draw_dots(ax, colors)
        if np.isfinite(shown_means).any():
            figure: Any = ax.figure
            bar = figure.colorbar(mappable, ax=ax, label=labelled(self.variable))
            set_scale(bar.ax, "y", scale, shown_means)
        return ""

    def _draw_cells(self, ax: "Axes", colors: Style) -> "ScalarMappable":
        """Draw a cell for each pair of values; return what a colour bar explains."""
        values = np.where(self.cells >= 0, self.means[self.cells], np.nan)
        ax.set_facecolor("0.93")
        image = ax.imshow(np.ma.masked_invalid(values), origin="lower", aspect="auto", **colors)
        for y, x in np.argwhere(self.cells < 0):
            _frame(ax, x, y, hatch="///", edgecolor="0.6", linewidth=0)
        hatched: Style = {"hatch": "\\\\", "edgecolor": "0.2", "alpha": 0.4, "linewidth": 0}
        short = (self.cells >= 0) & self.is_short[self.cells] & np.isfinite(values)
        for i, (y, x) in enumerate(np.argwhere(short)):
            _frame(ax, x, y, label="_" if i else self.short_words, **hatched)
        y, x = np.nonzero((self.cells >= 0) & self.diverged[self.cells])
        draw_crosses(ax, x, y)
        _annotate(ax, values, image)
        if self.best is not None:
            place = self.place[:, self.best]
            _frame(ax, *place, edgecolor="white", linewidth=5, zorder=4)
            _frame(ax, *place, edgecolor="black", linewidth=2.5, zorder=4.1, label="best")

        for axis, labels, most in zip((ax.xaxis, ax.yaxis), self.values, TICKS, strict=True):
            every = -(-len(labels) // most)
            texts = [shown(x) for x in labels[::every].tolist()]
            slant: Style = {}
            if axis is ax.xaxis and len("".join(texts)) > LETTERS:
                slant = {"rotation": 30, "ha": "right"}
            axis.set_ticks(range(0, len(labels), every), texts, **slant)
        return image

    def _draw_dots(self, ax: "Axes", colors: Style) -> "ScalarMappable":
        """Draw a dot for each configuration; return what a colour bar explains."""
        is_number = [np.issubdtype(column.dtype, np.number) for column in self.columns]
        x, y = (
            (column if numbers else place).astype(float)
            for column, place, numbers in zip(self.columns, self.place, is_number, strict=True)
        )
        ax.update_datalim(np.column_stack([x, y]))  # a log axis without a dot has no limits
        done = np.isfinite(self.means) & ~self.is_short
        is_many = len(x) > MANY
        size: Style = {"s": 12 if is_many else 45, "rasterized": is_many}
        edge: Style = {"edgecolor": "0.3", "linewidth": 0.3}
        dots = ax.scatter(x[done], y[done], c=self.means[done], **size, **edge, **colors)
        short = np.isfinite(self.means) & self.is_short
        if short.any():
            hollow: Style = {"facecolor": "none", "label": self.short_words}
            hollow["edgecolor"] = dots.to_rgba(self.means[short])
            ax.scatter(x[short], y[short], linewidth=1.5, **size, **hollow)
        draw_crosses(ax, x[self.diverged], y[self.diverged])
        if self.best is not None:
            draw_ring(ax, x[self.best], y[self.best])
        for along, axis, position, labels, numbers in zip(
            ("x", "y"), (ax.xaxis, ax.yaxis), (x, y), self.values, is_number, strict=True
        ):
            if numbers:
                set_scale(ax, along, scale_of(position), position)
            else:
                axis.set_ticks(range(len(labels)), list(map(shown, labels)))
        return dots

    def described(self) -> str:
        """Say it in a sentence."""
        along_x, along_y = map(labelled, self.names)
        text = f"{labelled(self.variable)} over {along_x} and {along_y}: "
        if self.best is None:
            return sentence(text + "no configuration has a score")
        x, y = (shown(column[[self.best]].tolist()[0]) for column in self.columns)
        return sentence(
            f"{text}best, {shown(float(self.means[self.best]))}, at {along_x} {x} and {along_y} "
            f"{y}; {int(self.diverged.sum())} of {counted(len(self.means), 'configuration')} "
            f"diverged{short_words(int(self.is_short.sum()), len(self.means))}"
        )


def _two(
    where: str, dataset: xr.Dataset, score: Score, x: str | None, y: str | None
) -> tuple[str, str]:
    """Complete the given hyperparameters by those over whose values the best score spreads most."""
    names = with_axes(dataset)
    for argument, name in (("x", x), ("y", y)):
        if name is not None:
            check_axis(where, dataset, argument, name)
    is_same = x is not None and x == y
    if len(names) < 2 or is_same:
        raise ArgumentError(
            f"{where}: there must be two hyperparameters, got {[x, y] if is_same else names}. "
            "For a single one use result.plot.values."
        )
    by_spread = sorted(names, key=lambda name: -_spread(dataset, score, name))
    free = [name for name in by_spread if name not in (x, y)]
    x = x or free.pop(0)
    return x, y or free.pop(0)


def _spread(dataset: xr.Dataset, score: Score, name: str) -> float:
    """Return the range of the best mean score at each value; -1 for one value, to come last."""
    order = ranking(dataset, score)
    values, first = np.unique(dataset[name].values[order], return_index=True)
    if len(values) == 1:
        return -1.0
    best = means(dataset, score, score.metric)[order[first]]
    best = best[np.isfinite(best)]
    return float(np.ptp(best)) if best.size else 0.0


def _is_product(cells: np.ndarray) -> bool:
    """Whether values meet again in other combinations; drawn ones do not."""
    if not cells.size:
        return False
    return min(cells.shape) == 1 or bool((cells >= 0).sum() >= 1.5 * max(cells.shape))


def _frame(ax: "Axes", x: int, y: int, **style: Any) -> None:
    from matplotlib.patches import Rectangle

    ax.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, fill=False, **style))


def _annotate(ax: "Axes", values: np.ndarray, image: "ScalarMappable") -> None:
    """Write the numbers into the cells, in three digits or two, if they fit."""
    figure: Any = ax.figure
    width = 0.8 * ax.bbox.width / figure.dpi / values.shape[1]  # inches, less the colour bar
    places = np.argwhere(np.isfinite(values))
    numbers = values[np.isfinite(values)].tolist()  # in the order of places
    for digits in (3, 2):
        texts = [f"{x:.{digits}g}" if abs(x) < 99.5 else f"{x:.0f}" for x in numbers]
        if texts and max(map(len, texts)) * 0.08 < width and values.shape[0] <= 14:
            break
    else:
        return
    for (y, x), text in zip(places, texts, strict=True):
        red, green, blue, _ = image.to_rgba(values[y, x])
        is_bright = 0.299 * red + 0.587 * green + 0.114 * blue > 0.5
        color = "black" if is_bright else "white"
        ax.text(x, y, text, color=color, ha="center", va="center", fontsize="small")
