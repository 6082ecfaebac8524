"""The host's side of a sweep: prepare it, lay it out, run it, label the numbers."""

import dataclasses
import warnings
from contextlib import ExitStack
from typing import Any

import jax

from .._core.errors import JefficientWarning
from ..results import Result
from ._assemble import assemble
from ._durable import Durable
from ._forecast import forecast
from ._interrupt import interruptible
from ._interruptible_run import until_done
from ._labelled import attributes, dataset_of
from ._named import WHERE
from ._parts import DEFAULT, check_whole, run_in_parts
from ._plan import Plan, checked, plan_of
from ._prepared import Prepared, prepare
from ._progress import reporter
from ._replay import Trained
from ._rounds import run_in_rounds
from ._search import Search
from ._settings import Running, Settings
from ._winner import tested


def run(task: Any, optimizer: Any, space: Any, settings: Settings, running: Running) -> Result:
    """Run a sweep; see `jf.sweep`."""
    if isinstance(space, Search):
        return run_in_rounds((task, optimizer), space, settings, running)
    prepared = prepare(task, optimizer, space, settings)
    if running.executor is not None:
        with ExitStack() as stack:
            report, close = reporter(WHERE, running.progress)
            stack.callback(close)
            return run_in_parts((task, optimizer), prepared, settings, running, _plan(prepared, running, None), report)
    with ExitStack() as stack:
        durable = None
        if running.directory is not None:
            check_whole(running.directory)
            durable = Durable(prepared, running.directory, running.snapshot_every)
            stack.callback(durable.close)
        plan = _plan(prepared, running, durable)
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
                warnings.warn(f"{WHERE}: interrupted too late: the sweep is whole.", JefficientWarning, stacklevel=3)
    dataset = dataset_of(prepared, engine.record, attributes(prepared, plan, engine.record.seconds, engine.record.busy))
    programs = Trained(prepared)
    result = Result(dataset, dict(prepared.space.columns), engine.record.weights, programs=programs)
    return dataclasses.replace(result, test=tested(prepared, result))


def _plan(prepared: Prepared, running: Running, durable: Durable | None) -> Plan:
    """The user's plan; or the directory's, where the sweep can go on exactly; or what measuring or the rules give."""
    is_measured = isinstance(running.plan, str) and running.plan == "measure"
    if running.plan is not None and not is_measured:
        return checked(prepared, running.plan)
    found = None if durable is None else durable.plan()
    if found is not None:
        return found
    if is_measured:
        return forecast(prepared, measure=True)
    return plan_of(prepared, pieces=1 if running.executor is None else running.parts or DEFAULT)
