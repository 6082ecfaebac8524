"""The trials of a group that wait to be trained, and the commands for the lanes that train them."""

import dataclasses
from collections import deque

import jax
import jax.numpy as jnp
import numpy as np

from ..._core.typing import Params, State
from ..programs import Commands, Group, Lane, LaneProgram
from ._record import Place

IDLE = -1
"""The trial of a lane that has none."""


@dataclasses.dataclass(eq=False)
class Queue:
    """The trials of a group that have not begun, in order, and the program that trains them.

    Trials are numbered as in the group, evaluations of a trial from 0.

    Attributes:
        group: the configurations.
        program: the program.
        waiting: the trials.
        begin_at: updates that each trial has behind it when it begins, int array (configs, seeds,
            folds) of the whole sweep; None for no trial any.
    """

    group: Group
    program: LaneProgram
    waiting: deque[int]
    begin_at: np.ndarray | None = None

    @classmethod
    def of(cls, group: Group, program: LaneProgram, begin_at: np.ndarray | None = None) -> "Queue":
        """Queue all trials of a group."""
        return cls(group, program, deque(range(group.trials)), begin_at)

    @property
    def width(self) -> int:
        """Lanes in a block."""
        return self.program.width

    def take(self) -> int:
        """Remove the next trial and return it, `IDLE` where none waits."""
        return self.waiting.popleft() if self.waiting else IDLE

    def refill(self, rows: np.ndarray) -> None:
        """Let all trials of the configurations in these rows of the group wait again."""
        self.waiting = deque(self.trials_of(rows).tolist())

    def commands(self, trials: np.ndarray, fresh: np.ndarray, evaluations: np.ndarray) -> Commands:
        """Return the commands of lanes with these trials, up to these evaluations."""
        group = self.group
        row, seed, fold = group.place(np.where(trials == IDLE, 0, trials))
        return Commands(
            fresh=fresh,
            hyperparameters=group.traced(row, seed, fold),
            seed=seed.astype(np.uint32),
            fold=fold.astype(np.int32),
            steps=group.steps[row, fold],
            until=self.until(trials, evaluations),
            has_improved=np.zeros(len(trials), bool) if self.program.is_ranked_on_host else None,
        )

    def idle_commands(self) -> Commands:
        """Return the commands of a block without trials."""
        idle = np.full(self.width, IDLE)
        return self.commands(idle, np.zeros(self.width, bool), np.zeros(self.width, int))

    def until(self, trials: np.ndarray, evaluations: np.ndarray) -> np.ndarray:
        """Return the updates made at these evaluations, int32; 0 if `IDLE` or past the last."""
        is_occupied = trials != IDLE
        rows, _, folds = self.group.place(np.where(is_occupied, trials, 0))
        until = self.group.until(rows, folds, np.where(is_occupied, evaluations, 0))
        return np.where(is_occupied, until, 0)

    def begin(self, trials: np.ndarray) -> np.ndarray:
        """Return the updates that trials have behind them when they begin, int32; 0 if `IDLE`."""
        if self.begin_at is None:
            return np.zeros(len(trials), np.int32)
        is_occupied = trials != IDLE
        begin = self.begin_at[self.place(np.where(is_occupied, trials, 0))]
        return np.where(is_occupied, begin, 0).astype(np.int32)

    def first_evaluations(self, trials: np.ndarray) -> np.ndarray:
        """Return the first evaluation of each trial after it has begun, int array; 0 if `IDLE`."""
        begin = self.begin(trials)
        first = np.zeros(len(trials), int)
        for i in np.flatnonzero(begin):
            row, _, fold = self.group.place(trials[i])
            first[i] = (self.group.evaluations[row][fold] <= begin[i]).sum()
        return first

    def is_last(self, trials: np.ndarray, evaluations: np.ndarray) -> np.ndarray:
        """Return whether each trial ends with this evaluation, bool."""
        return evaluations + 1 == self.evaluation_counts(trials)

    def evaluation_counts(self, trials: np.ndarray) -> np.ndarray:
        """Return how many evaluations each trial has, int array."""
        return self.group.evaluation_count(self.group.place(trials)[0])

    def place(self, trials: np.ndarray) -> Place:
        """Return where trials stand in the arrays of a record."""
        row, seed, fold = self.group.place(trials)
        return Place(self.group.configs[row], seed, fold)

    def trials_of(self, rows: np.ndarray) -> np.ndarray:
        """Return the trials of the configurations in these rows of the group."""
        each = self.group.seeds * self.group.folds
        return (rows[:, None] * each + np.arange(each)).ravel()

    def state_of(self, lanes: Lane, lane: int) -> State:
        """Return the state of the trial in one lane, on the host."""
        return jax.tree.map(_on_host, self.program.state_of_lane(lanes, np.int32(lane)))

    def weights_of(self, lanes: Lane, lane: int, has_improved: bool) -> Params:
        """Return the weights that one lane keeps, on the host; no other's leave the device.

        `has_improved`: whether the last evaluation was the best, where the host ranks.
        """
        weights = self.program.weights_of_lane(lanes, np.int32(lane), np.bool_(has_improved))
        return jax.tree.map(_on_host, weights)


def _on_host(x: jax.Array) -> jax.Array | np.ndarray:
    """Copy to a NumPy array; keys, for which NumPy has no dtype, pass through."""
    return x if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else np.array(x)
