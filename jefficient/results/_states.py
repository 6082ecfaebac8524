"""What is held of trials beside their numbers: weights, and whole states to go on from."""

from collections.abc import Mapping
from typing import Any, NamedTuple, Self

from .._core.typing import Params, State, Tree

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
    state: State


Weights = Mapping[Trial, Params]
"""The parameters of trials."""

States = Mapping[Trial, Mapping[int, TrialState]]
"""The states of trials, by the evaluation at which they were kept."""


Place = tuple[int, ...]
"""What a tree belongs to: a trial; of a state also the evaluation and the step."""


class Checkpoints(NamedTuple):
    """What is held of some trials."""

    weights: Weights
    states: States

    @property
    def flat_states(self) -> dict[Place, Tree]:
        """(config, seed, fold, evaluation, step) to the tree of each state."""
        return {
            (*trial, evaluation, kept.step): kept.state
            for trial, by_evaluation in self.states.items()
            for evaluation, kept in by_evaluation.items()
        }

    @classmethod
    def from_flat(cls, weights: Mapping[Place, Tree], states: Mapping[Place, Tree]) -> Self:
        """Undo `flat_states`."""
        by_trial: dict[Trial, dict[int, TrialState]] = {}
        for (config, seed, fold, evaluation, step), tree in states.items():
            kept = by_trial.setdefault((config, seed, fold), {})
            kept[evaluation] = TrialState(step, tree)
        return cls({(c, s, f): tree for (c, s, f), tree in weights.items()}, by_trial)

    def of(self, new_of: Mapping[int, int]) -> "Checkpoints":
        """Return those of the configurations in `new_of`, each under its new number."""

        def renumbered(held: Mapping[Trial, Any]) -> dict[Trial, Any]:
            return {(new_of[c], s, f): x for (c, s, f), x in held.items() if c in new_of}

        return Checkpoints(renumbered(self.weights), renumbered(self.states))

    def __or__(self, other: "Checkpoints") -> "Checkpoints":
        """Return those of both, which have no trial in common."""
        return Checkpoints({**self.weights, **other.weights}, {**self.states, **other.states})


NO_CHECKPOINTS = Checkpoints({}, {})
