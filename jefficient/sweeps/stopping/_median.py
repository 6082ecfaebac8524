"""Median stopping: what is worse than most others were on the way is stopped."""

import bisect
import dataclasses
import math
from collections.abc import Sequence

from ..._core import checks
from ._rule import Observation, StopRule, is_as_far, rounded_up


class Curve:
    """Running means and bests of one configuration, in the order of its evaluations."""

    def __init__(self):
        self.progress: list[float] = []
        self._sums: list[float] = []
        self._bests: list[float] = []

    def add(self, seen: Observation) -> None:
        """Append an evaluation."""
        total, best = (self._sums[-1], self._bests[-1]) if self._sums else (0.0, math.inf)
        self.progress.append(seen.progress)
        self._sums.append(total + seen.score)
        self._bests.append(min(best, seen.score))

    def up_to(self, mark: float) -> tuple[float, float] | None:
        """Return mean and best of the scores up to a mark; None if none was evaluated by then."""
        count = bisect.bisect_right(self.progress, rounded_up(mark))
        if count == 0:
            return None
        return self._sums[count - 1] / count, self._bests[count - 1]


class Medians:
    """What the median rule remembers: curves, and for each mark the means of those that passed it.

    A mark is a progress at which a configuration was compared. The mean of a curve up to a mark is
    final once the curve has passed it: it is inserted once, so that a decision costs a binary
    search, however many configurations there are.
    """

    def __init__(self):
        self.curves: dict[int, Curve] = {}
        self._marks: list[float] = []  # sorted
        self._means: dict[float, list[float]] = {}  # by mark, sorted

    def add(self, seen: Observation) -> None:
        """Append an evaluation to its curve, and the curve's means to the marks that it passes."""
        curve = self.curves.setdefault(seen.config, Curve())
        before = self._passed(curve.progress[-1]) if curve.progress else 0
        curve.add(seen)
        for mark in self._marks[before : self._passed(seen.progress)]:
            self._insert(mark, curve)

    def means_at(self, mark: float) -> list[float]:
        """Return the means up to a mark of all curves that have passed it, sorted."""
        if mark not in self._means:
            bisect.insort(self._marks, mark)
            self._means[mark] = []
            for curve in self.curves.values():
                if is_as_far(curve.progress[-1], mark):
                    self._insert(mark, curve)
        return self._means[mark]

    def _passed(self, progress: float) -> int:
        return bisect.bisect_right(self._marks, rounded_up(progress))

    def _insert(self, mark: float, curve: Curve) -> None:
        found = curve.up_to(mark)
        if found is not None:
            mean, _ = found
            bisect.insort(self._means[mark], mean)


@dataclasses.dataclass(frozen=True)
class MedianStop(StopRule[Medians]):
    """See `median_stop`."""

    min_steps: int
    min_configs: int

    def init(self) -> Medians:
        """Return a state without curves."""
        return Medians()

    def update(
        self, state: Medians, observations: Sequence[Observation]
    ) -> tuple[Medians, list[bool]]:
        """Add all first: the order within one logical time must not matter."""
        for seen in observations:
            state.add(seen)
        return state, [self._stops(state, seen) for seen in observations]

    def _stops(self, state: Medians, seen: Observation) -> bool:
        if not math.isfinite(seen.score):
            return True  # a trial has diverged: the configuration cannot be the best
        if seen.step < self.min_steps:
            return False

        means = state.means_at(seen.progress)
        others = len(means) - 1
        if others < self.min_configs:
            return False

        own = state.curves[seen.config].up_to(seen.progress)
        assert own is not None  # this very evaluation lies there
        mean, best = own
        place = bisect.bisect_left(means, mean)
        # The two in the middle of the others: skip the place where its own mean stands.
        middle = [means[i + (i >= place)] for i in ((others - 1) // 2, others // 2)]
        return best > sum(middle) / 2


def median_stop(*, min_steps: int = 1, min_configs: int = 5) -> MedianStop:
    """Stop a configuration whose best score is worse than the median of the others' running means.

    At each evaluation it is compared with the configurations that have got as far, in epochs where
    there are any and in updates else: with the mean of each one's scores up to there. One with a
    diverged trial is stopped at once: it can never be the best.

    Args:
        min_steps: updates before any configuration is stopped, 1 or more.
        min_configs: how many others must have got as far, 1 or more.

    Returns:
        A `StopRule` for ``jf.sweep(stop=…)``.

    Raises:
        ArgumentError: if a number is out of range.

    References:
        Golovin et al. 2017, Google Vizier, https://doi.org/10.1145/3097983.3098043, section 3.2.2.

    Examples:
        >>> import jefficient as jf
        >>> rule = jf.median_stop(min_steps=100)
    """
    checks.check_count("jf.median_stop", min_steps=min_steps, min_configs=min_configs)
    return MedianStop(min_steps, min_configs)
