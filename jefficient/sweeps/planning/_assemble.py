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
from ..scheduler import (
    Compiler,
    ContinuousScheduler,
    LockstepScheduler,
    ProgramCache,
    Queue,
    Record,
    Scheduler,
)
from ..stopping import PrunerLog
from ..tasks import ORDER
from ._plan import blocks_in_memory, group_key
from ._spec import SweepSpec


def assemble(
    spec: SweepSpec,
    widths: list[int],
    slots: list[Device],
    report: Callable,
    stack: ExitStack,
    built: ProgramCache | None = None,
    in_step: int | None = None,
) -> Scheduler:
    """The engine for blocks of these widths on these slots, `in_step` of them at most at a time where that counts.

    `stack` closes what it opens, `built` saves compiling.
    """
    built = ProgramCache() if built is None else built
    shared = {
        device: jax.device_put(Shared(spec.data, spec.settings.key), device)
        for device in set(slots)
    }
    queues = []
    for i, group in enumerate(spec.groups):
        chunk = None if spec.stream is None else spec.batches(group.static["batch_size"])
        key = group_key(group), widths[i], tuple(spec.problem.layers), chunk
        queues.append(
            Queue.of(group, built.program(key, functools.partial(spec.lane_program, i, widths[i])))
        )
    compiler = Compiler(queues, shared, len(slots), built)
    stack.callback(compiler.close)
    settings = spec.settings
    record = Record(
        len(spec.space),
        spec.groups,
        widths,
        spec.score,
        spec.measured,
        spec.diagnostics,
        settings.keep_configs,
    )
    given: dict[str, Any] = {
        "queues": queues,
        "compiled": compiler,
        "devices": slots,
        "shared": shared,
        "record": record,
        "log": None if settings.stop is None else PrunerLog(settings.stop),
        "keeps": settings.keep is not None,
        "report": lambda: report(record.progress()),
        "between": lambda _: None,
    }
    if spec.stream is None:
        return ContinuousScheduler(**given)
    most = max(len(slots), in_step or blocks_in_memory(spec, widths))
    return LockstepScheduler(
        **given, stream=spec.stream, order_key=_order_key(settings.key), most=most
    )


def _order_key(key: jax.Array) -> Callable[[int, int], jax.Array]:
    """What the order of the rows is drawn from, on the CPU: where they are read, not where they are trained on."""

    def of(seed: int, fold: int) -> jax.Array:
        cpu = host_device()
        with jax.default_device(cpu):
            own = jax.random.fold_in(jax.device_put(key, cpu), np.uint32(seed))
            return jax.random.fold_in(jax.random.fold_in(own, np.int32(fold)), ORDER)

    return of
