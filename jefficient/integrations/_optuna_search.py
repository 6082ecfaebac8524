"""The search of `jf.optuna`: a study proposes batches of configurations, and is told."""

import warnings
from collections.abc import Iterator, Mapping
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

from .._core.errors import ArgumentError
from .._core.warn import warn
from ..results import (
    Status,
    at_evaluations,
    counted_evaluations,
    in_largest_fold,
    over_trials,
    status_of,
)
from ..spaces import Choice, LogUniform, Range, Space, from_points, static_combinations
from ..sweeps import Goal, Search
from ._optuna_storage import Heartbeats, database_at

ABOUT = "jefficient"
"""Attribute of a study: which sweep it belongs to."""

FAILED = "failed"
"""Attribute of a trial: why its configuration has no score. Trials that were lost lack it."""

MOST_SEEN = 20
"""Intermediate values of a trial at most."""


class Outcome(NamedTuple):
    """What a trial is told.

    Attributes:
        state: None if the configuration was interrupted.
        value: its score, if it has one.
        failed: why it has no score.
        seen: (step, value) of its evaluations, thinned.
    """

    state: TrialState | None
    value: float | None
    failed: str | None
    seen: list[tuple[int, float]]


class OptunaSearch(Search):
    """See `jf.optuna`.

    Attributes:
        study: the study, once the sweep has begun.
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
        self._given = given
        self._n = n
        self._storage = storage
        self._study_name = study_name
        self._ranges = dict(ranges)
        self._distributions = {name: distribution(each) for name, each in ranges.items()}

        self.batch = batch
        self.static_combinations = static_combinations(ranges)
        self.remaining = n
        self.study: optuna.Study = given if isinstance(given, optuna.Study) else None  # pyright: ignore
        self._reset()

    def _reset(self) -> None:
        """Forget the configurations of an earlier sweep; the study keeps its trials."""
        self._configs: dict[str, int] = {}  # by hash
        self._numbers: list[int] = []  # of the trial that proposed each configuration first
        self._outcomes: list[Outcome] = []  # of each configuration
        self._asked: list[tuple[optuna.Trial, int]] = []  # trials under way, their configurations
        self._heartbeats: Heartbeats | None = None
        self._database: optuna.storages.RDBStorage | None = None
        self._is_exhausted = False

    def __repr__(self) -> str:
        names = ", ".join(self._ranges)
        given = type(self._given).__name__
        return f"OptunaSearch({given}, n={self._n}, batch={self.batch}; {names})"

    def example(self) -> Space:
        """Return the lowest number of each range and the first value of each choice."""
        first = {name: [0 if isinstance(x, Choice) else x.low] for name, x in self._ranges.items()}
        return from_points(self._ranges, first)[0]

    def begin(self, goal: Goal) -> None:
        """Open or create the study, and check that it belongs to this sweep."""
        self._reset()
        if not isinstance(self._given, optuna.Study):
            self._open_study(goal.mode)
        directions = [x.name.lower() for x in self.study.directions]
        if directions != [f"{goal.mode}imize"]:
            raise ArgumentError(
                f"jf.optuna: the study must {goal.mode}imize one score, got the directions "
                f"{directions}."
            )
        self._check_same_sweep(goal)
        told = self._told()
        if told >= self._n:
            raise ArgumentError(
                f"jf.optuna: n must be more than the study's trials, got n={self._n} and {told} "
                f"trials in {self.study.study_name!r}. Give a larger n, or another study_name."
            )

    def ask(self) -> Space | None:
        """Return the new configurations of a batch; None if n trials are told or none are left."""
        while not self._is_exhausted and (remaining := self._n - self._told()) > 0:
            self.remaining = remaining
            with _without_heartbeat_warnings():
                optuna.storages.fail_stale_trials(self.study)
                count = min(self.batch, remaining)
                trials = [self.study.ask(self._distributions) for _ in range(count)]
            self._heartbeats = Heartbeats(self.study, trials)

            new = self._new_configurations(trials)
            if new is not None:
                return new
            self._tell_all()  # all of them were trained before
        return None

    def tell(self, dataset: xr.Dataset) -> None:
        """Tell every trial of the batch what became of its configuration."""
        self._outcomes += outcomes(dataset)
        self._tell_all()

    def annotate(self, dataset: xr.Dataset) -> xr.Dataset:
        """Add the numbers of the trials and the name of the study."""
        dataset = dataset.assign_coords(optuna_trial=("config", np.array(self._numbers)))
        dataset["optuna_trial"].attrs["long_name"] = (
            "number of the Optuna trial that proposed the configuration"
        )
        return dataset.assign_attrs(optuna_study=self.study.study_name)

    def close(self) -> None:
        """Fail the trials that were asked for and never told, and disconnect."""
        for trial, _ in self._asked:
            self.study.tell(trial, state=TrialState.FAIL, skip_if_finished=True)
        self._asked = []
        self._end_batch()
        if self._database is not None:
            self._database.engine.dispose()

    def _open_study(self, mode: str) -> None:
        storage = self._storage
        if isinstance(storage, str):
            storage = self._database = database_at(storage)
        self.study = optuna.create_study(
            storage=storage,
            sampler=self._given,
            study_name=self._study_name,
            direction="minimize" if mode == "min" else "maximize",
            load_if_exists=self._study_name is not None,
        )

    def _check_same_sweep(self, goal: Goal) -> None:
        about = self.study.user_attrs.get(ABOUT)
        if about is None:
            self.study.set_user_attr(ABOUT, dict(goal.about))
            return
        for name, x in goal.about.items():
            if about.get(name) != x:
                raise ArgumentError(
                    f"jf.optuna: a study must stay with one sweep, got {name}={x!r} for "
                    f"{self.study.study_name!r}, which was begun with {about.get(name)!r}. Give "
                    f"another study_name."
                )

    def _new_configurations(self, trials: list[optuna.Trial]) -> Space | None:
        """Note which configuration each trial proposes; return those that are not known yet."""
        columns = {name: [self._number(t, name) for t in trials] for name in self._ranges}
        space, places = from_points(self._ranges, columns)
        new = [i for i, text in enumerate(space.hashes) if text not in self._configs]
        for i in new:
            self._configs[space.hashes[i]] = len(self._configs)
            self._numbers.append(trials[int(np.argmax(places == i))].number)
        self._asked = [
            (trial, self._configs[space.hashes[place]])
            for trial, place in zip(trials, places, strict=True)
        ]
        return space.subset(new) if new else None

    def _number(self, trial: optuna.Trial, name: str) -> float:
        """Return the proposed number, or the place of the proposed value in its choice."""
        x, kind = trial.params[name], self._distributions[name]
        return int(kind.to_internal_repr(x)) if isinstance(kind, CategoricalDistribution) else x

    def _told(self) -> int:
        """Return how many trials of the study were told a result, by any process."""
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
            warn(
                f"jf.optuna: n trials were to come, got n={self._n} and a "
                f"{type(self.study.sampler).__name__} that has nothing more to propose after "
                f"{told}. The search ends."
            )

    def _tell(self, trial: optuna.Trial, outcome: Outcome) -> None:
        """Tell one trial, unless another process has given it up meanwhile."""
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
        except RuntimeError:
            # A sampler at its end calls `study.stop`, which raises outside of `study.optimize`,
            # after the trial has been told.
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
    """Return the distribution of a range; a static choice is one of its labels."""
    if isinstance(given, Choice):
        values = given.values if given.labels is None else given.labels
        return CategoricalDistribution(tuple(values))
    is_log = isinstance(given, LogUniform)
    if given.integer:
        return IntDistribution(int(given.low), int(given.high), log=is_log)
    return FloatDistribution(float(given.low), float(given.high), log=is_log)


def outcomes(dataset: xr.Dataset) -> list[Outcome]:
    """Return what the trial of each configuration is told: means over seeds and folds."""
    order = ("config", "seed", "fold")
    values = dataset[dataset.attrs["metric"]].transpose(*order, "evaluation").values.astype(float)
    # NaN if any trial of the configuration has no score
    score = over_trials(at_evaluations(values, counted_evaluations(dataset)), axis=(1, 2))
    curve = over_trials(values, axis=(1, 2))
    step = in_largest_fold(dataset, "step")
    diverged_at = dataset["diverged_at"].transpose(*order).values
    return [
        _outcome(status, float(score[c]), diverged_at[c], _thinned(step[c], curve[c]))
        for c, status in enumerate(status_of(dataset))
    ]


def _thinned(step: np.ndarray, curve: np.ndarray) -> list[tuple[int, float]]:
    """Take evaluations evenly, the last one included: a database takes milliseconds for each."""
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
def _without_heartbeat_warnings() -> Iterator[None]:
    """Silence Optuna: heartbeats are experimental, and meant for `study.optimize`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        warnings.filterwarnings("ignore", "Heartbeat of storage")
        yield
