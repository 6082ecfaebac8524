"""A sweep in parts, each an ordinary sweep in a worker process of any executor."""

import dataclasses
import json
import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    Executor,
    Future,
    wait,
)
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from .._core.arithmetic import difference
from .._core.debugging import DebugTools, tools_off
from .._core.devices import Machine
from .._core.errors import ArgumentTypeError, ExecutorError, JefficientError
from .._core.warn import warn
from ..results import (
    NO_CHECKPOINTS,
    Checkpoints,
    Log,
    Result,
    Status,
    by_fold,
    concatenated,
    curves_of,
    ranking,
    status_of,
)
from ..spaces import Space
from ._debugging import Debugger
from ._finish import finish
from ._interrupt import EndRequest
from ._local import run_locally, warn_interrupted
from ._logging import begin_log
from ._part_folders import part_folders
from ._portable import jax_settings, packed, portable_error, unpacked, use_jax_settings
from .checkpoint import attributes
from .planning import Plan, RunOptions, Settings, Starts, SweepSpec, prepare
from .scheduler import Progress
from .tasks import WHERE, Optimizer, Task, Trial

DEFAULT_PARTS = 8
"""Parts, where the caller names no number."""

TRIES = 3
"""Times a part is handed out before it is given up: a worker may be lost with it twice."""

_MOMENT = 0.5
"""Seconds after which it is asked again whether the sweep shall end."""


class PartResult(NamedTuple):
    """What a part returns: its dataset, weights and states; or the error that its code raised."""

    dataset: xr.Dataset | None
    held: Checkpoints = NO_CHECKPOINTS
    error: Exception | None = None


def split_configs(spec: SweepSpec, parts: int) -> list[np.ndarray]:
    """Return the configurations of each part, int arrays.

    Configurations of one group stay together, as far as equal parts allow.
    """
    order = np.concatenate([group.configs for group in spec.groups])
    return [np.sort(x) for x in np.array_split(order, min(parts, len(order)))]


def run_in_parts(
    given: tuple[Task | Trial, Optimizer | None],
    spec: SweepSpec,
    options: RunOptions,
    plan: Plan,
    machine: Machine,
    on_progress: Callable[[Progress], object],
    end: EndRequest,
    stack: ExitStack,
) -> Result:
    """Hand the parts out, those that are lost again, and put the results together.

    When the sweep is asked to end, parts that have not begun do not begin, and those under way are
    waited for; they know the limit of time themselves.
    """
    executor = _checked(options.executor)
    configs = split_configs(spec, options.parts or DEFAULT_PARTS)
    folders = part_folders(options.directory, len(configs))
    common = _Common.of(given, spec, options, plan, end)
    parts = _parts_of(spec, configs, folders)
    debugger = Debugger(spec, machine.tools)
    debugger.begin()
    whole = _Whole(spec, plan, configs, debugger, begin_log(options, stack))
    report = end.asked_by(on_progress)

    def take(index: int, found: PartResult) -> None:
        whole.take(index, found)
        report(whole.progress())

    with end.on_interrupt():
        try:
            calls = [(packed(common), packed(part)) for part in parts]
            for index, found in _gathered(executor, calls, end):
                take(index, found or _run_part(common, parts[index], end))
        except ExecutorError as error:
            end.note("with its executor")
            for index in set(range(len(configs))) - set(whole.results):
                # a worker may hold the folder still
                take(index, _run_part(common, parts[index]._replace(folder=None), end))
            error.result = whole.result()
            raise

    progress = whole.progress()
    if progress.trials_done < progress.trials:
        end.note("in a worker")
        warn_interrupted(end, progress, has_directory=options.directory is not None)
    return whole.result()


class _Common(NamedTuple):
    """What all parts of a sweep are given; `deadline`: the time at which they end, inf for none."""

    task: Task | Trial
    optimizer: Optimizer | None
    settings: Settings
    plan: Plan
    snapshot_every: float
    deadline: float
    of_jax: dict[str, Any]

    @classmethod
    def of(
        cls,
        given: tuple[Task | Trial, Optimizer | None],
        spec: SweepSpec,
        options: RunOptions,
        plan: Plan,
        end: EndRequest,
    ) -> "_Common":
        """Take from the whole what parts share."""
        task, optimizer = given
        if isinstance(task, Task):  # the test set is evaluated once, when all parts are there
            task = task.without_test()
        settings = dataclasses.replace(spec.settings, start=None)  # each part has its own
        if settings.layers:  # the layers of all parts, in one order
            settings = dataclasses.replace(settings, layers=tuple(spec.problem.layers))
        deadline = time.time() + end.seconds_left
        every = options.snapshot_every
        return cls(task, optimizer, settings, plan, every, deadline, jax_settings())


class _Part(NamedTuple):
    """What one part has of its own: configurations, where they start, a folder or None."""

    space: Space
    start: Starts | None
    folder: Path | None


def _parts_of(
    spec: SweepSpec, configs: list[np.ndarray], folders: Sequence[Path | None]
) -> list[_Part]:
    starts = [None if spec.starts is None else spec.starts.subset(own) for own in configs]
    spaces = [spec.space.subset(own) for own in configs]
    return [_Part(*own) for own in zip(spaces, starts, folders, strict=True)]


class _Whole:
    """A sweep whose parts come in: what is known of it, and in the end its result."""

    def __init__(
        self,
        spec: SweepSpec,
        plan: Plan,
        configs: list[np.ndarray],
        debugger: Debugger,
        log: Log,
    ):
        self.results: dict[int, PartResult] = {}
        self._tallies: list[_Tally] = []
        self._spec = spec
        self._plan = plan
        self._configs = configs
        self._debugger = debugger
        self._log = log
        self._begun = time.monotonic()

    def take(self, index: int, part: PartResult) -> None:
        """Take the result of a part."""
        dataset, configs = part.dataset, self._configs[index]
        assert dataset is not None
        _check_diverged(self._debugger, self._spec, configs, dataset)
        self._log.of(lambda: dataset, configs)(curves_of(dataset))
        self.results[index] = part
        self._tallies.append(_Tally.of(dataset))

    def progress(self) -> Progress:
        return _progress(self._spec, self._tallies, self._seconds)

    def result(self) -> Result:
        """Put the parts together."""
        in_order = [self.results[i] for i in range(len(self._configs))]
        return _put_together(self._spec, self._plan, self._configs, in_order, self._seconds)

    @property
    def _seconds(self) -> float:
        return time.monotonic() - self._begun


def _check_diverged(
    debugger: Debugger, spec: SweepSpec, configs: np.ndarray, dataset: xr.Dataset
) -> None:
    """Train again what has diverged in a part, where JAX's debugging tools are on here."""
    own = status_of(dataset)
    status = np.full((len(spec.space), *own.shape[1:]), Status.RUNNING, int)
    diverged_at = np.zeros_like(status)
    status[configs] = own
    diverged_at[configs] = dataset["diverged_at"].transpose("config", "seed", "fold").values
    debugger.check(status, diverged_at)


def run_part(common: bytes, own: bytes) -> bytes:
    """Run one part in a worker, as an ordinary sweep.

    What its code raises is returned, so that the part is not tried again.
    """
    try:
        of_all: _Common = unpacked(common)
        is_limited = of_all.deadline != math.inf
        end = EndRequest(of_all.deadline - time.time() if is_limited else None, is_part=True)
        use_jax_settings(of_all.of_jax)
        part = _run_part(of_all, unpacked(own), end)
        if end.is_orphan:  # nobody takes the part or ends this worker
            os._exit(1)
        return packed(part)
    except Exception as error:
        return packed(PartResult(None, error=portable_error(error)))


@tools_off()
def _run_part(common: _Common, own: _Part, end: EndRequest) -> PartResult:
    """Run one part on this machine; one that is asked to end at once has what its folder has."""
    machine = dataclasses.replace(Machine.here(), tools=DebugTools())  # the whole checks its parts
    plan = dataclasses.replace(common.plan, device=machine.device_kind, devices=machine.devices)
    settings = dataclasses.replace(common.settings, start=own.start)
    spec = prepare(common.task, common.optimizer, own.space, settings)
    options = RunOptions(plan, own.folder, common.snapshot_every, progress=False)
    result = run_locally(spec, options, machine, end, is_part=True)
    return PartResult(result.dataset, Checkpoints(result.weights, result.states))


def _gathered(
    executor: Executor, calls: list[tuple[bytes, bytes]], end: EndRequest
) -> Iterator[tuple[int, PartResult | None]]:
    """Yield the index and the result of each part, as they come in.

    None is the result of one that has not begun, or was lost, when the sweep was asked to end.
    """
    tries = [0] * len(calls)
    waiting: dict[Future[bytes], int] = {}

    def ended(how: str, cause: BaseException | None = None) -> ExecutorError:
        error = ExecutorError(
            f"{WHERE}: executor must run {len(calls)} parts, got {executor!r}: {how}. The error's "
            f"attribute `result` has what was finished; with directory=… the same call goes on "
            f"where each part was."
        )
        error.__cause__ = cause
        return error

    def submit(index: int) -> ExecutorError | None:
        """Hand a part out; return why that cannot be."""
        tries[index] += 1
        try:
            future = executor.submit(run_part, *calls[index])
        except (BrokenExecutor, RuntimeError) as error:
            return ended(f"it takes no work any more ({error})", error)
        if not isinstance(future, Future):
            return ended(f"its submit returned {future!r}, which is no Future")
        waiting[future] = index
        return None

    # After a failure no part is handed out any more, and those under way are waited for.
    failure: ExecutorError | None = None
    for index in range(len(calls)):
        failure = failure or submit(index)
    try:
        while waiting:
            wait(waiting, timeout=_MOMENT, return_when=FIRST_COMPLETED)
            is_ending = end()
            if is_ending:
                for future in waiting:
                    future.cancel()
            for future in [x for x in waiting if x.done()]:  # `wait` leaves out some cancelled ones
                index = waiting.pop(future)
                outcome = _outcome(future)
                if isinstance(outcome, PartResult):
                    if outcome.error is not None:
                        raise outcome.error
                    yield index, outcome
                elif is_ending:
                    yield index, None
                elif tries[index] < TRIES:
                    failure = failure or submit(index)
                else:
                    how = f"part {index} was lost {TRIES} times, last by {outcome!r}"
                    failure = failure or ended(how, outcome)
    finally:
        for future in waiting:
            future.cancel()
    if failure is not None:
        raise failure


def _outcome(future: Future[bytes]) -> PartResult | BaseException:
    """Return the part of a future that is done, or what it was lost by."""
    try:
        part = unpacked(future.result())
    except Exception as error:
        return error
    return part if isinstance(part, PartResult) else TypeError(f"{part!r} is not what it was given")


def _put_together(
    spec: SweepSpec,
    plan: Plan,
    configs: list[np.ndarray],
    parts: list[PartResult],
    seconds: float,
) -> Result:
    """Make one result, its configurations in the order of the space."""
    datasets = [part.dataset for part in parts if part.dataset is not None]
    each = [x.attrs["utilization"] for x in datasets]
    utilization = float(np.average(each, weights=[x.sizes["config"] for x in datasets]))
    about = attributes(spec, plan, seconds, utilization) | {"parts": len(configs)}
    kinds = {x.attrs["arithmetic"] for x in datasets}
    if len(kinds) > 1:
        one, two, *_ = map(json.loads, kinds)
        warn(
            f"{WHERE}: the parts ran on machines whose numbers differ in the last bits: "
            f"{difference(one, two)}."
        )
    order = np.argsort(np.concatenate(configs))
    dataset = concatenated(datasets, order).assign_attrs(about)

    best = set(ranking(dataset, spec.score)[: spec.settings.keep_configs].tolist())
    held = NO_CHECKPOINTS
    for own, part in zip(configs, parts, strict=True):
        held |= part.held.of({i: int(c) for i, c in enumerate(own) if int(c) in best})
    return finish(spec, dataset, held)


class _Tally(NamedTuple):
    """What progress is made of, counted once when a part comes in."""

    configs: int
    trials: int
    steps_made: int
    steps_whole: int  # if no trial had been stopped or had diverged
    diverged: int
    stopped: int
    utilization: float
    best: float | None

    @classmethod
    def of(cls, dataset: xr.Dataset) -> "_Tally":
        """Count the trials and updates of a part."""
        status = status_of(dataset)
        sizes = dataset.sizes
        steps = by_fold(dataset, "step").max(axis=-1)
        whole = np.broadcast_to(steps, (sizes["config"], sizes["fold"])).sum()
        before = int(dataset["started_at"].sum())
        return cls(
            configs=sizes["config"],
            trials=int((status != Status.INTERRUPTED).sum()),
            steps_made=int(dataset["steps_taken"].sum()) - before,
            steps_whole=int(whole) * sizes["seed"] - before,
            diverged=int((status == Status.DIVERGED).sum()),
            stopped=int((status == Status.STOPPED).sum()),
            utilization=float(dataset.attrs["utilization"]),
            best=_best_score(dataset),
        )


def _progress(spec: SweepSpec, parts: list[_Tally], seconds: float) -> Progress:
    made = sum(part.steps_made for part in parts)
    over = sum(part.steps_whole for part in parts)
    whole = sum(group.lane_steps for group in spec.groups)
    weights = [part.configs for part in parts]
    scores = [part.best for part in parts if part.best is not None]
    return Progress(
        trials_done=sum(part.trials for part in parts),
        trials=sum(group.trials for group in spec.groups),
        steps_done=made,
        steps=made + whole - over,
        seconds=seconds,
        rate=made / seconds if seconds > 0 else 0.0,
        diverged=sum(part.diverged for part in parts),
        stopped=sum(part.stopped for part in parts),
        utilization=float(np.average([part.utilization for part in parts], weights=weights)),
        metric=spec.score.metric,
        best=min(scores, key=lambda score: spec.score.sign * score, default=None),
    )


def _best_score(dataset: xr.Dataset) -> float | None:
    try:
        return Result(dataset).best().score
    except JefficientError:
        return None


def _checked(executor: object) -> Executor:
    if not isinstance(executor, Executor):
        raise ArgumentTypeError(
            f"{WHERE}: executor must be a concurrent.futures.Executor, got {executor!r}. Dask's "
            f"client has client.get_executor()."
        )
    return executor
