"""A sweep cut into programs, one for each static combination, and a program's trials in the order they are queued."""

import dataclasses
import functools
import math
from typing import Any

import numpy as np

from ..._core.errors import ArgumentError
from ...spaces import Space
from ..tasks import WHERE, HyperparameterTable, Problem

MOST_EVALUATIONS = 50
"""Evaluations that `eval_every=None` makes at most."""


@dataclasses.dataclass(frozen=True)
class TrialLength:
    """How long trials train and when they are evaluated: the arguments of `jf.sweep`."""

    steps: int | None
    epochs: float | None
    eval_every: int | None

    def total(self, steps_per_epoch: float, own: int | None) -> int:
        """Updates of a trial; `own` where it is a hyperparameter."""
        if own is not None:
            total = own
        elif self.steps is not None:
            total = self.steps
        else:
            assert self.epochs is not None
            total = _ceil(self.epochs * steps_per_epoch)
        if not 1 <= total <= np.iinfo(np.int32).max:
            raise ArgumentError(
                f"{WHERE}: a trial must have at least one and fewer than 2**31 updates, got {total}."
            )
        return total

    def evaluations(self, total: int, steps_per_epoch: float) -> tuple[int, ...]:
        """Updates made at each evaluation, rising; the last one ends the trial."""
        if self.eval_every is not None:
            evaluations = list(range(self.eval_every, total, self.eval_every))
        else:
            period = steps_per_epoch if math.isfinite(steps_per_epoch) else 1.0
            between = math.ceil(
                total / period / MOST_EVALUATIONS
            )  # whole epochs from evaluation to evaluation
            evaluations = [_ceil(k * between * period) for k in range(1, MOST_EVALUATIONS + 1)]
        return (*(evaluation for evaluation in evaluations if evaluation < total), total)


def _ceil(x: float) -> int:
    """⌈x⌉, but a whole number that rounding has lifted a little stays what it is."""
    return math.ceil(x - 1e-12 * abs(x))


@dataclasses.dataclass(frozen=True, eq=False)
class Group:
    """The configurations that share one compiled program.

    Attributes:
        configs: their numbers in the space.
        static: hyperparameters that the program is compiled for.
        labels: what tables show of them.
        numbers: traced hyperparameters, name to array (configs,).
        steps: updates of a trial of each configuration, int32 (configs,).
        evaluations: updates made at each evaluation, for each configuration; the last one ends the
            trial.
        steps_per_epoch: updates in a pass over the training rows, NaN where there are none.
        seeds: repetitions.
        folds: how many there are.
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
        """All of them; trial i is (configuration, seed, fold) by `place`."""
        return len(self.configs) * self.seeds * self.folds

    def place(self, trials: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Row in this program, seed and fold of trials: those of a configuration come one after another."""
        row, member = np.divmod(trials, self.seeds * self.folds)
        return row, *np.divmod(member, self.folds)

    def until(self, rows: np.ndarray, evaluations: np.ndarray) -> np.ndarray:
        """Updates made at evaluation `evaluations` of the configurations in these rows, int32 array; 0 past the last one."""
        kind, steps, _ = self._schedule
        return steps[kind[rows], evaluations]

    def evaluation_count(self, rows: np.ndarray) -> np.ndarray:
        """Evaluations that trials of the configurations in these rows come to, int array."""
        kind, _, counts = self._schedule
        return counts[kind[rows]]

    @functools.cached_property
    def _schedule(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Which row of the evaluations that there are each configuration has; those, padded; and how many each row has."""
        known = {
            id(evaluations): evaluations for evaluations in self.evaluations
        }  # configurations share them
        place = {key: i for i, key in enumerate(known)}
        counts = np.array([len(evaluations) for evaluations in known.values()])
        steps = np.zeros((len(known), counts.max() + 1), np.int32)
        for row, evaluations in zip(steps, known.values(), strict=True):
            row[: len(evaluations)] = evaluations
        return np.array([place[id(evaluations)] for evaluations in self.evaluations]), steps, counts

    def rows(self) -> "HyperparameterTable":
        """The traced hyperparameters of each configuration, with what the engine injects."""
        return HyperparameterTable({**self.numbers, "steps": self.steps})


def programs(
    space: Space, problem: Problem, lengths: TrialLength, batch_size: int | None, seeds: int
) -> list[Group]:
    """The static combinations of a space, in the order in which they come."""
    names = [
        name
        for name in space.names
        if name not in ("batch_size", "steps") and space.is_number(name)
    ]
    numbers = {name: space.numbers(name) for name in names}
    statics = [name for name in space.names if name not in (*names, "steps")]
    contents = [space.identities(name) for name in statics]
    groups: dict[tuple, list[int]] = {}
    for i in range(len(space)):
        groups.setdefault(tuple(column[i] for column in contents), []).append(i)
    own = space.numbers("steps").tolist() if "steps" in space.names else [None] * len(space)
    result = []
    for members in groups.values():
        static = {name: space.columns[name][members[0]] for name in statics}
        static = problem.with_defaults(static, batch_size)
        per_epoch, configs = problem.steps_per_epoch(static), np.array(members)
        totals = [lengths.total(per_epoch, own[i]) for i in members]
        evaluations = {total: lengths.evaluations(total, per_epoch) for total in set(totals)}
        result.append(
            Group(
                configs,
                static,
                {**static, **{name: space.labels(name)[members[0]] for name in statics}},
                {n: x[configs] for n, x in numbers.items()},
                np.array(totals, np.int32),
                tuple(evaluations[total] for total in totals),
                per_epoch,
                seeds,
                problem.folds,
            )
        )
    return result
