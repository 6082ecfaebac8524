"""A sweep in parts: handed out to an executor, lost ones again, and put together."""

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

import numpy as np

from ..._core.devices import Machine
from ..._core.errors import ArgumentTypeError, ExecutorError
from ...results import Result
from .._debugging import Debugger
from .._interrupt import EndRequest
from .._local import warn_interrupted
from .._logging import begin_log
from ..planning import Plan, RunOptions, SweepSpec
from ..scheduler import Progress
from ..tasks import WHERE, Optimizer, Task, Trial
from ._folders import part_folders
from ._part import Common, Part, PartResult, run_here, run_part
from ._portable import packed, unpacked
from ._whole import Whole

DEFAULT_PARTS = 8
"""Parts, where the caller names no number."""

TRIES = 3
"""Times a part is handed out before it is given up: a worker may be lost with it twice."""

_MOMENT = 0.5
"""Seconds after which it is asked again whether the sweep shall end."""


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
    common = Common.of(given, spec, options, plan, end)
    of_all = packed(common)  # once: the data are in it
    folders = part_folders(options.directory, len(configs))
    parts = _parts_of(spec, configs, folders)
    debugger = Debugger(spec, machine.tools)
    debugger.begin()
    whole = Whole(spec, plan, configs, debugger, begin_log(options, stack))
    report = end.asked_by(on_progress)

    def take(index: int, found: PartResult) -> None:
        whole.take(index, found)
        report(whole.progress())

    with end.on_interrupt():
        try:
            calls = [(of_all, packed(part)) for part in parts]
            for index, found in _gathered(executor, calls, end):
                take(index, run_here(common, parts[index], end) if found is None else found)
        except ExecutorError as error:
            end.note("with its executor")
            for index in set(range(len(configs))) - set(whole.results):
                # a worker may hold the folder still
                take(index, run_here(common, parts[index]._replace(folder=None), end))
            error.result = whole.result()
            raise

    progress = whole.progress()
    if progress.trials_done < progress.trials:
        end.note("in a worker")
        warn_interrupted(end, progress, has_directory=options.directory is not None)
    return whole.result()


def _parts_of(
    spec: SweepSpec, configs: list[np.ndarray], folders: Sequence[Path | None]
) -> list[Part]:
    starts = [None if spec.starts is None else spec.starts.subset(own) for own in configs]
    spaces = [spec.space.subset(own) for own in configs]
    return [Part(*own) for own in zip(spaces, starts, folders, strict=True)]


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


def _checked(executor: object) -> Executor:
    if not isinstance(executor, Executor):
        raise ArgumentTypeError(
            f"{WHERE}: executor must be a concurrent.futures.Executor, got {executor!r}. Dask's "
            f"client has client.get_executor()."
        )
    return executor
