"""Stopping rules: what each would have lost, against what it would have cost."""

import dataclasses
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from ..._core.errors import ArgumentError, ArgumentTypeError
from .._axes import counted, labelled, sentence, shown
from .._score import Score
from .._simulation import Simulation
from ._style import COLORS, MARKERS, Style, draw_edge_crosses, entry

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_UNUSED = re.compile(r", \w+=None(?=[,)])")
"""Arguments that a rule was not given, in its text."""

NAMED = 12
"""Rules that the legend names, at most: the first ones."""


@dataclasses.dataclass(frozen=True)
class StoppingPlot:
    """What a plot of stopping rules shows.

    Attributes:
        metric: what is lost, along y.
        rules: the rules as texts.
        cost: share of the updates, float array (rules,).
        regret: float array (rules,), NaN where no configuration finishes.
        is_efficient: no other rule costs less and loses no more, or loses less and costs no more;
            bool array (rules,).
    """

    metric: str
    rules: list[str]
    cost: np.ndarray
    regret: np.ndarray
    is_efficient: np.ndarray

    @classmethod
    def of(cls, where: str, dataset: xr.Dataset, score: Score, simulations: Iterable[Simulation]):
        """Read from simulations."""
        given = list(simulations) if isinstance(simulations, Iterable) else [simulations]
        for each in given:
            _check(where, each, score, dataset.sizes["config"])
        if not given:
            raise ArgumentError(f"{where}: simulations must hold one or more, got none.")
        cost = np.array([each.cost for each in given])
        regret = np.array([each.regret for each in given])
        lost = np.where(np.isnan(regret), np.inf, regret)
        better = (cost <= cost[:, None]) & (lost <= lost[:, None])
        better &= (cost < cost[:, None]) | (lost < lost[:, None])
        return cls(
            metric=score.metric,
            rules=[_UNUSED.sub("", each.rule) for each in given],
            cost=cost,
            regret=regret,
            is_efficient=~better.any(axis=1) & np.isfinite(lost),
        )

    def draw(self, ax: "Axes") -> str:
        """Draw: the closer to the corner of no cost and no loss, the better. No legend's title."""
        ax.set(xlabel="share of the updates", ylabel=f"lost {labelled(self.metric)}")
        ax.set_xlim(0, 1.05)
        ax.plot([1], [0], "*", color="black", markersize=11, label="no rule")
        dots: Style = {"linestyle": "none", "markersize": 7, "clip_on": False, "zorder": 4}
        for i, rule in enumerate(self.rules[:NAMED]):
            look: Style = {"color": COLORS[i % len(COLORS)]}
            look |= {"marker": MARKERS[i // len(COLORS)], "label": entry(rule)}
            if not self.is_efficient[i]:
                look["markerfacecolor"] = "none"
            y = self.regret[[i]]
            ax.plot(self.cost[[i]], y, **dots, **look)
        others = self.cost[NAMED:], self.regret[NAMED:]
        if others[0].size:
            ax.plot(*others, "o", color="0.6", markersize=4, label=f"{others[0].size} others")
        order = np.lexsort((self.regret, self.cost))
        order = order[self.is_efficient[order]]
        ax.plot(self.cost[order], self.regret[order], "-", color="0.8", zorder=1)
        nothing = self.cost[np.isnan(self.regret)]
        draw_edge_crosses(ax, nothing, is_at_top=True, label="nothing finishes")
        return ""

    def described(self) -> str:
        """Say it in a sentence: the rules that no other beats, cheapest first."""
        order = np.lexsort((self.regret, self.cost))
        said = [
            f"{self.rules[i]} loses {shown(float(self.regret[i]))} at {self.cost[i]:.0%} of the "
            f"updates"
            for i in order
            if self.is_efficient[i]
        ]
        text = f"{labelled(self.metric)} lost by {counted(len(self.rules), 'stopping rule')}: "
        text += "; ".join(said) if said else "under none does a configuration finish"
        count = int(np.isnan(self.regret).sum())
        others = len(self.rules) - len(said) - count
        if said and others:
            text += f"; {counted(others, 'other')} cost more or lose more"
        if said and count:
            text += f"; under {count} of them no configuration finishes"
        return sentence(text)


def _check(where: str, given: object, score: Score, configs: int) -> None:
    if not isinstance(given, Simulation):
        raise ArgumentTypeError(
            f"{where}: simulations must be what jf.simulate returned, got {given!r}. For rules: "
            f"[jf.simulate(rule, result) for rule in rules]."
        )
    if (given.metric, len(given.status)) != (score.metric, configs):
        raise ArgumentError(
            f"{where}: simulations must be of this result, with {score.metric} of {configs} "
            f"configurations, got one with {given.metric} of {len(given.status)}."
        )
