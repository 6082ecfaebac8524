"""Asynchronous successive halving: of those that reach a rung, the best go on."""

import bisect
import dataclasses
import math
from collections.abc import Sequence

from ..._core import checks
from ..._core.errors import ArgumentError
from ._rule import Observation, StopRule, is_as_far, rounded_up


@dataclasses.dataclass
class Rungs:
    """What halving remembers.

    Attributes:
        scores: for each rung the scores that have entered it, sorted.
        entered: for each configuration how many rungs it has entered.
    """

    scores: list[list[float]] = dataclasses.field(default_factory=list)
    entered: dict[int, int] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class SuccessiveHalving(StopRule[Rungs]):
    """Rungs at ``min_steps · eta^k`` updates; see `successive_halving`."""

    eta: float
    min_steps: float | None
    min_epochs: float | None

    @property
    def needs_epochs(self) -> bool:
        """Whether rungs lie at epochs."""
        return self.min_epochs is not None

    def init(self) -> Rungs:
        """Return rungs that nothing has entered."""
        return Rungs()

    def update(self, state: Rungs, observations: Sequence[Observation]) -> tuple[Rungs, list[bool]]:
        """Let all enter their rungs first: the order within one logical time must not matter."""
        rungs = [self._enter(state, seen) for seen in observations]
        stopped = [
            rung is not None and not self._is_among_best(seen.score, state.scores[rung])
            for seen, rung in zip(observations, rungs, strict=True)
        ]
        return state, stopped

    def _enter(self, state: Rungs, seen: Observation) -> int | None:
        """Enter every rung newly reached; return the highest of them, None if there is none."""
        reached = seen.epoch if self.needs_epochs else seen.step
        highest = None
        rung = state.entered.get(seen.config, 0)

        while is_as_far(reached, self._position(rung)):
            if rung == len(state.scores):
                state.scores.append([])
            bisect.insort(state.scores[rung], seen.score)
            highest = rung
            rung += 1

        state.entered[seen.config] = rung
        return highest

    def _position(self, rung: int) -> float:
        """Return where a rung lies, in updates or epochs."""
        first = self.min_steps if self.min_epochs is None else self.min_epochs
        assert first is not None  # one of the two is given
        return first * self.eta**rung

    def _is_among_best(self, score: float, scores: Sequence[float]) -> bool:
        best = max(1, math.floor(rounded_up(len(scores) / self.eta)))  # 33 / 1.1 is 29.999…
        return math.isfinite(score) and score <= scores[best - 1]


def successive_halving(
    eta: float = 3, *, min_steps: int | None = None, min_epochs: float | None = None
) -> SuccessiveHalving:
    """Stop a configuration that is not among the best ``1 / eta`` of those that got as far.

    This is asynchronous successive halving. Rungs lie at r·etaᵏ updates, k = 0, 1, …; a
    configuration reaches one at its first evaluation there or later. When all its trials (seeds and
    folds) have, their mean score enters the rung, and it goes on if it is among the best
    max(1, ⌊n / eta⌋) of the n that have entered so far. No configuration waits for another, so
    lanes stay busy.

    Args:
        eta: 1 < eta < inf.
        min_steps: r, updates before the first rung, 1 or more; give this or `min_epochs`.
        min_epochs: the same in epochs, above 0: right for a sweep over batch sizes.

    Returns:
        A `StopRule` for ``jf.sweep(stop=…)``.

    Raises:
        ArgumentError: if a number is out of range, or not exactly one of `min_steps` and
            `min_epochs` is given.

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
            f"{where}: exactly one of min_steps and min_epochs must be given, "
            f"got {min_steps=}, {min_epochs=}."
        )
    checks.check_finite(where, eta=eta)
    if eta <= 1:
        raise ArgumentError(f"{where}: eta > 1 must hold, got eta={eta}.")
    if min_steps is not None:
        checks.check_count(where, min_steps=min_steps)
    if min_epochs is not None:
        checks.check_positive_finite(where, min_epochs=min_epochs)
    return SuccessiveHalving(eta, min_steps, min_epochs)
