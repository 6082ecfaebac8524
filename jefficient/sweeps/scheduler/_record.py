"""The arrays of a sweep as they fill up."""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..._core.typing import Params
from ...results import (
    Checkpoints,
    Curves,
    Score,
    Status,
    TrialState,
    at_evaluations,
    last_evaluation,
    over_trials,
)
from ..programs import Checkpointed, Evaluation, Group, Start
from ._leaderboard import Leaderboard
from ._progress import Progress

_RUNNING = int(Status.RUNNING)  # comparing arrays with a member of an enumeration is slow
_DIVERGED = int(Status.DIVERGED)
_STOPPED = int(Status.STOPPED)

_AT_ONCE = 2**16
"""Configurations that are ranked together, so that little memory is taken beside the arrays."""

_STATE = ("status", "started_at", "steps_taken", "diverged_at", "block_width")
"""The arrays of `Curves`, beside what was measured, that a checkpoint holds."""


class Place(NamedTuple):
    """Where trials stand in the arrays: configuration, seed and fold, int arrays (n,)."""

    config: np.ndarray
    seed: np.ndarray
    fold: np.ndarray

    def take(self, which: np.ndarray) -> "Place":
        """Return some of them."""
        return Place(*(x[which] for x in self))


class Record:
    """What blocks have handed over, and what follows from it.

    An evaluation costs in proportion to its block, not to the sweep: counts and ranks are kept up
    to date as configurations complete.

    Attributes:
        curves: all arrays, NaN where nothing has been evaluated yet.
        begin_at: updates that a trial has behind it when a lane begins it, int array (configs,
            seeds, folds): `started_at`, or more where it is to go on from a state that is kept.
        leaderboard: the best configurations and their weights.
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
        seeds = groups[0].seeds
        folds = groups[0].folds
        self._score = score
        self.curves = _empty_curves((configs, seeds, folds), groups, measured, diagnostics)
        self.leaderboard = Leaderboard(score, keep_configs, seeds, folds)
        self._steps = np.zeros((configs, folds), int)
        for group, width in zip(groups, widths, strict=True):
            self._steps[group.configs] = group.steps
            if group.started_at is not None:
                self.curves.started_at[group.configs] = group.started_at
            self.curves.block_width[group.configs] = width

        self.curves.steps_taken[:] = self.curves.started_at
        self.begin_at = self.curves.started_at.copy()
        self._observed = np.zeros(configs, int)  # evaluations that the pruner has been told of
        self._missing = np.full(configs, seeds * folds)  # trials that are not over
        self._counts: Counter[int] = Counter()  # trials that are over, by status
        self._steps_made = 0
        self._steps_offered = 0  # those that lanes computed, idle ones included
        self._steps_left = int(self._steps.sum()) * seeds - int(self.curves.started_at.sum())
        self._begun = time.monotonic()
        self._trains_since: tuple[int, float] | None = None  # steps made then, and the clock

    @property
    def weights(self) -> dict[tuple[int, int, int], Params]:
        """(config, seed, fold) to the weights that are kept."""
        return self.leaderboard.weights

    @property
    def states(self) -> dict[tuple[int, int, int], dict[int, TrialState]]:
        """(config, seed, fold) to the states that are kept, by evaluation."""
        return self.leaderboard.states

    def keep(self, held: Checkpoints) -> None:
        """Take over what another record had kept."""
        self.leaderboard.weights = dict(held.weights)
        self.leaderboard.states = {trial: dict(kept) for trial, kept in held.states.items()}

    @property
    def checkpoints(self) -> Checkpoints:
        """What is kept of trials beside their numbers."""
        return Checkpoints(self.weights, self.states)

    @property
    def seconds(self) -> float:
        """Wall time since the sweep began."""
        return time.monotonic() - self._begun

    @property
    def utilization(self) -> float:
        """The share of computed lane-steps in which a trial was trained."""
        return self._steps_made / max(self._steps_offered, 1)

    def training_begins(self) -> None:
        """Say that the first program is compiled; later calls say nothing."""
        self._trains_since = self._trains_since or (self._steps_made, time.monotonic())

    @property
    def _rate(self) -> float:
        """Lane-steps a second in this process, since its first program is compiled."""
        if self._trains_since is None:
            return 0.0
        steps, clock = self._trains_since
        return (self._steps_made - steps) / max(time.monotonic() - clock, 1e-9)

    def is_running(self, place: Place) -> np.ndarray:
        """Return whether each trial is neither over nor stopped, bool."""
        return self.curves.status[place] == _RUNNING

    def add(self, place: Place, index: np.ndarray, evaluation: Evaluation, width: int) -> None:
        """Record evaluation number `index` of trials that a block of `width` lanes trains.

        Trials that were stopped while it was computed stay as they were.
        """
        curves = self.curves
        values: dict[str, Any] = evaluation.values
        step, status, diverged_at = (
            np.asarray(x) for x in (evaluation.step, evaluation.status, evaluation.diverged_at)
        )
        steps_made = step - curves.steps_taken[place]
        self._steps_offered += width * int(steps_made.max(initial=0))

        going = self.is_running(place)
        place = place.take(going)
        steps_made = steps_made[going]
        at = (*place, index[going])
        for name, x in values.items():
            self._measured(name)[at] = x[going]
        curves.seconds[at] = evaluation.seconds[going]
        curves.steps_taken[place] = step[going]
        curves.diverged_at[place] = diverged_at[going]
        self._steps_made += int(steps_made.sum())
        self._steps_left -= int(steps_made.sum())
        self._end(place, status[going])

    def _measured(self, name: str) -> np.ndarray:
        curves = self.curves
        return curves.measured[name] if name in curves.measured else curves.diagnostics[name]

    def has_improved(self, place: Place, index: np.ndarray) -> np.ndarray:
        """Return whether evaluation `index` of trials is their best one so far, bool.

        Until one has a number, the last one is.
        """
        signed = self._score.sign * self.curves.measured[self._score.metric][place]
        so_far = np.arange(signed.shape[1]) <= index[:, None]
        signed = np.where(np.isfinite(signed) & so_far, signed, np.inf)
        has_none = ~np.isfinite(signed).any(axis=1)
        return has_none | (signed.argmin(axis=1) == index)

    def stop(self, place: Place) -> None:
        """Stop those of these trials that are not over."""
        going = place.take(self.is_running(place))
        self._end(going, np.full(len(going.config), Status.STOPPED))

    def interrupt(self) -> None:
        """Mark all trials that are not over as interrupted, for good.

        Weights of those that had trained on are of where they went on from: they are left out.
        """
        for trial in list(self.weights):
            went_on = self.begin_at[trial] > self.curves.started_at[trial]
            if went_on and self.curves.status[trial] == _RUNNING:
                del self.weights[trial]
        self.curves.status[self.curves.status == _RUNNING] = Status.INTERRUPTED

    def restart(self, configs: np.ndarray, width: int) -> None:
        """Reset incomplete configurations, whose trials start again in blocks of `width` lanes."""
        curves = self.curves
        for values in (*curves.measured.values(), *curves.diagnostics.values(), curves.seconds):
            values[configs] = np.nan
        curves.status[configs] = Status.RUNNING
        self.begin_at[configs] = curves.started_at[configs]
        curves.steps_taken[configs] = curves.started_at[configs]
        curves.diverged_at[configs] = -1
        curves.block_width[configs] = width
        self._observed[configs] = 0
        self._recount(set(configs.tolist()))

    def restart_trials(self, place: Place) -> None:
        """Reset trials that are not over to where lanes begin them; others stay."""
        curves = self.curves
        begin = self.begin_at[place]
        step = curves.step[place.config, place.fold if curves.step.shape[1] > 1 else 0]
        is_later = step > begin[:, None]
        for values in (*curves.measured.values(), *curves.diagnostics.values(), curves.seconds):
            own = values[place]
            own[is_later] = np.nan
            values[place] = own
        curves.steps_taken[place] = begin
        self._recount(set())

    def go_on(self, place: Place) -> None:
        """Let trials that are over train on from their last states, which are kept."""
        self.begin_at[place] = self.curves.steps_taken[place]
        self.curves.status[place] = _RUNNING
        self._recount(set())

    def goes_on(self, place: Place) -> np.ndarray:
        """Return whether lanes begin these trials from a state that is kept, bool."""
        return self.begin_at[place] > self.curves.started_at[place]

    def start_of(self, config: int, seed: int, fold: int) -> Start | None:
        """Return what a trial goes on from, None where it begins as the sweep says."""
        trial = config, seed, fold
        step = int(self.begin_at[trial])
        if step == self.curves.started_at[trial]:
            return None
        state = next(x for x in self.states[trial].values() if x.step == step)
        signed = self._score.sign * self.curves.measured[self._score.metric][trial]
        best = None
        if trial in self.weights:
            score = np.min(signed, where=np.isfinite(signed), initial=np.inf)
            best = Checkpointed(np.float32(score), self.weights[trial])
        return Start(np.int32(step), state.state, best=best)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return what `restore` needs, but for the weights."""
        curves = self.curves
        by_evaluation = {**curves.measured, **curves.diagnostics, "seconds": curves.seconds}
        return {
            **{name: getattr(curves, name) for name in _STATE},
            **{f"evaluations/{name}": x for name, x in by_evaluation.items()},
            "begin_at": self.begin_at,
            "observed": self._observed,
            "work": np.array([self._steps_made, self._steps_offered, self.seconds]),
        }

    def restore(self, arrays: Mapping[str, np.ndarray], old: np.ndarray, new: np.ndarray) -> None:
        """Take configurations `old` of another record's arrays as configurations `new`.

        The other may have fewer seeds.
        """
        curves = self.curves
        for name in (*_STATE, "begin_at"):
            stored = arrays[name][old]
            here = self.begin_at if name == "begin_at" else getattr(curves, name)
            here[(new, *map(slice, stored.shape[1:2]))] = stored
        self._observed[new] = arrays["observed"][old]

        by_evaluation = {**curves.measured, **curves.diagnostics, "seconds": curves.seconds}
        for name, values in by_evaluation.items():
            stored = arrays[f"evaluations/{name}"]
            # The widest configuration may be another one; those that are in both fit.
            count = min(values.shape[3], stored.shape[3])
            values[new, : stored.shape[1], :, :count] = stored[old, :, :, :count]

        steps_made, steps_offered, seconds = arrays["work"]
        self._steps_made = int(steps_made)
        self._steps_offered = int(steps_offered)
        self._begun = time.monotonic() - float(seconds)
        self._recount(set())

    def unfinished(self) -> np.ndarray:
        """Return the configurations with a trial that is not over."""
        return np.flatnonzero(self._missing)

    def _recount(self, forgotten: set[int]) -> None:
        """Derive from the arrays what is otherwise kept up to date."""
        curves = self.curves
        is_over = curves.status != _RUNNING
        self._counts = Counter(curves.status[is_over].tolist())
        self._missing = (~is_over).sum(axis=(1, 2))
        left = self._steps[:, None] - curves.steps_taken
        self._steps_left = int(np.where(is_over, 0, left).sum())

        self.leaderboard.clear(forgotten)
        complete = np.flatnonzero(self._missing == 0)
        for begin in range(0, len(complete), _AT_ONCE):
            self._rank(complete[begin : begin + _AT_ONCE])

    def _end(self, place: Place, status: np.ndarray) -> None:
        """Set the status of trials; the last one that is over completes its configuration."""
        is_over = status != _RUNNING
        if not is_over.any():
            return
        self.curves.status[place] = status
        ended = place.take(is_over)
        self._counts.update(status[is_over].tolist())
        whole = self._steps[ended.config, ended.fold]
        self._steps_left -= int((whole - self.curves.steps_taken[ended]).sum())

        np.subtract.at(self._missing, ended.config, 1)
        configs = np.unique(ended.config)
        complete = configs[self._missing[configs] == 0]
        if len(complete):
            self._rank(complete)

    def _rank(self, configs: np.ndarray) -> None:
        """Enter complete configurations on the leaderboard."""
        curves = self.curves
        values = curves.measured[self._score.metric][configs]
        status = curves.status[configs]
        taken = curves.steps_taken[configs]
        last = last_evaluation(curves.step[configs, None], taken)
        scores = at_evaluations(values, self._score.evaluations(values, status, last))
        by_trial = (x.reshape(len(configs), -1) for x in (scores, status, taken))
        self.leaderboard.enter(configs, self._score.rank(*by_trial))

    def unobserved(self, configs: np.ndarray, counts: np.ndarray) -> list[tuple[int, int, float]]:
        """Return the evaluations that all trials of a configuration reached since the last call.

        Args:
            configs: the configurations, int array (n,).
            counts: how many evaluations each of them has, int array (n,).

        Returns:
            In rising order: the configuration, as its index in `configs`; the evaluation; and the
            mean score, signed so that smaller is better, inf where a trial has diverged.
        """
        found: list[tuple[int, int, float]] = []
        places = np.arange(len(configs))
        while len(places):
            places = places[self._observed[configs[places]] < counts[places]]
            index = self._observed[configs[places]]
            scores = self._scores_at(configs[places], index)
            scores = scores.reshape(len(places), np.prod(self.curves.status.shape[1:]))
            is_stopped = (self.curves.status[configs[places]] == _STOPPED).any(axis=(1, 2))
            is_reached = ~(np.isnan(scores).any(axis=1) | is_stopped)

            places = places[is_reached]
            means = over_trials(scores[is_reached])
            self._observed[configs[places]] += 1
            found.extend(
                zip(places.tolist(), index[is_reached].tolist(), means.tolist(), strict=True)
            )
        return sorted(found)

    def _scores_at(self, configs: np.ndarray, index: np.ndarray) -> np.ndarray:
        """Return the signed score of each trial (n, seeds, folds) up to evaluation `index`.

        It is inf for a trial that has diverged, NaN for one that has not been evaluated there.
        """
        curves = self.curves
        is_diverged = curves.status[configs] == _DIVERGED
        step = curves.step[configs, :, index][:, None]
        is_reached = is_diverged | (curves.steps_taken[configs] >= step)

        values = curves.measured[self._score.metric]
        if self._score.select == "best":
            so_far = np.arange(values.shape[-1]) <= index[:, None, None, None]
            signed = self._score.sign * values[configs]
            best = np.where(np.isfinite(signed) & so_far, signed, np.inf).min(axis=-1)
        else:
            signed = self._score.sign * values[configs, :, :, index]
            best = np.where(np.isfinite(signed), signed, np.inf)
        return np.where(is_reached, np.where(is_diverged, np.inf, best), np.nan)

    def progress(self) -> Progress:
        """Return how far the sweep is."""
        return Progress(
            trials_done=sum(self._counts.values()),
            trials=self.curves.status.size,
            steps_done=self._steps_made,
            steps=self._steps_made + self._steps_left,
            seconds=self.seconds,
            rate=self._rate,
            diverged=self._counts[Status.DIVERGED],
            stopped=self._counts[Status.STOPPED],
            utilization=self.utilization,
            metric=self._score.metric,
            best=self.leaderboard.best_score,
        )


def _empty_curves(
    shape: tuple[int, int, int],
    groups: Sequence[Group],
    measured: tuple[str, ...],
    diagnostics: Mapping[str, tuple[int, ...]],
) -> Curves:
    """Return the arrays of a sweep in which nothing has been evaluated yet."""
    step, steps_per_epoch = timetable(shape[0], groups)
    evaluations = step.shape[-1]

    def nothing(*more: int) -> np.ndarray:
        return np.full((*shape, evaluations, *more), np.nan, np.float32)

    return Curves(
        measured={name: nothing() for name in measured},
        diagnostics={name: nothing(*more) for name, more in diagnostics.items()},
        seconds=np.full((*shape, evaluations), np.nan),
        status=np.full(shape, _RUNNING, int),
        started_at=np.zeros(shape, int),
        steps_taken=np.zeros(shape, int),
        diverged_at=np.full(shape, -1),
        step=step,
        steps_per_epoch=steps_per_epoch,
        block_width=np.zeros(shape[0], int),
    )


def timetable(configs: int, groups: Sequence[Group]) -> tuple[np.ndarray, np.ndarray]:
    """Return `step` and `steps_per_epoch` of `Curves`, whose axis of folds has size 1 if alike."""
    distinct = [steps for group in groups for steps in group.distinct_evaluations]
    folds = groups[0].folds if any(_differs(steps) for steps in distinct) else 1
    step = np.full((configs, folds, max(steps.shape[1] for steps in distinct)), -1)
    for group in groups:
        for config, steps in zip(group.configs, group.evaluations, strict=True):
            step[config, :, : steps.shape[1]] = steps[:folds]

    periods = np.stack([group.steps_per_epoch for group in groups])
    steps_per_epoch = np.ones((configs, periods.shape[1] if _differs(periods.T) else 1))
    for group, period in zip(groups, periods, strict=True):
        steps_per_epoch[group.configs] = period[: steps_per_epoch.shape[1]]
    return step, steps_per_epoch


def _differs(values: np.ndarray) -> bool:
    """Return whether rows differ; NaN is like NaN."""
    return not np.array_equal(values, np.broadcast_to(values[:1], values.shape), equal_nan=True)
