"""Cohorts: blocks that train on the same batches at the same time, which are read for them."""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from ..._core.typing import Device, Tree
from ..data import EpochOrder, Prefetch, Stream
from ..programs import Lane
from ._block import Block
from ._cohort_queue import CohortKey
from ._memory import MEMORY_ERRORS
from ._queue import IDLE, Queue


@dataclasses.dataclass(eq=False)
class Cohort:
    """Blocks that train on the same batches.

    Attributes:
        key: the batch size, seed and fold that they have in common.
        blocks: their lanes are all at the same step.
        order: in which examples are read.
        step: updates made.
        stream: where examples come from.
        prefetch: what is being read.
    """

    key: CohortKey
    blocks: list[Block]
    order: EpochOrder
    step: int
    stream: Stream
    prefetch: Prefetch

    @property
    def until(self) -> int:
        """Updates made at the next evaluation of a lane."""
        return min(int(block.until[block.occupied].min()) for block in self.blocks)

    @property
    def due(self) -> list[Block]:
        """The blocks with a lane that is evaluated now."""
        return [block for block in self.blocks if len(block.due(self.step))]

    @property
    def devices(self) -> list[Device]:
        """The devices that its blocks run on."""
        return list(dict.fromkeys(block.device for block in self.blocks))

    @property
    def evaluation_batches(self) -> int:
        """Batches in which the validation set is evaluated."""
        return len(self.stream.evaluation_begins(self.key.fold))

    def prefetch_chunk(self, until: int) -> int:
        """Have the next batches read, up to update `until` at most; return how many they are."""
        count = min(self.order.batches, until - self.step)
        name = "chunk", self.step, count
        if not self.prefetch.has(name):
            indices = self.order.indices(self.step, count)
            read = self.stream.read_chunk
            self.prefetch.begin(name, read, self.key.fold, indices, self.order.batches)
        return count

    def prefetch_evaluation_batch(self, index: int) -> None:
        """Have a batch of the validation set read."""
        begin = self.stream.evaluation_begins(self.key.fold)[index]
        name = "evaluation batch", begin
        if not self.prefetch.has(name):
            self.prefetch.begin(name, self.stream.read_evaluation_batch, self.key.fold, begin)

    def prefetch_after_training(self, until: int) -> None:
        """Have read what is needed after the chunk at hand."""
        if self.step < until:
            self.prefetch_chunk(until)
        elif self.stream.valid:
            self.prefetch_evaluation_batch(0)
        else:
            self.prefetch_after_evaluation()

    def prefetch_after_evaluation(self) -> None:
        """Have read what follows the evaluation that is due, as if no trial ended with it."""
        following = [
            block.queue.until(block.trials, block.evaluations + (block.until == self.step))
            for block in self.blocks
        ]
        coming = np.concatenate(following)
        coming = coming[coming > self.step]
        if len(coming):
            self.prefetch_chunk(int(coming.min()))

    def take(self) -> Callable[[Device], Tree]:
        """Wait for what is being read, and copy it to every device of the cohort."""
        read = self.prefetch.take()
        copies = {device: jax.device_put(read, device) for device in self.devices}
        return copies.__getitem__


def packed(blocks: list[Block]) -> list[Block]:
    """Return the same trials in as few blocks as hold them, by program and device."""
    groups: dict[tuple[Queue, Device], list[Block]] = {}
    for block in blocks:
        groups.setdefault((block.queue, block.device), []).append(block)
    return [block for group in groups.values() for block in _packed(group)]


def _packed(blocks: list[Block]) -> list[Block]:
    """Move lanes of the emptiest blocks into the free lanes of the fullest."""
    needed = -(-sum(len(block.occupied) for block in blocks) // blocks[0].width)
    fullest = sorted(blocks, key=lambda block: -len(block.occupied))
    for source in fullest[needed:]:
        for target in fullest[:needed]:
            _move(source, target)
    return [block for block in blocks if len(block.occupied)]


def _move(source: Block, target: Block) -> None:
    """Move as many lanes as there are trials in `source` and room in `target`."""
    free = np.flatnonzero(target.trials == IDLE)
    moving = source.occupied[: len(free)]
    free = free[: len(moving)]
    if not len(moving):
        return

    places = np.arange(target.width)
    places[free] = target.width + moving
    try:
        target.lanes = _merged(target.lanes, source.lanes, places)
    except MEMORY_ERRORS:  # packing is there to save memory: without any to spare it is left out
        return
    target.trials[free] = source.trials[moving]
    target.evaluations[free] = source.evaluations[moving]
    source.trials[moving] = IDLE


@jax.jit
def _merged(lanes: Lane, others: Lane, places: jax.Array) -> Lane:
    """Return the lanes at these places of two blocks, one after the other."""
    return jax.tree.map(lambda x, y: jnp.concatenate([x, y])[places], lanes, others)
