"""How a sweep is laid out on the machine: devices × blocks × width, and what that will take."""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from ..._core import html
from ..._core.devices import Machine
from ..._core.errors import ArgumentError, ArgumentTypeError
from ..programs import Group
from ..tasks import WHERE
from ._spec import SweepSpec
from ._widths import blocks_in_step, group_width


@dataclasses.dataclass(frozen=True)
class ProgramPlan:
    """The plan of one program, which trains the configurations of a group.

    Attributes:
        static: the hyperparameters that it is compiled for, as JSON.
        configs: configurations.
        trials: configurations × seeds × folds.
        steps: lane-steps (one trial's update is one) of all its trials, if none is stopped.
        width: lanes in a block.
        block_bytes: memory of one block, lanes and temporaries; None if it was not compiled.
        seconds: predicted for all its trials, None if it was not tried out.
        is_estimated: whether these two are judged by other programs, since there are very many.
    """

    static: str
    configs: int
    trials: int
    steps: int
    width: int
    block_bytes: int | None = None
    seconds: float | None = None
    is_estimated: bool = False

    def __str__(self) -> str:
        text = f"{self.static}: {self.trials:,} trials, {self.steps:,} lane-steps"
        text += f", width {self.width}"
        if self.block_bytes is not None:
            text += f", {_bytes(self.block_bytes)} a block"
        if self.seconds is not None:
            text += f", about {_duration(self.seconds)}"
        return text


@dataclasses.dataclass(frozen=True)
class Plan:
    """The layout of a sweep; ``jf.sweep(plan=…)`` follows it. ``print`` it to read it.

    Attributes:
        device: the kind of device.
        devices: how many there are.
        blocks: blocks that run side by side on each.
        programs: in the order in which they run.
        data_bytes: memory of the data on each device; of data that are read while lanes train, of
            the chunks in use.
        compile_seconds: that compiling took, or will take where some of very many programs were
            compiled; None if nothing was.
        in_step: blocks that are kept in step at most, on all devices, where data are read while
            lanes train; None elsewhere.
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
        """Predicted memory on each device: the data, and the blocks of the largest program.

        None if a program was not compiled.
        """
        blocks = [x.block_bytes for x in self.programs if x.block_bytes is not None]
        if len(blocks) < len(self.programs):
            return None
        return self.data_bytes + self.blocks * max(blocks)

    @property
    def seconds(self) -> float | None:
        """Predicted for the whole sweep, compilation not included; None if not tried out."""
        seconds = [x.seconds for x in self.programs if x.seconds is not None]
        return sum(seconds) if len(seconds) == len(self.programs) else None

    @property
    def widths(self) -> list[int]:
        """Lanes in a block of each program."""
        return [program.width for program in self.programs]

    def with_widths(self, widths: list[int]) -> "Plan":
        """Return the plan with blocks of other widths."""
        pairs = zip(self.programs, widths, strict=True)
        programs = (dataclasses.replace(program, width=width) for program, width in pairs)
        return dataclasses.replace(self, programs=tuple(programs))

    def __str__(self) -> str:
        count = len(self.programs)
        trials = sum(program.trials for program in self.programs)
        steps = sum(program.steps for program in self.programs)
        lines = [
            f"{count} program{'s' * (count > 1)}, {trials:,} trials, {steps:,} lane-steps",
            f"{self.devices} × {self.device}, {self.blocks} blocks side by side on each",
        ]
        if self.bytes is not None:
            data = _bytes(self.data_bytes)
            lines.append(f"memory: {_bytes(self.bytes)} a device, {data} of it the data")
        if self.seconds is not None:
            line = f"time: about {_duration(self.seconds)}"
            tried = sum(not program.is_estimated for program in self.programs)
            if tried < count:
                line += f" (judging by {tried} of the programs)"
            if self.compile_seconds is not None:
                line += f", and {_duration(self.compile_seconds)} to compile"
            lines.append(line)
        return "\n".join([*lines, *(f"  {program}" for program in self.programs)])

    def _repr_html_(self) -> str:
        summary, _, _ = str(self).partition("\n  ")
        columns = ["static", "configs", "trials", "steps", "width", "block_bytes", "seconds"]
        shown = self.programs[: html.MOST_ROWS]
        rows = [
            ["" if x is None else x for x in map(program.__getattribute__, columns)]
            for program in shown
        ]
        return html.paragraph(summary) + html.table(columns, rows, len(self.programs))

    def to_json(self) -> dict[str, Any]:
        """Return the plan as JSON can hold it."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Plan":
        """Make the plan that `to_json` returned."""
        return cls(**{**content, "programs": tuple(ProgramPlan(**x) for x in content["programs"])})


def group_key(group: Group) -> str:
    """Return a group's static hyperparameters as JSON: the same for it in another sweep."""
    static = {name: str(label) for name, label in group.labels.items() if name != "steps_per_epoch"}
    return json.dumps(static, sort_keys=True)


def plan_of(spec: SweepSpec, machine: Machine, trials: int | None = None, parts: int = 1) -> Plan:
    """Return the layout that the rules give, without compiling or measuring.

    Args:
        spec: the sweep.
        machine: where it runs.
        trials: of each group; by default all of them.
        parts: pieces of the sweep that run one after another, each on all blocks.
    """
    slots = machine.devices * machine.blocks
    programs = tuple(
        _program_plan(group, group_width(spec, i, machine, slots, trials, parts))
        for i, group in enumerate(spec.groups)
    )
    data_bytes = spec.data_bytes
    in_step = None
    if spec.stream is not None:
        data_bytes += spec.bytes_ahead(slots)
        in_step = blocks_in_step(spec, machine, [program.width for program in programs])
    return Plan(
        device=machine.device_kind,
        devices=machine.devices,
        blocks=machine.blocks,
        programs=programs,
        data_bytes=data_bytes,
        in_step=in_step,
    )


def checked_plan(spec: SweepSpec, machine: Machine, plan: object) -> Plan:
    """Check the plan that the user passed, and return it for the groups of this sweep."""
    if not isinstance(plan, Plan):
        raise ArgumentTypeError(
            f"{WHERE}: plan must come from jf.plan, or be 'measure' or None, got plan={plan!r}."
        )
    if (plan.device, plan.devices) != (machine.device_kind, machine.devices):
        raise ArgumentError(
            f"{WHERE}: plan must be for the devices that are here, {machine.devices} × "
            f"{machine.device_kind}, got {plan.devices} × {plan.device}."
        )
    width_of = {program.static: program.width for program in plan.programs}
    unknown = {group_key(group) for group in spec.groups} - set(width_of)
    if unknown:
        raise ArgumentError(
            f"{WHERE}: plan must name every program of the sweep, got none for {sorted(unknown)}."
        )
    programs = (_program_plan(group, width_of[group_key(group)]) for group in spec.groups)
    return dataclasses.replace(plan, programs=tuple(programs), compile_seconds=None)


def _program_plan(group: Group, width: int) -> ProgramPlan:
    return ProgramPlan(group_key(group), len(group.configs), group.trials, group.lane_steps, width)


def _bytes(count: int) -> str:
    if count < 2**30:
        return f"{count / 2**20:,.1f} MiB"
    return f"{count / 2**30:,.2f} GiB"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.2g} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
