"""Programs are lowered one after another and compiled in threads, ahead of the blocks that need them."""

import dataclasses
import os
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import jax

from ..._core.devices import memory_of
from ..._core.typing import Device
from ..programs import Lane, LaneProgram, Segment, Shared, StreamedCalls
from ..tasks import WHERE, annotate_tracing_errors
from ._queue import Queue
from ._scheduler import TooLargeError

_LEVEL = "xla_backend_optimization_level"


@dataclasses.dataclass(frozen=True)
class ProgramCache:
    """What has been built and compiled: sweeps of one task that follow each other share it.

    Attributes:
        programs: by what makes them differ.
        segments: compiled, and the lanes they take.
    """

    programs: dict[Hashable, LaneProgram] = dataclasses.field(default_factory=dict)
    segments: dict[tuple[LaneProgram, Device], tuple[Future[Segment], Lane]] = dataclasses.field(
        default_factory=dict
    )

    def program(self, key: Hashable, build: Callable[[], LaneProgram]) -> LaneProgram:
        """The program with this key, built where it is new."""
        if key not in self.programs:
            self.programs[key] = build()
        return self.programs[key]


class Compiler:
    """Compiled segments, and the lanes they take, by queue and device.

    Lowering calls the user's functions, so it is done by the caller's thread, whose settings of jax
    they are; that thread goes on while the rest is compiled in others.
    """

    def __init__(
        self, queues: list[Queue], shared: dict[Device, Shared], ahead: int, built: ProgramCache
    ):
        self._data_bytes = sum(x.nbytes for x in jax.tree.leaves(next(iter(shared.values())).data))
        self._queues, self._shared, self._ahead = queues, shared, ahead
        self._pool = ThreadPoolExecutor(ahead)
        self._segments = built.segments

    def __call__(self, queue: Queue, device: Device) -> tuple[Segment, Lane]:
        """The program of a queue for a device, and its lanes; those that come after it begin to be compiled."""
        first = next(i for i, known in enumerate(self._queues) if known is queue)
        for index in range(first, min(first + self._ahead, len(self._queues))):
            for each in self._shared:
                self._begin(self._queues[index], each)
        segment, lanes = self._segments[queue.program, device]
        self._check_memory(segment.result(), device)
        return segment.result(), lanes

    def close(self) -> None:
        """What has not begun is not compiled."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _check_memory(self, segment: Segment, device: Device) -> None:
        """Blocks that are known not to fit are not begun."""
        limit, blocks = memory_of(device), self._ahead // len(self._shared)
        needed = self._data_bytes + blocks * block_bytes(segment, self._data_bytes)
        if needed > limit:
            raise TooLargeError(f"{WHERE}: {needed:,} bytes must fit the device, got {limit:,}.")

    def _begin(self, queue: Queue, device: Device) -> None:
        place = queue.program, device
        if place in self._segments:
            return
        lowered, lanes = self._lower(queue, device)
        self._segments[place] = self._pool.submit(compiled, lowered), lanes

    def _lower(self, queue: Queue, device: Device) -> tuple[Any, Lane]:
        commands, shared = jax.device_put(queue.idle_commands(), device), self._shared[device]
        with annotate_tracing_errors(queue.group.static, queue.group.numbers):
            lanes = queue.program.empty(commands, shared)
            return queue.program.lower(lanes, commands, shared), lanes


def compiled(lowered: Any) -> Any:
    """A lowered segment or calls, compiled; on a CPU with fewer passes than by default, in half the time and as fast.

    Where ``XLA_FLAGS`` says how many, it is done so.
    """
    options: Any = None
    if jax.default_backend() == "cpu" and _LEVEL not in os.environ.get("XLA_FLAGS", ""):
        options = {_LEVEL: 2}
    return jax.tree.map(lambda x: x.compile(compiler_options=options), lowered)


def block_bytes(segment: Segment | StreamedCalls, data_bytes: int) -> int:
    """Memory that a compiled program says a block takes, the data that blocks share left out; 0 if it does not say.

    Where rows are read while lanes train, those at hand are counted.
    """
    if isinstance(segment, StreamedCalls):
        return max(
            block_bytes(call, data_bytes)
            for call in (segment.train, segment.add)
            if call is not None
        )
    if (memory := segment.memory_analysis()) is None:
        return 0
    total = memory.argument_size_in_bytes + memory.output_size_in_bytes - memory.alias_size_in_bytes
    return max(0, total + memory.temp_size_in_bytes - data_bytes)
