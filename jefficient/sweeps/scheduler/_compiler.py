"""Programs are lowered one after another and compiled in threads, ahead of the blocks' need."""

import math
from collections.abc import Hashable
from concurrent.futures import Future
from functools import partial
from typing import Any

import jax

from ..._core.debugging import Workers
from ..._core.reuse import compiled, recall_compiled, remember_compiled, settings_key, shapes_of
from ..._core.typing import Device
from ..programs import Commands, Lane, LaneProgram, Segment, Shared, StreamedCalls
from ..tasks import WHERE, annotate_compilation_errors
from ._memory import TooLargeError
from ._queue import Queue


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
        device_memory: float,
        *,
        reads_weights: bool,
    ):
        any_shared = next(iter(shared.values()))
        self._data_bytes = sum(x.nbytes for x in jax.tree.leaves(any_shared.data))
        self._queues = queues
        self._shared = shared
        self._ahead = ahead
        self._pool = Workers(ahead)
        self._segments: dict[tuple[LaneProgram, Device], tuple[Future[Segment], Lane]] = {}
        self._device_memory = device_memory
        self._reads_weights = reads_weights

    def __call__(self, queue: Queue, device: Device) -> tuple[Any, Lane]:
        """Return a queue's program and its lanes; the programs after it begin to be compiled.

        What reads weights of lanes calls the user's functions, too: it is compiled meanwhile, in
        this thread.
        """
        programs = [known.program for known in self._queues]
        first = programs.index(queue.program)
        for following in self._queues[first : first + self._ahead]:
            for each in self._shared:
                self._begin(following, each)
        segment, lanes = self._segments[queue.program, device]
        if self._reads_weights and not segment.done():
            queue.program.compile_reading(lanes, device)
        self._check_memory(segment.result())
        return segment.result(), lanes

    def close(self) -> None:
        """Cancel compilations that have not begun."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _check_memory(self, segment: Segment) -> None:
        """Refuse blocks that are predicted not to fit."""
        if self._device_memory == math.inf:
            return
        blocks = self._ahead // len(self._shared)
        needed = self._data_bytes + blocks * block_bytes(segment, self._data_bytes)
        if needed > self._device_memory:
            raise TooLargeError(
                f"{WHERE}: {needed:,} bytes must fit the device, got {self._device_memory:,}."
            )

    def _begin(self, queue: Queue, device: Device) -> None:
        key = queue.program, device
        if key in self._segments:
            return
        commands = jax.device_put(queue.idle_commands(), device)
        arguments = shapes_of((commands, self._shared[device]))
        reuse_key = "segment", queue.program.reuse_key, device, arguments
        known = recall_compiled(reuse_key)
        if known is None:
            self._segments[key] = self._compile(queue, device, commands, reuse_key)
        else:
            segment, lanes = known
            self._segments[key] = Future(), lanes
            self._segments[key][0].set_result(segment)

    def _compile(
        self, queue: Queue, device: Device, commands: Commands, reuse_key: Hashable
    ) -> tuple[Future[Segment], Lane]:
        shared = self._shared[device]
        with annotate_compilation_errors(queue.group.static):
            lanes = queue.program.empty(commands, shared)
            lowered = queue.program.lower(lanes, commands, shared)
        remember = partial(remember_compiled, settings=settings_key())

        def compile_all() -> Segment:
            segment = jax.tree.map(partial(compiled, device=device), lowered)
            remember(reuse_key, (segment, lanes))
            return segment

        return self._pool.submit(compile_all), lanes


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
