"""Patience: a configuration that no longer improves on itself is stopped."""

import dataclasses
import math
from collections.abc import Sequence
from typing import NamedTuple

from ..._core import checks
from ._rule import Observation, StopRule


class Waiting(NamedTuple):
    """The best score of a configuration so far, and its evaluations since then."""

    best: float = math.inf
    evaluations: int = 0


@dataclasses.dataclass(frozen=True)
class Patience(StopRule[dict[int, Waiting]]):
    """See `patience`."""

    evaluations: int
    min_delta: float

    def init(self) -> dict[int, Waiting]:
        """Return a state that has seen no configuration."""
        return {}

    def update(
        self, state: dict[int, Waiting], observations: Sequence[Observation]
    ) -> tuple[dict[int, Waiting], list[bool]]:
        """Decide about each observation: no other configuration matters."""
        return state, [self._stops(state, seen) for seen in observations]

    def _stops(self, state: dict[int, Waiting], seen: Observation) -> bool:
        before = state.get(seen.config, Waiting())
        if seen.score + self.min_delta < before.best:
            state[seen.config] = Waiting(seen.score)
            return False
        after = before._replace(evaluations=before.evaluations + 1)
        state[seen.config] = after
        # a diverged trial never recovers
        return after.evaluations >= self.evaluations or not math.isfinite(seen.score)


def patience(*, evaluations: int, min_delta: float = 0.0) -> Patience:
    """Stop a configuration whose score has not improved for so many evaluations in a row.

    It is compared with itself alone: what Keras calls early stopping, of the mean over seeds and
    folds. An evaluation improves if score + min_delta < best, best being the last one that did
    (where the largest score is the best: score - min_delta > best). One with a diverged trial is
    stopped at once.

    A stopped configuration ranks behind all that finished, and where none finishes `Result.best`
    refuses. So this saves the updates of those that stall; to rank what each of them reached, let
    all finish, with ``select="best"``.

    Args:
        evaluations: without an improvement, 1 or more.
        min_delta: how much better counts as an improvement, in units of the metric, 0 or more.

    Returns:
        A `StopRule` for ``jf.sweep(stop=…)``.

    Raises:
        ArgumentError: if a number is out of range.

    References:
        Keras, ``keras.callbacks.EarlyStopping(patience=evaluations, min_delta=min_delta)``;
        Goodfellow, Bengio and Courville 2016, Deep Learning, algorithm 7.1.

    Examples:
        >>> import jefficient as jf
        >>> rule = jf.patience(evaluations=5, min_delta=1e-3)
    """
    where = "jf.patience"
    checks.check_count(where, evaluations=evaluations)
    checks.check_not_negative(where, min_delta=min_delta)
    return Patience(int(evaluations), float(min_delta))
