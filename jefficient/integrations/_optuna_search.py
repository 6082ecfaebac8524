"""The search of `jf.optuna`: a study proposes batches of configurations, and is told."""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import optuna
import xarray as xr
from optuna.trial import TrialState

from .._core.errors import ArgumentError
from .._core.warn import warn
from ..results import FAILED, Outcome, outcomes
from ..spaces import Choice, Range, Space, from_points, positions_shape, static_combinations
from ..sweeps import Goal, Search
from ._optuna_record import Points, Record
from ._optuna_seed import Reseeded
from ._optuna_storage import Heartbeats, database_at

ABOUT = "jefficient"
"""Attribute of a study: which sweep it belongs to."""

MOST_COPIES = 200
"""Proposals in a row that are known already, after which nothing new is expected."""


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
        storage: str | optuna.storages.BaseStorage | None,
        study_name: str | None,
        ranges: Mapping[str, Range],
    ):
        self._given = given
        self._n = n
        self._storage = storage
        self._study_name = study_name
        self._ranges = dict(ranges)
        self._points = Points(ranges)
        sampler = given.sampler if isinstance(given, optuna.Study) else given
        self._sampler = Reseeded(sampler)

        self.batch = batch
        self.static_combinations = static_combinations(ranges)
        self.remaining = n
        self.study: optuna.Study = given if isinstance(given, optuna.Study) else None  # pyright: ignore
        self._reset()

    def _reset(self) -> None:
        """Forget the configurations of an earlier sweep; the study keeps its trials."""
        self._record: Record = None  # pyright: ignore[reportAttributeAccessIssue]
        self._asked: list[tuple[optuna.Trial, str]] = []  # trials under way, their hashes
        self._new: tuple[str, ...] = ()  # the hashes of the batch under way
        self._numbers: list[int] = []  # of the trial that proposed each configuration first
        self._heartbeats: Heartbeats | None = None
        self._database: optuna.storages.RDBStorage | None = None
        self._end: str | None = None  # what has nothing more to propose
        self._has_warned = False

    def __repr__(self) -> str:
        names = ", ".join(self._ranges)
        given = type(self._given).__name__
        return f"OptunaSearch({given}, n={self._n}, batch={self.batch}; {names})"

    def example(self) -> Space:
        """Return the lowest number of each range and the first value of each choice."""
        first = {
            name: np.full((1, *positions_shape(x)), 0 if isinstance(x, Choice) else x.low)
            for name, x in self._ranges.items()
        }
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
        self._record = Record(self.study, self._points)
        told = self._record.read()
        if told >= self._n:
            raise ArgumentError(
                f"jf.optuna: n must be more than the study's trials, got n={self._n} and {told} "
                f"trials in {self.study.study_name!r}. Give a larger n, or another study_name."
            )
        if self._left() <= 0:
            raise ArgumentError(
                f"jf.optuna: a configuration without a result must be left, got ranges of "
                f"{self._points.size} configurations and a result of each in "
                f"{self.study.study_name!r}. Give wider ranges, or another study_name."
            )

    def ask(self) -> Space | None:
        """Return the new configurations of a batch; None if n are told or none are left."""
        told = self._record.read()
        self.remaining = int(min(self._n - told, self._left()))
        if self.remaining > 0 and self._end is None:
            self._propose(min(self.batch, self.remaining))
            if self._asked:
                return self._new_configurations()

        if told < self._n and not self._has_warned:
            self._has_warned = True
            why = self._end or f"ranges of {self._points.size} configurations"
            warn(
                f"jf.optuna: n trials of different points were to come, got n={self._n} and {why}. "
                f"The search ends after {told}."
            )
        return None

    def tell(self, dataset: xr.Dataset) -> None:
        """Tell every trial of the batch what became of its configuration."""
        told = dict(zip(self._new, outcomes(dataset), strict=True))
        for trial, text in self._asked:
            self._tell(trial, told[text])
        self._asked = []
        self._end_batch()
        self._record.outcomes |= {text: x for text, x in told.items() if x.state is not None}

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

    def _left(self) -> float:
        """Return how many configurations of the ranges have no result, by any process."""
        return self._points.size - len(self._record.outcomes)

    def _propose(self, count: int) -> None:
        """Ask for trials of configurations without a result; tell the others theirs at once."""
        with _without_heartbeat_warnings():
            optuna.storages.fail_stale_trials(self.study)
        self._heartbeats = Heartbeats(self.study)

        copies = 0
        while len(self._asked) < count and self._end is None:
            with self._sampler.of(self.study), _without_heartbeat_warnings():
                trial = self.study.ask(self._points.distributions)
            (text,) = self._points.space([trial])[1]
            known = self._record.outcomes.get(text)
            if known is None:
                self._heartbeats.add(trial)
                self._asked.append((trial, text))
                copies = 0
                continue

            # The evaluations before the last one are with the trial that was trained.
            self._tell(trial, known._replace(seen=known.seen[-1:]))
            copies += 1
            if copies == MOST_COPIES:
                name = type(self.study.sampler).__name__
                self._end = f"a {name} that has proposed what was told {copies} times in a row"

    def _new_configurations(self) -> Space:
        """Return the configurations of the trials under way, each once."""
        space, hashes = self._points.space([trial for trial, _ in self._asked])
        self._new = space.hashes
        self._numbers += [self._asked[hashes.index(text)][0].number for text in self._new]
        return space

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
            self._end = f"a {type(self.study.sampler).__name__} that has nothing more to propose"
        if outcome.state is None:
            self.study.enqueue_trial(trial.params)

    def _end_batch(self) -> None:
        if self._heartbeats is not None:
            self._heartbeats.end()
            self._heartbeats = None


@contextmanager
def _without_heartbeat_warnings() -> Iterator[None]:
    """Silence Optuna: heartbeats are experimental, and meant for `study.optimize`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        warnings.filterwarnings("ignore", "Heartbeat of storage")
        yield
