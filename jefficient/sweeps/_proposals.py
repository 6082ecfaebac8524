"""Run a search: train batches of proposals one by one with the same programs, and join them."""

import dataclasses
import json
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from .._core.checks import check_count, check_place
from .._core.devices import Machine
from .._core.errors import ArgumentError, JefficientError
from .._core.warn import warn
from ..results import (
    NO_CHECKPOINTS,
    Checkpoints,
    Log,
    Result,
    Score,
    States,
    TrialState,
    concatenated,
    ranking,
)
from ..spaces import Space
from ._debugging import Debugger
from ._finish import finish
from ._interrupt import EndRequest
from ._local import train, warn_interrupted
from ._logging import begin_log
from ._search import Goal, Search, kinds
from .checkpoint import attributes, dataset_of
from .planning import (
    Plan,
    RunOptions,
    Settings,
    Starts,
    SweepSpec,
    assemble,
    group_key,
    plan_of,
    prepare,
)
from .programs import Start
from .scheduler import Progress, reporter
from .tasks import WHERE, Optimizer, Task, Trial

_ATTRIBUTES = ("metric", "mode", "select", "data", "start", "optimizer")
_CALL = ("steps", "epochs", "batch_size", "seeds", "folds", "eval_every", "stop", "key")


def run_search(
    given: tuple[Task | Trial, Optimizer | None],
    search: Search,
    settings: Settings,
    options: RunOptions,
    machine: Machine,
    end: EndRequest,
) -> Result:
    """Ask, train and tell until the search ends; see `jf.sweep`."""
    _check_options(options)
    check_count("jf.Search", batch=getattr(search, "batch", None))
    if goes_on(search):
        _check_goes_on(settings)
    example = prepare(*given, search.example(), dataclasses.replace(settings, start=None))
    with ExitStack() as stack:
        report, close = reporter(WHERE, options.progress)
        stack.callback(close)
        stack.callback(search.close)
        Debugger(example, machine.tools).begin()
        search.begin(_goal(example, machine))
        stack.enter_context(end.on_interrupt())

        log = begin_log(options, stack)
        batches = _Batches(given, search, settings, example, end.asked_by(report), machine, log)
        while not (batches.datasets and end()) and (space := search.ask()) is not None:
            search.tell(batches.train(space, end))

        batches.report_end()
        if end.reason is not None and not batches.was_cut_short:
            warn(
                f"{WHERE}: interrupted {end.reason} after {len(batches.datasets)} batches of "
                f"proposals; what was trained has been told."
            )
    return batches.together()


class _Best(NamedTuple):
    """The best configurations: their results, numbers in the whole sweep, weights and states."""

    dataset: xr.Dataset
    configs: list[int]
    held: Checkpoints


class _Batches:
    """The batches of one search: all that was trained so far, and what trains the next one.

    They share their programs. A program keeps the width of the first batch that has it.

    Attributes:
        datasets: the results of each batch.
    """

    def __init__(
        self,
        given: tuple[Task | Trial, Optimizer | None],
        search: Search,
        settings: Settings,
        example: SweepSpec,
        report: Callable[[Progress], None],
        machine: Machine,
        log: Log,
    ):
        self._machine = machine
        self._log = log
        self._given = given
        self._search = search
        self._settings = settings
        self._report = report
        self._kinds = kinds(example.space)
        self._trials_per_config = settings.seeds * example.problem.folds
        self._begun = time.monotonic()

        self._widths: dict[str, int] = {}
        self._spaces: list[Space] = []
        self._hashes: set[str] = set()
        self._goes_on = goes_on(search)
        self._last: States = {}
        self._starts: dict[tuple[int, int, int], Start] = {}
        self._progress: Progress | None = None
        self._best: _Best | None = None
        self.datasets: list[xr.Dataset] = []

    def train(self, space: Space, end: EndRequest) -> xr.Dataset:
        """Train a proposal and return its results."""
        self._check(space)
        begun = time.monotonic() - self._begun
        spec = prepare(*self._without_test_set(), space, self._settings_of(space))
        plan = self._plan(spec)
        before = self._progress

        def total(now: Progress) -> Progress:
            seconds = time.monotonic() - self._begun
            return _total(before, now, self._trials_to_come(), seconds, spec.score)

        with ExitStack() as stack:
            scheduler = assemble(
                spec,
                plan,
                self._machine,
                lambda now: self._report(total(now)),
                stack,
            )
            first = sum(x.sizes["config"] for x in self.datasets)
            configs = first + np.arange(len(space))
            tell = self._log.of(lambda: dataset_of(spec, scheduler.record, {}), configs)
            over = train(scheduler, end, Debugger(spec, self._machine.tools), tell)
            if over.trials_done < over.trials:
                warn_interrupted(end, over, has_directory=False)
            self._widths |= {group_key(queue.group): queue.width for queue in scheduler.queues}

        record = scheduler.record
        about = attributes(spec, plan, record.seconds, record.utilization)
        dataset = dataset_of(spec, record, about)
        dataset["seconds"] = dataset["seconds"].copy(data=dataset["seconds"].values + begun)

        self._progress = total(record.progress())
        self._last = record.states
        self._best = self._best_with(dataset, record.checkpoints, spec.score)
        self._note_starts(spec.starts)
        self._spaces.append(space)
        self._hashes |= set(space.hashes)
        self.datasets.append(dataset)
        return dataset

    @property
    def was_cut_short(self) -> bool:
        """Whether the last batch was interrupted before its end."""
        return bool(self.datasets) and bool((self.datasets[-1]["status"] == "interrupted").any())

    def report_end(self) -> None:
        """Report that no more trials will come, however many were expected."""
        over = self._progress
        if over is not None and over.trials > over.trials_done:
            self._report(dataclasses.replace(over, trials=over.trials_done, steps=over.steps_done))

    def together(self) -> Result:
        """Return one result of all batches."""
        if not self.datasets:
            raise JefficientError(f"{WHERE}: the search ended before anything was trained.")
        starts = Starts(self._starts) if self._starts else None
        settings = dataclasses.replace(self._settings, start=starts)
        spec = prepare(*self._given, _joined(self._spaces), settings)
        utilization = np.average(
            [x.attrs["utilization"] for x in self.datasets],
            weights=[x.sizes["config"] for x in self.datasets],
        )
        seconds = time.monotonic() - self._begun
        about = attributes(spec, self._plan(spec), seconds, float(utilization))
        about["proposal_batches"] = len(self.datasets)
        dataset = self._search.annotate(concatenated(self.datasets).assign_attrs(about))

        return finish(spec, dataset, NO_CHECKPOINTS if self._best is None else self._best.held)

    def _settings_of(self, space: Space) -> Settings:
        """Return the settings of a batch, whose states are kept if the next one may need them."""
        if not self._goes_on:
            return self._settings
        start = self._search.start(self._last_state) if self.datasets else self._settings.start
        return dataclasses.replace(
            self._settings,
            start=start,
            keep_states="last",
            keep_configs=max(self._settings.keep_configs, len(space)),
        )

    def _last_state(self, config: int, seed: int, fold: int) -> TrialState | None:
        """Return how a trial of the last batch ended, None where one of its seeds diverged."""
        last = self.datasets[-1]
        trial = {"config": config, "seed": seed, "fold": fold}
        for name, place in trial.items():
            check_place("jf.Search: state", last.sizes[name], **{name: place})
        if (last["status"].isel(config=config) == "diverged").any():
            return None
        kept = self._last.get((config, seed, fold))
        if kept is None:
            raise ArgumentError(
                f"jf.Search: state must be asked of trials that finished, got {trial}, which was "
                f"stopped while it trained on."
            )
        return kept[max(kept)]

    def _note_starts(self, starts: Starts | None) -> None:
        """Remember what the last batch started from; states only of what is among the best."""
        assert self._best is not None
        first = sum(x.sizes["config"] for x in self.datasets)
        for (config, seed, fold), start in ({} if starts is None else starts.of).items():
            self._starts[first + config, seed, fold] = start
        for trial, start in self._starts.items():
            if trial[0] not in self._best.configs:
                self._starts[trial] = Start(start.step)

    def _check(self, space: Space) -> None:
        """Refuse a proposal that does not fit those before it."""
        if not isinstance(space, Space):
            raise ArgumentError(f"jf.Search: ask must return a jf.Space or None, got {space!r}.")
        if kinds(space) != self._kinds:
            raise ArgumentError(
                f"jf.Search: ask must propose hyperparameters of the kinds that example() has, got "
                f"{kinds(space)} and {self._kinds} in the example. Write 1.0 for a float that is "
                f"whole, and mark static values with jf.static."
            )
        known = [i for i, text in enumerate(space.hashes) if text in self._hashes]
        if known:
            raise ArgumentError(
                f"jf.Search: ask must propose what was not proposed before, got {space[known[0]]} "
                f"again. Leave it out, or return None at the end."
            )

    def _without_test_set(self) -> tuple[Task | Trial, Any]:
        """Return task and optimizer of a batch: the test set is evaluated once, at the end."""
        task, optimizer = self._given
        if isinstance(task, Task):
            task = task.without_test()
        return task, optimizer

    def _plan(self, spec: SweepSpec) -> Plan:
        """Plan for an even share of a batch; programs that have run keep their width."""
        trials = self._search.batch * self._trials_per_config
        plan = plan_of(spec, self._machine, -(-trials // self._search.static_combinations))
        return plan.with_widths([self._widths.get(x.static, x.width) for x in plan.programs])

    def _trials_to_come(self) -> int:
        """Return how many trials may come, those of the batch under way included; 0 if unknown."""
        return (self._search.remaining or 0) * self._trials_per_config

    def _best_with(self, dataset: xr.Dataset, held: Checkpoints, score: Score) -> _Best:
        """Return the best configurations of all batches, with what is held of them."""
        first = sum(x.sizes["config"] for x in self.datasets)
        configs = list(range(first, first + dataset.sizes["config"]))
        held = held.of(dict(enumerate(configs)))
        if self._best is not None:
            dataset = concatenated([self._best.dataset, dataset])
            configs = self._best.configs + configs
            held = self._best.held | held

        best = np.sort(ranking(dataset, score)[: self._settings.keep_configs])
        kept = [configs[i] for i in best]
        held = held.of({i: i for i in kept})
        if self._settings.keep_states is None:
            held = held._replace(states={})
        return _Best(dataset.isel(config=best), kept, held)


def _check_goes_on(settings: Settings) -> None:
    """Refuse what a search that goes on from states cannot have."""
    if settings.keep_states not in (None, "last"):
        raise ArgumentError(
            f"{WHERE}: keep_states must be None or 'last' for a search that goes on from states, "
            f"got keep_states={settings.keep_states!r}."
        )
    if settings.stop is not None:
        raise ArgumentError(
            f"{WHERE}: stop must be None for a search that goes on from states, since it ends "
            f"trials itself, got stop={settings.stop!r}."
        )


def goes_on(search: Search) -> bool:
    """Return whether proposals may start from states of those before them."""
    return type(search).start is not Search.start


def _total(
    before: Progress | None, now: Progress, to_come: int, seconds: float, score: Score
) -> Progress:
    """Return the progress of all batches; those to come are expected to be like the present one."""
    trials = max(to_come, now.trials)
    total = dataclasses.replace(
        now, trials=trials, steps=now.steps * trials // now.trials, seconds=seconds
    )
    if before is None:
        return total
    scores = [x.best for x in (before, now) if x.best is not None]
    return dataclasses.replace(
        total,
        trials_done=before.trials_done + now.trials_done,
        trials=before.trials_done + total.trials,
        steps_done=before.steps_done + now.steps_done,
        steps=before.steps_done + total.steps,
        diverged=before.diverged + now.diverged,
        stopped=before.stopped + now.stopped,
        best=min(scores, key=lambda x: score.sign * x, default=None),
    )


def _joined(spaces: Sequence[Space]) -> Space:
    """Return the sum of the spaces, by halves: each + reads all configurations of both sides."""
    if len(spaces) == 1:
        return spaces[0]
    middle = len(spaces) // 2
    return _joined(spaces[:middle]) + _joined(spaces[middle:])


def _check_options(options: RunOptions) -> None:
    """Refuse arguments of `jf.sweep` that only a table of configurations can have."""
    advice = {
        "plan": "Leave it out: the first batch decides on the widths.",
        "directory": "Leave it out: the search's own storage keeps what was told.",
        "executor": "Leave it out, and start the same program several times on one storage.",
    }
    for name, text in advice.items():
        if getattr(options, name) is not None:
            raise ArgumentError(
                f"{WHERE}: {name} must be None where configurations are proposed while the sweep "
                f"runs, got {name}={getattr(options, name)!r}. {text}"
            )


def _goal(spec: SweepSpec, machine: Machine) -> Goal:
    attrs = attributes(spec, plan_of(spec, machine), 0.0, 0.0)
    call = json.loads(attrs["call"])
    about = {name: attrs[name] for name in _ATTRIBUTES} | {name: call[name] for name in _CALL}
    about["diverged_above"] = repr(attrs["diverged_above"])
    return Goal(spec.score.mode, about)
