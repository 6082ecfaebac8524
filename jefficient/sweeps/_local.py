"""A sweep on this machine, until all is done or until Ctrl-C."""

import dataclasses
import warnings
from collections.abc import Callable
from contextlib import ExitStack

import jax

from .._core.errors import JefficientWarning
from ..results import Result
from ._interrupt import Interrupted, interruptible
from ._retrain import Trained
from ._test_set import tested
from .checkpoint import Checkpointer, attributes, dataset_of
from .planning import Plan, RunOptions, SweepSpec, assemble, checked, forecast, plan_of
from .scheduler import Scheduler, reporter
from .tasks import WHERE


def run_locally(spec: SweepSpec, options: RunOptions) -> Result:
    """Run a sweep on the devices of this process; see `jf.sweep`."""
    with ExitStack() as stack:
        checkpointer = None
        if options.directory is not None:
            checkpointer = Checkpointer(spec, options.directory, options.snapshot_every)
            stack.callback(checkpointer.close)
        plan = choose_plan(spec, options, checkpointer)
        report, close = reporter(WHERE, options.progress)
        stack.callback(close)
        slots = jax.local_devices() * plan.blocks
        widths = [program.width for program in plan.programs]
        scheduler = assemble(spec, widths, slots, report, stack, in_step=plan.in_step)
        if checkpointer is not None:
            checkpointer.begin(scheduler, plan)
        report(scheduler.record.progress())
        with interruptible() as is_asked:
            if until_done(scheduler, checkpointer, is_asked) and is_asked():
                warnings.warn(
                    f"{WHERE}: interrupted too late: the sweep is whole.",
                    JefficientWarning,
                    stacklevel=4,
                )
    dataset = dataset_of(
        spec,
        scheduler.record,
        attributes(spec, plan, scheduler.record.seconds, scheduler.record.utilization),
    )
    programs = Trained(spec)
    result = Result(dataset, dict(spec.space.columns), scheduler.record.weights, programs=programs)
    return dataclasses.replace(result, test=tested(spec, result))


def choose_plan(
    spec: SweepSpec, options: RunOptions, checkpointer: Checkpointer | None, pieces: int = 1
) -> Plan:
    """The user's plan; or the directory's, where the sweep can go on exactly; or what measuring or the rules give."""
    is_measured = isinstance(options.plan, str) and options.plan == "measure"
    if options.plan is not None and not is_measured:
        return checked(spec, options.plan)
    found = None if checkpointer is None else checkpointer.plan()
    if found is not None:
        return found
    if is_measured:
        return forecast(spec, measure=True)
    return plan_of(spec, pieces=pieces)


def until_done(
    scheduler: Scheduler, checkpointer: Checkpointer | None, is_asked: Callable[[], bool]
) -> bool:
    """Until all is done, True; or until it is asked to end: then what is not over is interrupted, False."""

    def between(scheduler: Scheduler) -> None:
        is_ending = is_asked()
        if checkpointer is not None:
            checkpointer.between(scheduler, is_ending=is_ending)
        if is_ending:
            raise Interrupted

    scheduler.between = between
    try:
        scheduler.run()
    except Interrupted:
        _say_interrupted(scheduler, checkpointer)
        return False
    if checkpointer is not None:
        checkpointer.between(scheduler, is_ending=True)
    return True


def _say_interrupted(scheduler: Scheduler, checkpointer: Checkpointer | None) -> None:
    progress = scheduler.record.progress()
    scheduler.record.interrupt()
    more = "" if checkpointer is None else " The same call goes on from here."
    warnings.warn(
        f"{WHERE}: interrupted with {progress.trials_done} of {progress.trials} trials done; the result says "
        f"'interrupted' of the others.{more}",
        JefficientWarning,
        stacklevel=6,
    )
