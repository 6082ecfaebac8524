"""The host's side of lanes: a queue of trials, blocks that are refilled from it, decisions in a fixed order.

Some slots work side by side, each with one block at a time. The host takes their segments in turn, slot after slot,
waits for each, decides what its lanes do next and sends it on; meanwhile the other slots compute. What it decides is
therefore a function of how far the blocks have got, and a sweep repeats exactly.
"""

import dataclasses
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import jax
import numpy as np

from .._core.typing import Device, Tree
from ._lanes import Lane, LaneProgram, Look, Orders, Segment, Shared, zeros
from ._programs import Program
from ._record import Place, Record, Seen
from ._stop import Judge, Report

IDLE = -1


@dataclasses.dataclass
class Queue:
    """The trials of a program: those that wait, and what runs them.

    Attributes:
        part: the program's configurations.
        program: what its lanes do.
        waiting: trials that have not been started, in order.
    """

    part: Program
    program: LaneProgram
    waiting: deque[int]

    @classmethod
    def of(cls, part: Program, program: LaneProgram) -> "Queue":
        """All trials of a program."""
        return cls(part, program, deque(range(part.trials)))

    @property
    def width(self) -> int:
        """Lanes in a block."""
        return self.program.width

    def orders(self, trials: np.ndarray, fresh: np.ndarray, looks: np.ndarray) -> Orders:
        """What lanes with these trials (`IDLE` for none) are told, `looks` saying which look comes next."""
        part = self.part
        is_busy = trials != IDLE
        row, seed, fold = part.place(np.where(is_busy, trials, 0))
        until = [part.looks[r][look] if busy else 0 for r, look, busy in zip(row, looks, is_busy, strict=True)]
        return Orders(
            fresh=fresh,
            hyperparameters={name: x[row] for name, x in part.numbers.items()},
            seed=seed.astype(np.uint32),
            fold=fold.astype(np.int32),
            steps=part.steps[row],
            until=np.array(until, np.int32),
        )

    def idle(self) -> Orders:
        """What lanes without a trial are told."""
        nobody = np.full(self.width, IDLE)
        return self.orders(nobody, np.zeros(self.width, bool), np.zeros(self.width, int))

    def take(self) -> int:
        """The next trial that waits, `IDLE` where none does."""
        return self.waiting.popleft() if self.waiting else IDLE


@dataclasses.dataclass
class Block:
    """The lanes of one slot.

    Attributes:
        queue: where its trials come from.
        segment: the compiled program.
        lanes: on the device.
        trials: which trial each lane trains, int array (width,), `IDLE` for none.
        looks: which look each lane comes to next.
        arrives: the segment that is being computed.
    """

    queue: Queue
    segment: Segment
    lanes: Lane
    trials: np.ndarray
    looks: np.ndarray
    arrives: Future | None = None


@dataclasses.dataclass
class Engine:
    """Runs queues of trials on slots.

    Attributes:
        queues: one for each program, in order.
        compiled: ``(queue, device) -> (segment, lanes)``, the lanes as shapes and dtypes.
        devices: one for each slot.
        shared: what lanes read, on each device.
        record: where looks and weights go.
        judge: who stops configurations, or None.
        keeps: whether weights are kept.
        report: called after every segment.
    """

    queues: list[Queue]
    compiled: Callable[[Queue, Device], tuple[Segment, Lane]]
    devices: list[Device]
    shared: dict[Device, Shared]
    record: Record
    judge: Judge | None
    keeps: bool
    report: Callable[[], None]

    def run(self) -> None:
        """Until every trial is over."""
        with ThreadPoolExecutor(len(self.devices)) as pool:
            blocks = [self._open(slot, pool) for slot in range(len(self.devices))]
            while any(blocks):
                for slot, block in enumerate(blocks):
                    if block is None:
                        continue
                    assert block.arrives is not None
                    block.lanes, look = block.arrives.result()
                    self._take(block, look)
                    self.report()
                    blocks[slot] = block if self._refill(slot, block, pool) else self._open(slot, pool)

    def _open(self, slot: int, pool: ThreadPoolExecutor) -> Block | None:
        """A block on the first queue where trials wait, sent on its way."""
        queue = next((queue for queue in self.queues if queue.waiting), None)
        if queue is None:
            return None
        segment, lanes = self.compiled(queue, self.devices[slot])
        nobody, first = np.full(queue.width, IDLE), np.zeros(queue.width, int)
        block = Block(queue, segment, zeros(lanes, self.devices[slot]), nobody, first)
        self._refill(slot, block, pool)
        return block

    def _refill(self, slot: int, block: Block, pool: ThreadPoolExecutor) -> bool:
        """Give idle lanes new trials and send the block on; False where nothing is left to do."""
        fresh = np.zeros(len(block.trials), bool)
        for lane in np.flatnonzero(block.trials == IDLE):
            block.trials[lane] = block.queue.take()
            block.looks[lane], fresh[lane] = 0, block.trials[lane] != IDLE
        if (block.trials == IDLE).all():
            return False
        device = self.devices[slot]
        orders = jax.device_put(block.queue.orders(block.trials, fresh, block.looks), device)

        def compute() -> tuple[Lane, Look]:
            lanes, look = block.segment(block.lanes, orders, self.shared[device])
            return lanes, jax.device_get(look)

        block.arrives = pool.submit(compute)
        return True

    def _take(self, block: Block, look: Look) -> None:
        """Record a segment, let the judge decide, and free the lanes whose trials are over."""
        lanes = np.flatnonzero(block.trials != IDLE)
        row, seed, fold = block.queue.part.place(block.trials[lanes])
        place = Place(block.queue.part.configs[row], seed, fold)
        values = {name: np.asarray(x)[lanes] for name, x in look.values.items()}
        ends = (np.asarray(x)[lanes] for x in (look.status, look.step, look.diverged_at))
        seen = Seen(block.looks[lanes], values, *ends)
        self.record.add(place, seen, len(block.trials))
        if self.judge is not None:
            self._stop(block.queue, self.judge, np.unique(row))
        is_over = ~self.record.is_running(place)
        if self.keeps:
            self._keep(block, lanes[is_over], Place(*(x[is_over] for x in place)))
        block.looks[lanes] += 1
        block.trials[lanes[is_over]] = IDLE

    def _stop(self, queue: Queue, judge: Judge, rows: np.ndarray) -> None:
        """Report what is complete of the configurations in these rows, and stop those that the judge stops."""
        part = queue.part
        reports, reported_rows = [], []
        for row in rows:
            config, looks = int(part.configs[row]), part.looks[row]
            for index, score in self.record.unreported(config, len(looks)):
                reports.append(Report(config, looks[index], looks[index] / part.steps_per_epoch, score))
                reported_rows.append(row)
        for row, stops in zip(reported_rows, judge.stops(reports), strict=True):
            if stops:
                members = np.arange(part.seeds * part.folds) + row * part.seeds * part.folds
                _, seed, fold = part.place(members)
                self.record.stop(int(part.configs[row]), seed, fold)
                queue.waiting = deque(trial for trial in queue.waiting if trial not in set(members.tolist()))

    def _keep(self, block: Block, lanes: np.ndarray, place: Place) -> None:
        """Take the weights of trials that are over, where they may be among the best."""
        wanted = [i for i, config in enumerate(place.config) if self.record.wants(config)]
        if not wanted:
            return
        weights: Tree = jax.device_get(block.queue.program.weights(block.lanes))
        for i in wanted:
            key = (int(place.config[i]), int(place.seed[i]), int(place.fold[i]))
            self.record.weights[key] = jax.tree.map(lambda x, lane=lanes[i]: np.array(x[lane]), weights)
