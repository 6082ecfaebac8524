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
from ..programs import Commands, Lane, Segment, zeros
from ..scheduler import (
    MEMORY_ERRORS,
    LockstepScheduler,
    Queue,
    Scheduler,
    block_bytes,
    is_out_of_memory,
)
from ._assemble import assemble
from ._plan import Plan, ProgramPlan, plan_of, size_of, width_candidates
from ._spec import SweepSpec

_LONG_ENOUGH = 0.2  # seconds of a segment that is timed


def forecast(spec: SweepSpec, measure: bool) -> Plan:
    """The plan of the rules, or with `measure` the fastest, with what it will take."""
    plan = tried(spec, plan_of(spec))
    if not measure:
        return plan
    if plan.blocks > 1:
        plan = min(plan, tried(spec, dataclasses.replace(plan, blocks=1)), key=_seconds)
    seen = {tuple(x.width for x in plan.programs)}
    for width in width_candidates():
        others = tuple(dataclasses.replace(x, width=min(width, x.trials)) for x in plan.programs)
        if tuple(x.width for x in others) in seen:
            continue
        seen.add(tuple(x.width for x in others))
        other = tried(spec, dataclasses.replace(plan, programs=others))
        programs = [
            min(pair, key=_seconds) for pair in zip(plan.programs, other.programs, strict=True)
        ]
        plan = dataclasses.replace(plan, programs=tuple(programs))
    return plan


def _seconds(plan: Plan | ProgramPlan) -> float:
    return math.inf if plan.seconds is None else plan.seconds


def tried(spec: SweepSpec, plan: Plan) -> Plan:
    """The plan with memory and seconds; programs that do not fit have none."""
    slots = jax.local_devices() * plan.blocks
    with ExitStack() as stack:
        scheduler = assemble(
            spec, [program.width for program in plan.programs], slots, lambda _: None, stack
        )
        begun = time.perf_counter()
        for queue in scheduler.queues:
            _compiled(scheduler, queue)
        compile_seconds = time.perf_counter() - begun
        programs = [
            _tried_program(program, scheduler, queue, size_of(spec.data))
            for program, queue in zip(plan.programs, scheduler.queues, strict=True)
        ]
    return dataclasses.replace(plan, programs=tuple(programs), compile_seconds=compile_seconds)


def _compiled(scheduler: Scheduler, queue: Queue) -> Segment | None:
    """The program, None where it does not fit."""
    try:
        return scheduler.compiled(queue, scheduler.devices[0])[0]
    except MEMORY_ERRORS as error:
        if not is_out_of_memory(error):
            raise
        return None


def _tried_program(
    program: ProgramPlan, scheduler: Scheduler, queue: Queue, data_bytes: int
) -> ProgramPlan:
    segment = _compiled(scheduler, queue)
    if segment is None:
        return dataclasses.replace(program, block_bytes=None, seconds=None)
    seconds = _predicted(program, scheduler, queue)
    return dataclasses.replace(
        program, block_bytes=block_bytes(segment, data_bytes), seconds=seconds
    )


def _predicted(program: ProgramPlan, scheduler: Scheduler, queue: Queue) -> float | None:
    """Seconds for all trials, from the time of short segments on all slots side by side."""
    try:
        slots = [_tryable(scheduler, queue, device) for device in scheduler.devices]
        with ThreadPoolExecutor(len(slots)) as pool:

            def timed(steps: int, pieces: int = 1) -> float:
                begun = time.perf_counter()
                list(pool.map(lambda run: run(steps, pieces), slots))
                return time.perf_counter() - begun

            timed(1)  # the first call loads the program
            one_evaluation, steps = timed(1), 2
            more = (
                len(scheduler.stream.evaluation_begins(0)) - 1
                if isinstance(scheduler, LockstepScheduler)
                else 0
            )
            whole_evaluation = (
                one_evaluation
                if more < 1
                else one_evaluation + more * max(timed(1, 2) - one_evaluation, 0.0)
            )
            while (took := timed(steps)) < _LONG_ENOUGH and steps < 2**20:
                steps *= 4
    except jax.errors.JaxRuntimeError as error:
        if not is_out_of_memory(error):
            raise
        return None
    a_step = max(took - one_evaluation, 0.0) / (steps - 1)
    side_by_side = program.width * len(scheduler.devices)
    evaluations = (
        sum(len(x) for x in queue.group.evaluations) * queue.group.seeds * queue.group.folds
    )
    return (a_step * program.steps + whole_evaluation * evaluations) / side_by_side


def _tryable(scheduler: Scheduler, queue: Queue, device: Device) -> Callable[[int, int], None]:
    """Runs so many updates and an evaluation of the first trials on a device, at so many pieces of what is held out."""
    if isinstance(scheduler, LockstepScheduler):
        return functools.partial(
            _try_out, scheduler, queue, device, jax.dtypes.canonicalize_dtype(float) == np.float64
        )
    return _Probe(scheduler, queue, device).run


def _try_out(
    scheduler: LockstepScheduler,
    queue: Queue,
    device: Device,
    is_x64: bool,
    steps: int,
    pieces: int,
) -> None:
    """In a thread, which a context of the caller's does not reach."""
    with jax.enable_x64(is_x64):
        scheduler.try_out(queue, device, steps, pieces)


class _Probe:
    """The first trials in one slot, begun anew each time."""

    def __init__(self, scheduler: Scheduler, queue: Queue, device: Device):
        self._device = device
        self._shared = scheduler.shared[self._device]
        self._segment: Segment
        shapes: Lane
        self._segment, shapes = scheduler.compiled(queue, self._device)
        self._lanes = zeros(shapes, self._device)
        trials = np.arange(queue.width) % queue.group.trials
        self._commands: Callable[[int], Commands] = lambda steps: queue.commands(
            trials, np.ones(queue.width, bool), np.zeros(queue.width, int)
        )._replace(
            until=np.full(queue.width, steps, np.int32),
            steps=np.full(queue.width, steps + 1, np.int32),
        )

    def run(self, steps: int, pieces: int) -> None:
        """A segment of so many updates; what is held out is measured whole."""
        del pieces
        commands = jax.device_put(self._commands(steps), self._device)
        self._lanes, evaluation = self._segment(self._lanes, commands, self._shared)
        jax.block_until_ready(evaluation)
