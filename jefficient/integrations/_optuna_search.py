"""A sweep's search by a study of Optuna: ask a batch, tell what became of it."""

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import optuna
import xarray as xr
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import TrialState

from .._core.errors import ArgumentError, JefficientError, JefficientWarning
from ..results import Status, at_evaluations, counted_evaluations, status_of
from ..spaces import Choice, LogUniform, Range, Space, from_points, static_combinations
from ..sweeps._search import Goal
from ._optuna import WHERE
from ._optuna_storage import Heartbeats, opened

ABOUT = "jefficient"
"""The study's attribute that says which sweep it is of."""

FAILED = "failed"
"""A trial's attribute: why its configuration has no score. Trials that were lost do not have it."""

MOST_SEEN = 20
"""Intermediate values of a trial at most."""


class Outcome(NamedTuple):
    """What a trial is told: its state, None where it was interrupted; its value; why it failed; (step, value) pairs."""

    state: TrialState | None
    value: float | None
    failed: str | None
    seen: list[tuple[int, float]]


class OptunaSearch:
    """See `jf.optuna`; it is a `jefficient.sweep.Search`.

    Attributes:
        study: the study, once the sweep has begun.
        batch: trials asked for at once.
        combinations: static combinations of the ranges.
        left: trials that may still come.
    """

    def __init__(
        self,
        given: Any,
        n: int,
        batch: int,
        storage: Any,
        study_name: str | None,
        ranges: Mapping[str, Range],
    ):
        self._given, self._n, self._storage, self._study_name = given, n, storage, study_name
        self._ranges = dict(ranges)
        self._distributions = {name: distribution(each) for name, each in ranges.items()}
        self.batch, self.combinations, self.left = batch, static_combinations(ranges), n
        self.study: optuna.Study = given if isinstance(given, optuna.Study) else None  # pyright: ignore
        self._reset()

    def _reset(self) -> None:
        self._columns: dict[str, list[float]] = {
            name: [] for name in self._ranges
        }  # of all configurations so far
        self._numbers: list[int] = []  # of the trial that proposed each of them
        self._outcomes: list[Outcome] = []
        self._asked: list[tuple[optuna.Trial, int]] = []  # and which configuration it proposes
        self._heartbeats: Heartbeats | None = None
        self._is_exhausted = False
        self._disconnect: Callable[[], None] = lambda: None

    def __repr__(self) -> str:
        names = ", ".join(self._ranges)
        return (
            f"OptunaSearch({type(self._given).__name__}, n={self._n}, batch={self.batch}; {names})"
        )

    def example(self) -> Space:
        """The lowest number of each range, the first value of each choice."""
        first = {name: [0 if isinstance(x, Choice) else x.low] for name, x in self._ranges.items()}
        return from_points(self._ranges, first)[0]

    def begin(self, goal: Goal) -> None:
        """Open the study, or begin it."""
        self._reset()
        if not isinstance(self._given, optuna.Study):
            self.study, self._disconnect = opened(
                self._given, self._storage, self._study_name, goal.mode
            )
        directions = [x.name.lower() for x in self.study.directions]
        if directions != [f"{goal.mode}imize"]:
            raise ArgumentError(
                f"{WHERE}: the study must {goal.mode}imize one score, got the directions {directions}."
            )
        about = self.study.user_attrs.get(ABOUT)
        if about is None:
            self.study.set_user_attr(ABOUT, dict(goal.about))
        for name, x in goal.about.items():
            if about is not None and about.get(name) != x:
                raise ArgumentError(
                    f"{WHERE}: a study must stay with one sweep, got {name}={x!r} for {self.study.study_name!r}, which "
                    f"was begun with {about.get(name)!r}. Give another study_name."
                )
        if self._told() >= self._n:
            raise ArgumentError(
                f"{WHERE}: n must be more than the study's trials, got n={self._n} and {self._told()} trials in "
                f"{self.study.study_name!r}. Give a larger n, or another study_name."
            )

    def ask(self) -> Space | None:
        """A batch, without what is known; None where the study has its n trials, or the sampler proposes no more."""
        while not self._is_exhausted and (left := self._n - self._told()) > 0:
            self.left = left
            with _quiet():
                optuna.storages.fail_stale_trials(self.study)
                trials = [self.study.ask(self._distributions) for _ in range(min(self.batch, left))]
            self._heartbeats = Heartbeats(self.study, trials)
            known = len(self._numbers)
            columns = {
                name: x + [self._number(t, name) for t in trials]
                for name, x in self._columns.items()
            }
            space, places = from_points(self._ranges, columns)
            self._asked = list(zip(trials, places[known:].tolist(), strict=True))
            if len(space) > known:
                new = [int(np.flatnonzero(places == i)[0]) for i in range(known, len(space))]
                self._columns = {
                    name: x[:known] + [x[i] for i in new] for name, x in columns.items()
                }
                self._numbers += [trials[i - known].number for i in new]
                return space.subset(range(known, len(space)))
            self._tell_all()
        return None

    def tell(self, dataset: xr.Dataset) -> None:
        """What became of the new configurations, and so of every trial asked for."""
        self._outcomes += outcomes(dataset)
        self._tell_all()

    def whole(self) -> Space:
        """All configurations trained."""
        if not self._outcomes:
            raise JefficientError(f"{WHERE}: the search ended before anything was trained.")
        return from_points(self._ranges, self._columns)[0]

    def labelled(self, dataset: xr.Dataset) -> xr.Dataset:
        """With the numbers of the trials, and the name of the study."""
        dataset = dataset.assign_coords(optuna_trial=("config", np.array(self._numbers)))
        dataset["optuna_trial"].attrs["long_name"] = (
            "number of the Optuna trial that proposed the configuration"
        )
        return dataset.assign_attrs(optuna_study=self.study.study_name)

    def close(self) -> None:
        """Fail what was asked for and never told."""
        for trial, _ in self._asked:
            self.study.tell(trial, state=TrialState.FAIL, skip_if_finished=True)
        self._end_batch()
        self._disconnect()

    def _number(self, trial: optuna.Trial, name: str) -> float:
        """What was proposed: a number, or a place among the values of a choice."""
        x, kind = trial.params[name], self._distributions[name]
        return int(kind.to_internal_repr(x)) if isinstance(kind, CategoricalDistribution) else x

    def _told(self) -> int:
        """Trials of the study that have come to an end of their own, whoever told them."""
        ends = TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL
        trials = self.study.get_trials(deepcopy=False, states=ends)
        return sum(x.state != TrialState.FAIL or FAILED in x.user_attrs for x in trials)

    def _tell_all(self) -> None:
        was_exhausted = self._is_exhausted
        for trial, config in self._asked:
            self._tell(trial, self._outcomes[config])
        self._asked = []
        self._end_batch()
        if self._is_exhausted and not was_exhausted and (told := self._told()) < self._n:
            warnings.warn(
                f"{WHERE}: n trials were to come, got n={self._n} and a {type(self.study.sampler).__name__} that has "
                f"nothing more to propose after {told}. The search ends.",
                JefficientWarning,
                stacklevel=2,
            )

    def _tell(self, trial: optuna.Trial, outcome: Outcome) -> None:
        """Told once: where others have given the trial up meanwhile, nothing is."""
        try:
            for step, value in outcome.seen:
                trial.report(value, step)
            if outcome.failed is not None:
                trial.set_user_attr(FAILED, outcome.failed)
        except optuna.exceptions.UpdateFinishedTrialError:
            return
        state = TrialState.FAIL if outcome.state is None else outcome.state
        try:
            self.study.tell(trial, outcome.value, state=state, skip_if_finished=True)
        except (
            RuntimeError
        ):  # by a sampler that would stop `study.optimize`; the trial is told by then
            if not self.study.get_trials(deepcopy=False)[trial.number].state.is_finished():
                raise
            self._is_exhausted = True
        if outcome.state is None:
            self.study.enqueue_trial(trial.params)

    def _end_batch(self) -> None:
        if self._heartbeats is not None:
            self._heartbeats.end()
            self._heartbeats = None


def distribution(given: Range) -> BaseDistribution:
    """A range as Optuna has it; of what is static its labels."""
    if isinstance(given, Choice):
        return CategoricalDistribution(
            tuple(given.values) if given.labels is None else given.labels
        )
    is_log = isinstance(given, LogUniform)
    if given.integer:
        return IntDistribution(int(given.low), int(given.high), log=is_log)
    return FloatDistribution(float(given.low), float(given.high), log=is_log)


def outcomes(dataset: xr.Dataset) -> list[Outcome]:
    """What the trial of each configuration is told: means over seeds and folds."""
    order = ("config", "seed", "fold")
    values = dataset[dataset.attrs["metric"]].transpose(*order, "evaluation").values.astype(float)
    score = at_evaluations(values, counted_evaluations(dataset)).mean(
        axis=(1, 2)
    )  # NaN where a trial has none
    curve, step = values.mean(axis=(1, 2)), dataset["step"].transpose("config", "evaluation").values
    diverged_at = dataset["diverged_at"].transpose(*order).values
    return [
        _outcome(status, float(score[c]), diverged_at[c], _thinned(step[c], curve[c]))
        for c, status in enumerate(status_of(dataset))
    ]


def _thinned(step: np.ndarray, curve: np.ndarray) -> list[tuple[int, float]]:
    """Evenly taken, the last one with them: a database takes milliseconds for each."""
    seen = np.flatnonzero(np.isfinite(curve))
    every = -(-len(seen) // MOST_SEEN) or 1
    return [(int(step[i]), float(curve[i])) for i in seen[::-every][::-1]]


def _outcome(
    status: np.ndarray, score: float, diverged_at: np.ndarray, seen: list[tuple[int, float]]
) -> Outcome:
    if (status == Status.DIVERGED).any():
        step = int(diverged_at[diverged_at >= 0].min())
        return Outcome(TrialState.FAIL, None, f"diverged at update {step}", seen)
    if (status == Status.STOPPED).any():
        return Outcome(TrialState.PRUNED, None, None, seen)
    if (status != Status.FINISHED).any():
        return Outcome(None, None, None, seen)
    if not np.isfinite(score):
        return Outcome(TrialState.FAIL, None, "its score is not finite", seen)
    return Outcome(TrialState.COMPLETE, score, None, seen)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Optuna's warnings that heartbeats are experimental, and are for `optimize`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        warnings.filterwarnings("ignore", "Heartbeat of storage")
        yield
