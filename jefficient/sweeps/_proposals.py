"""A sweep whose configurations are proposed while it runs: rounds of one engine's programs, put together."""

import dataclasses
import json
import time
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from .._core.devices import Machine
from .._core.errors import ArgumentError, JefficientWarning
from .._core.typing import Tree
from ..results import Result, concatenated, ranking
from ._finish import finish
from ._interrupt import interruptible
from ._local import train
from ._search import Goal, Search
from .checkpoint import attributes, dataset_of
from .planning import Plan, RunOptions, Settings, SweepSpec, assemble, group_key, plan_of, prepare
from .scheduler import ProgramCache, Progress, reporter
from .tasks import WHERE, Task

_ATTRIBUTES = ("metric", "mode", "select", "data", "optimizer")
_CALL = ("steps", "epochs", "batch_size", "seeds", "folds", "eval_every", "stop", "key")


def run_search(
    given: tuple[Any, Any],
    search: Search,
    settings: Settings,
    options: RunOptions,
    machine: Machine,
) -> Result:
    """Ask, train, tell, until the search ends; see `jf.sweep`."""
    _check(options)
    example = prepare(*given, search.example(), settings)
    with ExitStack() as stack:
        report, close = reporter(WHERE, options.progress)
        stack.callback(close)
        stack.callback(search.close)
        search.begin(_goal(example, machine))
        is_asked = stack.enter_context(interruptible())
        rounds = _Rounds(given, search, settings, example, report, machine)
        while not is_asked() and (space := search.ask()) is not None:
            search.tell(rounds.run(space, is_asked))
        rounds.report_end()
        if is_asked() and rounds.is_whole:
            warnings.warn(
                f"{WHERE}: interrupted after {rounds.count} rounds; what was trained has been told.",
                JefficientWarning,
                stacklevel=4,
            )
    return rounds.together()


class _Best(NamedTuple):
    """The configurations whose weights are kept: their results, their numbers among all, and the weights."""

    dataset: xr.Dataset
    configs: list[int]
    weights: dict[tuple[int, int, int], Tree]


class _Rounds:
    """Rounds of one search: they share the programs, which keep the width of the first round that has them."""

    def __init__(
        self,
        given: tuple[Any, Any],
        search: Search,
        settings: Settings,
        example: SweepSpec,
        report: Callable,
        machine: Machine,
    ):
        self._machine = machine
        self._given, self._search, self._settings, self._report = given, search, settings, report
        task, optimizer = given
        if isinstance(task, Task):  # the test rows are evaluated once, at the end
            task = dataclasses.replace(task, test=None)
        self._without_test = task, optimizer
        self._trials_each = settings.seeds * example.problem.folds
        self._built = ProgramCache()
        self._widths: dict[str, int] = {}
        self._datasets: list[xr.Dataset] = []
        self._progress: Progress | None = None
        self._best: _Best | None = None
        self._begun = time.monotonic()

    def run(self, space: Any, is_asked: Callable[[], bool]) -> xr.Dataset:
        """Train these configurations."""
        begun = time.monotonic() - self._begun
        spec = prepare(*self._without_test, space, self._settings)
        plan, before = self._plan(spec), self._progress
        with ExitStack() as stack:
            scheduler = assemble(
                spec,
                plan,
                self._machine,
                lambda progress: self._report_sum(spec, before, progress),
                stack,
                self._built,
            )
            train(scheduler, is_asked)
            self._widths |= {group_key(queue.group): queue.width for queue in scheduler.queues}
        record = scheduler.record
        self._progress = self._sum(spec, before, record.progress())
        dataset = dataset_of(
            spec, record, attributes(spec, plan, record.seconds, record.utilization)
        )
        dataset["seconds"] = dataset["seconds"].copy(data=dataset["seconds"].values + begun)
        self._keep(spec, dataset, record.weights)
        self._datasets.append(dataset)
        return dataset

    @property
    def count(self) -> int:
        """Rounds so far."""
        return len(self._datasets)

    @property
    def is_whole(self) -> bool:
        """Whether the last round was not cut short."""
        return not (self._datasets and (self._datasets[-1]["status"] == "interrupted").any())

    def report_end(self) -> None:
        """Nothing more is to come, as much as may have been expected."""
        over = self._progress
        if over is not None and over.trials > over.trials_done:
            self._report(dataclasses.replace(over, trials=over.trials_done, steps=over.steps_done))

    def together(self) -> Result:
        """One result of all rounds."""
        spec = prepare(*self._given, self._search.whole(), self._settings)
        seconds = time.monotonic() - self._begun
        utilization = np.average(
            [x.attrs["utilization"] for x in self._datasets],
            weights=[x.sizes["config"] for x in self._datasets],
        )
        about = attributes(spec, self._plan(spec), seconds, float(utilization)) | {
            "rounds": len(self._datasets)
        }
        dataset = self._search.labelled(concatenated(self._datasets).assign_attrs(about))
        weights = {} if self._best is None else self._best.weights
        return finish(spec, dataset, weights)

    def _plan(self, spec: SweepSpec) -> Plan:
        """The rules' for an even share of a round; programs that have run keep their width."""
        share = -(-self._search.batch * self._trials_each // self._search.combinations)
        plan = plan_of(spec, self._machine, share)
        programs = [
            dataclasses.replace(x, width=self._widths.get(x.static, x.width)) for x in plan.programs
        ]
        return dataclasses.replace(plan, programs=tuple(programs))

    def _keep(
        self, spec: SweepSpec, dataset: xr.Dataset, weights: dict[tuple[int, int, int], Tree]
    ) -> None:
        """Keep the weights of the best of all rounds so far."""
        first = sum(x.sizes["config"] for x in self._datasets)
        configs = list(range(first, first + dataset.sizes["config"]))
        weights = {(first + c, seed, fold): tree for (c, seed, fold), tree in weights.items()}
        if self._best is not None:
            dataset = concatenated([self._best.dataset, dataset])
            configs, weights = self._best.configs + configs, self._best.weights | weights
        best = np.sort(ranking(dataset, spec.score)[: self._settings.keep_configs])
        kept = [configs[i] for i in best]
        self._best = _Best(
            dataset.isel(config=best), kept, {at: x for at, x in weights.items() if at[0] in kept}
        )

    def _report_sum(self, spec: SweepSpec, before: Progress | None, now: Progress) -> None:
        self._report(self._sum(spec, before, now))

    def _sum(self, spec: SweepSpec, before: Progress | None, now: Progress) -> Progress:
        """The progress of all rounds; those to come are taken to be as this one."""
        expected = self._search.left * self._trials_each
        done, steps = (0, 0) if before is None else (before.trials_done, before.steps_done)
        scores = [x.best for x in (before, now) if x is not None and x.best is not None]
        return dataclasses.replace(
            now,
            trials_done=done + now.trials_done,
            trials=done + max(expected, now.trials),
            steps_done=steps + now.steps_done,
            steps=steps + now.steps * max(expected, now.trials) // now.trials,
            seconds=time.monotonic() - self._begun,
            diverged=now.diverged + (0 if before is None else before.diverged),
            stopped=now.stopped + (0 if before is None else before.stopped),
            best=min(scores, key=lambda x: spec.score.sign * x) if scores else None,
        )


def _check(options: RunOptions) -> None:
    """Arguments of `jf.sweep` that are for tables of configurations."""
    advice = {
        "plan": "Leave it out: the first round decides on the widths.",
        "directory": "Leave it out: the search's own storage keeps what was told.",
        "executor": "Leave it out, and start the same program several times on one storage.",
    }
    for name, text in advice.items():
        if getattr(options, name) is not None:
            raise ArgumentError(
                f"{WHERE}: {name} must be None where configurations are proposed while the sweep runs, got "
                f"{name}={getattr(options, name)!r}. {text}"
            )


def _goal(spec: SweepSpec, machine: Machine) -> Goal:
    attrs = attributes(spec, plan_of(spec, machine), 0.0, 0.0)
    call = json.loads(attrs["call"])
    about = {**{name: attrs[name] for name in _ATTRIBUTES}, **{name: call[name] for name in _CALL}}
    return Goal(spec.score.mode, {**about, "diverged_above": repr(attrs["diverged_above"])})
