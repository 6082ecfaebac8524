"""A block: the lanes of one program on one device, and the trials that they train."""

import dataclasses
from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any

import jax
import numpy as np

from ..._core.serialization import decoded, encoded
from ..._core.typing import Device
from ..programs import Commands, Evaluation, Lane
from ._queue import IDLE, Queue


@dataclasses.dataclass(eq=False)
class Block:
    """Lanes that are trained together.

    Attributes:
        queue: where its trials come from.
        device: where it runs.
        program: the compiled segment, or the compiled stages where the data are streamed.
        lanes: on the device; donated to the segment that is being computed.
        trials: which trial each lane trains, int array (width,), `IDLE` for none.
        evaluations: which evaluation comes next for each lane, int array (width,).
        series: what is being computed, where segments are: the lanes after a series of them, and an
            evaluation for each; None otherwise.
    """

    queue: Queue
    device: Device
    program: Any
    lanes: Lane
    trials: np.ndarray
    evaluations: np.ndarray
    series: Future[tuple[Lane, list[Evaluation]]] | None = None

    @property
    def width(self) -> int:
        """Lanes."""
        return len(self.trials)

    @property
    def occupied(self) -> np.ndarray:
        """The lanes with a trial, int array."""
        return np.flatnonzero(self.trials != IDLE)

    @property
    def until(self) -> np.ndarray:
        """Updates made at each lane's next evaluation, int32; 0 for idle lanes."""
        return self.until_after(0)

    def until_after(self, segments: int) -> np.ndarray:
        """Return `until` after so many segments in which no trial ends."""
        return self.queue.until(self.trials, self.evaluations + segments)

    @property
    def begun_at(self) -> np.ndarray:
        """Updates made at each lane's last evaluation, or before the first, int32."""
        last = self.queue.until(self.trials, np.maximum(self.evaluations - 1, 0))
        begin = self.queue.begin(self.trials)
        return np.where(self.evaluations > 0, last, begin).astype(np.int32)

    def due(self, step: int) -> np.ndarray:
        """Return the lanes that are evaluated after so many updates, int array."""
        return np.flatnonzero((self.trials != IDLE) & (self.until == step))

    def refill(self) -> np.ndarray:
        """Give idle lanes the next trials of the queue; return which lanes have a new one, bool."""
        fresh = np.zeros(self.width, bool)
        for lane in np.flatnonzero(self.trials == IDLE):
            self.trials[lane] = self.queue.take()
            self.evaluations[lane] = 0
            fresh[lane] = self.trials[lane] != IDLE
        if fresh.any():
            self.evaluations[fresh] = self.queue.first_evaluations(self.trials[fresh])
        return fresh

    def commands(self, fresh: np.ndarray) -> Commands:
        """Return the commands for the next segment."""
        return self.queue.commands(self.trials, fresh, self.evaluations)

    @property
    def evaluations_left(self) -> int:
        """Evaluations until a trial ends."""
        lanes = self.occupied
        counts = self.queue.evaluation_counts(self.trials[lanes])
        return int((counts - self.evaluations[lanes]).min())

    def arrays(self, name: str) -> dict[str, np.ndarray]:
        """Return the block as arrays below `name`; waits for the series under way.

        Evaluations have an axis for the segments of the series before that of lanes.
        """
        lanes = self.lanes
        evaluated: dict[str, Any] = {}
        if self.series is not None:
            lanes, evaluations = self.series.result()
            of_all = jax.tree.map(lambda *each: np.stack(each), *evaluations)
            evaluated = {f"{name}/values/{key}": x for key, x in of_all.values.items()}
            evaluated |= {f"{name}/{key}": getattr(of_all, key) for key in _OUTCOME}
        return {
            **encoded(f"{name}/lanes", lanes),
            **evaluated,
            f"{name}/trials": self.trials.copy(),
            f"{name}/evaluations": self.evaluations.copy(),
        }

    @classmethod
    def from_arrays(
        cls,
        name: str,
        arrays: Mapping[str, np.ndarray],
        queue: Queue,
        device: Device,
        program: Any,
        shapes: Lane,
    ) -> "Block":
        """Restore the block that `arrays` stored below `name`."""
        lanes = jax.device_put(decoded(f"{name}/lanes", arrays, shapes), device)
        trials = arrays[f"{name}/trials"].copy()
        block = cls(queue, device, program, lanes, trials, arrays[f"{name}/evaluations"].copy())
        if f"{name}/status" in arrays:
            begin = f"{name}/values/"
            values: dict[str, Any] = {
                k.removeprefix(begin): x for k, x in arrays.items() if k.startswith(begin)
            }
            outcome: dict[str, Any] = {key: arrays[f"{name}/{key}"] for key in _OUTCOME}
            of_all = Evaluation(values, **outcome)
            segments = range(len(outcome["status"]))
            evaluations = [jax.tree.map(lambda x, i=i: x[i], of_all) for i in segments]
            block.series = Future()
            block.series.set_result((lanes, evaluations))
        return block


_OUTCOME = ("status", "step", "diverged_at", "seconds")
