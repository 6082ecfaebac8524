"""The trials of a program that wait, and what is told to the lanes that train them."""

import dataclasses
from collections import deque
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..._core.typing import Tree
from ..programs import Commands, Group, Lane, LaneProgram
from ._record import Place

IDLE = -1


@dataclasses.dataclass(eq=False)
class Queue:
    """The trials of a program: those that wait, and what runs them.

    Attributes:
        part: the program's configurations.
        program: what its lanes do.
        waiting: trials that have not been started, in order.
    """

    group: Group
    program: LaneProgram
    waiting: deque[int]

    @classmethod
    def of(cls, group: Group, program: LaneProgram) -> "Queue":
        """All trials of a program."""
        return cls(group, program, deque(range(group.trials)))

    @property
    def width(self) -> int:
        """Lanes in a block."""
        return self.program.width

    def commands(self, trials: np.ndarray, fresh: np.ndarray, evaluations: np.ndarray) -> Commands:
        """What lanes with these trials (`IDLE` for none) are told, `evaluations` saying which evaluation comes next."""
        group = self.group
        is_occupied = trials != IDLE
        row, seed, fold = group.place(np.where(is_occupied, trials, 0))
        return Commands(
            fresh=fresh,
            hyperparameters={name: x[row] for name, x in group.numbers.items()},
            seed=seed.astype(np.uint32),
            fold=fold.astype(np.int32),
            steps=group.steps[row],
            until=self.until(trials, evaluations),
        )

    def until(self, trials: np.ndarray, evaluations: np.ndarray) -> np.ndarray:
        """Updates made at these evaluates these trials, int32; 0 for `IDLE`, and past the last evaluation."""
        is_occupied = trials != IDLE
        rows = self.group.place(np.where(is_occupied, trials, 0))[0]
        return np.where(
            is_occupied, self.group.until(rows, np.where(is_occupied, evaluations, 0)), 0
        )

    def idle_commands(self) -> Commands:
        """What lanes without a trial are told."""
        nobody = np.full(self.width, IDLE)
        return self.commands(nobody, np.zeros(self.width, bool), np.zeros(self.width, int))

    def take(self) -> int:
        """The next trial that waits, `IDLE` where none does."""
        return self.waiting.popleft() if self.waiting else IDLE

    def place(self, trials: np.ndarray) -> Place:
        """Where trials stand in the arrays."""
        row, seed, fold = self.group.place(trials)
        return Place(self.group.configs[row], seed, fold)

    def weights_of(self, lanes: Lane, lane: int) -> Tree:
        """The weights that one lane keeps, on the host: no other's leave the device."""
        return jax.tree.map(_on_host, self.program.pick(lanes, lane))

    def is_last(self, trials: np.ndarray, evaluations: np.ndarray) -> np.ndarray:
        """Whether each trial ends with this evaluation, bool."""
        return evaluations + 1 == self.group.evaluation_count(self.group.place(trials)[0])

    def members(self, rows: np.ndarray) -> np.ndarray:
        """The trials of the configurations in these rows."""
        each = self.group.seeds * self.group.folds
        return (rows[:, None] * each + np.arange(each)).ravel()


def _on_host(x: Any) -> Any:
    """A copy as a NumPy array; a key, which NumPy does not know, as it is."""
    return x if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else np.array(x)
