"""Norms of layers over time."""

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from ..._core.checks import one_of
from ..._core.errors import ArgumentError, JefficientError
from .._axes import counted, labelled, sentence, shown
from .._dataset import TRIAL, in_largest_fold
from .._score import Score, nan_mean
from ._reading import best_of
from ._style import COLORS, MARKERS, Style, draw_nothing, entry, set_scale

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NORMS = ("grad_norm", "update_norm", "weight_norm", "update_ratio")
RATIO = 1e-3
NAMED = 12
"""Layers in the legend, at most."""


@dataclasses.dataclass(frozen=True)
class LayersPlot:
    """What a plot of layers shows.

    Attributes:
        variable: along y.
        config: whose norms.
        layers: names of those that the configuration has, in the order of the parameters.
        along: "step", or "epoch" where folds differ in their steps.
        x: array (evaluations,): steps or epochs.
        norms: float array (layers, evaluations): mean over the trials that have one; NaN if none
            has.
    """

    variable: str
    config: int
    layers: list[str]
    along: str
    x: np.ndarray
    norms: np.ndarray

    @classmethod
    def of(
        cls,
        where: str,
        dataset: xr.Dataset,
        score: Score,
        config: int | None = None,
        variable: str = "update_norm",
    ):
        """Read from a dataset."""
        one_of(where, "variable", variable, NORMS)
        needed = ("update_norm", "weight_norm") if variable == "update_ratio" else (variable,)
        if any(name not in dataset for name in needed):
            raise JefficientError(
                f"{where}: {' and '.join(needed)} must have been recorded, got a result without. "
                "Ask for it with jf.sweep(…, layers=True)."
            )
        count = dataset.sizes["config"]
        if config is None:
            config = best_of(dataset, score) or 0
        if not 0 <= config < count:
            raise ArgumentError(f"{where}: 0 <= config < {count} must hold, got config={config}.")
        norms = _norms(dataset, config, needed[0])
        if variable == "update_ratio":
            weight = _norms(dataset, config, "weight_norm")
            norms = np.divide(norms, weight, out=np.full(norms.shape, np.nan), where=weight > 0)
        along = "epoch" if "fold" in dataset["step"].dims else "step"
        is_made = in_largest_fold(dataset, "step")[config] >= 0
        # others are layers of configurations with other static hyperparameters
        is_there = ~np.isnan(_norms(dataset, config, needed[-1])).all(axis=(1, 2))
        return cls(
            variable=variable,
            config=config,
            layers=list(map(shown, dataset["layer"].values[is_there].tolist())),
            along=along,
            x=in_largest_fold(dataset, along)[config][is_made],
            norms=nan_mean(norms)[:, is_made][is_there],
        )

    def draw(self, ax: "Axes") -> str:
        """Draw. No title for the legend."""
        is_ratio = self.variable == "update_ratio"
        name = "update norm / weight norm" if is_ratio else labelled(self.variable)
        ax.set(xlabel=self.along, ylabel=name)
        positive = np.where(self.norms > 0, self.norms, np.nan)
        if not np.isfinite(positive).any():
            draw_nothing(ax, f"Every {labelled(self.variable)} is 0 or not finite.")
            return ""
        from matplotlib import colormaps

        count = len(self.layers)
        every = -(-count // NAMED)
        for i, (layer, norm) in enumerate(zip(self.layers, positive, strict=True)):
            color = COLORS[i % len(COLORS)]
            if count > len(COLORS):
                color = colormaps["viridis"](0.95 * i / (count - 1))
            label = layer if np.isfinite(norm).any() else f"{layer} (0)"
            if i % every:
                label = ""  # not in the legend
            marks: Style = {"marker": MARKERS[i % len(MARKERS)], "markersize": 4}
            marks["markevery"] = max(1, norm.size // 8)
            ax.plot(self.x, norm, "-", color=color, label=entry(label), **marks)
        if every > 1:
            ax.plot([], [], " ", label=f"(one of {every} named)")
        drawn = positive
        if is_ratio:
            ax.axhline(RATIO, color="0.3", linestyle=":", label="0.001, a rule of thumb")
            drawn = np.append(positive, RATIO)
        set_scale(ax, "y", "log", drawn)
        return ""

    def described(self) -> str:
        """Say it in a sentence."""
        layers = counted(len(self.layers), "layer")
        text = f"{labelled(self.variable)} of {layers} of configuration {self.config}: "
        seen = np.flatnonzero(np.isfinite(self.norms).all(axis=0))
        if not self.layers or not seen.size:
            return sentence(text + "not finite")
        last = self.norms[:, seen[-1]]
        when = shown(self.x[seen[-1]].item())
        ends = int(last.argmin()), int(last.argmax())
        low, high = (f"{shown(float(last[i]))} ({self.layers[i]})" for i in ends)
        return sentence(f"{text}at {self.along} {when} between {low} and {high}")


def _norms(dataset: xr.Dataset, config: int, name: str) -> np.ndarray:
    """Return norms of one configuration, float array (layers, evaluations, trials)."""
    ordered = dataset[name].transpose("config", "layer", "evaluation", *TRIAL[1:])
    values = ordered.values[config].astype(float)
    return values.reshape(*values.shape[:2], -1)
