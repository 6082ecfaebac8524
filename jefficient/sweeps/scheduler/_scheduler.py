"""What the host decides, however lanes are run: what an evaluation says, who is stopped, whose weights are kept."""

import abc
import dataclasses
import warnings
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from ..._core.errors import JefficientError, JefficientWarning
from ..._core.typing import Device
from ..programs import Evaluation, Lane, Shared
from ..stopping import Observation, PrunerLog
from ..tasks import WHERE
from ._queue import Queue
from ._record import Place, Record, Seen


@dataclasses.dataclass(eq=False)
class Scheduler(abc.ABC):
    """Queues of trials, the machine they run on, and what has become of them.

    Attributes:
        queues: one for each program, in order.
        compiled: ``(queue, device) -> (segment, lanes)``, the lanes as shapes and dtypes.
        devices: one for each slot.
        shared: what lanes read, on each device.
        record: where evaluations and weights go.
        log: who stops configurations, and what it has been told; or None.
        keeps: whether weights are kept.
        report: called after every segment.
        between: called before every round of segments.
    """

    queues: list[Queue]
    compiled: Callable[[Queue, Device], tuple[Any, Lane]]
    devices: list[Device]
    shared: dict[Device, Shared]
    record: Record
    log: PrunerLog | None
    keeps: bool
    report: Callable[[], None]
    between: Callable[[Any], None]

    @abc.abstractmethod
    def run(self) -> None:
        """Until every trial is over."""

    @property
    @abc.abstractmethod
    def has_failed(self) -> bool:
        """Whether something has raised that is about to be dealt with."""

    @abc.abstractmethod
    def captured(self) -> tuple[list[Any], dict[str, np.ndarray]]:
        """Where its blocks stand between two rounds: what JSON can hold, and arrays."""

    @abc.abstractmethod
    def fits(self, slots: list[Any]) -> bool:
        """Whether it can go on from there."""

    @abc.abstractmethod
    def restore(self, slots: list[Any], arrays: Mapping[str, np.ndarray]) -> None:
        """Go on from what `captured` gave."""

    def _see(
        self,
        queue: Queue,
        trials: np.ndarray,
        evaluations: np.ndarray,
        width: int,
        evaluation: Evaluation,
    ) -> None:
        """Record a evaluation of some lanes of a block: which trials they train, and the evaluations that they have come to."""
        ends: Any = (evaluation.status, evaluation.step, evaluation.diverged_at)
        self.record.add(queue.place(trials), Seen(evaluations, evaluation.values, *ends), width)  # pyright: ignore[reportArgumentType]

    def _judge(self, queue: Queue, trials: np.ndarray) -> None:
        """Report what is complete of the configurations of these trials, and stop those that the judge stops."""
        if self.log is None:
            return
        group, rows = queue.group, np.unique(queue.group.place(trials)[0])
        configs, reports, reported_rows = group.configs[rows], [], []
        for place, index, score in self.record.unreported(configs, group.evaluation_count(rows)):
            step = group.evaluations[rows[place]][index]
            reports.append(
                Observation(int(configs[place]), step, step / group.steps_per_epoch, score)
            )
            reported_rows.append(rows[place])
        stopped = [
            row for row, stops in zip(reported_rows, self.log.stops(reports), strict=True) if stops
        ]
        if stopped:
            self.record.stop(
                queue.place(queue.members(np.unique(stopped)))
            )  # all have begun: none is waiting

    def _keep(self, queue: Queue, after: Lane, lanes: np.ndarray, place: Place) -> None:
        """Take the weights of trials that are over, where they may be among the best."""
        if not self.keeps:
            return
        for i, config in enumerate(place.config):
            if self.record.wants(config):
                weights = queue.weights_of(after, lanes[i])
                self.record.weights[int(config), int(place.seed[i]), int(place.fold[i])] = weights

    def _narrow(self, queue: Queue, error: Exception) -> None:
        """Out of memory: the program goes on in blocks of half the width; what it has not finished starts again."""
        if not is_out_of_memory(error) or queue.width == 1:
            raise error
        trials = np.arange(queue.group.trials)
        rows = np.unique(queue.group.place(trials[self.record.is_running(queue.place(trials))])[0])
        configs = queue.group.configs[rows]
        warnings.warn(
            f"{WHERE}: out of memory with {queue.width} lanes in a block. Going on with {queue.width // 2}; "
            f"{len(configs)} configurations that had not finished start again.",
            JefficientWarning,
            stacklevel=2,
        )
        queue.program = queue.program.with_width(queue.width // 2)
        queue.waiting = deque(queue.members(rows).tolist())
        self.record.restart(configs, queue.width)
        if self.log is not None:
            self.log = self.log.without(set(configs.tolist()))


class TooLargeError(JefficientError):
    """A block is known not to fit its device."""


def is_out_of_memory(error: Exception) -> bool:
    """Whether a device had no memory left, or would have none."""
    text = str(error)
    return (
        isinstance(error, TooLargeError)
        or "RESOURCE_EXHAUSTED" in text
        or "Out of memory" in text
        or "YNNPACK operation failed" in text
    )


MEMORY_ERRORS = (jax.errors.JaxRuntimeError, TooLargeError)
"""What may say that a block does not fit."""
