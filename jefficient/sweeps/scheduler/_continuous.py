"""The policy where the data are in memory: blocks run on their own, lanes are refilled as they end.

Some slots work side by side, each with one block at a time. The host takes their segments in turn,
slot after slot, waits for each, observes it and sends its lanes on; meanwhile the other slots
compute.
"""

import dataclasses
from collections.abc import Callable, Mapping
from concurrent.futures import Future, wait
from typing import Any

import jax
import numpy as np

from ..._core.debugging import Workers
from ..._core.typing import Device
from ..programs import Commands, Evaluation, Lane, zeros
from ._block import Block
from ._memory import MEMORY_ERRORS
from ._queue import IDLE, Queue
from ._scheduler import Evaluated, Scheduler
from ._scored import scored


@dataclasses.dataclass(eq=False)
class ContinuousScheduler(Scheduler):
    """Trains queues of trials on slots, lanes refilled as they become free.

    Attributes:
        blocks: one for each slot, or None; a resumed sweep begins with some.
    """

    blocks: list[Block | None] = dataclasses.field(default_factory=list)

    def __post_init__(self):
        self.blocks = self.blocks or [None] * len(self.devices)

    def run(self) -> None:
        """Train until every trial is over."""
        with Workers(len(self.devices)) as pool:
            for slot, block in enumerate(self.blocks):
                if block is not None and block.segment is None:
                    self._go_on(slot, block, pool)
            self._open_blocks(pool)
            while any(self.blocks):
                self.at_boundary(self)
                for slot, block in enumerate(self.blocks):
                    if block is not None and block.segment is not None:
                        self._turn(slot, block, pool)

    def _turn(self, slot: int, block: Block, pool: Workers) -> None:
        """Observe a block's segment and send its lanes on."""
        assert block.segment is not None
        try:
            block.lanes, evaluation = block.segment.result()
        except MEMORY_ERRORS as error:
            self.halve(block.queue, error)
            self._open_blocks(pool)
            return

        lanes = block.occupied
        of_trials = jax.tree.map(lambda x: x[lanes], evaluation)
        block.segment = None
        self.observe([Evaluated(block, lanes, of_trials)])
        self._go_on(slot, block, pool)
        self.on_segment()  # while the block computes again

    def _go_on(self, slot: int, block: Block, pool: Workers) -> None:
        """Compute a block's next segment; one that has no trials left makes room for another.

        Where the sweep is to end, the block stays as it is, and a resumed sweep begins with this.
        """
        if self.is_ending():
            return
        if not self._send(block, pool):
            self.blocks[slot] = None
            self._open_blocks(pool)

    def _send(self, block: Block, pool: Workers) -> bool:
        """Refill idle lanes and compute the next segment; False where no lane has a trial."""
        fresh = block.refill()
        if not len(block.occupied):
            return False
        commands = self._commands(block, fresh)
        try:
            self._start(block, fresh, commands)
        except MEMORY_ERRORS as error:  # the block's next turn deals with it
            block.segment = Future()
            block.segment.set_exception(error)
            return True
        lanes, occupied = block.lanes, block.occupied

        def compute() -> tuple[Lane, Evaluation]:
            after, evaluation = block.program(lanes, commands, self.shared[block.device])
            evaluation = jax.tree.map(np.array, evaluation)
            if self.scorer is not None:
                evaluation = scored(self.scorer, evaluation, occupied, commands.fold)
            return after, evaluation

        block.segment = pool.submit(compute)
        return True

    def _commands(self, block: Block, fresh: np.ndarray) -> Commands:
        commands = block.commands(fresh)
        if commands.has_improved is not None:
            lanes = np.flatnonzero((block.trials != IDLE) & (block.evaluations > 0))
            commands.has_improved[lanes] = self._has_improved(
                block, lanes, block.evaluations[lanes] - 1
            )
        return commands

    def _open_blocks(self, pool: Workers) -> None:
        """Give each slot without a block one on the first queue where trials wait."""
        while (slot := self._idle_slot()) is not None:
            queue = next(queue for queue in self.queues if queue.waiting)
            try:
                block = self._new_block(queue, self.devices[slot])
            except MEMORY_ERRORS as error:
                self.halve(queue, error)  # which may have freed slots that came before
                continue
            self.blocks[slot] = block
            self._go_on(slot, block, pool)

    def _new_block(self, queue: Queue, device: Device) -> Block:
        program, shapes = self._compiled(queue, device)
        idle = np.full(queue.width, IDLE)
        first = np.zeros(queue.width, int)
        return Block(queue, device, program, zeros(shapes, device), idle, first)

    def _idle_slot(self) -> int | None:
        """Return the first slot without a block, None where no trial waits for one."""
        if not any(queue.waiting for queue in self.queues):
            return None
        return next((slot for slot, block in enumerate(self.blocks) if block is None), None)

    def _drop_blocks(self, queue: Queue) -> None:
        for slot, block in enumerate(self.blocks):
            if block is not None and block.queue is queue:
                if block.segment is not None:
                    wait([block.segment])
                self.blocks[slot] = None

    def probe(self, queue: Queue, device: Device) -> Callable[[int, int], None]:
        """Return ``run(steps, evaluation_batches)``, which trains a block and records nothing."""
        block = self._new_block(queue, device)
        block.trials[:] = np.arange(queue.width) % queue.group.trials
        commands = block.commands(np.ones(queue.width, bool))

        def run(steps: int, evaluation_batches: int) -> None:
            del evaluation_batches  # the whole validation set is evaluated in a segment
            until = np.full(queue.width, steps, np.int32)
            now = commands._replace(until=until, steps=until + 1)
            after = block.program(block.lanes, jax.device_put(now, device), self.shared[device])
            block.lanes, evaluation = after
            jax.block_until_ready(evaluation)

        return run

    @property
    def evaluation_batches(self) -> int:
        """Batches in which a validation set is evaluated, as `probe` counts them: one."""
        return 1

    @property
    def has_failed(self) -> bool:
        """Whether a segment has raised, which the next turn of the loop deals with."""
        running = [block.segment for block in self.blocks if block is not None and block.segment]
        return any(segment.exception() for segment in running)

    def captured(self) -> tuple[list[Any], dict[str, np.ndarray]]:
        """Return the queue of each slot's block, and the blocks; waits for segments under way."""
        slots = []
        arrays: dict[str, np.ndarray] = {}
        for slot, block in enumerate(self.blocks):
            slots.append(None if block is None else self.queues.index(block.queue))
            if block is not None:
                arrays |= block.arrays(f"slot/{slot}")
        return slots, arrays

    def fits(self, slots: list[Any]) -> bool:
        """Return whether there are as many slots."""
        return len(slots) == len(self.devices)

    def restore(self, slots: list[Any], arrays: Mapping[str, np.ndarray]) -> None:
        """Go on from what `captured` returned."""
        for slot, index in enumerate(slots):
            if index is not None:
                queue, device = self.queues[index], self.devices[slot]
                compiled = self._compiled(queue, device)
                name = f"slot/{slot}"
                self.blocks[slot] = Block.from_arrays(name, arrays, queue, device, *compiled)
