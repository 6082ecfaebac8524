"""A prepared sweep as an engine that is ready to run."""

import functools
from collections.abc import Callable
from contextlib import ExitStack

import jax

from .._core.typing import Device
from ._compiler import Built, Compiler
from ._engine import Engine, Queue
from ._lanes import Shared
from ._plan import static_key
from ._prepared import Prepared
from ._record import Record
from ._stop import Log


def assemble(
    prepared: Prepared,
    widths: list[int],
    slots: list[Device],
    report: Callable,
    stack: ExitStack,
    built: Built | None = None,
) -> Engine:
    """The engine for blocks of these widths on these slots; `stack` closes what it opens, `built` saves compiling."""
    built = Built() if built is None else built
    shared = {device: jax.device_put(Shared(prepared.data, prepared.settings.key), device) for device in set(slots)}
    queues = []
    for i, part in enumerate(prepared.parts):
        key = static_key(part), widths[i], tuple(prepared.problem.layers)
        queues.append(Queue.of(part, built.program(key, functools.partial(prepared.lane_program, i, widths[i]))))
    compiler = Compiler(queues, shared, len(slots), built)
    stack.callback(compiler.close)
    settings = prepared.settings
    record = Record(
        len(prepared.space),
        prepared.parts,
        widths,
        prepared.score,
        prepared.measured,
        prepared.diagnostics,
        settings.keep_configs,
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
