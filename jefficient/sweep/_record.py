"""The arrays of a sweep as they fill up, and the weights that are worth keeping so far."""

import bisect
import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from .._core.typing import Tree
from ..results import Curves, Score, Status, at_looks, last_look
from ._programs import Program
from ._progress import Progress


class Place(NamedTuple):
    """Where some trials stand in the arrays: configuration, seed and fold of each, int arrays of one length."""

    config: np.ndarray
    seed: np.ndarray
    fold: np.ndarray


class Seen(NamedTuple):
    """One look at some trials. `values`: name to float32 array; the others int arrays; `index`: which look it is."""

    index: np.ndarray
    values: dict[str, np.ndarray]
    status: np.ndarray
    step: np.ndarray
    diverged_at: np.ndarray


class Record:
    """What blocks have handed over.

    Each look costs what its block holds, not what the sweep does: standings are kept up as configurations complete.

    Attributes:
        weights: (config, seed, fold) to the weights of the best configurations so far, and of incomplete ones.
    """

    def __init__(
        self, configs: int, parts: Sequence[Program], score: Score, measured: tuple[str, ...], keep_configs: int
    ):
        shape = (configs, parts[0].seeds, parts[0].folds)
        looks = max(len(x) for part in parts for x in part.looks)
        self._score, self._keep_configs = score, keep_configs
        self._looks = {name: np.full((*shape, looks), np.nan, np.float32) for name in measured}
        self._status = np.full(shape, Status.RUNNING, int)
        self._steps_taken = np.zeros(shape, int)
        self._diverged_at = np.full(shape, -1)
        self._step = np.full((configs, looks), -1)
        self._steps_per_epoch = np.ones(configs)
        for part in parts:
            for config, seen in zip(part.configs, part.looks, strict=True):
                self._step[config, : len(seen)] = seen
            self._steps_per_epoch[part.configs] = part.steps_per_epoch

        self._width = np.zeros(configs, int)
        self._reported = np.zeros(configs, int)  # looks that the judge knows, by configuration
        self._missing = np.full(configs, shape[1] * shape[2])  # trials that are not over, by configuration
        self._best: list[tuple[Any, int]] = []  # (standing, config), of complete ones
        self._best_score: float | None = None
        self._done = self._diverged = self._stopped = self._steps_made = self._steps_offered = 0
        self._steps = sum(int(part.steps.sum()) * part.seeds * part.folds for part in parts)
        self._begun = time.monotonic()
        self.weights: dict[tuple[int, int, int], Tree] = {}

    @property
    def seconds(self) -> float:
        """Since the sweep began."""
        return time.monotonic() - self._begun

    @property
    def busy(self) -> float:
        """The share of lane-steps in which a trial was trained, of all those that were computed."""
        return self._steps_made / max(self._steps_offered, 1)

    def begin(self, part: Program, width: int) -> None:
        """A program is about to run in blocks of `width` lanes."""
        self._width[part.configs] = width

    def is_running(self, place: Place) -> np.ndarray:
        """Whether each trial is neither over nor stopped, bool."""
        return self._status[place] == Status.RUNNING

    def add(self, place: Place, seen: Seen, width: int) -> None:
        """One look at the trials of a block of `width` lanes; those that were stopped meanwhile stay what they are."""
        steps_made = seen.step - self._steps_taken[place]
        self._steps_offered += width * int(steps_made.max(initial=0))
        going = self.is_running(place)
        place, steps_made = Place(*(x[going] for x in place)), steps_made[going]
        for name, values in seen.values.items():
            self._looks[name][*place, seen.index[going]] = values[going]
        self._steps_made += int(steps_made.sum())
        self._steps_taken[place] = seen.step[going]
        self._diverged_at[place] = seen.diverged_at[going]
        self._end(place, seen.status[going])

    def stop(self, config: int, seed: np.ndarray, fold: np.ndarray) -> None:
        """Those of these trials that are not over are stopped."""
        place = Place(np.full(len(seed), config), seed, fold)
        going = self.is_running(place)
        self._end(Place(*(x[going] for x in place)), np.full(going.sum(), Status.STOPPED))

    def _end(self, place: Place, status: np.ndarray) -> None:
        """The trials have this status now; those that are over complete their configurations."""
        is_over = status != Status.RUNNING
        self._status[place] = status
        self._done += int(is_over.sum())
        self._diverged += int((status == Status.DIVERGED).sum())
        self._stopped += int((status == Status.STOPPED).sum())
        np.subtract.at(self._missing, place.config[is_over], 1)
        for config in np.unique(place.config[is_over]):
            if self._missing[config] == 0:
                self._complete(int(config))

    def unreported(self, config: int, looks: int) -> Iterator[tuple[int, float]]:
        """Looks that all trials of a configuration have come to since this was last asked: (look, mean score).

        Scores are signed so that smaller is better; inf where a trial has diverged.
        """
        while self._reported[config] < looks:
            index = int(self._reported[config])
            scores = self._scores_at(config, index)
            if np.isnan(scores).any() or (self._status[config] == Status.STOPPED).any():
                return
            self._reported[config] += 1
            yield index, float(scores.mean())

    def _scores_at(self, config: int, index: int) -> np.ndarray:
        """The signed score of each trial by look `index`; inf for one that has diverged, NaN for one not looked at."""
        is_diverged = self._status[config] == Status.DIVERGED
        is_seen = is_diverged | (self._steps_taken[config] >= self._step[config, index])
        values = self._score.sign * self._looks[self._score.metric][config, ..., : index + 1]
        values = np.where(np.isfinite(values), values, np.inf)
        best = values.min(axis=-1) if self._score.select == "best_look" else values[..., -1]
        return np.where(is_seen, np.where(is_diverged, np.inf, best), np.nan)

    def _complete(self, config: int) -> None:
        """Place a configuration among the best, and let go of the weights of the one that it pushes out."""
        values, status, taken = self._looks[self._score.metric][config], self._status[config], self._steps_taken[config]
        scores = at_looks(values, self._score.looks(values, status, last_look(self._step[config], taken)))
        standing = self._score.standing(*(x.reshape(1, -1) for x in (scores, status, taken)))[0]
        without, short, mean = standing
        is_scored = without == 0 and short == -np.inf
        if is_scored and (self._best_score is None or mean < self._score.sign * self._best_score):
            self._best_score = self._score.sign * mean
        bisect.insort(self._best, (standing, config))
        for _, fallen in self._best[self._keep_configs :]:
            self.weights = {place: w for place, w in self.weights.items() if place[0] != fallen}
        del self._best[self._keep_configs :]

    def wants(self, config: int) -> bool:
        """Whether the weights of a configuration may be among those that are kept."""
        return bool(self._missing[config]) or any(config == kept for _, kept in self._best)

    def progress(self) -> Progress:
        """Where the sweep stands."""
        return Progress(
            trials_done=self._done,
            trials=self._status.size,
            steps_done=self._steps_made,
            steps=self._steps,
            seconds=self.seconds,
            diverged=self._diverged,
            stopped=self._stopped,
            busy=self.busy,
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
            self._width,
        )
