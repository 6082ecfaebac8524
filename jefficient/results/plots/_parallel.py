"""Configurations as lines across their hyperparameters."""

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from .._axes import Scale, counted, labelled, measured_scale, scale_of, sentence, shown
from .._score import Score, Status
from .._values import column
from ._reading import (
    cut_short,
    cut_words,
    diverged_words,
    has,
    means,
    scored,
    short_words,
    with_axes,
)
from ._style import MANY, Style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LABELS = 6
"""Values of an axis that are written beside it, at most; of more, the first and the last."""
BEST = 0.1
"""The share of the configurations that a sentence tells of."""


@dataclasses.dataclass(frozen=True)
class Axis:
    """One vertical axis.

    Attributes:
        name: of the hyperparameter, or of the score.
        places: of each configuration, float array (configs,), 0 at the bottom to 1; NaN for none.
        ticks: place and text of what is written beside it.
    """

    name: str
    places: np.ndarray
    ticks: list[tuple[float, str]]

    def reversed(self) -> "Axis":
        """Return the axis upside down."""
        ticks = [(1 - place, text) for place, text in self.ticks]
        return Axis(self.name, 1 - self.places, ticks)


@dataclasses.dataclass(frozen=True)
class ParallelPlot:
    """What a plot of parallel coordinates shows.

    Attributes:
        axes: those of the hyperparameters, and that of the score last, the best at its top.
        order: the configurations that finished with a score, best first, int array.
        diverged: those with a diverged trial, int array.
        short: those that did not finish and have none, int array.
        short_words: what those are called in the legend.
        ranges: for a sentence, what the best configurations have of each hyperparameter.
    """

    axes: list[Axis]
    order: np.ndarray
    diverged: np.ndarray
    short: np.ndarray
    short_words: str
    ranges: list[str]

    @classmethod
    def of(cls, where: str, dataset: xr.Dataset, score: Score):
        """Read from a dataset."""
        del where
        is_diverged = has(dataset, Status.DIVERGED)
        is_short = cut_short(dataset) & ~is_diverged
        leaders = scored(dataset, score)
        order = leaders[~is_short[leaders]]
        values = np.full(len(is_short), np.nan)
        values[order] = means(dataset, score, score.metric)[order]
        columns = {name: column(dataset, name) for name in with_axes(dataset)}
        varied = {name: x for name, x in columns.items() if len(set(x.tolist())) > 1}
        best = order[: int(np.ceil(BEST * len(order)))]
        axes = [_axis(name, x, scale_of) for name, x in varied.items()]
        scored_axis = _axis(score.metric, values, measured_scale)
        return cls(
            axes=[*axes, scored_axis.reversed() if score.mode == "min" else scored_axis],
            order=order,
            diverged=np.flatnonzero(is_diverged),
            short=np.flatnonzero(is_short),
            short_words=cut_words(dataset),
            ranges=[f"{labelled(x)} {_range(varied[x][best])}" for x in varied if best.size],
        )

    def draw(self, ax: "Axes") -> str:
        """Draw: the brighter, the better, and the best in black. No title for the legend."""
        for i, axis in enumerate(self.axes):
            ax.axvline(i, color="0.4", linewidth=1)
            for place, text in axis.ticks:
                style: Style = {"fontsize": "small", "va": "center", "zorder": 6}
                style["bbox"] = {"facecolor": "white", "alpha": 0.7, "linewidth": 0, "pad": 0.5}
                ax.text(i + 0.02, place, text, **style)
        if self.order.size:
            colors: Style = {"cmap": "viridis_r", "array": np.arange(len(self.order))[::-1]}
            self._draw_lines(ax, self.order[::-1], linewidth=1, alpha=0.7, **colors)
        for configs, color, label in (
            (self.diverged, "red", "diverged"),
            (self.short, "0.6", self.short_words),
        ):
            if configs.size:
                dotted: Style = {"color": color, "linestyle": ":", "linewidth": 1, "label": label}
                self._draw_lines(ax, configs, **dotted)
        if self.order.size:
            best = [axis.places[self.order[0]] for axis in self.axes]
            ax.plot(best, "o-", color="black", linewidth=2.5, label="best", zorder=4)
        ax.set_xticks(range(len(self.axes)), [labelled(axis.name) for axis in self.axes])
        ax.set_yticks([])
        ax.set(xlim=(-0.1, len(self.axes) - 0.6), ylim=(-0.05, 1.05))
        return ""

    def _draw_lines(self, ax: "Axes", configs: np.ndarray, **style: Any) -> None:
        """Draw a line for each configuration, up to the score if it has one."""
        from matplotlib.collections import LineCollection

        y = np.stack([axis.places[configs] for axis in self.axes], axis=1)
        x = np.broadcast_to(np.arange(len(self.axes)), y.shape)
        is_many = y.size > MANY
        lines = list(np.stack([x, y], axis=-1))
        ax.add_collection(LineCollection(lines, rasterized=is_many, **style))

    def described(self) -> str:
        """Say it in a sentence."""
        count = len(self.axes[0].places)
        text = f"hyperparameters of {counted(count, 'configuration')}, coloured by rank: "
        count_of_best = int(np.ceil(BEST * len(self.order)))
        best = "best has" if count_of_best == 1 else f"{count_of_best} best have"
        if not self.order.size:
            text += "none finished with a score"
        elif not self.ranges:
            text += "no hyperparameter has several values"
        else:
            text += f"the {best} {', '.join(self.ranges)}"
        text += diverged_words(len(self.diverged), count)
        return sentence(text + short_words(len(self.short), count))


def _axis(name: str, values: np.ndarray, scale_for: Callable[[Any], Scale]) -> Axis:
    """Place numbers on their scale, and texts and numbers with 0 among decades one by one."""
    is_numbers = np.issubdtype(values.dtype, np.number)
    scale = scale_for(values) if is_numbers else None
    if scale is None or scale == "symlog":
        known = np.unique(values[np.isfinite(values)] if is_numbers else values.astype(str))
        places = np.searchsorted(known, values if is_numbers else values.astype(str)).astype(float)
        positions = np.arange(len(known), dtype=float)
    else:
        places = np.log(values) if scale == "log" else values.astype(float)
        known = np.unique(values[np.isfinite(places)])
        positions = np.log(known) if scale == "log" else known.astype(float)
    low, high = (positions[0], positions[-1]) if len(known) else (0.0, 0.0)
    width = high - low or 1.0
    offset = 0.0 if high > low else 0.5

    written = range(len(known)) if len(known) <= LABELS else (0, len(known) - 1)
    ticks = [
        (float((positions[i] - low) / width + offset), shown(known[i].item())) for i in written
    ]
    return Axis(name, (places - low) / width + offset, ticks)


def _range(values: np.ndarray) -> str:
    """Say what values there are: one, a range of numbers, or several texts."""
    known = [
        shown(x)
        for x in np.unique(values if values.dtype != object else values.astype(str)).tolist()
    ]
    if len(known) == 1:
        return known[0]
    if np.issubdtype(values.dtype, np.number):
        return f"{known[0]} to {known[-1]}"
    return " or ".join(known[:LABELS]) + (" or others" if len(known) > LABELS else "")
