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
from .checkpoint import Durable, attributes, dataset_of
from .planning import Plan, Prepared, Running, assemble, checked, forecast, plan_of
from .scheduler import Host, reporter
from .tasks import WHERE


def run_locally(prepared: Prepared, running: Running) -> Result:
    """Run a sweep on the devices of this process; see `jf.sweep`."""
    with ExitStack() as stack:
        durable = None
        if running.directory is not None:
            durable = Durable(prepared, running.directory, running.snapshot_every)
            stack.callback(durable.close)
        plan = choose_plan(prepared, running, durable)
        report, close = reporter(WHERE, running.progress)
        stack.callback(close)
        slots = jax.local_devices() * plan.blocks
        widths = [program.width for program in plan.programs]
        engine = assemble(prepared, widths, slots, report, stack, in_step=plan.in_step)
        if durable is not None:
            durable.begin(engine, plan)
        report(engine.record.progress())
        with interruptible() as is_asked:
            if until_done(engine, durable, is_asked) and is_asked():
                warnings.warn(f"{WHERE}: interrupted too late: the sweep is whole.", JefficientWarning, stacklevel=4)
    dataset = dataset_of(prepared, engine.record, attributes(prepared, plan, engine.record.seconds, engine.record.busy))
    programs = Trained(prepared)
    result = Result(dataset, dict(prepared.space.columns), engine.record.weights, programs=programs)
    return dataclasses.replace(result, test=tested(prepared, result))


def choose_plan(prepared: Prepared, running: Running, durable: Durable | None, pieces: int = 1) -> Plan:
    """The user's plan; or the directory's, where the sweep can go on exactly; or what measuring or the rules give."""
    is_measured = isinstance(running.plan, str) and running.plan == "measure"
    if running.plan is not None and not is_measured:
        return checked(prepared, running.plan)
    found = None if durable is None else durable.plan()
    if found is not None:
        return found
    if is_measured:
        return forecast(prepared, measure=True)
    return plan_of(prepared, pieces=pieces)


def until_done(engine: Host, durable: Durable | None, is_asked: Callable[[], bool]) -> bool:
    """Until all is done, True; or until it is asked to end: then what is not over is interrupted, False."""

    def between(engine: Host) -> None:
        is_ending = is_asked()
        if durable is not None:
            durable.between(engine, is_ending=is_ending)
        if is_ending:
            raise Interrupted

    engine.between = between
    try:
        engine.run()
    except Interrupted:
        _say_interrupted(engine, durable)
        return False
    if durable is not None:
        durable.between(engine, is_ending=True)
    return True


def _say_interrupted(engine: Host, durable: Durable | None) -> None:
    progress = engine.record.progress()
    engine.record.interrupt()
    more = "" if durable is None else " The same call goes on from here."
    warnings.warn(
        f"{WHERE}: interrupted with {progress.trials_done} of {progress.trials} trials done; the result says "
        f"'interrupted' of the others.{more}",
        JefficientWarning,
        stacklevel=6,
    )
