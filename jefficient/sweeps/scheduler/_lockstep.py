"""The host's side of lanes whose rows are not in memory: blocks in step, which share every batch that is read.

All trials of one (seed, fold, batch size) train on the same batches in the same order: they are a
cohort. Its blocks begin together and train on a chunk of batches one after another, while a thread
reads the next. So a row is read once for all of them, and no more of the data is in memory than the
chunks at hand. As many blocks as memory allows are kept in step; what does not fit waits, and reads
anew.
"""

import dataclasses
import functools
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import numpy as np

from ..._core.serialization import decoded, encoded
from ..._core.typing import Device, Tree
from ..data import EpochOrder, EvaluationBatch, Prefetch, Stream
from ..programs import Evaluation, StreamProgram
from ._cohort_queue import CohortKey, next_blocks
from ._cohorts import Band, Cohort, packed
from ._queue import IDLE, Queue
from ._record import Place
from ._scheduler import MEMORY_ERRORS, Scheduler


@dataclasses.dataclass(eq=False)
class LockstepScheduler(Scheduler):
    """Runs queues of trials in cohorts.

    Attributes:
        stream: the rows.
        order_key: ``(seed, fold) -> key``, what the order of the rows of a trial is drawn from.
        most: blocks that are kept in step, at most.
        cohorts: those under way; a resumed sweep begins with some.
    """

    stream: Stream
    order_key: Callable[[int, int], jax.Array]
    most: int
    cohorts: list[Cohort] = dataclasses.field(default_factory=list)

    def __post_init__(self):
        self._reader = ThreadPoolExecutor(1)

    def run(self) -> None:
        """Until every trial is over."""
        with ThreadPoolExecutor(len(self.devices)) as pool, self._reader:
            while self.cohorts or self._open():
                self.between(self)
                self._advance(pool)
                self.report()

    def try_out(self, queue: Queue, device: Device, steps: int, pieces: int) -> None:
        """Train a block for so many updates and evaluate it, with all that is read for it; nothing is recorded.

        Of the held-out rows so many pieces are measured at most.
        """
        group = queue.group
        rows = np.arange(min(queue.width, len(group.configs)))
        band = self._begun(queue, device, rows * (group.seeds * group.folds), steps)
        cohort = self._cohort(CohortKey(group.static["batch_size"], 0, 0), 0, [band])
        with ThreadPoolExecutor(1) as pool:
            while cohort.step < steps:
                count = self._read_chunk(cohort, steps)
                chunk = cohort.ahead.take()
                cohort.step += count
                if cohort.step < steps:
                    self._read_chunk(cohort, steps)
                self._trained(band, jax.device_put(chunk, device))
            sums = self._measured([cohort], pool, pieces)
        self._evaluated(band, steps, sums[band], self._held_out(cohort))

    def _open(self) -> bool:
        """Begin the next cohorts; False where no trial waits."""
        cohorts, failed, slot = dict[CohortKey, Cohort](), set[Queue](), 0
        for who, queue, trials in next_blocks(
            self.queues, len(self.devices), self.most, self.log is not None
        ):
            if who not in cohorts:
                cohorts[who] = self._cohort(who, 0)
            cohort = cohorts[who]
            if queue in failed:
                continue
            try:
                cohort.bands.append(
                    self._begun(queue, self.devices[slot % len(self.devices)], trials)
                )
            except MEMORY_ERRORS as error:
                failed.add(queue)
                self._halve(queue, error, list(cohorts.values()))
            slot += 1
        begun: dict[Queue, set[int]] = {queue: set() for queue in self.queues}
        for band in (band for cohort in cohorts.values() for band in cohort.bands):
            begun[band.queue] |= set(band.trials.tolist())
        for queue, trials in begun.items():
            queue.waiting = deque(x for x in queue.waiting if x not in trials)
        self.cohorts = [cohort for cohort in cohorts.values() if cohort.bands]
        return bool(self.cohorts) or (bool(failed) and self._open())

    def _cohort(self, who: CohortKey, step: int, bands: list[Band] | None = None) -> Cohort:
        key, size = self.order_key(who.seed, who.fold), len(self.stream.train[who.fold])
        program = next(
            q.program for q in self.queues if q.group.static["batch_size"] == who.batch_size
        )
        assert isinstance(program, StreamProgram)
        order = EpochOrder(key, size, who.batch_size, program.batches)
        return Cohort(who, bands or [], order, step, Prefetch(self._reader))

    def _begun(
        self, queue: Queue, device: Device, trials: np.ndarray, until: int | None = None
    ) -> Band:
        """A block in which these trials begin; `until` where they are tried out for so many updates."""
        mine = np.concatenate([trials, np.full(queue.width - len(trials), IDLE)])
        nobody = np.zeros(queue.width, int)
        calls, _ = self.compiled(queue, device)
        commands = queue.commands(mine, mine != IDLE, nobody)
        if until is not None:
            commands = commands._replace(steps=np.full(queue.width, until + 1, np.int32))
        band = Band(
            queue,
            calls,
            device,
            calls.begin(commands, self.shared[device]),
            mine,
            nobody,
            nobody.astype(np.int32),
        )
        if until is not None:
            band.until = np.where(mine == IDLE, 0, until).astype(np.int32)
        return band

    def _advance(self, pool: ThreadPoolExecutor) -> None:
        """A chunk for every cohort; then evaluation where somebody is due."""
        jobs: list[tuple[Band, Callable[[], Any]]] = []
        then: list[Callable[[], Any]] = []
        for cohort in self.cohorts:
            until = cohort.until
            count = self._read_chunk(cohort, until)
            chunk = _on_devices(cohort.ahead.take(), cohort.devices)
            cohort.step += count
            jobs += [
                (band, functools.partial(self._trained, band, chunk[band.device]))
                for band in cohort.bands
            ]
            then.append(functools.partial(self._read_next, cohort, until))
        goes_on = self._side_by_side(pool, jobs, then)
        for cohort in self.cohorts:
            if not any(goes_on.get(band, False) for band in cohort.bands):
                cohort.step = (
                    cohort.until
                )  # all have come to their evaluation, or diverged on the way
        due = [cohort for cohort in self.cohorts if cohort.step == cohort.until]
        if due:
            self._evaluate(due, pool)

    def _trained(self, band: Band, chunk: Tree) -> bool:
        band.lanes, goes_on = band.calls.train(
            band.lanes, band.until, chunk, self.shared[band.device]
        )
        return bool(goes_on)

    def _read_chunk(self, cohort: Cohort, until: int) -> int:
        """Have the next batches read, those up to `until` at most; how many."""
        count = min(cohort.order.batches, until - cohort.step)
        name = "chunk", cohort.step, count
        if not cohort.ahead.has(name):
            rows = cohort.order.indices(cohort.step, count)
            cohort.ahead.begin(
                name, self.stream.read_chunk, cohort.who.fold, rows, cohort.order.batches
            )
        return count

    def _read_next(self, cohort: Cohort, until: int) -> None:
        """Have read what is needed after the chunk at hand: the next one, or what is held out."""
        if cohort.step < until:
            self._read_chunk(cohort, until)
        elif self.stream.valid:
            self._read_piece(cohort, 0)
        else:
            self._read_beyond(cohort)

    def _read_beyond(self, cohort: Cohort) -> None:
        """Have read what follows the evaluation that is due, as if all went on."""
        if (until := cohort.until_after) is not None:
            self._read_chunk(cohort, until)

    def _read_piece(self, cohort: Cohort, index: int) -> None:
        """Have a piece of the held-out rows read."""
        begin = self.stream.evaluation_begins(cohort.who.fold)[index]
        if not cohort.ahead.has(name := ("piece", begin)):
            cohort.ahead.begin(name, self.stream.read_evaluation_batch, cohort.who.fold, begin)

    def _evaluate(self, due: list[Cohort], pool: ThreadPoolExecutor) -> None:
        """Measure what is held out, record it, let the judge decide, and free the lanes whose trials are over."""
        sums = self._measured(due, pool)
        jobs = [
            (
                band,
                functools.partial(
                    self._evaluated, band, cohort.step, sums.get(band), self._held_out(cohort)
                ),
            )
            for cohort in due
            for band in cohort.bands_due
        ]
        evaluations = self._side_by_side(pool, jobs, [])
        seen = {band: band.due(cohort.step) for cohort in due for band in cohort.bands_due}
        for band, evaluation in evaluations.items():
            here = seen[band]
            of_due = jax.tree.map(lambda x, here=here: x[here], evaluation)
            self._see(
                band.queue, band.trials[here], band.evaluations[here], len(band.trials), of_due
            )
        for queue in self.queues:
            trials = [band.trials[seen[band]] for band in evaluations if band.queue is queue]
            if trials:
                self._judge(queue, np.concatenate(trials))
        for band, evaluation in evaluations.items():
            self._free(band, seen[band], evaluation)
        for cohort in self.cohorts:
            self._free_stopped(cohort)
        self._drop_empty()
        for cohort in self.cohorts:
            cohort.bands = packed(cohort.bands)

    def _held_out(self, cohort: Cohort) -> int:
        return len(self.stream.valid[cohort.who.fold]) if self.stream.valid else 1

    def _measured(
        self, due: list[Cohort], pool: ThreadPoolExecutor, most: int | None = None
    ) -> dict[Band, Any]:
        """The sums over the held-out rows, a piece at a time; over the first `most` pieces where they are given."""
        sums: dict[Band, Any] = {
            band: self._no_sums(band) for cohort in due for band in cohort.bands_due
        }
        pieces = {cohort: len(self.stream.evaluation_begins(cohort.who.fold)) for cohort in due}
        for index in range(max(pieces.values()))[:most]:
            jobs, then = [], []
            for cohort in due:
                if index >= pieces[cohort]:
                    continue
                self._read_piece(cohort, index)
                piece, fold = (
                    _on_devices(cohort.ahead.take(), cohort.devices),
                    np.array(cohort.who.fold, np.int32),
                )
                for band in cohort.bands_due:
                    jobs.append(
                        (
                            band,
                            functools.partial(
                                self._added, band, sums[band], piece[band.device], fold
                            ),
                        )
                    )
                if index + 1 < pieces[cohort]:
                    then.append(functools.partial(self._read_piece, cohort, index + 1))
                elif cohort in self.cohorts:
                    then.append(functools.partial(self._read_beyond, cohort))
            sums |= self._side_by_side(pool, jobs, then)
        return sums

    def _no_sums(self, band: Band) -> dict[str, np.ndarray]:
        program = band.queue.program
        assert isinstance(program, StreamProgram)
        return {name: np.zeros(program.width, np.float32) for name in program.names}

    def _added(self, band: Band, sums: Any, piece: EvaluationBatch, fold: np.ndarray) -> Any:
        return jax.block_until_ready(
            band.calls.add(sums, band.lanes, piece, fold, self.shared[band.device])
        )

    def _evaluated(self, band: Band, step: int, sums: Any, rows: int) -> Evaluation:
        is_due, shared = np.zeros(len(band.trials), bool), self.shared[band.device]
        is_due[band.due(step)] = True
        band.lanes, evaluation = band.calls.evaluation(
            band.lanes, is_due, band.begun_at, sums, np.int32(rows), shared
        )
        return jax.tree.map(np.array, evaluation)

    def _free(self, band: Band, lanes: np.ndarray, evaluation: Evaluation) -> None:
        """Of the lanes that were evaluated, those whose trials are over."""
        trials, queue = band.trials[lanes], band.queue
        place = queue.place(trials)
        is_over = ~self.record.is_running(place) | queue.is_last(trials, band.evaluations[lanes])
        self._keep(queue, band.lanes, lanes[is_over], Place(*(x[is_over] for x in place)))
        band.evaluations[lanes] += 1
        band.begun_at[lanes] = evaluation.step[lanes]
        band.trials[lanes[is_over]] = IDLE
        band.update()

    def _free_stopped(self, cohort: Cohort) -> None:
        """Lanes whose configuration has been stopped, wherever they are; weights past an evaluation are not kept."""
        for band in cohort.bands:
            occupied = band.occupied
            band.trials[
                occupied[~self.record.is_running(band.queue.place(band.trials[occupied]))]
            ] = IDLE
            band.update()

    def _drop_empty(self) -> None:
        for cohort in self.cohorts:
            cohort.bands = [band for band in cohort.bands if len(band.occupied)]
        self.cohorts = [cohort for cohort in self.cohorts if cohort.bands]

    def _side_by_side(
        self,
        pool: ThreadPoolExecutor,
        jobs: list[tuple[Band, Callable[[], Any]]],
        then: list[Callable[[], Any]],
    ) -> dict[Band, Any]:
        """What the calls return, but for those of programs that ran out of memory, which become narrower.

        What is to be done then is done while they run.
        """
        coming = [(band, pool.submit(job)) for band, job in jobs]
        for prepare in then:
            prepare()
        results: dict[Band, Any] = {}
        failed: dict[Queue, Exception] = {}
        for band, future in coming:
            try:
                results[band] = future.result()
            except MEMORY_ERRORS as error:
                failed[band.queue] = error
        for queue, error in failed.items():
            self._halve(queue, error, self.cohorts)
        self._drop_empty()
        return {band: x for band, x in results.items() if band.queue not in failed}

    def _halve(self, queue: Queue, error: Exception, cohorts: list[Cohort]) -> None:
        """Out of memory: blocks of half the width."""
        for cohort in cohorts:
            cohort.bands = [band for band in cohort.bands if band.queue is not queue]
        self._narrow(queue, error)

    @property
    def has_failed(self) -> bool:
        """Never between two rounds."""
        return False

    def captured(self) -> tuple[list[Any], dict[str, np.ndarray]]:
        """Where its blocks stand: what JSON can hold, and arrays."""
        slots: list[Any] = []
        arrays: dict[str, np.ndarray] = {}
        for i, cohort in enumerate(self.cohorts):
            queues = [self.queues.index(band.queue) for band in cohort.bands]
            slots.append({"who": list(cohort.who), "step": cohort.step, "queues": queues})
            for j, band in enumerate(cohort.bands):
                name = f"cohort/{i}/{j}"
                arrays |= encoded(f"{name}/lanes", band.lanes)
                arrays |= {
                    f"{name}/{x}": getattr(band, x).copy()
                    for x in ("trials", "evaluations", "begun_at")
                }
        return slots, arrays

    def fits(self, slots: list[Any]) -> bool:
        """On however many devices it goes on."""
        del slots
        return True

    def restore(self, slots: list[Any], arrays: Mapping[str, np.ndarray]) -> None:
        """Go on from what `captured` gave."""
        taken = 0
        for i, slot in enumerate(slots):
            bands = []
            for j, index in enumerate(slot["queues"]):
                device = self.devices[taken % len(self.devices)]
                bands.append(self._decoded(f"cohort/{i}/{j}", self.queues[index], device, arrays))
                taken += 1
            self.cohorts.append(self._cohort(CohortKey(*slot["who"]), slot["step"], bands))

    def _decoded(
        self, name: str, queue: Queue, device: Device, arrays: Mapping[str, np.ndarray]
    ) -> Band:
        calls, shapes = self.compiled(queue, device)
        lanes = jax.device_put(decoded(f"{name}/lanes", arrays, shapes), device)
        return Band(
            queue,
            calls,
            device,
            lanes,
            *(arrays[f"{name}/{x}"].copy() for x in ("trials", "evaluations", "begun_at")),
        )


def _on_devices(tree: Tree, devices: list[Device]) -> dict[Device, Tree]:
    return {device: jax.device_put(tree, device) for device in devices}
