"""One part of a sweep: an ordinary sweep, in a worker process of any executor."""

import dataclasses
import math
import os
import time
from pathlib import Path
from typing import Any, NamedTuple

import xarray as xr

from ..._core.debugging import DebugTools, tools_off
from ..._core.devices import Machine
from ...results import NO_CHECKPOINTS, Checkpoints
from ...spaces import Space
from .._interrupt import EndRequest
from .._local import run_locally
from ..planning import Plan, RunOptions, Settings, Starts, SweepSpec, prepare
from ..tasks import Optimizer, Task, Trial
from ._portable import jax_settings, packed, portable_error, unpacked, use_jax_settings


class PartResult(NamedTuple):
    """What a part returns: its dataset, weights and states; or the error that its code raised."""

    dataset: xr.Dataset | None
    held: Checkpoints = NO_CHECKPOINTS
    error: Exception | None = None


class Common(NamedTuple):
    """What all parts of a sweep are given; `deadline`: the time at which they end, inf for none."""

    task: Task | Trial
    optimizer: Optimizer | None
    settings: Settings
    plan: Plan
    snapshot_every: float
    deadline: float
    of_jax: dict[str, Any]

    @classmethod
    def of(
        cls,
        given: tuple[Task | Trial, Optimizer | None],
        spec: SweepSpec,
        options: RunOptions,
        plan: Plan,
        end: EndRequest,
    ) -> "Common":
        """Take from the whole what parts share."""
        task, optimizer = given
        if isinstance(task, Task):  # the test set is evaluated once, when all parts are there
            task = task.without_test()
        settings = dataclasses.replace(spec.settings, start=None)  # each part has its own
        if settings.layers:  # the layers of all parts, in one order
            settings = dataclasses.replace(settings, layers=tuple(spec.problem.layers))
        deadline = time.time() + end.seconds_left
        every = options.snapshot_every
        return cls(task, optimizer, settings, plan, every, deadline, jax_settings())


class Part(NamedTuple):
    """What one part has of its own: configurations, where they start, a folder or None."""

    space: Space
    start: Starts | None
    folder: Path | None


def run_part(common: bytes, own: bytes) -> bytes:
    """Run one part in a worker, as an ordinary sweep.

    What its code raises is returned, so that the part is not tried again.
    """
    try:
        of_all: Common = unpacked(common)
        is_limited = of_all.deadline != math.inf
        end = EndRequest(of_all.deadline - time.time() if is_limited else None, is_part=True)
        use_jax_settings(of_all.of_jax)
        part = run_here(of_all, unpacked(own), end)
        if end.is_orphan:  # nobody takes the part or ends this worker
            os._exit(1)
        return packed(part)
    except Exception as error:
        return packed(PartResult(None, error=portable_error(error)))


@tools_off()
def run_here(common: Common, own: Part, end: EndRequest) -> PartResult:
    """Run one part on this machine; one that is asked to end at once has what its folder has."""
    machine = dataclasses.replace(Machine.here(), tools=DebugTools())  # the whole checks its parts
    plan = dataclasses.replace(common.plan, device=machine.device_kind, devices=machine.devices)
    settings = dataclasses.replace(common.settings, start=own.start)
    spec = prepare(common.task, common.optimizer, own.space, settings)
    # No loggers: the whole tells of its parts.
    options = RunOptions(plan, own.folder, common.snapshot_every, progress=False)
    result = run_locally(spec, options, machine, end, is_part=True)
    return PartResult(result.dataset, Checkpoints(result.weights, result.states))
