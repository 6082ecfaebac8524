"""The trials of a program that wait, and what is told to the lanes that train them."""

import dataclasses
from collections import deque
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..._core.typing import Tree
from ..programs import Lane, LaneProgram, Orders, Program
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

    part: Program
    program: LaneProgram
    waiting: deque[int]

    @classmethod
    def of(cls, part: Program, program: LaneProgram) -> "Queue":
        """All trials of a program."""
        return cls(part, program, deque(range(part.trials)))

    @property
    def width(self) -> int:
        """Lanes in a block."""
        return self.program.width

    def orders(self, trials: np.ndarray, fresh: np.ndarray, looks: np.ndarray) -> Orders:
        """What lanes with these trials (`IDLE` for none) are told, `looks` saying which look comes next."""
        part = self.part
        is_busy = trials != IDLE
        row, seed, fold = part.place(np.where(is_busy, trials, 0))
        return Orders(
            fresh=fresh,
            hyperparameters={name: x[row] for name, x in part.numbers.items()},
            seed=seed.astype(np.uint32),
            fold=fold.astype(np.int32),
            steps=part.steps[row],
            until=self.until(trials, looks),
        )

    def until(self, trials: np.ndarray, looks: np.ndarray) -> np.ndarray:
        """Updates made at these looks at these trials, int32; 0 for `IDLE`, and past the last look."""
        is_busy = trials != IDLE
        rows = self.part.place(np.where(is_busy, trials, 0))[0]
        return np.where(is_busy, self.part.until(rows, np.where(is_busy, looks, 0)), 0)

    def idle(self) -> Orders:
        """What lanes without a trial are told."""
        nobody = np.full(self.width, IDLE)
        return self.orders(nobody, np.zeros(self.width, bool), np.zeros(self.width, int))

    def take(self) -> int:
        """The next trial that waits, `IDLE` where none does."""
        return self.waiting.popleft() if self.waiting else IDLE

    def place(self, trials: np.ndarray) -> Place:
        """Where trials stand in the arrays."""
        row, seed, fold = self.part.place(trials)
        return Place(self.part.configs[row], seed, fold)

    def weights_of(self, lanes: Lane, lane: int) -> Tree:
        """The weights that one lane keeps, on the host: no other's leave the device."""
        return jax.tree.map(_on_host, self.program.pick(lanes, lane))

    def is_last(self, trials: np.ndarray, looks: np.ndarray) -> np.ndarray:
        """Whether each trial ends with this look, bool."""
        return looks + 1 == self.part.look_count(self.part.place(trials)[0])

    def members(self, rows: np.ndarray) -> np.ndarray:
        """The trials of the configurations in these rows."""
        each = self.part.seeds * self.part.folds
        return (rows[:, None] * each + np.arange(each)).ravel()


def _on_host(x: Any) -> Any:
    """A copy as a NumPy array; a key, which NumPy does not know, as it is."""
    return x if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else np.array(x)
