"""The arrays of a sweep as they fill up, and the weights that are worth keeping so far."""

import bisect
import itertools
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..._core.typing import Tree
from ...results import Curves, Score, Status, at_evaluations, last_evaluation
from ..programs import Group
from ._progress import Progress

_RUNNING = int(
    Status.RUNNING
)  # NumPy takes its time to find out what a member of an enumeration is
_DIVERGED, _STOPPED = int(Status.DIVERGED), int(Status.STOPPED)
_AT_ONCE = 2**16
"""Configurations whose standings are worked out together, so that little memory is taken beside the arrays."""

_STATE = ("status", "steps_taken", "diverged_at", "width", "reported")
"""The arrays of a record, beside what was measured, from which all else follows."""


class Place(NamedTuple):
    """Where some trials stand in the arrays: configuration, seed and fold of each, int arrays of one length."""

    config: np.ndarray
    seed: np.ndarray
    fold: np.ndarray


class Seen(NamedTuple):
    """One evaluation of some trials. `values`: name to float32 array; the others int arrays; `index`: which evaluation it is."""

    index: np.ndarray
    values: dict[str, np.ndarray]
    status: np.ndarray
    step: np.ndarray
    diverged_at: np.ndarray


class Record:
    """What blocks have handed over.

    Each evaluation costs what its block holds, not what the sweep does: standings are kept up as
    configurations complete.

    Attributes:
        weights: (config, seed, fold) to the weights of the best configurations so far, and of
            incomplete ones.
    """

    def __init__(
        self,
        configs: int,
        groups: Sequence[Group],
        widths: Sequence[int],
        score: Score,
        measured: tuple[str, ...],
        diagnostics: Mapping[str, tuple[int, ...]],
        keep_configs: int,
    ):
        shape = (configs, groups[0].seeds, groups[0].folds)
        evaluations = max(len(x) for group in groups for x in group.evaluations)
        self._score, self._keep_configs = score, keep_configs
        shapes = {**dict.fromkeys(measured, ()), **diagnostics}
        self._measured, self._diagnostics = measured, tuple(diagnostics)
        self._evaluations = {
            name: np.full((*shape, evaluations, *more), np.nan, np.float32)
            for name, more in shapes.items()
        }
        self._seconds = np.full((*shape, evaluations), np.nan)
        self._status = np.full(shape, _RUNNING, int)
        self._steps_taken = np.zeros(shape, int)
        self._diverged_at = np.full(shape, -1)
        self._step = np.full((configs, evaluations), -1)
        self._steps_per_epoch, self._width, self._steps = (
            np.ones(configs),
            np.zeros(configs, int),
            np.zeros(configs, int),
        )
        for group, width in zip(groups, widths, strict=True):
            for config, seen in zip(group.configs, group.evaluations, strict=True):
                self._step[config, : len(seen)] = seen
            self._steps_per_epoch[group.configs], self._width[group.configs] = (
                group.steps_per_epoch,
                width,
            )
            self._steps[group.configs] = group.steps
        self._reported = np.zeros(
            configs, int
        )  # evaluations that the judge knows, by configuration
        self._missing = np.full(
            configs, shape[1] * shape[2]
        )  # trials that are not over, by configuration
        self._best: list[tuple[Any, int]] = []  # (standing, config), of complete ones, sorted
        self._kept: set[int] = set()  # the configurations in it
        self._best_score: float | None = None
        self._counts: Counter[int] = Counter()  # trials that are over, by status
        self._steps_made = self._steps_offered = 0
        self._steps_left = int(self._steps.sum()) * shape[1] * shape[2]
        self._begun = time.monotonic()
        self.weights: dict[tuple[int, int, int], Tree] = {}

    @property
    def seconds(self) -> float:
        """Since the sweep began."""
        return time.monotonic() - self._begun

    @property
    def utilization(self) -> float:
        """The share of lane-steps in which a trial was trained, of all those that were computed."""
        return self._steps_made / max(self._steps_offered, 1)

    def is_running(self, place: Place) -> np.ndarray:
        """Whether each trial is neither over nor stopped, bool."""
        return self._status[place] == _RUNNING

    def add(self, place: Place, seen: Seen, width: int) -> None:
        """One evaluation of the trials of a block of `width` lanes; those that were stopped meanwhile stay what they are."""
        steps_made = seen.step - self._steps_taken[place]
        self._steps_offered += width * int(steps_made.max(initial=0))
        going = self.is_running(place)
        place, steps_made = Place(*(x[going] for x in place)), steps_made[going]
        for name, values in seen.values.items():
            self._evaluations[name][*place, seen.index[going]] = values[going]
        self._seconds[*place, seen.index[going]] = self.seconds
        self._steps_made += int(steps_made.sum())
        self._steps_left -= int(steps_made.sum())
        self._steps_taken[place] = seen.step[going]
        self._diverged_at[place] = seen.diverged_at[going]
        self._end(place, seen.status[going])

    def stop(self, place: Place) -> None:
        """Those of these trials that are not over are stopped."""
        going = self.is_running(place)
        self._end(Place(*(x[going] for x in place)), np.full(going.sum(), Status.STOPPED))

    def interrupt(self) -> None:
        """What is not over is interrupted, for good."""
        self._status[self._status == _RUNNING] = Status.INTERRUPTED

    def restart(self, configs: np.ndarray, width: int) -> None:
        """All trials of these configurations, none of which is complete, start again, in blocks of `width` lanes."""
        for values in self._evaluations.values():
            values[configs] = np.nan
        self._seconds[configs] = np.nan
        self._status[configs], self._steps_taken[configs], self._diverged_at[configs] = (
            Status.RUNNING,
            0,
            -1,
        )
        self._reported[configs], self._width[configs] = 0, width
        again = set(configs.tolist())
        self.weights = {place: w for place, w in self.weights.items() if place[0] not in again}
        self._count()

    def arrays(self) -> dict[str, np.ndarray]:
        """All that `restore` needs, but for the weights."""
        state = {name: getattr(self, f"_{name}") for name in _STATE}
        evaluations = {"seconds": self._seconds, **self._evaluations}
        work = np.array([self._steps_made, self._steps_offered, self.seconds])
        return {
            **state,
            **{f"evaluations/{name}": x for name, x in evaluations.items()},
            "work": work,
        }

    def fixed(self) -> dict[str, np.ndarray]:
        """The arrays that are known before anything is trained: when evaluations are."""
        return {"step": self._step, "steps_per_epoch": self._steps_per_epoch}

    def restore(self, arrays: Mapping[str, np.ndarray], old: np.ndarray, new: np.ndarray) -> None:
        """Take configurations `old` of another record's arrays as configurations `new`, and count anew."""
        for name in _STATE:
            getattr(self, f"_{name}")[new] = arrays[name][old]
        for name, values in {"seconds": self._seconds, **self._evaluations}.items():
            there = arrays[f"evaluations/{name}"]
            evaluations = min(
                values.shape[3], there.shape[3]
            )  # those of the configurations in both fit
            values[new, :, :, :evaluations] = there[old, :, :, :evaluations]
        self._steps_made, self._steps_offered = (int(x) for x in arrays["work"][:2])
        self._begun = time.monotonic() - float(arrays["work"][2])
        self._count()

    def unfinished(self) -> np.ndarray:
        """The configurations with a trial that is not over."""
        return np.flatnonzero(self._missing)

    def _count(self) -> None:
        """Work out from the arrays what is otherwise kept up."""
        is_over = self._status != _RUNNING
        self._counts = Counter(self._status[is_over].tolist())
        self._missing = (~is_over).sum(axis=(1, 2))
        self._steps_left = int(
            np.where(is_over, 0, self._steps[:, None, None] - self._steps_taken).sum()
        )
        self._best, self._kept, self._best_score = [], set(), None
        complete = np.flatnonzero(self._missing == 0)
        for begin in range(0, len(complete), _AT_ONCE):
            self._complete(complete[begin : begin + _AT_ONCE])

    def _end(self, place: Place, status: np.ndarray) -> None:
        """The trials have this status now; those that are over complete their configurations."""
        is_over = status != _RUNNING
        if not is_over.any():
            return
        self._status[place] = status
        ended = Place(*(x[is_over] for x in place))
        self._counts.update(status[is_over].tolist())
        self._steps_left -= int((self._steps[ended.config] - self._steps_taken[ended]).sum())
        np.subtract.at(self._missing, ended.config, 1)
        configs = np.unique(ended.config)
        complete = configs[self._missing[configs] == 0]
        if len(complete):
            self._complete(complete)

    def unreported(
        self, configs: np.ndarray, evaluations: np.ndarray
    ) -> list[tuple[int, int, float]]:
        """Evaluations that all trials of configurations have come to since this was last asked, of `evaluations` that each makes.

        Returns:
            In rising order: which of the configurations (its place in `configs`), which evaluation,
            and the mean score, signed so that smaller is better; inf where a trial has diverged.
        """
        found: list[tuple[int, int, float]] = []
        places = np.arange(len(configs))
        while len(places):
            places = places[self._reported[configs[places]] < evaluations[places]]
            index = self._reported[configs[places]]
            scores = self._scores_at(configs[places], index).reshape(
                len(places), np.prod(self._status.shape[1:])
            )
            is_stopped = (self._status[configs[places]] == _STOPPED).any(axis=(1, 2))
            is_there = ~(np.isnan(scores).any(axis=1) | is_stopped)
            places, index, means = places[is_there], index[is_there], scores[is_there].mean(axis=1)
            self._reported[configs[places]] += 1
            found.extend(zip(places.tolist(), index.tolist(), means.tolist(), strict=True))
        return sorted(found)

    def _scores_at(self, configs: np.ndarray, index: np.ndarray) -> np.ndarray:
        """The signed score of each trial (configs, seeds, folds) by evaluation `index` of each configuration.

        It is inf for one that has diverged, NaN for one not evaluated.
        """
        is_diverged = self._status[configs] == _DIVERGED
        is_seen = is_diverged | (
            self._steps_taken[configs] >= self._step[configs, index][:, None, None]
        )
        values = self._evaluations[self._score.metric]
        if self._score.select == "best":
            seen = np.arange(values.shape[-1]) <= index[:, None, None, None]
            best = _bounded(self._score.sign * values[configs], seen).min(axis=-1)
        else:
            best = _bounded(self._score.sign * values[configs, :, :, index])
        return np.where(is_seen, np.where(is_diverged, np.inf, best), np.nan)

    def _complete(self, configs: np.ndarray) -> None:
        """Place configurations among the best, and let go of the weights of those that are pushed out."""
        values, status, taken = (
            self._evaluations[self._score.metric][configs],
            self._status[configs],
            self._steps_taken[configs],
        )
        evaluations = self._score.evaluations(
            values, status, last_evaluation(self._step[configs, None, None], taken)
        )
        each = (
            x.reshape(len(configs), -1)
            for x in (at_evaluations(values, evaluations), status, taken)
        )
        for rank, config in zip(self._score.rank(*each), configs.tolist(), strict=True):
            without, short, mean = rank
            is_scored = without == 0 and short == -np.inf
            if is_scored and (
                self._best_score is None or mean < self._score.sign * self._best_score
            ):
                self._best_score = self._score.sign * mean
            bisect.insort(self._best, (rank, config))
            self._kept.add(config)
            if len(self._best) > self._keep_configs:
                self._let_go(self._best.pop()[1])

    def _let_go(self, config: int) -> None:
        self._kept.remove(config)
        if self.weights:
            _, seeds, folds = self._status.shape
            for seed, fold in itertools.product(range(seeds), range(folds)):
                self.weights.pop((config, seed, fold), None)

    def wants(self, config: int) -> bool:
        """Whether the weights of a configuration may be among those that are kept."""
        return bool(self._missing[config]) or config in self._kept

    def progress(self) -> Progress:
        """Where the sweep stands."""
        return Progress(
            trials_done=sum(self._counts.values()),
            trials=self._status.size,
            steps_done=self._steps_made,
            steps=self._steps_made + self._steps_left,
            seconds=self.seconds,
            diverged=self._counts[Status.DIVERGED],
            stopped=self._counts[Status.STOPPED],
            utilization=self.utilization,
            metric=self._score.metric,
            best=self._best_score,
        )

    def curves(self) -> Curves:
        """All arrays, for the dataset."""
        return Curves(
            {name: self._evaluations[name] for name in self._measured},
            {name: self._evaluations[name] for name in self._diagnostics},
            self._seconds,
            self._status,
            self._steps_taken,
            self._diverged_at,
            self._step,
            self._steps_per_epoch,
            self._width,
        )


def _bounded(values: np.ndarray, where: np.ndarray | bool = True) -> np.ndarray:
    """Infinity for what is not finite, or elsewhere."""
    return np.where(np.isfinite(values) & where, values, np.inf)
