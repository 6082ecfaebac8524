"""Learning curves."""

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from ..._core.errors import ArgumentError
from .._axes import Scale, labelled, measured_scale, sentence, shown
from .._dataset import measured, ranking
from .._score import Score, Status
from ._evaluations import curve_ends, cut_short, last_seen, mean_curves, places
from ._reading import (
    diverged_words,
    has,
    is_low_good,
    measured_or_metric,
    named,
    scored,
    short_names,
)
from ._style import COLORS, GREY, MARKERS, Style, draw_crosses, draw_edge_crosses, set_scale

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DRAWN = 300
"""Grey curves at most."""


@dataclasses.dataclass(frozen=True)
class CurvesPlot:
    """What there is to draw.

    Attributes:
        variable: along y.
        along: "step", or "epoch" where configurations differ in their steps per epoch.
        x: float array (configs, evaluations), NaN past a configuration's last evaluation.
        y: float array (configs, evaluations): mean over seeds and folds, NaN where a trial has
            none.
        training: the same of the training counterpart; None where there is none.
        leaders: int array: the configurations that stand out, best first.
        names: of the leaders, their values of what they differ in.
        title: what that is.
        best_name: of the first of them, by what differs in the sweep.
        background: int array: the others that are drawn, evenly over the ranking where there are
            too many.
        cut: int array: those of the background whose curves stop early, but did not diverge.
        ends: float array (diverged, 2): where the curves of diverged configurations end; y is NaN
            where they have none.
        is_low_good: whether the lowest is the best.
    """

    variable: str
    along: str
    x: np.ndarray
    y: np.ndarray
    training: np.ndarray | None
    leaders: np.ndarray
    names: list[str]
    title: str
    best_name: str
    background: np.ndarray
    cut: np.ndarray
    ends: np.ndarray
    is_low_good: bool

    @classmethod
    def of(
        cls,
        where: str,
        dataset: xr.Dataset,
        score: Score,
        variable: str | None = None,
        *,
        best: int = 5,
    ):
        """Read from a dataset."""
        variable = measured_or_metric(where, dataset, score, variable)
        if best < 0:
            raise ArgumentError(f"{where}: best must not be negative, got best={best}.")
        along, x, per_update = places(dataset)
        y = mean_curves(dataset, variable)
        twin = variable.replace("valid_", "train_")
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
            training=mean_curves(dataset, twin)
            if twin != variable and twin in measured(dataset)
            else None,
            leaders=leaders,
            names=names,
            title=title,
            best_name="".join(named(dataset, leaders[:1])),
            background=others[picked],
            cut=cut_short(x, y, has(dataset, Status.DIVERGED), others[picked]),
            ends=curve_ends(dataset, x, y, per_update),
            is_low_good=is_low_good(score, variable),
        )

    @property
    def scale(self) -> Scale:
        """Of the y axis."""
        return measured_scale(self.y)

    def draw(self, ax: "Axes") -> str:
        """Draw; returns the legend's title."""
        set_scale(ax, "y", self.scale, self.y)
        shared: Style = {"markevery": max(1, self.x.shape[1] // 8), "markersize": 5, "zorder": 3}
        for i, (config, name) in enumerate(zip(self.leaders, self.names, strict=True)):
            style: Style = {
                "color": COLORS[i % len(COLORS)],
                "marker": MARKERS[i % len(MARKERS)],
                **shared,
            }
            ax.plot(self.x[config], self.y[config], "-", label=name, **style)
            if self.training is not None:
                ax.plot(
                    self.x[config],
                    self.training[config],
                    "--",
                    color=style["color"],
                    linewidth=1,
                    zorder=2.5,
                )
        if self.training is not None and self.leaders.size:
            ax.plot([], [], "--", color="0.3", linewidth=1, label="the same in training")
        self._draw_background(ax)
        has_curve = np.isfinite(self.ends[:, 1])
        draw_crosses(ax, *self.ends[has_curve].T)
        label = "_" if has_curve.any() else "diverged"
        draw_edge_crosses(ax, self.ends[~has_curve, 0], is_at_top=self.is_low_good, label=label)
        ax.set_xlabel(self.along)
        ax.set_ylabel(labelled(self.variable))
        return self.title if self.leaders.size else ""

    def _draw_background(self, ax: "Axes") -> None:
        total = len(self.x) - len(self.leaders)
        if not np.isfinite(self.y[self.background]).any():
            return
        label = f"the other {total}" if self.leaders.size else f"all {total}"
        if len(self.background) < total:
            label = f"{len(self.background)} of the other {total}"
        x, y = (
            np.pad(a[self.background], ((0, 0), (0, 1)), constant_values=np.nan).ravel()
            for a in (self.x, self.y)
        )
        style: Style = {
            "color": GREY,
            "linewidth": 0.8 if total < 100 else 0.5,
            "alpha": 0.7,
            "zorder": 1,
        }
        ax.plot(x, y, "-", rasterized=y.size > 10_000, label=label, **style)
        if self.cut.size:
            last = last_seen(self.y[self.cut])
            style = {"color": "0.5", "markersize": 4, "zorder": 1.5, "label": "stopped early"}
            ax.plot(self.x[self.cut, last], self.y[self.cut, last], ".", **style)

    def described(self) -> str:
        """In a sentence."""
        end = np.nanmax(np.where(np.isfinite(self.x), self.x, 0))
        text = f"{labelled(self.variable)} of {len(self.x)} configurations over {shown(float(end))} {self.along}s: "
        curve = self.y[self.leaders[0]] if self.leaders.size else np.empty(0)
        seen = curve[np.isfinite(curve)]
        if not self.leaders.size:
            text += "none has a score"
        elif not seen.size:
            text += f"the best, {self.best_name}, has no evaluate which all trials have a number"
        else:
            text += f"the best, {self.best_name}, goes from {shown(float(seen[0]))} to {shown(float(seen[-1]))}"
        return sentence(text + diverged_words(len(self.ends), len(self.x)))
