"""A sweep and its plan as a scheduler that is ready to run."""

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial

import jax
import numpy as np

from ..._core.devices import Machine, host_device
from ..._core.errors import ArgumentError
from ..programs import Shared
from ..scheduler import (
    Compiler,
    ContinuousScheduler,
    LockstepScheduler,
    Progress,
    Queue,
    Record,
    Scheduler,
)
from ..stopping import PrunerLog
from ..tasks import ORDER, WHERE, trial_key
from ._plan import Plan
from ._spec import SweepSpec
from ._widths import blocks_in_step


def assemble(
    spec: SweepSpec,
    plan: Plan,
    machine: Machine,
    on_progress: Callable[[Progress], None],
    stack: ExitStack,
) -> Scheduler:
    """Make the scheduler that follows the plan.

    Args:
        spec: the sweep.
        plan: how it is laid out.
        machine: where it runs.
        on_progress: called after every series of segments.
        stack: closes what is opened here.

    Raises:
        ArgumentError: if the arrays of the result do not fit into the memory of the host.
    """
    _check_memory(spec, machine)
    settings = spec.settings
    slots = jax.local_devices()[: plan.devices] * plan.blocks
    shared = {
        device: jax.device_put(Shared(spec.data, settings.key), device) for device in set(slots)
    }
    record = Record(
        len(spec.space),
        spec.groups,
        plan.widths,
        spec.score,
        spec.measured,
        spec.diagnostics,
        settings.keep_configs,
    )
    queues = [
        Queue.of(group, spec.lane_program(i, width), record.begin_at)
        for i, (group, width) in enumerate(zip(spec.groups, plan.widths, strict=True))
    ]
    keeps_weights = settings.keep is not None
    compiler = Compiler(
        queues, shared, len(slots), machine.device_memory, reads_weights=keeps_weights
    )
    stack.callback(compiler.close)
    policy = ContinuousScheduler
    if spec.stream is not None:
        in_step = plan.in_step or blocks_in_step(spec, machine, plan.widths)
        policy = partial(
            LockstepScheduler,
            stream=spec.stream,
            order_key=None if spec.problem.is_sequential else order_key(settings.key),
            most_blocks=max(len(slots), in_step),
        )
    return policy(
        queues=queues,
        compiler=compiler,
        devices=slots,
        shared=shared,
        record=record,
        scorer=spec.problem.scorer,
        pruner=None if settings.stop is None else PrunerLog(settings.stop),
        keeps_weights=keeps_weights,
        keep_states=settings.keep_states,
        starts={} if spec.starts is None else spec.starts.of,
        on_segment=lambda: on_progress(record.progress()),
        at_boundary=lambda _: None,
        is_ending=lambda: False,
    )


def _check_memory(spec: SweepSpec, machine: Machine) -> None:
    needed = spec.record_bytes
    if needed > machine.host_memory:
        raise ArgumentError(
            f"{WHERE}: the result must fit into the memory of the host, {machine.host_memory:,} "
            f"bytes, got {needed:,} bytes for {spec.total_trials:,} trials of "
            f"{spec.most_evaluations:,} evaluations. Ask for fewer, or evaluate less often "
            f"(eval_every)."
        )


def order_key(key: jax.Array) -> Callable[[int, int], jax.Array]:
    """Return what derives the key of an order, on the CPU: where examples are read."""

    def of(seed: int, fold: int) -> jax.Array:
        cpu = host_device()
        with jax.default_device(cpu):
            own = trial_key(jax.device_put(key, cpu), np.uint32(seed), np.int32(fold))
            return jax.random.fold_in(own, ORDER)

    return of
