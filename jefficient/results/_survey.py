"""What a result says of each hyperparameter: where to look at it next, and why there."""

import dataclasses
import functools
import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr

from .._core.checks import is_number
from .._core.errors import ArgumentError, JefficientError
from ..spaces import Choice, LogUniform, Range, Uniform, static
from ._axes import is_geometric, scale_of, shown
from ._best import ties
from ._dataset import EXAMPLES, hyperparameters
from ._importance import QUANTILE, importance, refusal
from ._optimum import optimum
from ._values import column, is_array, is_varied
from .checks import Reading, beyond, edge_of

LEADERS = 1 / 8
"""Share of the configurations that finished, the best, around whose values the next look is."""
FEWEST_LEADERS = 3
UNIMPORTANT = 0.05
"""A hyperparameter with a smaller share of the importance keeps its best value."""
FEWEST_BEST = 5
"""Configurations among the best from which on importances are more than noise."""
DECADE = 10.0
"""How far beyond an end of a logarithmic range the next look goes; of drawn values, half of it."""
FEW = 3
"""Values of what has a program for each value."""


class Look(NamedTuple):
    """Where a hyperparameter is looked at next: a range, why, and its value in the best."""

    range: Range
    reason: str
    best: Any


@dataclasses.dataclass(frozen=True)
class Survey:
    """A result whose best configuration finished, read one hyperparameter at a time.

    Attributes:
        reading: what the checks read.
        space: name to the values of every configuration.
        are_static: names of what is compiled into programs.
    """

    reading: Reading
    space: Mapping[str, tuple]
    are_static: frozenset[str]

    @property
    def dataset(self) -> xr.Dataset:
        """Of the result."""
        return self.reading.dataset

    @functools.cached_property
    def leaders(self) -> np.ndarray:
        """The best configurations, int array, best first."""
        means = np.where(self.reading.finished, self.reading.means, np.inf)
        count = max(FEWEST_LEADERS, math.ceil(LEADERS * self.reading.finished.sum()))
        order = np.argsort(means, kind="stable")[:count]
        return order[self.reading.finished[order]]

    @functools.cached_property
    def ties(self) -> pd.DataFrame:
        """The configurations that could be the best."""
        return ties(self.dataset)

    @functools.cached_property
    def importance(self) -> dict[str, float]:
        """The share of each hyperparameter, empty where nothing can be said, or without Optuna."""
        varied = [name for name in hyperparameters(self.dataset) if is_varied(self.dataset, name)]
        best = QUANTILE * self.dataset.sizes["config"]
        if len(varied) < 2 or best < FEWEST_BEST or refusal("", self.dataset, QUANTILE) is not None:
            return {}
        try:
            return importance("", self.dataset).to_dict()
        except JefficientError:  # Optuna is not installed
            return {}

    def look(self, name: str) -> Look:
        """Decide about one hyperparameter: the first rule that has something to say."""
        best = self.space[name][self.reading.best]
        if is_array(self.dataset, name):
            return Look(Choice(np.array([best])), "Arrays stay as in the best.", best)
        if name not in self.reading.axes:
            return self._labels(name, best)
        if not is_varied(self.dataset, name):
            return Look(self._choice(name, [best]), "One value was tried.", best)
        range_, reason = (
            self._at_the_edge(name, best)
            or self._around_the_optimum(name)
            or self._unimportant(name, best)
            or self._around_the_leaders(name)
        )
        return Look(*self._below_divergence(name, range_, reason), best)

    def is_whole(self, name: str) -> bool:
        """Whether all values of a hyperparameter are Python's whole numbers."""
        return all(is_number(x) and isinstance(x, int) for x in self.space[name])

    def is_listed(self, name: str) -> bool:
        """Whether values between those that were tried make no sense, or a program each."""
        values = self.reading.axes[name]
        return name in self.are_static or (values.min() <= 0 and scale_of(values) != "linear")

    def _labels(self, name: str, best: object) -> Look:
        """Keep what is not clearly worse: a label of a configuration that could be the best."""
        labels = column(self.dataset, name)
        own = labels[self.reading.best]
        kept = list(dict.fromkeys(labels[self.ties.index].tolist()))
        values = {str(label): self._value(name, label) for label in [own, *kept]}
        dropped = [str(x) for x in dict.fromkeys(labels.tolist()) if str(x) not in values]
        reason = "None is clearly worse." if len(values) > 1 else "One value was tried."
        if dropped:
            were = "is" if len(dropped) == 1 else "are"
            reason = f"{', '.join(dropped)} {were} clearly worse, in every configuration."
        return Look(Choice(static(values)), reason, best)

    def _value(self, name: str, label: object) -> object:
        labels = column(self.dataset, name)
        return self.space[name][int(np.flatnonzero(labels == label)[0])]

    def _at_the_edge(self, name: str, best: object) -> tuple[Range, str] | None:
        """Move beyond the end of the values that the best is at."""
        x = self.reading.axes[name]
        values = np.unique(x)
        edge = edge_of(self.reading, name, values)
        if edge is None:
            return None
        extreme = "largest" if edge.is_high else "smallest"
        end, inner = values[[-1, -2]] if edge.is_high else values[[0, 1]]
        reason = f"The best, {shown(best)}, is among the {extreme} that were tried: look beyond."
        factor = DECADE
        if edge.leaders is not None:  # drawn: neighbours are beside each other, and few is chance
            inner = edge.leaders.min() if edge.is_high else edge.leaders.max()
            values = np.linspace(values[0], values[-1], 3)
            factor = math.sqrt(DECADE)
            if self._is_log(name):
                inner = inner / 2 if edge.is_high else inner * 2

        outside, _ = beyond(values, edge.is_high)
        if self.is_whole(name):
            outside = self._doubled(name, end, edge.is_high)
        elif self._is_log(name):
            outside = end * factor if edge.is_high else end / factor
        if self.is_listed(name):
            return self._listed(name, [inner, end, outside]), reason
        return self._between(name, *sorted((inner, outside))), reason

    def _doubled(self, name: str, end: float, is_high: bool) -> float:
        """Return double or half of a whole number; a batch is no larger than the training set."""
        examples = int(self.dataset[EXAMPLES[0]].values.max())
        outside = 2 * end if is_high else max(1.0, end // 2)
        return min(outside, examples) if name == "batch_size" and examples else outside

    def _unimportant(self, name: str, best: object) -> tuple[Range, str] | None:
        """Leave what does not matter at its best value."""
        share = self.importance.get(name, 1.0)
        if share >= UNIMPORTANT:
            return None
        return (
            self._choice(name, [best]),
            f"It hardly matters ({share:.0%} of the importance): the best value stays.",
        )

    def _around_the_optimum(self, name: str) -> tuple[Range, str] | None:
        """Look at the interval of the optimum, and from half of it to double or at its neighbours.

        Half and double are for what is spread over decades. A momentum of 0.8 has no double.
        """
        if self.is_listed(name):
            return None
        try:
            found = optimum("", self.dataset, name)
        except ArgumentError:  # says in many words that there is none
            return None
        if self._is_log(name):
            ends, where = (found.value / 2, found.value * 2), "from half of it to double"
        else:
            values = np.unique(self.reading.axes[name])
            inside = values[values < found.value].max(), values[values > found.value].min()
            ends, where = inside, "to the values beside it"
        low, high = min(found.low, ends[0]), max(found.high, ends[1])
        reason = (
            f"The optimum is at {shown(found.value)} ({100 * found.level:g} % interval "
            f"{shown(found.low)} to {shown(found.high)}): look {where}."
        )
        if np.isfinite(found.diverges_low) and found.diverges_low > found.value:
            high = min(high, found.diverges_low)
        return self._between(name, low, high), reason

    def _around_the_leaders(self, name: str) -> tuple[Range, str]:
        """Look around the values of the best configurations, at their neighbours at least."""
        x = self.reading.axes[name]
        values = np.unique(x)
        own = np.unique(x[self.leaders])
        count = f"The best {len(self.leaders)} configurations have"
        if self.is_listed(name):
            kept = list(dict.fromkeys(x[self.leaders].tolist()))[:FEW]  # the best's come first
            return self._listed(name, kept), f"{count} {', '.join(map(shown, sorted(kept)))}."

        low = values[max(0, np.searchsorted(values, own[0]) - 1)]
        high = values[min(len(values) - 1, np.searchsorted(values, own[-1]) + 1)]
        if self._is_log(name):  # drawn values are beside each other
            low, high = min(low, own[0] / 2), max(high, own[-1] * 2)
        ends = " to ".join(dict.fromkeys((shown(float(own[0])), shown(float(own[-1])))))
        return self._between(name, low, high), f"{count} {ends}: look around these."

    def _below_divergence(self, name: str, given: Range, reason: str) -> tuple[Range, str]:
        """Lower the upper end to where divergence begins: above it nothing finished."""
        x = self.reading.axes[name]
        most = x[self.reading.finished].max()
        above = x[self.reading.diverged & (x > most)]
        if isinstance(given, Choice) or not len(above) or given.high <= most:
            return given, reason
        end = math.sqrt(most * above.min()) if most > 0 else float(most)
        if not given.low < end < given.high:
            return given, reason
        text = f"{reason} Above {shown(float(most))} nothing finished, so it ends there."
        return self._between(name, given.low, end), text

    def _between(self, name: str, low: float, high: float) -> Range:
        """Return a range on the scale of the values."""
        is_whole = self.is_whole(name)
        ends = (round(low), round(high)) if is_whole else (rounded(low), rounded(high))
        if not ends[0] < ends[1]:
            return self._choice(name, [self.space[name][self.reading.best]])
        kind = LogUniform if self._is_log(name) and ends[0] > 0 else Uniform
        return kind(*ends, integer=is_whole)

    def _is_log(self, name: str) -> bool:
        """Whether the values are even in their logarithms, also over less than a decade."""
        return scale_of(self.reading.axes[name]) == "log" or is_geometric(self.reading.axes[name])

    def _listed(self, name: str, values: Iterable[float]) -> Range:
        exact = [round(x) if self.is_whole(name) else float(x) for x in values]
        return self._choice(name, sorted(set(exact)))

    def _choice(self, name: str, values: list[Any]) -> Choice:
        is_static = name in self.are_static and name != "batch_size"
        return Choice(static(values) if is_static else values)


def rounded(x: float) -> float:
    """Round to three digits, which nobody needs more of."""
    return float(f"{x:.3g}")
