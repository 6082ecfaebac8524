"""The host's side of lanes: blocks that are refilled from queues of trials, decisions in a fixed order.

Some slots work side by side, each with one block at a time. The host takes their segments in turn,
slot after slot, waits for each, decides what its lanes do next and sends it on; meanwhile the other
slots compute. What it decides is therefore a function of how far the blocks have got, and a sweep
repeats exactly.
"""

import dataclasses
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

import jax
import numpy as np

from ..._core.serialization import decoded, encoded
from ..programs import Evaluation, Lane, Segment, zeros
from ._queue import IDLE, Queue
from ._record import Place
from ._scheduler import MEMORY_ERRORS, Scheduler


@dataclasses.dataclass(eq=False)
class Block:
    """The lanes of one slot.

    Attributes:
        queue: where its trials come from.
        segment: the compiled program.
        trials: which trial each lane trains, int array (width,), `IDLE` for none.
        evaluations: which evaluation each lane comes to next.
        arrives: the segment that is being computed, and what the lanes are after it.
    """

    queue: Queue
    segment: Segment
    trials: np.ndarray
    evaluations: np.ndarray
    arrives: Future[tuple[Lane, Evaluation]]


@dataclasses.dataclass(eq=False)
class ContinuousScheduler(Scheduler):
    """Runs queues of trials on slots, lanes refilled as they become free.

    Attributes:
        blocks: one for each slot, or None; a resumed sweep begins with some.
    """

    blocks: list[Block | None] = dataclasses.field(default_factory=list)

    def __post_init__(self):
        self.blocks = self.blocks or [None] * len(self.devices)

    def run(self) -> None:
        """Until every trial is over."""
        with ThreadPoolExecutor(len(self.devices)) as pool:
            self._open_idle(pool)
            while any(self.blocks):
                self.between(self)
                for slot, block in enumerate(self.blocks):
                    if block is not None:
                        self._turn(slot, block, pool)

    def _turn(self, slot: int, block: Block, pool: ThreadPoolExecutor) -> None:
        """Take a block's segment and send its lanes on."""
        try:
            lanes, evaluation = block.arrives.result()
        except MEMORY_ERRORS as error:
            self._halve(block.queue, error)
            self._open_idle(pool)
            return
        self._take(block, lanes, evaluation)
        if not self._refill(slot, block, lanes, pool):
            self.blocks[slot] = None
            self._open_idle(pool)
        self.report()  # while the block computes again

    def _open_idle(self, pool: ThreadPoolExecutor) -> None:
        """Give each slot without a block one on the first queue where trials wait."""
        while (slot := self._idle_slot()) is not None:
            device = self.devices[slot]
            queue = next(queue for queue in self.queues if queue.waiting)
            try:
                segment, shapes = self.compiled(queue, device)
                lanes = zeros(shapes, device)
            except MEMORY_ERRORS as error:
                self._halve(queue, error)  # which may have freed slots that came before
                continue
            nobody, first = np.full(queue.width, IDLE), np.zeros(queue.width, int)
            block = self.blocks[slot] = Block(queue, segment, nobody, first, Future())
            self._refill(slot, block, lanes, pool)

    def _idle_slot(self) -> int | None:
        """The first slot without a block, None where no trial waits for one."""
        idle_commands = (slot for slot, block in enumerate(self.blocks) if block is None)
        return next(idle_commands, None) if any(queue.waiting for queue in self.queues) else None

    def _refill(self, slot: int, block: Block, lanes: Lane, pool: ThreadPoolExecutor) -> bool:
        """Give idle lanes new trials and send the block on; False where nothing is left to do."""
        fresh = np.zeros(len(block.trials), bool)
        for lane in np.flatnonzero(block.trials == IDLE):
            block.trials[lane] = block.queue.take()
            block.evaluations[lane], fresh[lane] = 0, block.trials[lane] != IDLE
        if (block.trials == IDLE).all():
            return False
        device, segment = self.devices[slot], block.segment
        commands = block.queue.commands(block.trials, fresh, block.evaluations)

        def compute() -> tuple[Lane, Evaluation]:
            after, evaluation = segment(lanes, commands, self.shared[device])
            return after, jax.tree.map(np.array, evaluation)

        block.arrives = pool.submit(compute)
        return True

    def _take(self, block: Block, after: Lane, evaluation: Evaluation) -> None:
        """Record a segment, let the judge decide, and free the lanes whose trials are over."""
        lanes, queue = np.flatnonzero(block.trials != IDLE), block.queue
        trials, evaluations, place = (
            block.trials[lanes],
            block.evaluations[lanes],
            queue.place(block.trials[lanes]),
        )
        was_going = self.record.is_running(
            place
        )  # what was stopped meanwhile has weights past its last evaluation
        self._see(
            queue,
            trials,
            evaluations,
            len(block.trials),
            jax.tree.map(lambda x: x[lanes], evaluation),
        )
        self._judge(queue, trials)
        is_over = ~self.record.is_running(place) | queue.is_last(trials, evaluations)
        ended = is_over & was_going
        self._keep(queue, after, lanes[ended], Place(*(x[ended] for x in place)))
        block.evaluations[lanes] += 1
        block.trials[lanes[is_over]] = IDLE

    def _halve(self, queue: Queue, error: Exception) -> None:
        """Out of memory: blocks of half the width."""
        for slot, block in enumerate(self.blocks):
            if block is not None and block.queue is queue:
                wait([block.arrives])
                self.blocks[slot] = None
        self._narrow(queue, error)

    @property
    def has_failed(self) -> bool:
        """Whether a segment has raised, which is about to be dealt with."""
        return any(block is not None and block.arrives.exception() for block in self.blocks)

    def captured(self) -> tuple[list[Any], dict[str, np.ndarray]]:
        """Where its blocks stand: what JSON can hold, and arrays. Waits for segments under way."""
        slots = [None if block is None else self.queues.index(block.queue) for block in self.blocks]
        arrays: dict[str, np.ndarray] = {}
        for slot, block in enumerate(self.blocks):
            if block is not None:
                arrays |= _encoded_block(f"slot/{slot}", block)
        return slots, arrays

    def fits(self, slots: list[Any]) -> bool:
        """Whether it can go on from there."""
        return len(slots) == len(self.devices)

    def restore(self, slots: list[Any], arrays: Mapping[str, np.ndarray]) -> None:
        """Go on from what `captured` gave."""
        self.blocks = [
            None if index is None else self._decoded(slot, index, arrays)
            for slot, index in enumerate(slots)
        ]

    def _decoded(self, slot: int, index: int, arrays: Mapping[str, np.ndarray]) -> Block:
        queue, device, name = self.queues[index], self.devices[slot], f"slot/{slot}"
        segment, shapes = self.compiled(queue, device)
        lanes = jax.device_put(decoded(f"{name}/lanes", arrays, shapes), device)
        measured = f"{name}/evaluation/"
        values: Any = {
            key.removeprefix(measured): x for key, x in arrays.items() if key.startswith(measured)
        }
        ends: Any = [arrays[f"{name}/{key}"] for key in ("status", "step", "diverged_at")]
        arrives: Future = Future()
        arrives.set_result((lanes, Evaluation(values, *ends)))
        return Block(
            queue,
            segment,
            arrays[f"{name}/trials"].copy(),
            arrays[f"{name}/evaluations"].copy(),
            arrives,
        )


def _encoded_block(name: str, block: Block) -> dict[str, np.ndarray]:
    lanes, evaluation = block.arrives.result()
    measured = {f"{name}/evaluation/{key}": np.array(x) for key, x in evaluation.values.items()}
    ends = {
        f"{name}/{key}": np.array(getattr(evaluation, key))
        for key in ("status", "step", "diverged_at")
    }
    host = {f"{name}/trials": block.trials.copy(), f"{name}/evaluations": block.evaluations.copy()}
    return {**encoded(f"{name}/lanes", lanes), **measured, **ends, **host}
