"""What is held of trials beside their numbers: weights, and whole states to go on from."""

from collections.abc import Mapping
from typing import NamedTuple

from .._core.typing import Tree

Trial = tuple[int, int, int]
"""(config, seed, fold)."""


class TrialState(NamedTuple):
    """A trial in the middle of its training: what `jf.sweep(start=…)` goes on from.

    Attributes:
        step: updates made, a Python int.
        state: all that a trial carries from one update to the next, as NumPy arrays (and typed keys
            of jax): of a `jf.Task` the `jf.TrainState` with parameters, the optimizer's state and
            the model's; of a `jf.Trial` what its `step` returns.
    """

    step: int
    state: Tree


Weights = Mapping[Trial, Tree]
"""The parameters of trials."""

States = Mapping[Trial, Mapping[int, TrialState]]
"""The states of trials, by the evaluation at which they were kept."""


class Checkpoints(NamedTuple):
    """What is held of some trials."""

    weights: Weights
    states: States

    def of(self, new_of: Mapping[int, int]) -> "Checkpoints":
        """Return those of the configurations in `new_of`, each under its new number."""

        def renumbered(held: Mapping) -> dict:
            return {(new_of[c], *at): x for (c, *at), x in held.items() if c in new_of}

        return Checkpoints(renumbered(self.weights), renumbered(self.states))

    def __or__(self, other: "Checkpoints") -> "Checkpoints":  # pyright: ignore
        """Return those of both, which have no trial in common."""
        return Checkpoints({**self.weights, **other.weights}, {**self.states, **other.states})


NO_CHECKPOINTS = Checkpoints({}, {})
