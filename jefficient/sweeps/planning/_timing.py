"""What a sweep will take: its programs, compiled and tried out on the first trials."""

import dataclasses
import math
import time
from collections.abc import Callable
from contextlib import ExitStack

import jax
import numpy as np

from ..._core.debugging import Workers
from ..._core.devices import Machine
from ..programs import Segment
from ..scheduler import MEMORY_ERRORS, Queue, Scheduler, block_bytes, is_out_of_memory
from ._assemble import assemble
from ._plan import Plan, ProgramPlan, plan_of
from ._prepare import MANY_PROGRAMS
from ._spec import SweepSpec
from ._widths import width_candidates

_MOST_TRIED = 8
"""Programs that are compiled and timed where there are very many; the others are estimated."""

_LONG_ENOUGH = 0.2
"""Seconds of a segment that is timed, at least."""


def timed_plan(spec: SweepSpec, machine: Machine, measure: bool) -> Plan:
    """Return the plan of the rules, or with `measure` the fastest, with what it will take."""
    plan = tried(spec, plan_of(spec, machine), machine)
    if not measure:
        return plan
    if plan.blocks > 1:
        one_block = tried(spec, dataclasses.replace(plan, blocks=1), machine)
        plan = min(plan, one_block, key=_seconds)

    seen = {tuple(plan.widths)}
    for width in width_candidates(machine):
        widths = [min(width, program.trials) for program in plan.programs]
        if tuple(widths) in seen:
            continue
        seen.add(tuple(widths))
        other = tried(spec, plan.with_widths(widths), machine)
        pairs = zip(plan.programs, other.programs, strict=True)
        fastest = tuple(min(pair, key=_seconds) for pair in pairs)
        plan = dataclasses.replace(plan, programs=fastest)
    return plan


def _seconds(plan: Plan | ProgramPlan) -> float:
    return math.inf if plan.seconds is None else plan.seconds


def tried(spec: SweepSpec, plan: Plan, machine: Machine) -> Plan:
    """Return the plan with memory and seconds; programs that do not fit have neither."""
    with ExitStack() as stack:
        scheduler = assemble(spec, plan, machine, lambda _: None, stack)
        programs = list(plan.programs)
        some = _tried_ones(len(programs))
        begun = time.perf_counter()
        for i in some:
            _compiled(scheduler, scheduler.queues[i])
        compile_seconds = (time.perf_counter() - begun) * len(programs) / len(some)
        for i in some:
            programs[i] = _tried(programs[i], scheduler, scheduler.queues[i], spec.data_bytes)
        known = [programs[i] for i in some]
        programs = [x if i in some else _estimated(x, known) for i, x in enumerate(programs)]
    return dataclasses.replace(plan, programs=tuple(programs), compile_seconds=compile_seconds)


def _tried_ones(count: int) -> list[int]:
    """Return which of the programs are tried: all, or of very many some that are spread evenly."""
    if count < MANY_PROGRAMS:
        return list(range(count))
    return np.linspace(0, count - 1, _MOST_TRIED).astype(int).tolist()


def _estimated(program: ProgramPlan, known: list[ProgramPlan]) -> ProgramPlan:
    """Return what a program will take, judging by others that were tried."""
    seconds = [x.seconds / x.steps for x in known if x.seconds is not None]
    held = [x.block_bytes for x in known if x.block_bytes is not None]
    if len(seconds) < len(known) or len(held) < len(known):
        return program
    mean = math.fsum(seconds) / len(seconds)
    return dataclasses.replace(
        program, seconds=mean * program.steps, block_bytes=max(held), is_estimated=True
    )


def _compiled(scheduler: Scheduler, queue: Queue) -> Segment | None:
    """Return the program, None where it does not fit."""
    try:
        return scheduler.compiler(queue, scheduler.devices[0])[0]
    except MEMORY_ERRORS as error:
        if not is_out_of_memory(error):
            raise
        return None


def _tried(
    program: ProgramPlan, scheduler: Scheduler, queue: Queue, data_bytes: int
) -> ProgramPlan:
    segment = _compiled(scheduler, queue)
    if segment is None:
        return dataclasses.replace(program, block_bytes=None, seconds=None)
    try:
        seconds = _predicted(program, scheduler, queue)
    except jax.errors.JaxRuntimeError as error:
        if not is_out_of_memory(error):
            raise
        seconds = None
    held = block_bytes(segment, data_bytes)
    return dataclasses.replace(program, block_bytes=held, seconds=seconds)


def _predicted(program: ProgramPlan, scheduler: Scheduler, queue: Queue) -> float:
    """Predict the seconds of all trials from short segments on all slots side by side."""
    is_x64 = jax.dtypes.canonicalize_dtype(float) == np.float64
    probes = [scheduler.probe(queue, device) for device in scheduler.devices]

    def in_thread(run: Callable[[int, int], None], steps: int, batches: int) -> None:
        with jax.enable_x64(is_x64):  # a context of the caller's does not reach its threads
            run(steps, batches)

    with Workers(len(probes)) as pool:

        def timed(steps: int, batches: int = 1) -> float:
            begun = time.perf_counter()
            list(pool.map(lambda run: in_thread(run, steps, batches), probes))
            return time.perf_counter() - begun

        timed(1)  # the first call loads the program
        one_evaluation = timed(1)
        evaluation = one_evaluation
        if scheduler.evaluation_batches > 1:
            one_batch = max(timed(1, 2) - one_evaluation, 0.0)
            evaluation += (scheduler.evaluation_batches - 1) * one_batch
        steps = 2
        while (took := timed(steps)) < _LONG_ENOUGH and steps < 2**20:
            steps *= 4

    one_step = max(took - one_evaluation, 0.0) / (steps - 1)
    group = queue.group
    evaluations = sum(x.shape[1] for x in group.evaluations) * group.seeds * group.folds
    side_by_side = program.width * len(scheduler.devices)
    return (one_step * program.steps + evaluation * evaluations) / side_by_side
