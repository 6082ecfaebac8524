"""A stopping rule with everything that it has observed."""

from collections.abc import Collection, Sequence
from typing import Any

from ..._core.errors import ArgumentError
from ._rule import Observation, StopRule


class PrunerLog:
    """A rule, its state, and the observations that led to the state: what a checkpoint stores.

    Attributes:
        rule: decides.
        batches: the observations of each logical time.
    """

    def __init__(self, rule: StopRule[Any], batches: Sequence[Sequence[Observation]] = ()):
        self.rule = rule
        self.batches: list[list[Observation]] = []
        self._state = rule.init()
        for batch in batches:
            self.stops(batch)

    def stops(self, observations: Sequence[Observation]) -> list[bool]:
        """Take in what was observed at one logical time; return which are stopped."""
        if not observations:
            return []
        self.batches.append(list(observations))
        self._state, stopped = self.rule.update(self._state, observations)
        if len(stopped) != len(observations):
            raise ArgumentError(
                f"jf.sweep: stop must answer with one bool for each observation, got "
                f"{len(stopped)} for {len(observations)} from {self.rule!r}. "
                f"jf.testing.verify_stop_rule checks it."
            )
        return [bool(is_stopped) for is_stopped in stopped]

    def without(self, configs: Collection[int]) -> "PrunerLog":
        """Return the log as if these configurations had never been observed."""
        others = [[seen for seen in batch if seen.config not in configs] for batch in self.batches]
        return PrunerLog(self.rule, others)
