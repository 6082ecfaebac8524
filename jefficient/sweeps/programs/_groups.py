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


@dataclasses.dataclass(frozen=True)
class TrialLength:
    """How long trials train and when they are evaluated: the arguments of `jf.sweep`."""

    steps: int | None
    epochs: float | None
    eval_every: int | None

    def total(self, steps_per_epoch: float, own: int | None) -> int:
        """Return the updates of a trial; `own` where `steps` is a hyperparameter."""
        if own is not None:
            total = own
        elif self.steps is not None:
            total = self.steps
        else:
            assert self.epochs is not None
            total = _ceil(self.epochs * steps_per_epoch)
        if not 1 <= total <= np.iinfo(np.int32).max:
            raise ArgumentError(
                f"{WHERE}: a trial must have at least one and fewer than 2**31 updates, "
                f"got {total}."
            )
        return total

    def evaluations(self, total: int, steps_per_epoch: float) -> tuple[int, ...]:
        """Return the updates made at each evaluation, rising; the last one ends the trial."""
        if self.eval_every is not None:
            steps = list(range(self.eval_every, total, self.eval_every))
        else:
            period = steps_per_epoch if math.isfinite(steps_per_epoch) else 1.0
            epochs_between = math.ceil(total / period / MOST_EVALUATIONS)
            steps = [_ceil(k * epochs_between * period) for k in range(1, MOST_EVALUATIONS + 1)]
        return (*(step for step in steps if step < total), total)


def _ceil(x: float) -> int:
    """Return ⌈x⌉, where a whole number that rounding has lifted a little stays what it is."""
    return math.ceil(x - 1e-12 * abs(x))


@dataclasses.dataclass(frozen=True, eq=False)
class Group:
    """The configurations that share one compiled program.

    Its configurations are numbered by *row*; its trials from 0 in the order of (row, seed, fold).

    Attributes:
        configs: the numbers of its configurations in the space, int array (rows,).
        static: hyperparameters that the program is compiled for.
        labels: what tables show of them.
        numbers: traced hyperparameters, name to array (rows,).
        steps: updates of a trial of each configuration, int32 (rows,).
        evaluations: updates made at each evaluation, for each configuration; the last one ends the
            trial.
        steps_per_epoch: updates in a pass over the training examples, NaN for a `jf.Trial`.
        seeds: repetitions.
        folds: folds, 1 without cross-validation.
    """

    configs: np.ndarray
    static: dict[str, Any]
    labels: dict[str, Any]
    numbers: dict[str, np.ndarray]
    steps: np.ndarray
    evaluations: tuple[tuple[int, ...], ...]
    steps_per_epoch: float
    seeds: int
    folds: int

    @property
    def trials(self) -> int:
        """Configurations × seeds × folds."""
        return len(self.configs) * self.seeds * self.folds

    def place(self, trials: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the row, the seed and the fold of trials."""
        row, member = np.divmod(trials, self.seeds * self.folds)
        seed, fold = np.divmod(member, self.folds)
        return row, seed, fold

    def until(self, rows: np.ndarray, evaluations: np.ndarray) -> np.ndarray:
        """Return the updates made at these evaluations, int32 array; 0 past the last one."""
        kind, steps, _ = self._schedule
        return steps[kind[rows], evaluations]

    def evaluation_count(self, rows: np.ndarray) -> np.ndarray:
        """Return how many evaluations the trials of these configurations have, int array."""
        kind, _, counts = self._schedule
        return counts[kind[rows]]

    @functools.cached_property
    def _schedule(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The distinct tuples of `evaluations`: which one each row has; those, padded; lengths."""
        distinct = {id(steps): steps for steps in self.evaluations}  # configurations share them
        number = {key: i for i, key in enumerate(distinct)}
        counts = np.array([len(steps) for steps in distinct.values()])
        padded = np.zeros((len(distinct), counts.max() + 1), np.int32)
        for row, steps in zip(padded, distinct.values(), strict=True):
            row[: len(steps)] = steps
        return np.array([number[id(steps)] for steps in self.evaluations]), padded, counts

    def rows(self) -> HyperparameterTable:
        """Return the traced hyperparameters of each configuration, `steps` among them."""
        return HyperparameterTable({**self.numbers, "steps": self.steps})

    def shortened(self, row: int, steps: int) -> "Group":
        """Return the group with one configuration ending after so many updates.

        Its schedules still know its whole length.
        """
        evaluations = list(self.evaluations)
        before = tuple(step for step in evaluations[row] if step <= steps)
        evaluations[row] = before if steps in before else (*before, steps)
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
        totals = [length.total(steps_per_epoch, own_steps[i]) for i in members]
        evaluations = {x: length.evaluations(x, steps_per_epoch) for x in set(totals)}
        groups.append(
            Group(
                configs=np.array(members),
                static=static,
                labels={**static, **{name: space.labels(name)[first] for name in statics}},
                numbers={name: x[members] for name, x in numbers.items()},
                steps=np.array(totals, np.int32),
                evaluations=tuple(evaluations[total] for total in totals),
                steps_per_epoch=steps_per_epoch,
                seeds=seeds,
                folds=problem.folds,
            )
        )
    return groups
