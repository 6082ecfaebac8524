"""How many lanes a block gets: rules that are functions of the machine and of what a lane costs."""

import math

from ..._core.devices import Machine
from ._spec import SweepSpec

_CPU_BLOCK_BYTES = 2 * 2**20
"""State of a block's lanes on a CPU at most: about what stays in a core's cache between steps."""

_SMALL_BLOCK_BYTES = 2**20
"""What the lanes of a wide block of a small model on a CPU work on, at most."""

_ROUNDS_OF_WIDE_BLOCKS = 4
"""Rounds of wide blocks for which there must be trials: with fewer, free lanes stay empty."""

_ALIKE = 1.1
"""The longest trial for the shortest, at most, in wide blocks: folds may differ by an example."""

_LOCKSTEP_MEMORY = 0.25
"""The share of the memory that blocks which are kept in step may take."""

_STATES_PER_LANE = 6
"""States that a lane may need room for: the old and the new one, gradients, activations."""


def widest_block(
    machine: Machine, state_bytes: int, has_convolution: bool, block_memory: float
) -> int:
    """Return the lanes in a block at most, a power of two.

    Args:
        machine: where it runs.
        state_bytes: of one lane.
        has_convolution: whether a step has one; vmapped over filters it becomes a grouped
            convolution, which is slow on a CPU.
        block_memory: bytes that a block may take.
    """
    if machine.platform == "cpu" and has_convolution:
        return 1
    room = block_memory / _STATES_PER_LANE if machine.platform != "cpu" else _CPU_BLOCK_BYTES
    fitting = min(max(1.0, room / max(state_bytes, 1)), machine.widest)
    return 2 ** int(math.log2(fitting))


def even_width(trials: int, side_by_side: int, widest: int) -> int:
    """Spread trials evenly over blocks of at most `widest` lanes, so many of them side by side."""
    rounds = math.ceil(trials / (side_by_side * widest))
    return math.ceil(trials / (side_by_side * rounds))


def width_candidates(machine: Machine) -> list[int]:
    """Return widths worth measuring."""
    widest = 4 * machine.widest if machine.platform == "cpu" else machine.widest
    return [2**k for k in range(int(math.log2(widest)) + 1)]


def group_width(
    spec: SweepSpec,
    index: int,
    machine: Machine,
    slots: int,
    trials: int | None = None,
    parts: int = 1,
) -> int:
    """Return the width for a group of a sweep that runs on `slots` blocks side by side.

    Args:
        spec: the sweep.
        index: which of its groups.
        machine: where it runs.
        slots: blocks that run side by side, on all devices.
        trials: of the group; by default all of them.
        parts: pieces of the sweep that run one after another on these slots.
    """
    group = spec.groups[index]
    costs = spec.costs[index]
    memory = (machine.device_memory - spec.data_bytes) / machine.blocks
    widest = widest_block(machine, costs.state_bytes, costs.has_convolution, memory)
    trials = group.trials if trials is None else trials
    each = group.seeds * group.folds
    if spec.stream is not None:  # a block has trials of one seed and fold
        return even_width(max(1, trials // each), slots, widest)

    widest = max(widest, _widest_of_many(spec, index, machine, trials / (slots * parts)))
    if spec.settings.stop is not None:
        # All trials of a configuration must reach an evaluation before any of them is stopped.
        widest = max(widest, math.ceil(each / slots))
    return even_width(trials, slots, widest)


def _widest_of_many(spec: SweepSpec, index: int, machine: Machine, trials: float) -> int:
    """Return the lanes at most where very many trials of a small model, alike long, come to a CPU.

    Wide blocks compute as fast and there are fewer segments for the host. 1 for all other groups.
    """
    # Trials of a stream see it once and end together: one round leaves no lane empty.
    rounds = 1 if spec.problem.is_prequential else _ROUNDS_OF_WIDE_BLOCKS
    many = min(trials / rounds, machine.widest_small)
    steps = spec.groups[index].steps
    has_convolution = spec.costs[index].has_convolution
    if machine.platform != "cpu" or has_convolution or many < 2 * machine.widest:
        return 1
    if steps.max() > _ALIKE * steps.min():
        return 1
    return int(min(many, _SMALL_BLOCK_BYTES / max(spec.lane_bytes[index], 1)))


def blocks_in_step(spec: SweepSpec, machine: Machine, widths: list[int]) -> int:
    """Return how many blocks fit into memory, on all devices, where they are kept in step."""
    memory = machine.device_memory * machine.devices
    if math.isinf(memory):
        memory = machine.host_memory
    states = [costs.state_bytes * x for costs, x in zip(spec.costs, widths, strict=True)]
    return int(memory * _LOCKSTEP_MEMORY / (_STATES_PER_LANE * max(*states, 1)))
