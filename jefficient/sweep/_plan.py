"""How a sweep is laid out on the machine: programs, devices × blocks × width, and what that will take."""

import dataclasses
import json
import math
import os
from collections.abc import Mapping
from typing import Any

import jax

from .._core.errors import ArgumentError, ArgumentTypeError
from ..results import label
from ._named import WHERE
from ._prepared import Prepared
from ._programs import Program

WIDEST = {"cpu": 16, "gpu": 1024, "tpu": 1024}
"""Lanes in a block at most, by kind of device. On a CPU wider blocks are slower (tests/benchmarks/width.py)."""


@dataclasses.dataclass(frozen=True)
class ProgramPlan:
    """One program.

    Attributes:
        static: the hyperparameters that it is compiled for, as JSON.
        configs: its configurations.
        trials: configurations × seeds × folds.
        steps: lane-steps (one trial's update is one) of all its trials, if none is stopped.
        width: lanes in a block.
    """

    static: str
    configs: int
    trials: int
    steps: int
    width: int


@dataclasses.dataclass(frozen=True)
class Plan:
    """The layout of a sweep; ``jf.sweep(plan=…)`` follows it.

    Attributes:
        device: the kind of device.
        devices: how many there are.
        blocks: blocks that run side by side on each.
        programs: in the order in which they run.
    """

    device: str
    devices: int
    blocks: int
    programs: tuple[ProgramPlan, ...]

    def to_json(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Plan":
        """What `to_json` gave."""
        return cls(**{**content, "programs": tuple(ProgramPlan(**x) for x in content["programs"])})


def static_key(part: Program) -> str:
    """A program's static hyperparameters as JSON: the same for the same program in another sweep."""
    static = {name: str(label(x)) for name, x in part.static.items() if name != "steps_per_epoch"}
    return json.dumps(static, sort_keys=True)


def plan_of(prepared: Prepared) -> Plan:
    """The layout that rules give, without measuring."""
    devices, blocks = jax.local_devices(), blocks_side_by_side()
    slots = len(devices) * blocks
    programs = [_planned(part, width_for(part.trials, slots)) for part in prepared.parts]
    return Plan(devices[0].device_kind, len(devices), blocks, tuple(programs))


def followed(prepared: Prepared, plan: Plan) -> Plan:
    """The given plan's widths for the programs of this sweep, the rules' for those that it does not know."""
    widths = {program.static: program.width for program in plan.programs}
    slots = plan.devices * plan.blocks
    programs = []
    for part in prepared.parts:
        programs.append(_planned(part, widths.get(static_key(part)) or width_for(part.trials, slots)))
    return dataclasses.replace(plan, programs=tuple(programs))


def checked(prepared: Prepared, plan: Any) -> Plan:
    """A plan that the user passed in, for this sweep on this machine."""
    if not isinstance(plan, Plan):
        raise ArgumentTypeError(f"{WHERE}: plan must come from jf.plan, or be 'measure' or None, got plan={plan!r}.")
    here = jax.local_devices()
    if (plan.device, plan.devices) != (here[0].device_kind, len(here)):
        raise ArgumentError(
            f"{WHERE}: plan must be for the devices that are here, {len(here)} × {here[0].device_kind}, got "
            f"{plan.devices} × {plan.device}."
        )
    unknown = {static_key(part) for part in prepared.parts} - {program.static for program in plan.programs}
    if unknown:
        raise ArgumentError(f"{WHERE}: plan must name every program of the sweep, got none for {sorted(unknown)}.")
    return followed(prepared, plan)


def blocks_side_by_side() -> int:
    """Blocks that run side by side on a device: on a CPU one a core, whose programs keep one core busy each."""
    if jax.default_backend() != "cpu":
        return 2  # so that one is being computed while the host decides on the other
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // len(jax.local_devices()))


def width_for(trials: int, side_by_side: int) -> int:
    """Lanes in a block: up to what the kind of device does well, the blocks spread evenly over those side by side."""
    widest = WIDEST.get(jax.default_backend(), WIDEST["gpu"])
    rounds = math.ceil(trials / (side_by_side * widest))
    return math.ceil(trials / (side_by_side * rounds))


def _planned(part: Program, width: int) -> ProgramPlan:
    steps = int(part.steps.sum()) * part.seeds * part.folds
    return ProgramPlan(static_key(part), len(part.configs), part.trials, steps, width)
