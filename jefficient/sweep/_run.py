"""The host's side of a sweep: prepare it, lay it out, run it, label the numbers."""

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import jax

from ..results import Result, to_dataset
from ._compiler import Compiler
from ._durable import Durable
from ._engine import Engine, Queue
from ._interrupt import Interrupted, interruptible
from ._lanes import Shared
from ._named import WHERE
from ._plan import Plan, checked, followed, plan_of
from ._prepared import Prepared, prepare
from ._progress import reporter
from ._record import Record
from ._settings import Running, Settings
from ._stop import Log


def run(task: Any, optimizer: Any, space: Any, settings: Settings, running: Running) -> Result:
    """Run a sweep; see `jf.sweep`."""
    prepared = prepare(task, optimizer, space, settings)
    with ExitStack() as stack:
        durable = None
        if running.directory is not None:
            durable = Durable(prepared, running.directory, running.snapshot_every)
            stack.callback(durable.close)
        plan = _plan(prepared, running, durable)
        report, close = reporter(WHERE, running.progress)
        stack.callback(close)
        engine = _engine(prepared, plan, report, stack)
        if durable is not None:
            durable.begin(engine, plan)
        report(engine.record.progress())
        _run(engine, durable)
    dataset = to_dataset(space.columns, engine.record.curves(), _attributes(prepared, engine.record))
    return Result(dataset, prepared.score, engine.record.weights, dict(space.columns))


def _plan(prepared: Prepared, running: Running, durable: Durable | None) -> Plan:
    """The user's plan, or the directory's, or what the rules give."""
    if running.plan is not None:
        return checked(prepared, running.plan)
    found = None if durable is None else durable.plan()
    return plan_of(prepared) if found is None else followed(prepared, found)


def _engine(prepared: Prepared, plan: Plan, report: Callable, stack: ExitStack) -> Engine:
    devices = jax.local_devices()
    shared = {device: jax.device_put(Shared(prepared.data, prepared.settings.key), device) for device in devices}
    slots = [device for _ in range(plan.blocks) for device in devices]
    widths = [program.width for program in plan.programs]
    queues = [Queue.of(part, prepared.lane_program(i, widths[i])) for i, part in enumerate(prepared.parts)]
    compiler = Compiler(queues, shared, len(slots))
    stack.callback(compiler.close)
    settings = prepared.settings
    record = Record(
        len(prepared.space), prepared.parts, widths, prepared.score, prepared.measured, settings.keep_configs
    )
    return Engine(
        queues=queues,
        compiled=compiler,
        devices=slots,
        shared=shared,
        record=record,
        log=None if settings.stop is None else Log(settings.stop),
        keeps=settings.keep is not None,
        report=lambda: report(record.progress()),
        between=lambda _: None,
    )


def _run(engine: Engine, durable: Durable | None) -> None:
    """Until all is done, or Ctrl-C: then what is not over is interrupted."""
    with interruptible() as is_asked:

        def between(engine: Engine) -> None:
            if durable is not None:
                durable.between(engine, is_ending=is_asked())
            if is_asked():
                raise Interrupted

        engine.between = between
        try:
            engine.run()
        except Interrupted:
            engine.record.interrupt()
            return
        if durable is not None:
            durable.between(engine, is_ending=True)


def _attributes(prepared: Prepared, record: Record) -> dict[str, Any]:
    score = prepared.score
    return {
        "metric": score.metric,
        "mode": score.mode,
        "select": score.select,
        "diverged_above": prepared.settings.bound,
        "training_rows": getattr(prepared.problem, "size", 0),
        "seconds": record.seconds,
        "busy": record.busy,
        "device": jax.devices()[0].device_kind,
        "jax": jax.__version__,
    }
