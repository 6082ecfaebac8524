"""What a stopping rule is: observed scores enter, a decision about each of them leaves.

A rule runs on the host and needs no device. All configurations whose trials (seeds and folds) have
all reached an evaluation at one logical time (one segment of one block) are observed together, in a
fixed order. So a decision is a function of logical time, never of which lane happened to be faster.
"""

import abc
import math
from collections.abc import Sequence
from typing import Generic, NamedTuple, TypeVar

State = TypeVar("State")

_ROUNDING = 1e-12


class Observation(NamedTuple):
    """The mean score of a configuration at one evaluation, over all of its seeds and folds.

    Attributes:
        config: the number of the configuration: a name, whose size means nothing.
        step: updates made, 1 or more. Where folds differ in it, those of the largest fold.
        epoch: the same in epochs; NaN for a `jf.Trial`, which has none. In epochs the folds are at
            the same one; where ``steps=`` makes them differ, it is that of the largest fold.
        score: signed so that smaller is better; inf where a trial has diverged.
    """

    config: int
    step: int
    epoch: float
    score: float

    @property
    def progress(self) -> float:
        """Epochs where there are any, which compare between batch sizes; else updates."""
        return self.epoch if math.isfinite(self.epoch) else self.step


class StopRule(abc.ABC, Generic[State]):
    """Decide which configurations `jf.sweep` stops early: the base class of rules for ``stop=``.

    A rule is a pair of functions of a state, like a transform: `init` and `update`. All that it
    remembers is in the state, so that one rule serves many sweeps. After a kill the state is
    restored by telling a new one, in order, everything that was observed before: `update` must be
    deterministic. Let ``repr(rule)`` show its numbers (a frozen dataclass does): a sweep's
    directory tells by it whether a rule is the same. `jf.testing.verify_stop_rule` checks all this.

    Examples:
        >>> import dataclasses
        >>> import jefficient as jf
        >>> @dataclasses.dataclass(frozen=True)
        ... class Below(jf.StopRule):
        ...     limit: float
        ...
        ...     def init(self):
        ...         return None
        ...
        ...     def update(self, state, observations):
        ...         return state, [seen.score > self.limit for seen in observations]
        >>> rule = Below(0.5)
        >>> rule.update(rule.init(), [jf.Observation(config=3, step=10, epoch=1.0, score=0.7)])
        (None, [True])
    """

    @property
    def needs_epochs(self) -> bool:
        """Whether the rule counts in epochs: then `jf.sweep` refuses it with a `jf.Trial`."""
        return False

    @abc.abstractmethod
    def init(self) -> State:
        """Return a state that has seen nothing."""

    @abc.abstractmethod
    def update(
        self, state: State, observations: Sequence[Observation]
    ) -> tuple[State, Sequence[bool]]:
        """Take in what was observed at one logical time, then decide.

        Args:
            state: what `init` or the last `update` returned. It may be changed in place: its old
                value is not used again.
            observations: one or more. A configuration may come several times, with its evaluations
                in order; one that was stopped or has finished does not come again.

        Returns:
            The new state; and for each observation whether its configuration is stopped. Whatever
            the answer, trials that have finished by then stay finished.
        """


def is_as_far(reached: float, mark: float) -> bool:
    """Return ``reached >= mark``, rounding aside."""
    return mark <= rounded_up(reached)


def rounded_up(x: float) -> float:
    """Return x a little larger, so that a whole number which rounding made smaller is reached."""
    return x * (1 + _ROUNDING)
