"""The policy where the data are in memory: blocks run on their own, lanes are refilled as they end.

Some slots work side by side, each with one block at a time. A block computes a series of segments
until the host is needed: to begin other trials in lanes that are free, to rank by a metric of its
own, to keep states, or to show how far the sweep is. The host observes the series and sends the
block's lanes on; meanwhile the other slots compute. Where a rule stops configurations, a series is
one segment, and the host takes slot after slot and waits for each, so that its decisions do not
depend on the clock.
"""

import dataclasses
import time
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Any

import jax
import numpy as np

from ..._core.debugging import Workers
from ..._core.typing import Device
from ...results import Status
from ..programs import Commands, Evaluation, Lane, zeros
from ._block import Block
from ._memory import MEMORY_ERRORS
from ._queue import IDLE, Queue
from ._scheduler import Evaluated, Scheduler
from ._scored import scored

_RUNNING = int(Status.RUNNING)  # comparing arrays with a member of an enumeration is slow

_SERIES_SECONDS = 0.1
"""After so long a series ends with the segment under way, and the host sees how far it is."""


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
                if block is not None and block.series is None:
                    self._go_on(slot, block, pool)
            self._open_blocks(pool)
            while any(self.blocks):
                self.at_boundary(self)
                for slot in self._next_slots():
                    block = self.blocks[slot]
                    if block is not None and block.series is not None:
                        self._turn(slot, block, pool)

    def _next_slots(self) -> list[int]:
        """Return whose turns are next: of all slots, or of those that need not be waited for."""
        if self.pruner is not None:
            return list(range(len(self.blocks)))
        slots = {
            block.series: slot
            for slot, block in enumerate(self.blocks)
            if block is not None and block.series is not None
        }
        done, _ = wait(slots, return_when=FIRST_COMPLETED)
        return sorted(slots[series] for series in done)

    def _turn(self, slot: int, block: Block, pool: Workers) -> None:
        """Observe a block's series and send its lanes on."""
        assert block.series is not None
        try:
            block.lanes, evaluations = block.series.result()
        except MEMORY_ERRORS as error:
            self.halve(block.queue, error)
            self._open_blocks(pool)
            return

        lanes = block.occupied
        block.series = None
        for evaluation in evaluations:
            of_trials = jax.tree.map(lambda x: x[lanes], evaluation)
            self.observe([Evaluated(block, lanes, of_trials)])
        self._go_on(slot, block, pool)
        self.on_segment()  # while the block computes again

    def _go_on(self, slot: int, block: Block, pool: Workers) -> None:
        """Compute a block's next series; one that has no trials left makes room for another.

        Where the sweep is to end, the block stays as it is, and a resumed sweep begins with this.
        """
        if self.is_ending():
            return
        if not self._send(block, pool):
            self.blocks[slot] = None
            self._open_blocks(pool)

    def _send(self, block: Block, pool: Workers) -> bool:
        """Refill idle lanes and compute the next series; False where no lane has a trial."""
        fresh = block.refill()
        if not len(block.occupied):
            return False
        commands = self._commands(block, fresh)
        try:
            self._start(block, fresh, commands)
        except MEMORY_ERRORS as error:  # the block's next turn deals with it
            block.series = Future()
            block.series.set_exception(error)
            return True
        block.series = pool.submit(self._compute, block, block.lanes, commands)
        return True

    def _compute(
        self, block: Block, lanes: Lane, commands: Commands
    ) -> tuple[Lane, list[Evaluation]]:
        """Compute the segment of these commands, and those after it, as far as the host allows."""
        occupied = block.occupied
        evaluations: list[Evaluation] = []
        ends_at = time.monotonic() + _SERIES_SECONDS
        most = self._most_segments(block)
        while True:
            lanes, evaluation = block.program(lanes, commands, self.shared[block.device])
            evaluation = self._on_host(evaluation)
            if self.scorer is not None:
                evaluation = scored(self.scorer, evaluation, occupied, commands.fold)
            evaluations.append(evaluation)

            is_any_over = (np.asarray(evaluation.status)[occupied] != _RUNNING).any()
            is_enough = len(evaluations) == most or time.monotonic() >= ends_at
            if is_any_over or is_enough or self.is_ending():
                return lanes, evaluations
            until = block.until_after(len(evaluations))
            commands = commands._replace(fresh=np.zeros_like(commands.fresh), until=until)

    def _most_segments(self, block: Block) -> int:
        """Return how many segments a series has at most: only one where each is to be observed."""
        keeps_in_between = self.keep_states not in (None, "last")
        if self.pruner is not None or block.queue.program.is_ranked_on_host or keeps_in_between:
            return 1
        return block.evaluations_left

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
                if block.series is not None:
                    wait([block.series])
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
        """Whether a series has raised; waits for those under way. The next turn deals with it."""
        running = [block.series for block in self.blocks if block is not None and block.series]
        return any(series.exception() for series in running)

    def captured(self) -> tuple[list[Any], dict[str, np.ndarray]]:
        """Return the queue of each slot's block, and the blocks; waits for what is under way."""
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
