"""The groups of a sweep: the configurations that share one compiled program."""

import dataclasses
import functools
import math
from typing import Any

import numpy as np

from ..._core.errors import ArgumentError
from ...spaces import Space
from ..tasks import WHERE, HyperparameterTable, Problem

MOST_EVALUATIONS = 50
"""Evaluations of a trial at most, where `eval_every` is None."""

MOST_MARKS = 10**7
"""Evaluations of a trial at most, where `eval_every` is given: more fill the memory."""


@dataclasses.dataclass(frozen=True)
class TrialLength:
    """How long trials train and when they are evaluated: the arguments of `jf.sweep`.

    Without `eval_every` they are evaluated after epochs, or (`in_windows`) after equal parts of
    their length, whatever an epoch is.
    """

    steps: int | None
    epochs: float | None
    eval_every: int | None
    in_windows: bool = False

    def evaluations(self, steps_per_epoch: np.ndarray, own: int | None = None) -> np.ndarray:
        """Return the updates made at each evaluation in each fold; the last one ends the trial.

        Where the length is given in epochs, every fold makes the updates of its own examples, and
        all folds are evaluated at the same epochs. Where it is given in steps, every fold does what
        the largest one does. Between two evaluations each fold makes an update.

        Args:
            steps_per_epoch: updates in a pass over the training examples of each fold, float array
                (folds,).
            own: the updates of the trial, where `steps` is a hyperparameter.

        Returns:
            Int32 array (folds, evaluations), rising.
        """
        period = np.where(np.isfinite(steps_per_epoch), steps_per_epoch, 1.0)
        longest = period.max()
        given = self.steps if own is None else own
        if given is not None:
            period = np.full_like(period, longest)
            totals = np.full(len(period), given)
        else:
            assert self.epochs is not None
            totals = _ceil(self.epochs * period)
        if totals.min() < 1 or totals.max() > np.iinfo(np.int32).max:
            raise ArgumentError(
                f"{WHERE}: a trial must have at least one and fewer than 2**31 updates, "
                f"got {totals.max():.0f}."
            )

        most = int(totals.max())
        if self.eval_every is not None:
            if most // self.eval_every > MOST_MARKS:
                raise ArgumentError(
                    f"{WHERE}: a trial must have at most {MOST_MARKS:,} evaluations, got "
                    f"eval_every={self.eval_every} of {most:,} updates. Evaluate less often."
                )
            marks = np.arange(self.eval_every, most, self.eval_every)
            steps = _ceil(marks * (period / longest)[:, None])
        elif self.in_windows:
            steps = _ceil(np.arange(1, MOST_EVALUATIONS) / MOST_EVALUATIONS * totals[:, None])
        else:
            epochs_between = math.ceil(most / longest / MOST_EVALUATIONS)
            marks = epochs_between * np.arange(1, MOST_EVALUATIONS + 1)
            steps = _ceil(marks * period[:, None])
        before_end = steps[:, (steps < totals[:, None]).all(axis=0)]
        return np.column_stack([_rising(before_end), totals]).astype(np.int32)


def _ceil(x: np.ndarray) -> np.ndarray:
    """Return ⌈x⌉, where a whole number that rounding has lifted a little stays what it is."""
    return np.ceil(x - 1e-12 * np.abs(x))


def _rising(steps: np.ndarray) -> np.ndarray:
    """Leave out the evaluations (columns) since which a fold (row) would make no update."""
    if (np.diff(steps, axis=1) > 0).all():
        return steps
    chosen = [0]
    for k in range(1, steps.shape[1]):
        if (steps[:, k] > steps[:, chosen[-1]]).all():
            chosen.append(k)
    return steps[:, chosen]


@dataclasses.dataclass(frozen=True, eq=False)
class Group:
    """The configurations that share one compiled program.

    Its configurations are numbered by *row*; its trials from 0 in the order of (row, seed, fold).

    Attributes:
        configs: the numbers of its configurations in the space, int array (rows,).
        static: hyperparameters that the program is compiled for.
        labels: what tables show of them.
        numbers: traced hyperparameters, name to array (rows,).
        fold_numbers: traced numbers in which folds differ, name to array (folds,).
        steps: updates of a trial of each configuration in each fold, int32 (rows, folds).
        evaluations: updates made at each evaluation in each fold, int32 (folds, evaluations), for
            each configuration; the last one ends the trial.
        steps_per_epoch: updates in a pass over the training examples of each fold, float (folds,);
            NaN for a `jf.Trial`.
        seeds: repetitions.
        folds: folds, 1 without cross-validation.
        requests_seed: whether the number of the repetition is one of the traced hyperparameters.
        started_at: updates that each trial has behind it when it begins, int32 (rows, seeds,
            folds); None for no trial any.
    """

    configs: np.ndarray
    static: dict[str, Any]
    labels: dict[str, Any]
    numbers: dict[str, np.ndarray]
    fold_numbers: dict[str, np.ndarray]
    steps: np.ndarray
    evaluations: tuple[np.ndarray, ...]
    steps_per_epoch: np.ndarray
    seeds: int
    folds: int
    requests_seed: bool = False
    started_at: np.ndarray | None = None

    @property
    def trials(self) -> int:
        """Configurations × seeds × folds."""
        return len(self.configs) * self.seeds * self.folds

    def place(self, trials: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the row, the seed and the fold of trials."""
        row, member = np.divmod(trials, self.seeds * self.folds)
        seed, fold = np.divmod(member, self.folds)
        return row, seed, fold

    @property
    def lane_steps(self) -> int:
        """Updates that all trials make, if none is stopped."""
        before = 0 if self.started_at is None else int(self.started_at.sum())
        return int(self.steps.sum()) * self.seeds - before

    @property
    def largest_fold(self) -> int:
        """The fold with the most training examples, by which evaluations are counted."""
        return int(np.argmax(self.steps_per_epoch))

    @property
    def traced_names(self) -> tuple[str, ...]:
        """The names of what is traced, `steps` aside."""
        return (*self.numbers, *self.fold_numbers, *(("seed",) if self.requests_seed else ()))

    def until(self, rows: np.ndarray, folds: np.ndarray, evaluations: np.ndarray) -> np.ndarray:
        """Return the updates made at these evaluations, int32 array; 0 past the last one."""
        kind, steps, _ = self._timetable
        return steps[kind[rows], folds, evaluations]

    def evaluation_count(self, rows: np.ndarray) -> np.ndarray:
        """Return how many evaluations the trials of these configurations have, int array."""
        kind, _, counts = self._timetable
        return counts[kind[rows]]

    @functools.cached_property
    def distinct_evaluations(self) -> list[np.ndarray]:
        """The distinct arrays of `evaluations`, which configurations share."""
        return list({id(steps): steps for steps in self.evaluations}.values())

    @functools.cached_property
    def _timetable(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Which of the distinct arrays of `evaluations` each row has; those, padded; lengths."""
        distinct = self.distinct_evaluations
        number = {id(steps): i for i, steps in enumerate(distinct)}
        counts = np.array([steps.shape[1] for steps in distinct])
        padded = np.zeros((len(distinct), self.folds, counts.max() + 1), np.int32)
        for here, steps in zip(padded, distinct, strict=True):
            here[:, : steps.shape[1]] = steps
        return np.array([number[id(steps)] for steps in self.evaluations]), padded, counts

    def traced(
        self, rows: int | np.ndarray, seeds: int | np.ndarray, folds: int | np.ndarray
    ) -> dict[str, Any]:
        """Return the traced hyperparameters of trials, without `steps`."""
        own = {"seed": np.asarray(seeds, np.int32)} if self.requests_seed else {}
        of_rows = {name: x[rows] for name, x in self.numbers.items()}
        return {**of_rows, **{name: x[folds] for name, x in self.fold_numbers.items()}, **own}

    def table(self) -> HyperparameterTable:
        """Return the traced hyperparameters of each configuration, `steps` among them.

        Where folds differ in one of them, configurations have an entry for each fold.
        """
        is_alike = not self.fold_numbers and (self.steps == self.steps[:, :1]).all()
        folds = 1 if is_alike else self.folds
        rows, fold = (x.ravel() for x in np.indices((len(self.configs), folds)))
        traced = self.traced(rows, np.zeros_like(rows), fold)
        return HyperparameterTable({**traced, "steps": self.steps[rows, fold]})

    def started(self, started_at: np.ndarray) -> "Group":
        """Return the group with trials that have made so many updates, (rows, seeds, folds).

        What they were evaluated at before is left out.
        """
        distinct: dict[tuple[int, bytes], np.ndarray] = {}
        evaluations = []
        for steps, of_seeds in zip(self.evaluations, started_at, strict=True):
            before = of_seeds[0]  # they are alike
            key = id(steps), before.tobytes()
            if key not in distinct:
                distinct[key] = steps[:, (steps > before[:, None]).all(axis=0)]
            evaluations.append(distinct[key])
        return dataclasses.replace(self, evaluations=tuple(evaluations), started_at=started_at)

    def shortened(self, row: int, fold: int, steps: int) -> "Group":
        """Return the group with the trials of one configuration and fold ending after `steps`.

        Their schedules still know the whole length. The configuration's trials of other folds end
        there, too.
        """
        evaluations = list(self.evaluations)
        own = evaluations[row][fold]
        before = own[own < steps]
        evaluations[row] = np.tile(np.append(before, steps).astype(np.int32), (self.folds, 1))
        return dataclasses.replace(self, evaluations=tuple(evaluations))


def groups_of(
    space: Space, problem: Problem, length: TrialLength, batch_size: int | None, seeds: int
) -> list[Group]:
    """Group the configurations of a space by their static hyperparameters, in order."""
    traced = [x for x in space.names if x not in ("batch_size", "steps") and space.is_number(x)]
    numbers = {name: space.numbers(name) for name in traced}
    statics = [name for name in space.names if name not in (*traced, "steps")]
    identities = [space.identities(name) for name in statics]
    members_by_identity: dict[tuple, list[int]] = {}
    for i in range(len(space)):
        members_by_identity.setdefault(tuple(column[i] for column in identities), []).append(i)

    own_steps = space.numbers("steps").tolist() if "steps" in space.names else [None] * len(space)
    groups = []
    for members in members_by_identity.values():
        first = members[0]
        static = {name: space.columns[name][first] for name in statics}
        static = problem.with_defaults(static, batch_size)
        steps_per_epoch = problem.steps_per_epoch(static)
        own = [own_steps[i] for i in members]
        evaluations = {x: length.evaluations(steps_per_epoch, x) for x in dict.fromkeys(own)}
        kind = {x: i for i, x in enumerate(evaluations)}
        totals = np.stack([steps[:, -1] for steps in evaluations.values()])
        groups.append(
            Group(
                configs=np.array(members),
                static=static,
                labels={**static, **{name: space.labels(name)[first] for name in statics}},
                numbers={name: x[members] for name, x in numbers.items()},
                fold_numbers=problem.fold_numbers(static),
                steps=totals[[kind[x] for x in own]],
                evaluations=tuple(evaluations[x] for x in own),
                steps_per_epoch=steps_per_epoch,
                seeds=seeds,
                folds=problem.folds,
                requests_seed=problem.requests_seed,
            )
        )
    return groups
