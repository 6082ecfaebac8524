"""What every scheduler does: observe evaluations, prune configurations, free lanes.

A policy decides which blocks are trained when (`_continuous`, `_lockstep`). Where a rule stops
configurations, what it hands to `Scheduler.observe`, and in which order, is a function of how far
blocks have got, never of wall time, so a sweep repeats exactly.
"""

import abc
import dataclasses
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np

from ..._core.typing import Device
from ..._core.warn import warn
from ...results import Status, TrialState
from ..programs import Commands, Evaluation, Lane, Shared, Start
from ..stopping import Observation, PrunerLog
from ..tasks import WHERE, HostScorer
from ._block import Block
from ._compiler import Compiler
from ._memory import is_out_of_memory
from ._queue import IDLE, Queue
from ._record import Record


class Evaluated(NamedTuple):
    """Lanes of a block, int array (n,), and their evaluation, arrays (n, …)."""

    block: Block
    lanes: np.ndarray
    evaluation: Evaluation


@dataclasses.dataclass(eq=False)
class Scheduler(abc.ABC):
    """Queues of trials, the devices they run on, and the record of what has become of them.

    Attributes:
        queues: one for each group, in order.
        compiler: compiled programs, by queue and device.
        devices: one for each block that runs side by side.
        shared: what lanes read, on each device.
        record: where evaluations and weights go.
        scorer: scores the validation set on the host; None where nothing is scored there.
        pruner: which configurations are stopped, and all that it has observed; or None.
        keeps_weights: whether weights are kept.
        keep_states: of which evaluations states are kept: the "last" one, the "best" one so far, or
            those with these numbers; None for none.
        starts: what trials begin with instead of `init`, by configuration, seed and fold.
        on_segment: called after every series of segments.
        at_boundary: called with the scheduler where it can be checkpointed.
        is_ending: whether no further segment may begin; then `at_boundary` raises.
    """

    queues: list[Queue]
    compiler: Compiler
    devices: list[Device]
    shared: dict[Device, Shared]
    record: Record
    scorer: HostScorer | None
    pruner: PrunerLog | None
    keeps_weights: bool
    keep_states: str | tuple[int, ...] | None
    starts: Mapping[tuple[int, int, int], Start]
    on_segment: Callable[[], None]
    at_boundary: "Callable[[Scheduler], None]"
    is_ending: Callable[[], bool]

    @abc.abstractmethod
    def run(self) -> None:
        """Train until every trial is over."""

    @abc.abstractmethod
    def probe(self, queue: Queue, device: Device) -> Callable[[int, int], None]:
        """Return ``run(steps, evaluation_batches)``, which trains a block and records nothing."""

    @property
    @abc.abstractmethod
    def evaluation_batches(self) -> int:
        """Batches in which a validation set is evaluated, as `probe` counts them."""

    @property
    @abc.abstractmethod
    def has_failed(self) -> bool:
        """Whether what is under way has raised; waits for it. The next turn deals with that."""

    @abc.abstractmethod
    def captured(self) -> tuple[list[Any], dict[str, np.ndarray]]:
        """Return where blocks stand between two rounds: what JSON can hold, and arrays."""

    @abc.abstractmethod
    def fits(self, slots: list[Any]) -> bool:
        """Return whether `restore` can go on from there."""

    @abc.abstractmethod
    def restore(self, slots: list[Any], arrays: Mapping[str, np.ndarray]) -> None:
        """Go on from what `captured` returned."""

    @abc.abstractmethod
    def _drop_blocks(self, queue: Queue) -> None:
        """Forget the blocks of a queue."""

    def _compiled(self, queue: Queue, device: Device) -> tuple[Any, Lane]:
        """Return a queue's program and its lanes as shapes."""
        found = self.compiler(queue, device)
        self.record.training_begins()
        return found

    def _on_host(self, evaluation: Evaluation) -> Evaluation:
        """Copy an evaluation to NumPy arrays, which waits for it, and say when it was there."""
        evaluation = jax.tree.map(np.array, evaluation)
        seconds = np.full(np.shape(evaluation.status), self.record.seconds)
        return evaluation._replace(seconds=seconds)

    def observe(self, evaluated: list[Evaluated]) -> None:
        """Record evaluations, prune configurations, and free the lanes whose trials are over."""
        was_running = []
        for block, lanes, evaluation in evaluated:
            place = block.queue.place(block.trials[lanes])
            was_running.append(self.record.is_running(place))
            self.record.add(place, block.evaluations[lanes], evaluation, block.width)

        if self.pruner is not None:
            queues = dict.fromkeys(block.queue for block, _, _ in evaluated)
            for queue in sorted(queues, key=self.queues.index):
                here = [
                    block.trials[lanes] for block, lanes, _ in evaluated if block.queue is queue
                ]
                self._prune(self.pruner, queue, np.concatenate(here))

        for (block, lanes, _), ran in zip(evaluated, was_running, strict=True):
            self._free(block, lanes, ran)

    def _prune(self, pruner: PrunerLog, queue: Queue, trials: np.ndarray) -> None:
        """Stop the configurations of these trials that the rule stops."""
        group = queue.group
        largest = group.largest_fold
        rows = np.unique(group.place(trials)[0])
        observations = []
        observed_rows = []
        counts = group.evaluation_count(rows)
        for i, evaluation, score in self.record.unobserved(group.configs[rows], counts):
            step = int(group.evaluations[rows[i]][largest, evaluation])
            epoch = float(step / group.steps_per_epoch[largest])
            observations.append(Observation(int(group.configs[rows[i]]), step, epoch, score))
            observed_rows.append(rows[i])

        stops = pruner.stops(observations)
        stopped = [row for row, is_stopped in zip(observed_rows, stops, strict=True) if is_stopped]
        if stopped:  # all their trials have begun, so none of them waits in the queue
            self.record.stop(queue.place(queue.trials_of(np.unique(stopped))))

    def _free(self, block: Block, lanes: np.ndarray, was_running: np.ndarray) -> None:
        """Keep the weights of trials that are over, and free their lanes.

        A trial that was stopped while its segment was computed has trained past its last
        evaluation; such weights belong to no number of the result and are not kept.
        """
        queue = block.queue
        trials = block.trials[lanes]
        is_last = queue.is_last(trials, block.evaluations[lanes])
        is_over = ~self.record.is_running(queue.place(trials)) | is_last

        if self.keeps_weights:
            self._keep_weights(block, lanes[is_over & was_running])
        if self.keep_states is not None:
            self._keep_states(block, lanes[was_running], is_over[was_running])
        block.evaluations[lanes] += 1
        block.trials[lanes[is_over]] = IDLE

    def _keep_weights(self, block: Block, lanes: np.ndarray) -> None:
        """Keep the weights of lanes whose configurations may be among the best."""
        place = block.queue.place(block.trials[lanes])
        has_improved = self._has_improved(block, lanes, block.evaluations[lanes])
        for lane, is_best, *trial in zip(lanes, has_improved, *place, strict=True):
            config, seed, fold = map(int, trial)
            if self.record.leaderboard.wants(config):
                weights = block.queue.weights_of(block.lanes, lane, is_best)
                self.record.weights[config, seed, fold] = weights

    def _keep_states(self, block: Block, lanes: np.ndarray, is_over: np.ndarray) -> None:
        """Keep the states of lanes that have just been evaluated, where they are asked for.

        A trial that has diverged has no state that another could go on from.
        """
        queue = block.queue
        place = queue.place(block.trials[lanes])
        evaluations = block.evaluations[lanes]
        if self.keep_states == "last":
            is_asked = is_over
        elif self.keep_states == "best":
            is_asked = self.record.has_improved(place, evaluations)
        else:
            is_asked = np.isin(evaluations, list(self.keep_states or ()))
        has_diverged = self.record.curves.status[place] == Status.DIVERGED
        for i in np.flatnonzero(is_asked | has_diverged):
            config, seed, fold = (int(x[i]) for x in place)
            if has_diverged[i]:
                self.record.states.pop((config, seed, fold), None)
                continue
            if not self.record.leaderboard.wants(config):
                continue
            step = int(self.record.curves.steps_taken[config, seed, fold])
            state = TrialState(step, queue.state_of(block.lanes, lanes[i]))
            kept = self.record.states.setdefault((config, seed, fold), {})
            if self.keep_states in ("last", "best"):
                kept.clear()
            kept[int(evaluations[i])] = state

    def _start(self, block: Block, fresh: np.ndarray, commands: Commands) -> None:
        """Begin those new trials of a block that start from elsewhere.

        They are no longer `fresh`: the program has nothing to begin.
        """
        lanes = np.flatnonzero(fresh)
        if not len(lanes):
            return
        place = block.queue.place(block.trials[lanes])
        if not self.starts and not self.record.goes_on(place).any():
            return
        for lane, *trial in zip(lanes, *place, strict=True):
            config, seed, fold = map(int, trial)
            start = self.record.start_of(config, seed, fold)
            start = self.starts.get((config, seed, fold)) if start is None else start
            if start is not None:
                fresh[lane] = False
                shared = self.shared[block.device]
                start = jax.tree.map(partial(_moved, block.device), start)
                begin = block.queue.program.start_lane
                block.lanes = begin(block.lanes, np.int32(lane), commands, start, shared)

    def _has_improved(self, block: Block, lanes: np.ndarray, evaluations: np.ndarray) -> np.ndarray:
        """Return whether these evaluations are the best so far, where the host ranks; bool."""
        if not block.queue.program.is_ranked_on_host:
            return np.zeros(len(lanes), bool)
        return self.record.has_improved(block.queue.place(block.trials[lanes]), evaluations)

    def halve(self, queue: Queue, error: Exception) -> None:
        """Go on in blocks of half the width; configurations that have not finished start again.

        Raises:
            Exception: the error itself, where it is of another kind or blocks cannot be narrower.
        """
        if not is_out_of_memory(error) or queue.width == 1:
            raise error
        self._drop_blocks(queue)

        trials = np.arange(queue.group.trials)
        unfinished = trials[self.record.is_running(queue.place(trials))]
        rows = np.unique(queue.group.place(unfinished)[0])
        configs = queue.group.configs[rows]
        warn(
            f"{WHERE}: out of memory with {queue.width} lanes in a block. Going on with "
            f"{queue.width // 2}; {len(configs)} configurations that had not finished start again."
        )
        queue.program = queue.program.with_width(queue.width // 2)
        queue.refill(rows)
        self.record.restart(configs, queue.width)
        if self.pruner is not None:
            self.pruner = self.pruner.without(set(configs.tolist()))


def _moved(device: Device, x: jax.Array | np.ndarray) -> jax.Array | np.ndarray:
    """Move a typed key that was kept on another device; NumPy arrays are on none."""
    is_elsewhere = isinstance(x, jax.Array) and device not in x.devices()
    return jax.device_put(x, device) if is_elsewhere else x
