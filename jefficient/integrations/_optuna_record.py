"""What the trials of a study have shown of its points: trials enter, known results leave."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial, TrialState

from .._core.array_text import array_texts
from ..results import FAILED, Outcome
from ..spaces import Choice, LogUniform, Range, Space, from_points, positions_shape


class Points:
    """The points of some ranges, as Optuna has them and as configurations.

    Attributes:
        distributions: Optuna's, by the names of the hyperparameters; the entries of an array have
            a name each, such as ``rates[0]`` or ``rates[1,2]``.
        size: how many there are, infinite if a range is continuous.
    """

    def __init__(self, ranges: Mapping[str, Range]):
        self._ranges = dict(ranges)
        self._entries = {name: entries(name, each) for name, each in ranges.items()}
        self.distributions = {
            entry: distribution(ranges[name])
            for name, own in self._entries.items()
            for entry in own
        }
        self.size = math.prod(map(_size, self.distributions.values()))

    def __contains__(self, params: Mapping[str, object]) -> bool:
        return params.keys() == self.distributions.keys() and all(
            _contains(self.distributions[name], x) for name, x in params.items()
        )

    def space(self, trials: Sequence[FrozenTrial | optuna.Trial]) -> tuple[Space, list[str]]:
        """Return the configurations of trials, and for each trial the hash of its own."""
        columns = {}
        for name, own in self._entries.items():
            numbers = [
                [_number(x.params[entry], self.distributions[entry]) for entry in own]
                for x in trials
            ]
            shape = positions_shape(self._ranges[name])
            columns[name] = np.array(numbers).reshape(len(trials), *shape)
        space, places = from_points(self._ranges, columns)
        return space, [space.hashes[place] for place in places]


class Record:
    """The results of a study, whichever process trained them.

    Attributes:
        outcomes: those of the points, by the hash of the configuration.
    """

    def __init__(self, study: optuna.Study, points: Points):
        self._study = study
        self._points = points
        self._read: set[int] = set()
        self._told: set[frozenset[tuple[str, object]]] = set()
        self.outcomes: dict[str, Outcome] = {}

    def read(self) -> int:
        """Take in what was told since; return how many different points have been told."""
        ends = TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL
        ended = self._study.get_trials(deepcopy=False, states=ends)
        new = [x for x in ended if x.number not in self._read and _has_result(x)]
        self._read |= {x.number for x in new}
        self._told |= {frozenset(x.params.items()) for x in new}

        mine = [x for x in new if x.params in self._points]
        if mine:
            for trial, text in zip(mine, self._points.space(mine)[1], strict=True):
                self.outcomes.setdefault(text, _outcome(trial))
        return len(self._told)


def entries(name: str, given: Range) -> list[str]:
    """Return the names that Optuna has for the numbers of a hyperparameter."""
    shape = positions_shape(given)
    if not shape:
        return [name]
    return [f"{name}[{','.join(map(str, place))}]" for place in np.ndindex(shape)]


def distribution(given: Range) -> BaseDistribution:
    """Return the distribution of a range, or of an entry of its arrays.

    A static choice is one of its labels, a choice of arrays one of short texts.
    """
    if isinstance(given, Choice):
        values = tuple(given.values if given.labels is None else given.labels)
        if isinstance(values[0], np.ndarray) and given.labels is None:
            values = tuple(array_texts(np.array(values)))
        return CategoricalDistribution(values)
    is_log = isinstance(given, LogUniform)
    if given.integer:
        return IntDistribution(int(given.low), int(given.high), log=is_log)
    return FloatDistribution(float(given.low), float(given.high), log=is_log)


def _size(given: BaseDistribution) -> float:
    if isinstance(given, CategoricalDistribution):
        return len(given.choices)
    return given.high - given.low + 1 if isinstance(given, IntDistribution) else math.inf


def _contains(given: BaseDistribution, x: object) -> bool:
    if isinstance(given, CategoricalDistribution):
        return x in given.choices
    return given.low <= x <= given.high  # pyright: ignore


def _number(x: object, given: BaseDistribution) -> float:
    """Return a proposed number, or the index of a proposed value in its choice."""
    number = given.to_internal_repr(x)
    return number if isinstance(given, FloatDistribution) else int(number)


def _has_result(trial: FrozenTrial) -> bool:
    """Whether an ended trial was told what became of its point, and was not lost."""
    return trial.state != TrialState.FAIL or FAILED in trial.user_attrs


def _outcome(trial: FrozenTrial) -> Outcome:
    value = trial.value if trial.state == TrialState.COMPLETE else None
    seen = sorted(trial.intermediate_values.items())
    return Outcome(trial.state, value, trial.user_attrs.get(FAILED), seen)
