"""Programs are lowered one after another and compiled in threads, ahead of the blocks' need."""

import dataclasses
import os
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Any

import jax

from ..._core.debugging import Workers
from ..._core.typing import Device
from ..programs import Lane, LaneProgram, Segment, Shared, StreamedCalls
from ..tasks import WHERE, annotate_compilation_errors
from ._memory import TooLargeError
from ._queue import Queue

_LEVEL = "xla_backend_optimization_level"


@dataclasses.dataclass(frozen=True)
class ProgramCache:
    """What has been built and compiled; batches of proposals of one search share it.

    Attributes:
        programs: by what makes them differ.
        segments: compiled, and the shapes of the lanes they take.
    """

    programs: dict[Hashable, LaneProgram] = dataclasses.field(default_factory=dict)
    segments: dict[tuple[LaneProgram, Device], tuple[Future[Segment], Lane]] = dataclasses.field(
        default_factory=dict
    )

    def program(self, key: Hashable, build: Callable[[], LaneProgram]) -> LaneProgram:
        """Return the program with this key, built if it is new."""
        if key not in self.programs:
            self.programs[key] = build()
        return self.programs[key]


class Compiler:
    """Compiled programs, and the shapes of the lanes they take, by queue and device.

    Lowering calls the user's functions, so the caller's thread does it, whose jax settings apply;
    other threads compile meanwhile.
    """

    def __init__(
        self,
        queues: list[Queue],
        shared: dict[Device, Shared],
        ahead: int,
        cache: ProgramCache,
        device_memory: float,
    ):
        any_shared = next(iter(shared.values()))
        self._data_bytes = sum(x.nbytes for x in jax.tree.leaves(any_shared.data))
        self._queues = queues
        self._shared = shared
        self._ahead = ahead
        self._pool = Workers(ahead)
        self._segments = cache.segments
        self._device_memory = device_memory

    def __call__(self, queue: Queue, device: Device) -> tuple[Any, Lane]:
        """Return a queue's program and its lanes; the programs after it begin to be compiled."""
        programs = [known.program for known in self._queues]
        first = programs.index(queue.program)
        for following in self._queues[first : first + self._ahead]:
            for each in self._shared:
                self._begin(following, each)
        segment, lanes = self._segments[queue.program, device]
        self._check_memory(segment.result())
        return segment.result(), lanes

    def close(self) -> None:
        """Cancel compilations that have not begun."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _check_memory(self, segment: Segment) -> None:
        """Refuse blocks that are predicted not to fit."""
        blocks = self._ahead // len(self._shared)
        needed = self._data_bytes + blocks * block_bytes(segment, self._data_bytes)
        if needed > self._device_memory:
            raise TooLargeError(
                f"{WHERE}: {needed:,} bytes must fit the device, got {self._device_memory:,}."
            )

    def _begin(self, queue: Queue, device: Device) -> None:
        key = queue.program, device
        if key not in self._segments:
            lowered, lanes = self._lower(queue, device)
            self._segments[key] = self._pool.submit(compiled, lowered), lanes

    def _lower(self, queue: Queue, device: Device) -> tuple[Any, Lane]:
        commands = jax.device_put(queue.idle_commands(), device)
        shared = self._shared[device]
        with annotate_compilation_errors(queue.group.static):
            lanes = queue.program.empty(commands, shared)
            return queue.program.lower(lanes, commands, shared), lanes


def compiled(lowered: Any) -> Any:
    """Compile what a program's `lower` returned.

    On a CPU with fewer compiler passes than by default, unless ``XLA_FLAGS`` sets their level: it
    takes half the time, and the programs are as fast.
    """
    options: Any = None
    if jax.default_backend() == "cpu" and _LEVEL not in os.environ.get("XLA_FLAGS", ""):
        options = {_LEVEL: 2}
    return jax.tree.map(lambda x: x.compile(compiler_options=options), lowered)


def block_bytes(segment: Segment | StreamedCalls, data_bytes: int) -> int:
    """Return the memory that a compiled program says a block takes, 0 if it does not say.

    Data in memory are left out, since blocks share them; chunks of streamed data are counted.
    """
    if isinstance(segment, StreamedCalls):
        stages = [x for x in (segment.train, segment.accumulate) if x is not None]
        return max(block_bytes(stage, data_bytes) for stage in stages)
    memory = segment.memory_analysis()
    if memory is None:
        return 0
    total = memory.argument_size_in_bytes + memory.output_size_in_bytes
    total += memory.temp_size_in_bytes - memory.alias_size_in_bytes
    return max(0, total - data_bytes)
