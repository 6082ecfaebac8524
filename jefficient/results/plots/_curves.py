"""Learning curves."""

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from ..._core.checks import one_of
from ..._core.errors import ArgumentError
from .._axes import Scale, counted, labelled, measured_scale, sentence, shown
from .._dataset import measured, over_evaluations, ranking
from .._score import Score
from ._evaluations import curve_ends, ended_early, last_seen, mean_curves, places
from ._reading import (
    check_axis,
    cut_short,
    diverged_words,
    is_low_good,
    named,
    scored,
    short_names,
    with_axes,
)
from ._style import COLORS, GREY, MARKERS, Style, draw_crosses, draw_edge_crosses, entry, set_scale

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DRAWN = 300
"""Grey curves at most."""
TRAINING = "the same in training"


@dataclasses.dataclass(frozen=True)
class CurvesPlot:
    """What a plot of learning curves shows.

    Attributes:
        variable: along y.
        along: "step", or "epoch" where configurations differ in their steps per epoch, or folds in
            their steps.
        x: float array (configs, evaluations): steps or epochs, NaN past a configuration's last.
        y: float array (configs, evaluations): mean over seeds and folds, NaN where a trial has
            none.
        beside: what is dashed: the same in training, or 2/η beside the sharpness; None for nothing.
        beside_name: what that is.
        leaders: int array: the best configurations, best first, drawn in colour.
        names: of the leaders: their values of the hyperparameters in which they differ.
        title: those hyperparameters.
        best_name: the best configuration by the hyperparameters that differ in the sweep.
        background: int array: the others that are drawn, evenly over the ranking if there are too
            many.
        short: int array: those of the background that did not finish, but did not diverge.
        ends: float array (diverged, 2): where the curves of diverged configurations end; y is NaN
            if they have none.
        is_low_good: whether the lowest is the best.
        scale: of the axis along y.
    """

    variable: str
    along: str
    x: np.ndarray
    y: np.ndarray
    beside: np.ndarray | None
    beside_name: str
    leaders: np.ndarray
    names: list[str]
    title: str
    best_name: str
    background: np.ndarray
    short: np.ndarray
    ends: np.ndarray
    is_low_good: bool
    scale: Scale

    @classmethod
    def of(
        cls,
        where: str,
        dataset: xr.Dataset,
        score: Score,
        variable: str | None = None,
        *,
        best: int = 5,
        rate: str | None = None,
    ):
        """Read from a dataset."""
        variable = score.metric if variable is None else variable
        one_of(where, "variable", variable, over_evaluations(dataset))
        if best < 0:
            raise ArgumentError(f"{where}: best must not be negative, got best={best}.")
        along, x, per_update = places(dataset)
        y = mean_curves(dataset, variable)
        beside, beside_name = _beside(where, dataset, variable, rate, y)
        leaders = scored(dataset, score)[:best]
        title, names = short_names(dataset, leaders)
        others = ranking(dataset, score)
        others = others[~np.isin(others, leaders)]
        picked = np.linspace(0, len(others) - 1, min(DRAWN, len(others))).round().astype(int)
        return cls(
            variable=variable,
            along=along,
            x=x,
            y=y,
            beside=beside,
            beside_name=beside_name,
            leaders=leaders,
            names=names,
            title=title,
            best_name="".join(named(dataset, leaders[:1])),
            background=others[picked],
            short=ended_early(x, y, cut_short(dataset), others[picked]),
            ends=curve_ends(dataset, x, y, per_update),
            is_low_good=is_low_good(score, variable),
            scale=_scale(dataset, score, variable, y),
        )

    def draw(self, ax: "Axes") -> str:
        """Draw; return the legend's title."""
        set_scale(ax, "y", self.scale, self.y)
        self._draw_leaders(ax)
        self._draw_background(ax)
        has_curve = np.isfinite(self.ends[:, 1])
        draw_crosses(ax, *self.ends[has_curve].T)
        label = "_" if has_curve.any() else "diverged"
        draw_edge_crosses(ax, self.ends[~has_curve, 0], is_at_top=self.is_low_good, label=label)
        ax.set(xlabel=self.along, ylabel=labelled(self.variable))
        return self.title if self.leaders.size else ""

    def _draw_leaders(self, ax: "Axes") -> None:
        every = max(1, self.x.shape[1] // 8)
        thin: Style = {"linewidth": 1, "zorder": 2.5}
        for i, (config, name) in enumerate(zip(self.leaders, self.names, strict=True)):
            x = self.x[config]
            color = COLORS[i % len(COLORS)]
            marks: Style = {"marker": MARKERS[i % len(MARKERS)], "markersize": 5}
            marks |= {"markevery": every, "zorder": 3}
            ax.plot(x, self.y[config], "-", color=color, label=entry(name), **marks)
            if self.beside is not None:
                ax.plot(x, self.beside[config], "--", color=color, **thin)
        if self.beside is not None and self.leaders.size:
            ax.plot([], [], "--", color="0.3", linewidth=1, label=self.beside_name)

    def _draw_background(self, ax: "Axes") -> None:
        total = len(self.x) - len(self.leaders)
        if not np.isfinite(self.y[self.background]).any():
            return
        label = f"the other {total}" if self.leaders.size else f"all {total}"
        if len(self.background) < total:
            label = f"{len(self.background)} of the other {total}"
        # one line with gaps: hundreds of lines would take seconds
        x, y = (
            np.pad(a[self.background], ((0, 0), (0, 1)), constant_values=np.nan).ravel()
            for a in (self.x, self.y)
        )
        width = 0.8 if total < 100 else 0.5
        style: Style = {"color": GREY, "linewidth": width, "alpha": 0.7, "zorder": 1}
        ax.plot(x, y, "-", rasterized=y.size > 10_000, label=label, **style)
        if self.short.size:
            last = last_seen(self.y[self.short])
            style = {"color": "0.5", "markersize": 4, "zorder": 1.5, "label": "stopped early"}
            ax.plot(self.x[self.short, last], self.y[self.short, last], ".", **style)

    def described(self) -> str:
        """Say it in a sentence."""
        end = np.nanmax(np.where(np.isfinite(self.x), self.x, 0))
        text = (
            f"{labelled(self.variable)} of {counted(len(self.x), 'configuration')} over "
            f"{shown(float(end))} {self.along}s: "
        )
        curve = self.y[self.leaders[0]] if self.leaders.size else np.empty(0)
        seen = [shown(x) for x in curve[np.isfinite(curve)].tolist()]
        if not self.leaders.size:
            text += "none has a score"
        elif not seen:
            text += f"the best, {self.best_name}, has no evaluation with a number in every trial"
        else:
            text += f"the best, {self.best_name}, goes from {seen[0]} to {seen[-1]}"
            if self.beside is not None and self.beside_name != TRAINING:
                last = shown(float(self.beside[self.leaders[0]][np.isfinite(curve)][-1]))
                text += f", where {self.beside_name} is {last}"
        return sentence(text + diverged_words(len(self.ends), len(self.x)))


def _scale(dataset: xr.Dataset, score: Score, variable: str, y: np.ndarray) -> Scale:
    is_diagnostic = variable not in measured(dataset)
    return measured_scale(y) if is_diagnostic or is_low_good(score, variable) else "linear"


def _beside(
    where: str, dataset: xr.Dataset, variable: str, rate: str | None, y: np.ndarray
) -> tuple[np.ndarray | None, str]:
    """Return what is dashed, an array like `y`, and its name.

    Gradient descent on a quadratic with a curvature above 2/η diverges. Beside another optimizer
    the line would be wrong, so unasked it is drawn where the sweep knew that it was that one.
    """
    if variable != "sharpness":
        if rate is not None:
            raise ArgumentError(
                f"{where}: rate must go with variable='sharpness', got {rate=} and {variable=}."
            )
        twin = variable.replace("valid_", "train_")
        has_twin = twin != variable and twin in measured(dataset)
        return (mean_curves(dataset, twin) if has_twin else None), TRAINING

    if rate is None:
        rate = dataset.attrs.get("gradient_descent", "")
        if rate not in with_axes(dataset) or not np.issubdtype(dataset[rate].dtype, np.number):
            return None, ""
    check_axis(where, dataset, "rate", rate)
    if not np.issubdtype(dataset[rate].dtype, np.number):
        raise ArgumentError(f"{where}: rate must have numbers for values, got {rate=}.")
    values = dataset[rate].values.astype(float)[:, None]
    is_drawn = np.isfinite(y) & (values > 0)
    return np.divide(2.0, values, out=np.full(y.shape, np.nan), where=is_drawn), (
        f"2 / {labelled(rate)}"
    )
