"""What a sweep will take: its programs compiled, and tried out for a moment on the trials that come first."""

import dataclasses
import functools
import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import jax
import numpy as np

from ..._core.typing import Device
from ..programs import Lane, Orders, Segment, zeros
from ..scheduler import MEMORY_ERRORS, Host, Lockstep, Queue, block_bytes, is_out_of_memory
from ._assemble import assemble
from ._plan import Plan, ProgramPlan, plan_of, size_of, width_candidates
from ._prepared import Prepared

_LONG_ENOUGH = 0.2  # seconds of a segment that is timed


def forecast(prepared: Prepared, measure: bool) -> Plan:
    """The plan of the rules, or with `measure` the fastest, with what it will take."""
    plan = tried(prepared, plan_of(prepared))
    if not measure:
        return plan
    if plan.blocks > 1:
        plan = min(plan, tried(prepared, dataclasses.replace(plan, blocks=1)), key=_seconds)
    seen = {tuple(x.width for x in plan.programs)}
    for width in width_candidates():
        others = tuple(dataclasses.replace(x, width=min(width, x.trials)) for x in plan.programs)
        if tuple(x.width for x in others) in seen:
            continue
        seen.add(tuple(x.width for x in others))
        other = tried(prepared, dataclasses.replace(plan, programs=others))
        programs = [min(pair, key=_seconds) for pair in zip(plan.programs, other.programs, strict=True)]
        plan = dataclasses.replace(plan, programs=tuple(programs))
    return plan


def _seconds(plan: Plan | ProgramPlan) -> float:
    return math.inf if plan.seconds is None else plan.seconds


def tried(prepared: Prepared, plan: Plan) -> Plan:
    """The plan with memory and seconds; programs that do not fit have none."""
    slots = jax.local_devices() * plan.blocks
    with ExitStack() as stack:
        engine = assemble(prepared, [program.width for program in plan.programs], slots, lambda _: None, stack)
        begun = time.perf_counter()
        for queue in engine.queues:
            _compiled(engine, queue)
        compile_seconds = time.perf_counter() - begun
        programs = [
            _tried_program(program, engine, queue, size_of(prepared.data))
            for program, queue in zip(plan.programs, engine.queues, strict=True)
        ]
    return dataclasses.replace(plan, programs=tuple(programs), compile_seconds=compile_seconds)


def _compiled(engine: Host, queue: Queue) -> Segment | None:
    """The program, None where it does not fit."""
    try:
        return engine.compiled(queue, engine.devices[0])[0]
    except MEMORY_ERRORS as error:
        if not is_out_of_memory(error):
            raise
        return None


def _tried_program(program: ProgramPlan, engine: Host, queue: Queue, data_bytes: int) -> ProgramPlan:
    segment = _compiled(engine, queue)
    if segment is None:
        return dataclasses.replace(program, block_bytes=None, seconds=None)
    seconds = _predicted(program, engine, queue)
    return dataclasses.replace(program, block_bytes=block_bytes(segment, data_bytes), seconds=seconds)


def _predicted(program: ProgramPlan, engine: Host, queue: Queue) -> float | None:
    """Seconds for all trials, from the time of short segments on all slots side by side."""
    try:
        slots = [_tryable(engine, queue, device) for device in engine.devices]
        with ThreadPoolExecutor(len(slots)) as pool:

            def timed(steps: int, pieces: int = 1) -> float:
                begun = time.perf_counter()
                list(pool.map(lambda run: run(steps, pieces), slots))
                return time.perf_counter() - begun

            timed(1)  # the first call loads the program
            a_look, steps = timed(1), 2
            more = len(engine.stream.begins(0)) - 1 if isinstance(engine, Lockstep) else 0
            whole_look = a_look if more < 1 else a_look + more * max(timed(1, 2) - a_look, 0.0)
            while (took := timed(steps)) < _LONG_ENOUGH and steps < 2**20:
                steps *= 4
    except jax.errors.JaxRuntimeError as error:
        if not is_out_of_memory(error):
            raise
        return None
    a_step = max(took - a_look, 0.0) / (steps - 1)
    side_by_side = program.width * len(engine.devices)
    looks = sum(len(x) for x in queue.part.looks) * queue.part.seeds * queue.part.folds
    return (a_step * program.steps + whole_look * looks) / side_by_side


def _tryable(engine: Host, queue: Queue, device: Device) -> Callable[[int, int], None]:
    """Runs so many updates and a look of the first trials on a device, at so many pieces of what is held out."""
    if isinstance(engine, Lockstep):
        return functools.partial(_try_out, engine, queue, device, jax.dtypes.canonicalize_dtype(float) == np.float64)
    return _Probe(engine, queue, device).run


def _try_out(engine: Lockstep, queue: Queue, device: Device, is_x64: bool, steps: int, pieces: int) -> None:
    """In a thread, which a context of the caller's does not reach."""
    with jax.enable_x64(is_x64):
        engine.try_out(queue, device, steps, pieces)


class _Probe:
    """The first trials in one slot, begun anew each time."""

    def __init__(self, engine: Host, queue: Queue, device: Device):
        self._device = device
        self._shared = engine.shared[self._device]
        self._segment: Segment
        shapes: Lane
        self._segment, shapes = engine.compiled(queue, self._device)
        self._lanes = zeros(shapes, self._device)
        trials = np.arange(queue.width) % queue.part.trials
        self._orders: Callable[[int], Orders] = lambda steps: queue.orders(
            trials, np.ones(queue.width, bool), np.zeros(queue.width, int)
        )._replace(until=np.full(queue.width, steps, np.int32), steps=np.full(queue.width, steps + 1, np.int32))

    def run(self, steps: int, pieces: int) -> None:
        """A segment of so many updates; what is held out is measured whole."""
        del pieces
        orders = jax.device_put(self._orders(steps), self._device)
        self._lanes, look = self._segment(self._lanes, orders, self._shared)
        jax.block_until_ready(look)
