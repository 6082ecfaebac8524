"""The host's side of lanes: a queue of trials, blocks that are refilled from it, decisions in a fixed order.

Some slots work side by side, each with one block at a time. The host takes their segments in turn, slot after slot,
waits for each, decides what its lanes do next and sends it on; meanwhile the other slots compute. What it decides is
therefore a function of how far the blocks have got, and a sweep repeats exactly.
"""

import dataclasses
import warnings
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._core.errors import JefficientError, JefficientWarning
from .._core.typing import Device, Tree
from ._lanes import Lane, LaneProgram, Look, Orders, Segment, Shared, zeros
from ._named import WHERE
from ._programs import Program
from ._record import Place, Record, Seen
from ._stop import Log, Report

IDLE = -1


@dataclasses.dataclass(eq=False)
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

    def place(self, trials: np.ndarray) -> Place:
        """Where trials stand in the arrays."""
        row, seed, fold = self.part.place(trials)
        return Place(self.part.configs[row], seed, fold)

    def weights_of(self, lanes: Lane, lane: int) -> Tree:
        """The weights that one lane keeps, on the host: no other's leave the device."""
        return jax.tree.map(_on_host, self.program.pick(lanes, lane))

    def members(self, rows: np.ndarray) -> np.ndarray:
        """The trials of the configurations in these rows."""
        each = self.part.seeds * self.part.folds
        return (rows[:, None] * each + np.arange(each)).ravel()


@dataclasses.dataclass(eq=False)
class Block:
    """The lanes of one slot.

    Attributes:
        queue: where its trials come from.
        segment: the compiled program.
        trials: which trial each lane trains, int array (width,), `IDLE` for none.
        looks: which look each lane comes to next.
        arrives: the segment that is being computed, and what the lanes are after it.
    """

    queue: Queue
    segment: Segment
    trials: np.ndarray
    looks: np.ndarray
    arrives: Future[tuple[Lane, Look]]


@dataclasses.dataclass(eq=False)
class Engine:
    """Runs queues of trials on slots.

    Attributes:
        queues: one for each program, in order.
        compiled: ``(queue, device) -> (segment, lanes)``, the lanes as shapes and dtypes.
        devices: one for each slot.
        shared: what lanes read, on each device.
        record: where looks and weights go.
        log: who stops configurations, and what it has been told; or None.
        keeps: whether weights are kept.
        report: called after every segment.
        between: called before every round of segments.
        blocks: one for each slot, or None; a resumed sweep begins with some.
    """

    queues: list[Queue]
    compiled: Callable[[Queue, Device], tuple[Segment, Lane]]
    devices: list[Device]
    shared: dict[Device, Shared]
    record: Record
    log: Log | None
    keeps: bool
    report: Callable[[], None]
    between: Callable[["Engine"], None]
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
            lanes, look = block.arrives.result()
        except jax.errors.JaxRuntimeError as error:
            self._halve(block.queue, error)
            self._open_idle(pool)
            return
        self._take(block, lanes, look)
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
            except (jax.errors.JaxRuntimeError, TooLargeError) as error:
                self._halve(queue, error)  # which may have freed slots that came before
                continue
            nobody, first = np.full(queue.width, IDLE), np.zeros(queue.width, int)
            block = self.blocks[slot] = Block(queue, segment, nobody, first, Future())
            self._refill(slot, block, lanes, pool)

    def _idle_slot(self) -> int | None:
        """The first slot without a block, None where no trial waits for one."""
        idle = (slot for slot, block in enumerate(self.blocks) if block is None)
        return next(idle, None) if any(queue.waiting for queue in self.queues) else None

    def _refill(self, slot: int, block: Block, lanes: Lane, pool: ThreadPoolExecutor) -> bool:
        """Give idle lanes new trials and send the block on; False where nothing is left to do."""
        fresh = np.zeros(len(block.trials), bool)
        for lane in np.flatnonzero(block.trials == IDLE):
            block.trials[lane] = block.queue.take()
            block.looks[lane], fresh[lane] = 0, block.trials[lane] != IDLE
        if (block.trials == IDLE).all():
            return False
        device, segment = self.devices[slot], block.segment
        orders = block.queue.orders(block.trials, fresh, block.looks)

        def compute() -> tuple[Lane, Look]:
            after, look = segment(lanes, orders, self.shared[device])
            return after, jax.tree.map(np.array, look)

        block.arrives = pool.submit(compute)
        return True

    def _take(self, block: Block, after: Lane, look: Look) -> None:
        """Record a segment, let the judge decide, and free the lanes whose trials are over."""
        lanes = np.flatnonzero(block.trials != IDLE)
        rows = block.queue.part.place(block.trials[lanes])[0]
        place = block.queue.place(block.trials[lanes])
        was_going = self.record.is_running(place)  # what was stopped meanwhile has weights past its last look
        values: dict[str, Any] = {name: x[lanes] for name, x in look.values.items()}
        ends: Any = (x[lanes] for x in (look.status, look.step, look.diverged_at))
        self.record.add(place, Seen(block.looks[lanes], values, *ends), len(block.trials))
        if self.log is not None:
            self._stop(block.queue, self.log, np.unique(rows))
        is_last = block.looks[lanes] + 1 == [len(block.queue.part.looks[row]) for row in rows]
        is_over = ~self.record.is_running(place) | is_last
        if self.keeps:
            ended = is_over & was_going
            self._keep(block.queue, after, lanes[ended], Place(*(x[ended] for x in place)))
        block.looks[lanes] += 1
        block.trials[lanes[is_over]] = IDLE

    def _stop(self, queue: Queue, log: Log, rows: np.ndarray) -> None:
        """Report what is complete of the configurations in these rows, and stop those that the judge stops."""
        part = queue.part
        reports, reported_rows = [], []
        for row in rows:
            config, looks = int(part.configs[row]), part.looks[row]
            for index, score in self.record.unreported(config, len(looks)):
                reports.append(Report(config, looks[index], looks[index] / part.steps_per_epoch, score))
                reported_rows.append(row)
        stopped = [row for row, stops in zip(reported_rows, log.stops(reports), strict=True) if stops]
        if stopped:
            self.record.stop(queue.place(queue.members(np.unique(stopped))))  # all have begun: none is waiting

    def _keep(self, queue: Queue, after: Lane, lanes: np.ndarray, place: Place) -> None:
        """Take the weights of trials that are over, where they may be among the best."""
        for i, config in enumerate(place.config):
            if self.record.wants(config):
                weights = queue.weights_of(after, lanes[i])
                self.record.weights[int(config), int(place.seed[i]), int(place.fold[i])] = weights

    def _halve(self, queue: Queue, error: Exception) -> None:
        """Out of memory: the program goes on in blocks of half the width; what it has not finished starts again."""
        if not is_out_of_memory(error) or queue.width == 1:
            raise error
        for slot, block in enumerate(self.blocks):
            if block is not None and block.queue is queue:
                wait([block.arrives])
                self.blocks[slot] = None
        trials = np.arange(queue.part.trials)
        rows = np.unique(queue.part.place(trials[self.record.is_running(queue.place(trials))])[0])
        configs = queue.part.configs[rows]
        warnings.warn(
            f"{WHERE}: out of memory with {queue.width} lanes in a block. Going on with {queue.width // 2}; "
            f"{len(configs)} configurations that had not finished start again.",
            JefficientWarning,
            stacklevel=2,
        )
        queue.program = dataclasses.replace(queue.program, width=queue.width // 2)
        queue.waiting = deque(queue.members(rows).tolist())
        self.record.restart(configs, queue.width)
        if self.log is not None:
            self.log.forget(set(configs.tolist()))


class TooLargeError(JefficientError):
    """A block is known not to fit its device."""


def _on_host(x: Any) -> Any:
    """A copy as a NumPy array; a key, which NumPy does not know, as it is."""
    return x if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else np.array(x)


def is_out_of_memory(error: Exception) -> bool:
    """Whether a device had no memory left, or would have none."""
    text = str(error)
    return (
        isinstance(error, TooLargeError)
        or "RESOURCE_EXHAUSTED" in text
        or "Out of memory" in text
        or "YNNPACK operation failed" in text
    )
