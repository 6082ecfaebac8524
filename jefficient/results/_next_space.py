"""Where a second sweep looks: the configurations around what the first one found, and why."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from .._core import html
from .._core.errors import ArgumentError
from ..spaces import Axis, Choice, DescribedRanges, LogUniform, Space, grid
from ._axes import counted
from ._dataset import hyperparameters
from ._survey import Look, Survey, rounded
from .checks import Reading

WHERE = "jf.Result.next_space"

FINE = 7
"""Values of the first hyperparameter: its optimum needs four that finished."""
COARSE = 3
"""Values of each other one."""
MOST = 64
"""Configurations: where there would be more, what matters least stays at its best value."""
SEEDS = 5
"""Where there was one trial of each configuration."""


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class NextSpace(Space):
    """The configurations of a next look, and why these; printed it says so.

    It is a `jf.Space`, a grid around the best configuration. One hyperparameter has seven values,
    so that `Result.optimum` can say where it is best.

    Attributes:
        ranges: a range for each hyperparameter, with its reason, for those who would rather draw:
            ``jf.sobol(64, **space.ranges)``, ``jf.optuna(sampler, 64, **space.ranges)``.
        seeds: how many to ask `jf.sweep` for.
        why_seeds: a sentence.
    """

    ranges: DescribedRanges = dataclasses.field(kw_only=True)
    seeds: int = dataclasses.field(kw_only=True)
    why_seeds: str = dataclasses.field(kw_only=True)

    def __str__(self) -> str:
        count = counted(len(self), "configuration")
        lines = [f"{count}, with seeds={self.seeds}. {self.why_seeds}"]
        for name, axis in self._axes.items():
            given = self.ranges[name]
            is_thinned = len(set(axis.identities)) == 1 and not _is_fixed(given)
            note = " Here it stays at its best value, to save configurations." if is_thinned else ""
            lines.append(self.ranges.described(name, note))
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return html.paragraph(str(self)) + super()._repr_html_()


def next_space(
    dataset: xr.Dataset, space: Mapping[str, tuple], are_static: frozenset[str]
) -> NextSpace:
    """See `Result.next_space`; `are_static` has the names of what is compiled into programs."""
    names = hyperparameters(dataset)
    if any("joined" in dataset[name].attrs for name in names):
        raise ArgumentError(
            f"{WHERE}: there must be one optimizer, got a sum of sweeps with several. Ask the "
            "result of each."
        )
    reading = Reading(dataset)
    if not reading.finished.any():
        raise ArgumentError(
            f"{WHERE}: a configuration must have finished with a finite score, got none of "
            f"{dataset.sizes['config']}. result.checks() says what to do."
        )
    survey = Survey(reading, space, are_static | {"batch_size"})
    looks = {name: survey.look(name) for name in names}
    chosen = grid(**_axes(looks, survey.importance))
    seeds, why_seeds = _seeds(reading, len(survey.ties) - 1)
    ranges = DescribedRanges(
        {name: look.range for name, look in looks.items()},
        {name: look.reason for name, look in looks.items()},
    )
    return NextSpace(chosen.columns, chosen.static, ranges=ranges, seeds=seeds, why_seeds=why_seeds)


def _axes(looks: Mapping[str, Look], importance: Mapping[str, float]) -> dict[str, Any]:
    """Return values of each hyperparameter: many of one, few of the others, `MOST` in all."""
    by_importance = sorted(looks, key=lambda name: -importance.get(name, 0.0))
    ranges = [name for name in by_importance if not isinstance(looks[name].range, Choice)]
    rates = [name for name in ranges if isinstance(looks[name].range, LogUniform)]
    first = (rates or ranges)[:1]
    axes = {}
    total = 1
    for name in [*first, *(name for name in by_importance if name not in first)]:
        axis = _values(looks[name], FINE if name in first else COARSE)
        if total * len(axis.values) > MOST:
            axis = _values(looks[name], 1)
        axes[name] = axis
        total *= len(axis.values)
    return {name: axes[name] for name in looks}  # in the order of the space


def _values(look: Look, count: int) -> Axis:
    """Return so many values of a range, the best among few of them; all or one of a choice."""
    given = look.range
    if isinstance(given, Choice):
        axis = given.axis(np.arange(len(tuple(given.values))))
        if count > 1:
            return axis
        place = next(i for i, x in enumerate(axis.values) if _is_same(x, look.best))
        return axis.take([place])
    if count == 1:
        return Axis((look.best,))
    is_between = given.low < look.best < given.high
    if count == COARSE and is_between:
        return Axis((given.low, look.best, given.high))
    points = given.at(np.linspace(0, 1, count)).values
    return Axis(tuple(dict.fromkeys(points if given.integer else map(rounded, points))))


def _is_same(a: object, b: object) -> bool:
    return a is b or bool(np.all(a == b))


def _is_fixed(given: object) -> bool:
    return isinstance(given, Choice) and len(tuple(given.values)) == 1


def _seeds(reading: Reading, others: int) -> tuple[int, str]:
    """Say how many seeds the next look needs, and why: more of them tell ties apart."""
    seeds, folds = reading.dataset.sizes["seed"], reading.dataset.sizes["fold"]
    if seeds * folds == 1:
        return SEEDS, "One trial of each says nothing of noise."
    if others == 0:
        return seeds, "The best is told from all others."
    tied = f"{counted(others, 'other')} cannot be told from the best"
    if reading.are_seeds_alike:
        return seeds, f"{tied}; seeds are all alike, so ask for more folds."
    return 2 * seeds, f"{tied}: twice the seeds."
