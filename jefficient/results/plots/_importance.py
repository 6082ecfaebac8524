"""Which hyperparameters matter, as bars."""

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from .._axes import labelled, sentence
from .._importance import QUANTILE, importance, refusal
from .._score import Score
from ._style import COLORS, Style, draw_nothing

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SHOWN = 20
"""Hyperparameters that are shown, at most: the most important ones."""


@dataclasses.dataclass(frozen=True)
class ImportancePlot:
    """What a plot of importances shows of the most important hyperparameters, these first.

    Attributes:
        metric: that of the score.
        quantile: the share of configurations that is called the best.
        names: of the hyperparameters.
        shares: float array (hyperparameters,).
        low: float array (hyperparameters,), NaN for one seed and fold.
        high: the same.
        others: hyperparameters that are not shown.
        reason: why there is nothing to see, empty if there is.
    """

    metric: str
    quantile: float
    names: list[str]
    shares: np.ndarray
    low: np.ndarray
    high: np.ndarray
    others: int
    reason: str

    @classmethod
    def of(cls, where: str, dataset: xr.Dataset, score: Score, *, quantile: float = QUANTILE):
        """Compute from a dataset."""
        reason = refusal(where, dataset, quantile)
        if reason is not None:
            nothing = np.zeros(0)
            return cls(score.metric, quantile, [], nothing, nothing, nothing, 0, reason)
        found = importance(where, dataset, quantile)
        names = [str(x) for x in found.index[:SHOWN]]
        low, high = (np.array([found.attrs[x][name] for name in names]) for x in ("low", "high"))
        shares = found.to_numpy()[:SHOWN]
        return cls(score.metric, quantile, names, shares, low, high, len(found) - len(names), "")

    def draw(self, ax: "Axes") -> str:
        """Draw: the most important at the top. No title for the legend."""
        ax.set_xlabel(f"importance for the best {self.quantile:.0%} by {labelled(self.metric)}")
        if self.reason:
            draw_nothing(ax, f"No importances: {self.reason}")
            return ""
        places = np.arange(len(self.names))
        ax.barh(places, self.shares, color=COLORS[3], height=0.6)
        if np.isfinite(self.low).all():
            line: Style = {"color": "black", "linewidth": 1.5, "label": "95 % over seeds or folds"}
            ax.hlines(places, self.low, self.high, **line)
        ax.set_yticks(places, [labelled(name) for name in self.names])
        ax.set_ylim(len(places) - 0.5, -0.5)
        ax.set_xlim(0, None)
        return ""

    def described(self) -> str:
        """Say it in a sentence."""
        if self.reason:
            return sentence(f"no importances: {self.reason.rstrip('.')}")
        shares = zip(self.names, self.shares, self.low, self.high, strict=True)
        said = [
            f"{labelled(name)} {share:.0%}"
            + (f" ({low:.0%} to {high:.0%})" if np.isfinite(low) else "")
            for name, share, low, high in shares
        ]
        text = f"importance for being among the best {self.quantile:.0%} by {labelled(self.metric)}"
        others = f", and {self.others} others" if self.others else ""
        return sentence(f"{text}: {', '.join(said)}{others}")
