"""A prepared sweep as an engine that is ready to run."""

import functools
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import jax
import numpy as np

from ..._core.devices import host_device
from ..._core.typing import Device
from ..programs import Shared
from ..scheduler import Built, Compiler, Engine, Host, Lockstep, Queue, Record
from ..stopping import Log
from ..tasks import ORDER
from ._plan import blocks_in_memory, static_key
from ._prepared import Prepared


def assemble(
    prepared: Prepared,
    widths: list[int],
    slots: list[Device],
    report: Callable,
    stack: ExitStack,
    built: Built | None = None,
    in_step: int | None = None,
) -> Host:
    """The engine for blocks of these widths on these slots, `in_step` of them at most at a time where that counts.

    `stack` closes what it opens, `built` saves compiling.
    """
    built = Built() if built is None else built
    shared = {device: jax.device_put(Shared(prepared.data, prepared.settings.key), device) for device in set(slots)}
    queues = []
    for i, part in enumerate(prepared.parts):
        chunk = None if prepared.stream is None else prepared.batches(part.static["batch_size"])
        key = static_key(part), widths[i], tuple(prepared.problem.layers), chunk
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
    given: dict[str, Any] = {
        "queues": queues,
        "compiled": compiler,
        "devices": slots,
        "shared": shared,
        "record": record,
        "log": None if settings.stop is None else Log(settings.stop),
        "keeps": settings.keep is not None,
        "report": lambda: report(record.progress()),
        "between": lambda _: None,
    }
    if prepared.stream is None:
        return Engine(**given)
    most = max(len(slots), in_step or blocks_in_memory(prepared, widths))
    return Lockstep(**given, stream=prepared.stream, order_key=_order_key(settings.key), most=most)


def _order_key(key: jax.Array) -> Callable[[int, int], jax.Array]:
    """What the order of the rows is drawn from, on the CPU: where they are read, not where they are trained on."""

    def of(seed: int, fold: int) -> jax.Array:
        cpu = host_device()
        with jax.default_device(cpu):
            own = jax.random.fold_in(jax.device_put(key, cpu), np.uint32(seed))
            return jax.random.fold_in(jax.random.fold_in(own, np.int32(fold)), ORDER)

    return of
