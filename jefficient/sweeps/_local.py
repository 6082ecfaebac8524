"""A sweep on the devices of this process."""

from collections.abc import Callable
from contextlib import ExitStack

from .._core.devices import Machine
from .._core.warn import warn
from ..results import Result
from ._finish import finish
from ._interrupt import interruptible
from .checkpoint import Checkpointer, attributes, dataset_of
from .planning import Plan, RunOptions, SweepSpec, assemble, checked_plan, plan_of, timed_plan
from .scheduler import Scheduler, reporter
from .tasks import WHERE


def run_locally(spec: SweepSpec, options: RunOptions, machine: Machine) -> Result:
    """Run a sweep until every trial is over, or until Ctrl-C; see `jf.sweep`."""
    with ExitStack() as stack:
        checkpointer = None
        if options.directory is not None:
            checkpointer = Checkpointer(spec, options.directory, options.snapshot_every)
            stack.callback(checkpointer.close)
        plan = choose_plan(spec, options, machine, checkpointer)
        on_progress, close = reporter(WHERE, options.progress)
        stack.callback(close)
        scheduler = assemble(spec, plan, machine, on_progress, stack)
        if checkpointer is not None:
            checkpointer.begin(scheduler, plan)
        on_progress(scheduler.record.progress())
        with interruptible() as is_interrupted:
            is_whole = train(scheduler, is_interrupted, checkpointer)
            if is_whole and is_interrupted():
                warn(f"{WHERE}: interrupted too late: every trial is over.")

    record = scheduler.record
    about = attributes(spec, plan, record.seconds, record.utilization)
    return finish(spec, dataset_of(spec, record, about), record.weights)


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
    is_interrupted: Callable[[], bool],
    checkpointer: Checkpointer | None = None,
) -> bool:
    """Run a scheduler until every trial is over; return False if it was interrupted before.

    Trials that are not over then have the status `interrupted`.
    """

    def at_boundary(scheduler: Scheduler) -> None:
        is_ending = is_interrupted()
        if checkpointer is not None:
            checkpointer.at_boundary(scheduler, is_ending=is_ending)
        if is_ending:
            raise _InterruptedError

    scheduler.at_boundary = at_boundary
    try:
        scheduler.run()
    except _InterruptedError:
        progress = scheduler.record.progress()
        scheduler.record.interrupt()
        more = "" if checkpointer is None else " The same call goes on from here."
        warn(
            f"{WHERE}: interrupted with {progress.trials_done} of {progress.trials} trials done; "
            f"the others have the status 'interrupted'.{more}"
        )
        return False
    if checkpointer is not None:
        checkpointer.at_boundary(scheduler, is_ending=True)
    return True
