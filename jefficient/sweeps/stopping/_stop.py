"""When a configuration is stopped early: decision rules over reported scores, without a device.

A rule makes a judge. After each block of lanes the judge is given all configurations whose trials
have all reached a evaluation, in a fixed order, and answers which of them are to be stopped. So its
decisions are a function of logical time (which segment of which block), never of who arrived first.
"""

import bisect
import dataclasses
import math
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from ..._core import checks
from ..._core.errors import ArgumentError

_ROUNDING = (
    1e-12  # a whole number that floating point has put a little below itself is still that number
)


class Observation(NamedTuple):
    """A configuration's mean score at an evaluation, signed so that smaller is better; inf where a trial diverged.

    `step` and `epoch` say how far it has got; `epoch` is NaN where there are none.
    """

    config: int
    step: int
    epoch: float
    score: float

    @property
    def progress(self) -> float:
        """How far it has got, comparable between batch sizes where there are epochs."""
        return self.epoch if math.isfinite(self.epoch) else self.step


class Pruner(Protocol):
    """What has been reported so far."""

    def stops(self, reports: Sequence[Observation]) -> list[bool]:
        """Take the reports, then say which of the configurations are stopped."""
        ...


@dataclasses.dataclass(frozen=True)
class StopRule:
    """How `jf.sweep(stop=…)` decides; made by `jf.successive_halving` and `jf.median_stop`."""

    def judge(self) -> Pruner:
        """A judge that has seen nothing."""
        raise NotImplementedError


class PrunerLog:
    """A judge, and everything it has been told: so it can be told again, to another judge."""

    def __init__(self, rule: StopRule, batches: Sequence[Sequence[Observation]] = ()):
        self.rule = rule
        self._judge = rule.judge()
        self.batches: list[list[Observation]] = []
        for batch in batches:
            self.stops(batch)

    def stops(self, reports: Sequence[Observation]) -> list[bool]:
        """Take the reports, then say which of the configurations are stopped."""
        if reports:
            self.batches.append(list(reports))
        return self._judge.stops(reports)

    def without(self, configs: set[int]) -> "PrunerLog":
        """Return the log as if these configurations had never been observed."""
        kept = [[x for x in batch if x.config not in configs] for batch in self.batches]
        return PrunerLog(self.rule, [batch for batch in kept if batch])


@dataclasses.dataclass(frozen=True)
class SuccessiveHalving(StopRule):
    """Rungs at ``min_steps · eta^k`` updates; see `successive_halving`."""

    eta: float
    min_steps: int | None
    min_epochs: float | None

    def judge(self) -> "_Rungs":
        """A judge with empty rungs."""
        return _Rungs(self)


def successive_halving(
    eta: float = 3, *, min_steps: int | None = None, min_epochs: float | None = None
) -> SuccessiveHalving:
    """Stop a configuration that is not among the best ``1 / eta`` of those that got as far: asynchronous halving.

    Rungs lie at r·etaᵏ updates, k = 0, 1, …; a configuration reaches one at its first evaluation
    there or later. When all its trials (seeds and folds) have, their mean score enters the rung,
    and it goes on if it is among the best max(1, ⌊n / eta⌋) of the n that have entered so far.
    Nobody waits for the others, so lanes stay busy.

    Args:
        eta: 1 < eta < inf.
        min_steps: r, updates before the first rung, 1 or more; give this or `min_epochs`.
        min_epochs: the same in epochs, above 0: right for a sweep over batch sizes.

    Returns:
        A rule for ``jf.sweep(stop=…)``.

    Raises:
        ArgumentError: where a number is out of range, or not exactly one of the two is given.

    References:
        Li et al. 2020, A System for Massively Parallel Hyperparameter Tuning,
        https://arxiv.org/abs/1810.05934, in its form that stops and never resumes.

    Examples:
        >>> import jefficient as jf
        >>> rule = jf.successive_halving(eta=3, min_steps=100)
    """
    where = "jf.successive_halving"
    if (min_steps is None) == (min_epochs is None):
        raise ArgumentError(
            f"{where}: exactly one of min_steps and min_epochs must be given, got {min_steps=}, {min_epochs=}."
        )
    checks.check_finite(where, eta=eta)
    if eta <= 1:
        raise ArgumentError(f"{where}: eta > 1 must hold, got eta={eta}.")
    if min_steps is not None:
        checks.check_count(where, min_steps=min_steps)
    if min_epochs is not None:
        checks.check_positive_finite(where, min_epochs=min_epochs)
    return SuccessiveHalving(eta, min_steps, min_epochs)


@dataclasses.dataclass(frozen=True)
class MedianStop(StopRule):
    """See `median_stop`."""

    min_steps: int
    min_configs: int

    def judge(self) -> "_Medians":
        """A judge that knows of nobody."""
        return _Medians(self)


def median_stop(*, min_steps: int = 1, min_configs: int = 5) -> MedianStop:
    """Stop a configuration whose best score so far is worse than the median of the others' running means.

    At each evaluation it is compared with the configurations that have got as far, in epochs where
    there are any and in updates else: with the mean of each one's scores up to there. One with a
    diverged trial is stopped at once: it can never be the best.

    Args:
        min_steps: updates before anyone is stopped, 1 or more.
        min_configs: how many others must have got as far, 1 or more.

    Returns:
        A rule for ``jf.sweep(stop=…)``.

    Raises:
        ArgumentError: where a number is out of range.

    References:
        Golovin et al. 2017, Google Vizier, https://doi.org/10.1145/3097983.3098043, section 3.2.2.

    Examples:
        >>> import jefficient as jf
        >>> rule = jf.median_stop(min_steps=100)
    """
    checks.check_count("jf.median_stop", min_steps=min_steps, min_configs=min_configs)
    return MedianStop(min_steps, min_configs)


class _Rungs:
    """Scores by rung, each list sorted."""

    def __init__(self, rule: SuccessiveHalving):
        self._rule = rule
        self._entered: list[list[float]] = []
        self._reached: dict[int, int] = {}  # configuration to how many rungs it has entered

    def stops(self, reports: Sequence[Observation]) -> list[bool]:
        """Enter all, then judge each at the last rung it has entered."""
        entered = [self._enter(report) for report in reports]
        return [
            rung is not None and not self._is_among_best(report.score, rung)
            for report, rung in zip(reports, entered, strict=True)
        ]

    def _enter(self, report: Observation) -> int | None:
        """The highest rung that the configuration enters with this evaluation."""
        last = None
        reached = report.epoch if self._rule.min_steps is None else report.step
        while _is_as_far(reached, self.at(self._reached.get(report.config, 0))):
            last = self._reached.get(report.config, 0)
            self._reached[report.config] = last + 1
            while len(self._entered) <= last:
                self._entered.append([])
            bisect.insort(self._entered[last], report.score)
        return last

    def at(self, rung: int) -> float:
        """Where a rung lies, in updates or epochs."""
        first = self._rule.min_epochs if self._rule.min_steps is None else self._rule.min_steps
        assert first is not None
        return first * self._rule.eta**rung

    def _is_among_best(self, score: float, rung: int) -> bool:
        scores = self._entered[rung]
        best = max(
            1, math.floor(len(scores) / self._rule.eta * (1 + _ROUNDING))
        )  # 33 / 1.1 is 29.999…
        return math.isfinite(score) and score <= scores[best - 1]


class _Curve:
    """Running means and bests of one configuration, in the order of its evaluations."""

    def __init__(self):
        self.progress: list[float] = []
        self._sums: list[float] = []
        self._bests: list[float] = []

    def add(self, report: Observation) -> None:
        self.progress.append(report.progress)
        self._sums.append(report.score + (self._sums[-1] if self._sums else 0.0))
        self._bests.append(min(report.score, self._bests[-1] if self._bests else math.inf))

    def up_to(self, mark: float) -> tuple[float, float] | None:
        """Mean and best of the scores up to there, None where it has come past without an evaluation."""
        evaluations = bisect.bisect_right(self.progress, _rounded_up(mark))
        return (
            (self._sums[evaluations - 1] / evaluations, self._bests[evaluations - 1])
            if evaluations
            else None
        )


class _Medians:
    """The means of those who have come past a mark, sorted, for every mark that somebody was judged at.

    What a configuration's mean up to a mark is, is known when it comes past: it is inserted once,
    and a decision costs no more than that, however many there are.
    """

    def __init__(self, rule: MedianStop):
        self._rule = rule
        self._curves: dict[int, _Curve] = {}
        self._marks: list[float] = []  # sorted
        self._means: dict[float, list[float]] = {}  # sorted, by mark

    def stops(self, reports: Sequence[Observation]) -> list[bool]:
        """Take all, then judge each."""
        for report in reports:
            self._add(report)
        return [self._stops(report) for report in reports]

    def _add(self, report: Observation) -> None:
        curve = self._curves.setdefault(report.config, _Curve())
        before = (
            bisect.bisect_right(self._marks, _rounded_up(curve.progress[-1]))
            if curve.progress
            else 0
        )
        curve.add(report)
        for mark in self._marks[
            before : bisect.bisect_right(self._marks, _rounded_up(report.progress))
        ]:
            self._insert(mark, curve)

    def _insert(self, mark: float, curve: _Curve) -> None:
        here = curve.up_to(mark)
        if here is not None:
            bisect.insort(self._means[mark], here[0])

    def _stops(self, report: Observation) -> bool:
        if not math.isfinite(report.score):
            return True  # a trial has diverged: it is never the best
        if report.step < self._rule.min_steps:
            return False
        mark = report.progress
        if mark not in self._means:
            bisect.insort(self._marks, mark)
            self._means[mark] = []
            for curve in self._curves.values():
                if _is_as_far(curve.progress[-1], mark):
                    self._insert(mark, curve)
        means, own = self._means[mark], self._curves[report.config].up_to(mark)
        assert own is not None  # it has an evaluation there
        place = bisect.bisect_left(means, own[0])
        others = len(means) - 1
        if others < self._rule.min_configs:
            return False
        middle = [means[i + (i >= place)] for i in ((others - 1) // 2, others // 2)]
        return own[1] > sum(middle) / 2


def _is_as_far(reached: float, mark: float) -> bool:
    """reached >= mark, rounding aside."""
    return mark <= _rounded_up(reached)


def _rounded_up(reached: float) -> float:
    return reached * (1 + _ROUNDING)
