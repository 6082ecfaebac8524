"""The arrays of a sweep as they fill up, and the weights that are worth keeping so far."""

import bisect
import time
from collections.abc import Sequence

import jax
import numpy as np

from .._core.typing import Tree
from ..results import Curves, Score, Status, at_looks
from ..spaces import Space
from ._lanes import Look
from ._programs import Block, Program
from ._progress import Progress


class Record:
    """What blocks have handed over.

    Each look costs what its block holds, not what the sweep does: standings are kept up as configurations complete.

    Attributes:
        weights: (config, seed, fold) to the weights of the best configurations so far, and of incomplete ones.
    """

    def __init__(
        self,
        space: Space,
        parts: Sequence[Program],
        seeds: int,
        folds: int,
        score: Score,
        measured: tuple[str, ...],
        keep_configs: int,
    ):
        shape = (len(space), seeds, folds)
        looks = max(len(part.length.looks) for part in parts)
        self._score, self._keep_configs = score, keep_configs
        self._looks = {name: np.full((*shape, looks), np.nan, np.float32) for name in measured}
        self._status = np.full(shape, Status.RUNNING, int)
        self._steps_taken = np.zeros(shape, int)
        self._diverged_at = np.full(shape, -1)
        self._step = np.full((len(space), looks), -1)
        self._steps_per_epoch = np.ones(len(space))
        for part in parts:
            self._step[part.configs, : len(part.length.looks)] = part.length.looks
            self._steps_per_epoch[part.configs] = part.length.size / part.length.batch_size

        self._block_width = np.zeros(len(space), int)
        self._trials_missing = np.full(len(space), seeds * folds)  # by configuration
        self._best: list[tuple[int, float, int]] = []  # (diverged, signed mean, config), of complete ones
        self._best_score: float | None = None
        self._done = self._diverged = self._lane_steps_done = 0
        self._lane_steps = sum(len(part.configs) * seeds * folds * part.length.steps for part in parts)
        self._begun = time.monotonic()
        self.weights: dict[tuple[int, int, int], Tree] = {}

    @property
    def seconds(self) -> float:
        """Since the sweep began."""
        return time.monotonic() - self._begun

    def begin(self, part: Program, width: int) -> None:
        """A program is about to run in blocks of `width` lanes."""
        self._block_width[part.configs] = width

    def add(self, part: Program, block: Block, index: int, look: Look) -> None:
        """One look at a block."""
        n = block.trials
        configs = part.configs[block.row[:n]]
        place = (configs, block.seed[:n], 0)
        before, after = self._status[place], look.status[:n]
        for name, values in look.values.items():
            self._looks[name][*place, index] = values[:n]
        self._status[place] = after
        self._steps_taken[place] = look.step[:n]
        self._diverged_at[place] = look.diverged_at[:n]
        self._done += int(((before == Status.RUNNING) & (after != Status.RUNNING)).sum())
        self._diverged += int(((before != Status.DIVERGED) & (after == Status.DIVERGED)).sum())
        self._lane_steps_done += n * int(part.length.segments[index])
        if index == len(part.length.looks) - 1:
            np.subtract.at(self._trials_missing, configs, 1)
            for config in np.unique(configs):
                if self._trials_missing[config] == 0:
                    self._complete(int(config))

    def _complete(self, config: int) -> None:
        """Place a configuration among the best, and let go of the weights of the one that it pushes out."""
        values, status = self._looks[self._score.metric][config], self._status[config]
        last = (self._step[config] >= 0).sum() - 1
        scores = at_looks(values, self._score.looks(values, status, last))
        standing = self._score.standing(scores.reshape(1, -1))[0]
        if standing[0] == 0 and (self._best_score is None or standing[1] < self._score.sign * self._best_score):
            self._best_score = self._score.sign * standing[1]
        bisect.insort(self._best, (*standing, config))
        for *_, fallen in self._best[self._keep_configs :]:
            self.weights = {place: w for place, w in self.weights.items() if place[0] != fallen}
        del self._best[self._keep_configs :]

    def keep(self, part: Program, block: Block, weights: Tree) -> None:
        """Take the weights of a block's trials, of those configurations that are among the best or incomplete."""
        best = {config for *_, config in self._best}
        host = jax.device_get(weights)
        for lane, row in enumerate(block.row[: block.trials]):
            config = int(part.configs[row])
            if config in best or self._trials_missing[config]:
                place = (config, int(block.seed[lane]), 0)
                self.weights[place] = jax.tree.map(lambda x, lane=lane: np.array(x[lane]), host)

    def progress(self) -> Progress:
        """Where the sweep stands."""
        return Progress(
            trials_done=self._done,
            trials=self._status.size,
            steps_done=self._lane_steps_done,
            steps=self._lane_steps,
            seconds=self.seconds,
            diverged=self._diverged,
            metric=self._score.metric,
            best=self._best_score,
        )

    def curves(self) -> Curves:
        """All arrays, for the dataset."""
        return Curves(
            self._looks,
            self._status,
            self._steps_taken,
            self._diverged_at,
            self._step,
            self._steps_per_epoch,
            self._block_width,
        )
