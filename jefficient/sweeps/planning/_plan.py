"""How a sweep is laid out on the machine: programs, devices × blocks × width, and what that will take."""

import dataclasses
import json
import math
from collections.abc import Mapping
from typing import Any

import jax

from ..._core.devices import cores, host_memory, memory_of
from ..._core.errors import ArgumentError, ArgumentTypeError
from ..programs import Group
from ..tasks import WHERE
from ._spec import SweepSpec

WIDEST = {"cpu": 8, "gpu": 1024, "tpu": 1024}
"""Lanes in a block at most, by kind of device; on a CPU where there are not very many of a small model."""

_CPU_BLOCK_BYTES = 2 * 2**20
"""State that the lanes of a block may have on a CPU: about what stays in a core's cache from step to step."""

_CPU_MANY, _CPU_MANY_BYTES, _CPU_MANY_ROUNDS = 256, 2**20, 4
"""Lanes of a small model on a CPU at most, what they work on, and for how many rounds of blocks there must be trials.

They compute as fast (tests/benchmarks/width.py) and there are fewer segments; with fewer rounds
free lanes stay empty.
"""

_IN_STEP = 0.25
"""The share of the memory that blocks which are kept in step may have."""

_STATES_A_LANE = 6
"""Times the state of a lane that a block may need for it: the old one, the new one, gradients, activations."""


@dataclasses.dataclass(frozen=True)
class ProgramPlan:
    """One program.

    Attributes:
        static: the hyperparameters that it is compiled for, as JSON.
        configs: its configurations.
        trials: configurations × seeds × folds.
        steps: lane-steps (one trial's update is one) of all its trials, if none is stopped.
        width: lanes in a block.
        block_bytes: memory of one block, lanes and temporaries; None where it was not compiled.
        seconds: predicted for all its trials, None where it was not tried out.
    """

    static: str
    configs: int
    trials: int
    steps: int
    width: int
    block_bytes: int | None = None
    seconds: float | None = None

    def __str__(self) -> str:
        took = "" if self.seconds is None else f", about {_duration(self.seconds)}"
        held = "" if self.block_bytes is None else f", {_bytes(self.block_bytes)} a block"
        return f"{self.static}: {self.trials:,} trials, {self.steps:,} lane-steps, width {self.width}{held}{took}"


@dataclasses.dataclass(frozen=True)
class Plan:
    """The layout of a sweep; ``jf.sweep(plan=…)`` follows it. ``print`` it to read it.

    Attributes:
        device: the kind of device.
        devices: how many there are.
        blocks: blocks that run side by side on each.
        programs: in the order in which they run.
        data_bytes: memory of the data on each device; of rows that are read while lanes train, what
            is at hand.
        compile_seconds: that compiling took, or None.
        in_step: blocks that are kept in step at most, on all devices, where rows are read while
            lanes train; or None.
    """

    device: str
    devices: int
    blocks: int
    programs: tuple[ProgramPlan, ...]
    data_bytes: int
    compile_seconds: float | None = None
    in_step: int | None = None

    @property
    def bytes(self) -> int | None:
        """Predicted memory on each device: the data, and the blocks of the largest program; None if not compiled."""
        blocks = [program.block_bytes for program in self.programs]
        return (
            None
            if None in blocks
            else self.data_bytes + self.blocks * max(x for x in blocks if x is not None)
        )

    @property
    def seconds(self) -> float | None:
        """Predicted for the whole sweep, compilation not included; None where it was not tried out."""
        seconds = [program.seconds for program in self.programs]
        return None if None in seconds else sum(x for x in seconds if x is not None)

    def __str__(self) -> str:
        trials, steps = (
            sum(getattr(x, name) for x in self.programs) for name in ("trials", "steps")
        )
        lines = [
            f"{len(self.programs)} program{'s' * (len(self.programs) > 1)}, {trials:,} trials, {steps:,} lane-steps",
            f"{self.devices} × {self.device}, {self.blocks} blocks side by side on each",
        ]
        if self.bytes is not None:
            lines.append(
                f"memory: {_bytes(self.bytes)} a device, {_bytes(self.data_bytes)} of it the data"
            )
        if self.seconds is not None:
            compiling = (
                ""
                if self.compile_seconds is None
                else f", and {_duration(self.compile_seconds)} to compile"
            )
            lines.append(f"time: about {_duration(self.seconds)}{compiling}")
        return "\n".join([*lines, *(f"  {program}" for program in self.programs)])

    def to_json(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Plan":
        """What `to_json` gave."""
        return cls(**{**content, "programs": tuple(ProgramPlan(**x) for x in content["programs"])})


def group_key(group: Group) -> str:
    """A program's static hyperparameters as JSON: the same for the same program in another sweep."""
    static = {name: str(label) for name, label in group.labels.items() if name != "steps_per_epoch"}
    return json.dumps(static, sort_keys=True)


def plan_of(spec: SweepSpec, trials: int | None = None, pieces: int = 1) -> Plan:
    """The layout that rules give, without compiling or measuring; for so many trials of each program, or its own.

    With `pieces` for a sweep that is cut into so many, each with all blocks to itself.
    """
    devices, blocks = jax.local_devices(), blocks_side_by_side()
    slots = len(devices) * blocks
    programs = [
        _planned(group, _width(spec, i, slots, trials, pieces))
        for i, group in enumerate(spec.groups)
    ]
    plan = Plan(devices[0].device_kind, len(devices), blocks, tuple(programs), size_of(spec.data))
    if spec.stream is None:
        return plan
    held, widths = (
        plan.data_bytes + spec.bytes_ahead(slots),
        [program.width for program in programs],
    )
    return dataclasses.replace(plan, data_bytes=held, in_step=blocks_in_memory(spec, widths))


def followed(spec: SweepSpec, plan: Plan) -> Plan:
    """The given plan's widths for the programs of this sweep, the rules' for those that it does not know."""
    widths = {program.static: program.width for program in plan.programs}
    slots = plan.devices * plan.blocks
    programs = []
    for i, group in enumerate(spec.groups):
        programs.append(_planned(group, widths.get(group_key(group)) or _width(spec, i, slots)))
    return dataclasses.replace(plan, programs=tuple(programs), compile_seconds=None)


def checked(spec: SweepSpec, plan: Any) -> Plan:
    """A plan that the user passed in, for this sweep on this machine."""
    if not isinstance(plan, Plan):
        raise ArgumentTypeError(
            f"{WHERE}: plan must come from jf.plan, or be 'measure' or None, got plan={plan!r}."
        )
    here = jax.local_devices()
    if (plan.device, plan.devices) != (here[0].device_kind, len(here)):
        raise ArgumentError(
            f"{WHERE}: plan must be for the devices that are here, {len(here)} × {here[0].device_kind}, got "
            f"{plan.devices} × {plan.device}."
        )
    unknown = {group_key(group) for group in spec.groups} - {
        program.static for program in plan.programs
    }
    if unknown:
        raise ArgumentError(
            f"{WHERE}: plan must name every program of the sweep, got none for {sorted(unknown)}."
        )
    return followed(spec, plan)


def blocks_in_memory(spec: SweepSpec, widths: list[int]) -> int:
    """Blocks whose lanes may be in memory at a time, on all devices, where they are kept in step."""
    devices = jax.local_devices()
    memory = memory_of(devices[0]) * len(devices)
    if math.isinf(memory):
        memory = host_memory()
    block = max(costs.state_bytes * width for costs, width in zip(spec.costs, widths, strict=True))
    return int(memory * _IN_STEP / (_STATES_A_LANE * max(block, 1)))


def blocks_side_by_side() -> int:
    """Blocks that run side by side on a device: on a CPU one a core, whose programs keep one core busy each."""
    if jax.default_backend() != "cpu":
        return 2  # so that one is being computed while the host decides on the other
    return max(1, cores() // len(jax.local_devices()))


def widest_for(platform: str, state_bytes: int, has_convolution: bool, block_memory: float) -> int:
    """Lanes in a block at most.

    Args:
        platform: "cpu", "gpu" or "tpu".
        state_bytes: of one lane.
        has_convolution: whether a step has one; a batch of filters makes it a grouped one, slow on
            a CPU.
        block_memory: bytes that a block may take.
    """
    if platform == "cpu" and has_convolution:
        return 1
    room = _CPU_BLOCK_BYTES if platform == "cpu" else block_memory / _STATES_A_LANE
    fitting = min(max(1.0, room / max(state_bytes, 1)), WIDEST.get(platform, WIDEST["gpu"]))
    return 2 ** int(math.log2(fitting))


def width_candidates() -> list[int]:
    """Widths worth measuring on this kind of device."""
    widest = {"cpu": 32}.get(jax.default_backend(), WIDEST["gpu"])
    return [2**k for k in range(int(math.log2(widest)) + 1)]


def width_for(trials: int, side_by_side: int, widest: int) -> int:
    """Lanes in a block: the blocks spread evenly over those side by side, none wider than `widest`."""
    rounds = math.ceil(trials / (side_by_side * widest))
    return math.ceil(trials / (side_by_side * rounds))


def _width(
    spec: SweepSpec, index: int, slots: int, trials: int | None = None, pieces: int = 1
) -> int:
    costs = spec.costs[index]
    memory = (memory_of(jax.local_devices()[0]) - size_of(spec.data)) / blocks_side_by_side()
    widest = widest_for(jax.default_backend(), costs.state_bytes, costs.has_convolution, memory)
    group = spec.groups[index]
    trials = group.trials if trials is None else trials
    if spec.stream is not None:  # a block has trials of one seed and fold
        return width_for(max(1, trials // (group.seeds * group.folds)), slots, widest)
    widest = max(widest, _widest_of_many(spec, index, trials / (slots * pieces)))
    if (
        spec.settings.stop is not None
    ):  # all trials of a configuration must get somewhere before any is stopped
        widest = max(widest, math.ceil(group.seeds * group.folds / slots))
    return width_for(trials, slots, widest)


def _widest_of_many(spec: SweepSpec, index: int, trials: float) -> int:
    """Lanes at most where so many trials, all as long, come to each block of a CPU; 1 where nothing speaks for more."""
    many, steps = min(trials / _CPU_MANY_ROUNDS, _CPU_MANY), spec.groups[index].steps
    is_like_that = jax.default_backend() == "cpu" and not spec.costs[index].has_convolution
    if not is_like_that or many < 2 * WIDEST["cpu"] or (steps != steps[0]).any():
        return 1
    return int(min(many, _CPU_MANY_BYTES / max(spec.lane_bytes[index], 1)))


def _planned(group: Group, width: int) -> ProgramPlan:
    steps = int(group.steps.sum()) * group.seeds * group.folds
    return ProgramPlan(group_key(group), len(group.configs), group.trials, steps, width)


def size_of(tree: Any) -> int:
    """Bytes of the arrays of a tree."""
    return sum(x.nbytes for x in jax.tree.leaves(tree) if hasattr(x, "nbytes"))


def _bytes(count: int) -> str:
    return f"{count / 2**20:,.1f} MiB" if count < 2**30 else f"{count / 2**30:,.2f} GiB"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.2g} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
