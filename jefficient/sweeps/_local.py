"""A sweep on the devices of this process."""

from collections.abc import Callable
from contextlib import ExitStack

from .._core.devices import Machine
from .._core.errors import StorageError
from .._core.warn import warn
from ..results import Curves, Result
from ._debugging import Debugger
from ._finish import finish
from ._interrupt import EndRequest
from ._logging import begin_log
from .checkpoint import Checkpointer, attributes, dataset_of
from .planning import Plan, RunOptions, SweepSpec, assemble, checked_plan, plan_of, timed_plan
from .scheduler import Progress, Scheduler, reporter
from .tasks import WHERE


def run_locally(
    spec: SweepSpec,
    options: RunOptions,
    machine: Machine,
    end: EndRequest,
    *,
    is_part: bool = False,
) -> Result:
    """Run a sweep until every trial is over, or until it is asked to end; see `jf.sweep`.

    What has become of a part is said by the whole.
    """
    with ExitStack() as stack:
        checkpointer = None
        if options.directory is not None:
            checkpointer = Checkpointer(spec, options.directory, options.snapshot_every)
            stack.callback(checkpointer.close)
        plan = choose_plan(spec, options, machine, checkpointer)
        on_progress, close = reporter(WHERE, options.progress)
        stack.callback(close)
        on_progress = end.asked_by(on_progress)
        scheduler = assemble(spec, plan, machine, on_progress, stack)
        if checkpointer is not None:
            checkpointer.begin(scheduler, plan)
        tell = begin_log(options, stack).of(lambda: dataset_of(spec, scheduler.record, {}))
        on_progress(scheduler.record.progress())
        with end.on_interrupt():
            debugger = Debugger(spec, machine.tools)
            debugger.begin()
            progress = train(scheduler, end, debugger, tell, checkpointer)

    if progress.trials_done < progress.trials and not is_part:
        is_saved = checkpointer is not None and checkpointer.is_saved
        warn_interrupted(end, progress, has_directory=is_saved)
    elif end.is_interrupted and not is_part:
        warn(f"{WHERE}: interrupted too late: every trial is over.")
    record = scheduler.record
    about = attributes(spec, plan, record.seconds, record.utilization)
    return finish(spec, dataset_of(spec, record, about), record.checkpoints)


def choose_plan(
    spec: SweepSpec,
    options: RunOptions,
    machine: Machine,
    checkpointer: Checkpointer | None = None,
    parts: int = 1,
) -> Plan:
    """Choose the user's plan; or the directory's, if the sweep can go on exactly; or make one."""
    is_measured = isinstance(options.plan, str) and options.plan == "measure"
    if options.plan is not None and not is_measured:
        return checked_plan(spec, machine, options.plan)
    found = None if checkpointer is None else checkpointer.plan()
    if found is not None:
        return found
    if is_measured:
        return timed_plan(spec, machine, measure=True)
    return plan_of(spec, machine, parts=parts)


class _InterruptedError(Exception):
    """Ends a scheduler's loop."""


def train(
    scheduler: Scheduler,
    end: EndRequest,
    debugger: Debugger,
    tell: Callable[[Curves], None],
    checkpointer: Checkpointer | None = None,
) -> Progress:
    """Run a scheduler until every trial is over, or until it is asked to end; return how far it is.

    Trials that are not over then have the status `interrupted`.
    """

    def at_boundary(scheduler: Scheduler) -> None:
        if end():
            write_last(scheduler)
            raise _InterruptedError
        if checkpointer is not None:
            checkpointer.at_boundary(scheduler)

    def write_last(scheduler: Scheduler) -> None:
        """Write a snapshot; the result is not thrown away for one that cannot be written."""
        try:
            if checkpointer is not None:
                checkpointer.write_last(scheduler)
        except StorageError as error:
            warn(f"{error} The result is returned all the same.")

    on_segment = scheduler.on_segment

    def after_segment() -> None:
        curves = scheduler.record.curves
        debugger.check(curves.status, curves.diverged_at)
        on_segment()
        tell(curves)

    scheduler.on_segment = after_segment
    scheduler.is_ending = end
    scheduler.at_boundary = at_boundary
    try:
        if end():  # before anything is compiled
            at_boundary(scheduler)
        scheduler.run()
    except _InterruptedError:
        progress = scheduler.record.progress()
        scheduler.record.interrupt()
        tell(scheduler.record.curves)
        return progress
    tell(scheduler.record.curves)
    write_last(scheduler)
    return scheduler.record.progress()


def warn_interrupted(end: EndRequest, progress: Progress, *, has_directory: bool) -> None:
    """Say that a result is partial, and why."""
    more = " The same call goes on from here." if has_directory else ""
    warn(
        f"{WHERE}: interrupted {end.reason} with {progress.trials_done} of {progress.trials} "
        f"trials done; the others have the status 'interrupted'.{more}"
    )
