"""The policy where data are not in memory: blocks in step, which share every batch that is read.

All trials of one (seed, fold, batch size) train on the same batches in the same order: they are a
cohort. Its blocks begin together and train on one prefetch chunk after another, while a thread
reads the next. So an example is read once for all of them, and no more of the data is in memory
than the chunks at hand. As many blocks as memory allows are kept in step; trials that do not fit
wait, and their batches are read again.
"""

import dataclasses
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np

from ..._core.debugging import Workers
from ..._core.typing import Device, Tree
from ...results import Status
from ..data import EpochOrder, EvaluationBatch, Prefetch, Stream
from ..programs import Evaluation, StreamedProgram
from ..tasks import Sums
from ._block import Block
from ._cohort_queue import CohortKey, next_blocks
from ._cohorts import Cohort, packed
from ._memory import MEMORY_ERRORS
from ._queue import IDLE, Queue
from ._scheduler import Evaluated, Scheduler
from ._scored import scores_of


class Validated(NamedTuple):
    """What a block has measured on the validation set so far.

    `accumulators`: sums for each lane, by name; `predictions`: for each batch, by name, NumPy
    arrays (lanes, n, …).
    """

    accumulators: dict[str, Sums]
    predictions: list[dict[str, Tree]]


Jobs = list[tuple[Block, Callable[[], Any]]]
"""What is computed side by side, and for which block."""


@dataclasses.dataclass(eq=False)
class LockstepScheduler(Scheduler):
    """Trains queues of trials in cohorts.

    Attributes:
        stream: where examples come from.
        order_key: ``(seed, fold) -> key``, which the order of a trial's examples is drawn from;
            None where it is that of the data.
        most_blocks: blocks that are kept in step at most.
        cohorts: those being trained; a resumed sweep begins with some.
    """

    stream: Stream
    order_key: Callable[[int, int], jax.Array] | None
    most_blocks: int
    cohorts: list[Cohort] = dataclasses.field(default_factory=list)

    def __post_init__(self):
        self._reader = Workers(1)

    def run(self) -> None:
        """Train until every trial is over."""
        with Workers(len(self.devices)) as pool, self._reader:
            while self.cohorts or self._open_cohorts():
                self.at_boundary(self)
                self._advance(pool)
                self.on_segment()

    def _open_cohorts(self) -> bool:
        """Begin the next cohorts; False where no trial waits."""
        cohorts: dict[CohortKey, Cohort] = {}
        failed: set[Queue] = set()
        slots = len(self.devices)
        chosen = next_blocks(self.queues, slots, self.most_blocks, self.pruner is not None)
        slot = 0
        for key, queue, trials in chosen:
            if key not in cohorts:
                cohorts[key] = self._new_cohort(key, key.begin)
                self.cohorts.append(cohorts[key])
            if queue in failed:
                continue
            try:
                block = self._begin_block(queue, self.devices[slot % slots], trials)
                self._start_block(block)
                cohorts[key].blocks.append(block)
            except MEMORY_ERRORS as error:
                failed.add(queue)
                self.halve(queue, error)
            slot += 1

        begun: dict[Queue, set[int]] = {queue: set() for queue in self.queues}
        for cohort in self.cohorts:
            for block in cohort.blocks:
                begun[block.queue] |= set(block.trials.tolist())
        for queue, trials in begun.items():
            queue.waiting = deque(trial for trial in queue.waiting if trial not in trials)
        self._drop_empty()
        return bool(self.cohorts) or (bool(failed) and self._open_cohorts())

    def _new_cohort(self, key: CohortKey, step: int = 0) -> Cohort:
        programs = (
            q.program for q in self.queues if q.group.static["batch_size"] == key.batch_size
        )
        program = next(programs)
        assert isinstance(program, StreamedProgram)
        order_key = None if self.order_key is None else self.order_key(key.seed, key.fold)
        size = len(self.stream.train[key.fold])
        order = EpochOrder(order_key, size, key.batch_size, program.batches)
        return Cohort(key, [], order, step, self.stream, Prefetch(self._reader))

    def _begin_block(self, queue: Queue, device: Device, trials: np.ndarray) -> Block:
        """Begin these trials in a new block."""
        idle = np.full(queue.width - len(trials), IDLE)
        padded = np.concatenate([trials, idle])
        first = queue.first_evaluations(padded)
        program, _ = self._compiled(queue, device)
        commands = queue.commands(padded, padded != IDLE, first)
        lanes = program.begin(commands, self.shared[device])
        return Block(queue, device, program, lanes, padded, first)

    def _start_block(self, block: Block) -> None:
        """Begin the trials of a new block that start from elsewhere."""
        is_new = block.trials != IDLE
        self._start(block, is_new, block.commands(is_new))

    def _advance(self, pool: Workers) -> None:
        """Train every cohort on a chunk, then evaluate the lanes that are due."""
        jobs: Jobs = []
        reads: list[Callable[[], None]] = []
        for cohort in self.cohorts:
            until = cohort.until
            count = cohort.prefetch_chunk(until)
            chunk = cohort.take()
            cohort.step += count
            jobs += [(block, partial(self._train, block, chunk)) for block in cohort.blocks]
            reads.append(partial(cohort.prefetch_after_training, until))

        goes_on = self._side_by_side(pool, jobs, reads)
        for cohort in self.cohorts:
            if not any(goes_on.get(block, False) for block in cohort.blocks):
                cohort.step = cohort.until  # all lanes are at their evaluation, or have diverged
        due = [cohort for cohort in self.cohorts if cohort.step == cohort.until]
        if due:
            self._evaluate(due, pool)

    def _train(self, block: Block, chunk: Callable[[Device], Tree]) -> bool:
        shared = self.shared[block.device]
        stages = block.program
        block.lanes, goes_on = stages.train(block.lanes, block.until, chunk(block.device), shared)
        return bool(goes_on)

    def _evaluate(self, due: list[Cohort], pool: Workers) -> None:
        """Evaluate the lanes that are due, observe them, and pack what goes on."""
        validated = self._validated(due, pool)
        jobs: Jobs = []
        lanes: dict[Block, np.ndarray] = {}
        for cohort in due:
            for block in cohort.due:
                lanes[block] = block.due(cohort.step)
                if block in validated:
                    accumulators = validated[block].accumulators
                    scores = self._scores(block, lanes[block], validated[block], cohort.key.fold)
                    evaluate = partial(
                        self._evaluate_lanes, block, lanes[block], accumulators, scores
                    )
                    jobs.append((block, evaluate))

        evaluations = self._side_by_side(pool, jobs, [])
        evaluated = []
        for block, evaluation in evaluations.items():
            due_lanes = lanes[block]
            of_due = jax.tree.map(lambda x, due_lanes=due_lanes: x[due_lanes], evaluation)
            evaluated.append(Evaluated(block, due_lanes, of_due))
        self.observe(evaluated)

        self._free_stopped()
        self._drop_empty()
        for cohort in self.cohorts:
            cohort.blocks = packed(cohort.blocks)

    def _validated(
        self, due: list[Cohort], pool: Workers, most: int | None = None
    ) -> dict[Block, Validated]:
        """Go through the validation set, or through its first batches."""
        blocks = [block for cohort in due for block in cohort.due]
        validated = {block: Validated(_zero(block), []) for block in blocks}
        batches = max(cohort.evaluation_batches for cohort in due)
        for index in range(batches)[:most]:
            jobs: Jobs = []
            reads: list[Callable[[], None]] = []
            for cohort in due:
                if index >= cohort.evaluation_batches:
                    continue
                cohort.prefetch_evaluation_batch(index)
                batch = cohort.take()
                fold = np.array(cohort.key.fold, np.int32)
                for block in cohort.due:
                    so_far = validated[block]
                    jobs.append((block, partial(self._accumulate, block, so_far, batch, fold)))
                if index + 1 < cohort.evaluation_batches:
                    reads.append(partial(cohort.prefetch_evaluation_batch, index + 1))
                elif cohort in self.cohorts:
                    reads.append(cohort.prefetch_after_evaluation)
            validated |= self._side_by_side(pool, jobs, reads)
        return validated

    def _accumulate(
        self,
        block: Block,
        so_far: Validated,
        batch: Callable[[Device], EvaluationBatch],
        fold: np.ndarray,
    ) -> Validated:
        shared = self.shared[block.device]
        accumulators, predictions = block.program.accumulate(
            so_far.accumulators, block.lanes, batch(block.device), fold, shared
        )
        on_host = jax.tree.map(np.asarray, predictions)
        return Validated(jax.block_until_ready(accumulators), [*so_far.predictions, on_host])

    def _scores(
        self, block: Block, due: np.ndarray, validated: Validated, fold: int
    ) -> dict[str, np.ndarray]:
        """Score on the host what the lanes that are due have predicted."""
        if self.scorer is None:
            return {}
        loss = np.asarray(validated.accumulators["valid_loss"].total)
        is_healthy = np.isfinite(loss) & (np.asarray(block.lanes.status) != Status.DIVERGED)
        batches = validated.predictions
        predictions = jax.tree.map(lambda *xs: np.concatenate(xs, axis=1), *batches)
        folds = np.full(block.width, fold)
        return scores_of(self.scorer, predictions, due[is_healthy[due]], folds)

    def _evaluate_lanes(
        self,
        block: Block,
        due: np.ndarray,
        accumulators: dict[str, Sums],
        scores: dict[str, np.ndarray],
    ) -> Evaluation:
        is_due = np.zeros(block.width, bool)
        is_due[due] = True
        shared = self.shared[block.device]
        block.lanes, evaluation = block.program.evaluate(
            block.lanes, is_due, block.begun_at, accumulators, scores, shared
        )
        return self._on_host(evaluation)

    def _free_stopped(self) -> None:
        """Free lanes whose configuration has been stopped while they were not due."""
        for cohort in self.cohorts:
            for block in cohort.blocks:
                lanes = block.occupied
                place = block.queue.place(block.trials[lanes])
                block.trials[lanes[~self.record.is_running(place)]] = IDLE

    def _drop_empty(self) -> None:
        for cohort in self.cohorts:
            cohort.blocks = [block for block in cohort.blocks if len(block.occupied)]
        self.cohorts = [cohort for cohort in self.cohorts if cohort.blocks]

    def _side_by_side(
        self, pool: Workers, jobs: Jobs, reads: list[Callable[[], None]]
    ) -> dict[Block, Any]:
        """Return what the jobs return, and begin to read what comes next while they run.

        Queues whose blocks run out of memory get narrower ones, and their jobs return nothing.
        """
        futures = [(block, pool.submit(job)) for block, job in jobs]
        for begin_to_read in reads:
            begin_to_read()

        results: dict[Block, Any] = {}
        failed: dict[Queue, Exception] = {}
        for block, future in futures:
            try:
                results[block] = future.result()
            except MEMORY_ERRORS as error:
                failed[block.queue] = error
        for queue, error in failed.items():
            self.halve(queue, error)
        self._drop_empty()
        return {block: x for block, x in results.items() if block.queue not in failed}

    def _drop_blocks(self, queue: Queue) -> None:
        for cohort in self.cohorts:
            cohort.blocks = [block for block in cohort.blocks if block.queue is not queue]

    def probe(self, queue: Queue, device: Device) -> Callable[[int, int], None]:
        """Return ``run(steps, evaluation_batches)``, which trains a block and records nothing."""
        group = queue.group
        rows = np.arange(min(queue.width, len(group.configs)))
        trials = rows * (group.seeds * group.folds)  # of the first seed and fold: one cohort
        key = CohortKey(group.static["batch_size"], 0, 0)

        def run(steps: int, evaluation_batches: int) -> None:
            alike = (np.full((group.folds, 1), steps),) * len(group.configs)
            total = np.full_like(group.steps, steps + 1)
            short = dataclasses.replace(group, evaluations=alike, steps=total)
            tried = dataclasses.replace(queue, group=short, begin_at=None)
            block = self._begin_block(tried, device, trials)
            cohort = self._new_cohort(key)
            cohort.blocks.append(block)
            with Workers(1) as pool:
                while cohort.step < steps:
                    count = cohort.prefetch_chunk(steps)
                    chunk = cohort.take()
                    cohort.step += count
                    if cohort.step < steps:
                        cohort.prefetch_chunk(steps)
                    self._train(block, chunk)
                validated = self._validated([cohort], pool, evaluation_batches)
            program = block.queue.program
            assert isinstance(program, StreamedProgram)
            scores = {name: np.zeros(block.width, np.float32) for name in program.scored}
            accumulators = validated[block].accumulators
            self._evaluate_lanes(block, block.due(steps), accumulators, scores)

        return run

    @property
    def evaluation_batches(self) -> int:
        """Batches in which a validation set is evaluated."""
        return len(self.stream.evaluation_begins(0))

    @property
    def has_failed(self) -> bool:
        """Whether a segment has raised: never between two rounds."""
        return False

    def captured(self) -> tuple[list[Any], dict[str, np.ndarray]]:
        """Return what each cohort is, and its blocks."""
        slots: list[Any] = []
        arrays: dict[str, np.ndarray] = {}
        for i, cohort in enumerate(self.cohorts):
            queues = [self.queues.index(block.queue) for block in cohort.blocks]
            slots.append({"key": list(cohort.key), "step": cohort.step, "queues": queues})
            for j, block in enumerate(cohort.blocks):
                arrays |= block.arrays(f"cohort/{i}/{j}")
        return slots, arrays

    def fits(self, slots: list[Any]) -> bool:
        """Return True: cohorts go on whatever the number of devices."""
        del slots
        return True

    def restore(self, slots: list[Any], arrays: Mapping[str, np.ndarray]) -> None:
        """Go on from what `captured` returned."""
        taken = 0
        for i, slot in enumerate(slots):
            cohort = self._new_cohort(CohortKey(*slot["key"]), slot["step"])
            for j, index in enumerate(slot["queues"]):
                queue = self.queues[index]
                device = self.devices[taken % len(self.devices)]
                compiled = self._compiled(queue, device)
                name = f"cohort/{i}/{j}"
                block = Block.from_arrays(name, arrays, queue, device, *compiled)
                cohort.blocks.append(block)
                taken += 1
            self.cohorts.append(cohort)


def _zero(block: Block) -> dict[str, Sums]:
    program = block.queue.program
    assert isinstance(program, StreamedProgram)

    def nothing() -> np.ndarray:
        return np.zeros(program.width, np.float32)

    return {name: Sums(nothing(), nothing()) for name in program.accumulated}
