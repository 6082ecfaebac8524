"""The score over two hyperparameters."""

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from ..._core.errors import ArgumentError
from .._axes import labelled, measured_scale, sentence, shown
from .._dataset import hyperparameters, ranking
from .._score import Score, Status
from ._cells import draw_cells, draw_dots
from ._reading import has, is_low_good, means, measured_or_metric, one_of, scored
from ._style import Style, norm_of, set_scale

if TYPE_CHECKING:
    from matplotlib.axes import Axes

VALUES = 50
"""Of a hyperparameter, at most, for cells."""


@dataclasses.dataclass(frozen=True)
class HeatmapPlot:
    """What there is to draw.

    Attributes:
        names: of the two hyperparameters, along x and along y.
        variable: what the colour is.
        columns: the values of both in every configuration.
        values: the distinct values of both, in order.
        place: int array (2, configs): where among them each configuration is.
        is_product: whether cells are drawn; otherwise dots, for a space that is no product.
        means: float array (configs,).
        cells: int array (len of y, len of x): the best configuration of each cell, -1 for none; (0,
            0) where there are too many values for cells.
        diverged: bool array (configs,).
        best: the best configuration, None where none has a score.
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
        (x_values, x_place), (y_values, y_place) = (
            np.unique(column, return_inverse=True) for column in columns
        )
        leaders, shape = scored(dataset, score), (len(y_values), len(x_values))
        cells = np.full(shape if max(shape) <= VALUES else (0, 0), -1)
        if cells.size:
            worst_first = ranking(dataset, score)[::-1]
            cells[y_place[worst_first], x_place[worst_first]] = (
                worst_first  # the best is written last
            )
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
            best=int(leaders[0]) if leaders.size else None,
            is_low_good=is_low_good(score, variable),
        )

    def draw(self, ax: "Axes") -> str:
        """Draw. No title for the legend."""
        ax.set_xlabel(labelled(self.names[0]))
        ax.set_ylabel(labelled(self.names[1]))
        shown_means = self.means[self.cells[self.cells >= 0]] if self.is_product else self.means
        scale = measured_scale(shown_means) if self.is_low_good else "linear"
        colors: Style = {
            "cmap": "viridis_r" if self.is_low_good else "viridis",
            "norm": norm_of(scale, shown_means),
        }
        image = draw_cells(ax, self, colors) if self.is_product else draw_dots(ax, self, colors)
        if np.isfinite(shown_means).any():
            figure: Any = ax.figure
            bar = figure.colorbar(image, ax=ax, label=labelled(self.variable))
            set_scale(bar.ax, "y", scale, shown_means)
        return ""

    def described(self) -> str:
        """In a sentence."""
        text = f"{labelled(self.variable)} over {labelled(self.names[0])} and {labelled(self.names[1])}: "
        if self.best is None:
            return sentence(text + "no configuration has a score")
        x, y = (shown(column[[self.best]].tolist()[0]) for column in self.columns)
        return sentence(
            text
            + f"best, {shown(float(self.means[self.best]))}, at {labelled(self.names[0])} {x} and "
            f"{labelled(self.names[1])} {y}; {int(self.diverged.sum())} of {len(self.means)} configurations diverged"
        )


def _two(
    where: str, dataset: xr.Dataset, score: Score, x: str | None, y: str | None
) -> tuple[str, str]:
    """The hyperparameters that were asked for; the others are those over whose values the best score spreads most."""
    names = hyperparameters(dataset)
    for argument, name in (("x", x), ("y", y)):
        if name is not None:
            one_of(where, argument, name, names)
    if len(names) < 2 or (x is not None and x == y):
        raise ArgumentError(
            f"{where}: there must be two hyperparameters, got {names if x is None or x != y else [x, y]}. "
            "For a single one use result.plot.values."
        )
    by_spread = sorted(names, key=lambda name: -_spread(dataset, score, name))
    free = [name for name in by_spread if name not in (x, y)]
    x = x or free.pop(0)
    return x, y or free.pop(0)


def _spread(dataset: xr.Dataset, score: Score, name: str) -> float:
    """Of the best mean score at each value; -1 where there is one value, so that others come first."""
    order = ranking(dataset, score)
    values, first = np.unique(dataset[name].values[order], return_index=True)
    best = means(dataset, score, score.metric)[order[first]]
    best = best[np.isfinite(best)]
    return float(np.ptp(best)) if best.size and len(values) > 1 else float(len(values) > 1) - 1


def _is_product(cells: np.ndarray) -> bool:
    """Whether values meet again in other combinations; drawn ones do not."""
    rows, columns = cells.shape
    return cells.size > 0 and (
        min(rows, columns) == 1 or (cells >= 0).sum() >= 1.5 * max(rows, columns)
    )
