"""Lanes in step: blocks that train on the same batches at the same time."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from ..._core.typing import Device
from ..data import EpochOrder, Prefetch
from ..programs import Lane, StreamedCalls
from ._cohort_queue import CohortKey
from ._queue import IDLE, Queue
from ._scheduler import MEMORY_ERRORS


@dataclasses.dataclass(eq=False)
class Band:
    """A block of lanes in step.

    Attributes:
        queue: where its trials come from.
        calls: the compiled program.
        device: where it runs.
        lanes: on the device.
        trials: which trial each lane trains, int array (width,), `IDLE` for none.
        evaluations: which evaluation each lane comes to next.
        begun_at: updates made at each lane's last evaluation, int32.
        until: updates made at its next one, int32; 0 where nobody is.
    """

    queue: Queue
    calls: StreamedCalls
    device: Device
    lanes: Lane
    trials: np.ndarray
    evaluations: np.ndarray
    begun_at: np.ndarray

    until: np.ndarray = dataclasses.field(init=False)

    def __post_init__(self):
        self.update()

    def update(self) -> None:
        """`until` follows from the rest."""
        self.until = self.queue.until(self.trials, self.evaluations)

    @property
    def occupied(self) -> np.ndarray:
        """The lanes with a trial."""
        return np.flatnonzero(self.trials != IDLE)

    def due(self, step: int) -> np.ndarray:
        """The lanes that are evaluated after so many updates."""
        return np.flatnonzero((self.trials != IDLE) & (self.until == step))


@dataclasses.dataclass(eq=False)
class Cohort:
    """Blocks that train on the same batches.

    Attributes:
        who: what they have in common.
        bands: the blocks.
        order: of the rows.
        step: updates made.
        ahead: what is being read for them.
    """

    who: CohortKey
    bands: list[Band]
    order: EpochOrder
    step: int
    ahead: Prefetch

    @property
    def until(self) -> int:
        """Updates made when somebody is evaluated next."""
        return min(int(band.until[band.occupied].min()) for band in self.bands)

    @property
    def bands_due(self) -> list[Band]:
        """The blocks in which somebody is evaluated now."""
        return [band for band in self.bands if len(band.due(self.step))]

    @property
    def until_after(self) -> int | None:
        """Updates made when somebody is evaluated after the evaluation that is due now, if all go on; None for never."""
        later = [
            band.queue.until(band.trials, band.evaluations + (band.until == self.step))
            for band in self.bands
        ]
        coming = np.concatenate(later)
        return int(coming[coming > self.step].min()) if (coming > self.step).any() else None

    @property
    def devices(self) -> list[Device]:
        """Those that its blocks run on."""
        return list(dict.fromkeys(band.device for band in self.bands))


def packed(bands: list[Band]) -> list[Band]:
    """The same trials in as few blocks as hold them: those of one program on one device move together."""
    groups: dict[tuple[Queue, Device], list[Band]] = {}
    for band in bands:
        groups.setdefault((band.queue, band.device), []).append(band)
    return [band for group in groups.values() for band in _packed(group)]


def _packed(bands: list[Band]) -> list[Band]:
    """Of one program on one device: lanes of the emptiest blocks move into the free lanes of the fullest."""
    needed = -(-sum(len(band.occupied) for band in bands) // len(bands[0].trials))
    fullest = sorted(bands, key=lambda band: -len(band.occupied))
    for source in fullest[needed:]:
        for band in fullest[:needed]:
            _move(source, band)
    return [band for band in bands if len(band.occupied)]


def _move(source: Band, band: Band) -> None:
    """As many lanes as there are trials in the one block and room in the other."""
    free, width = np.flatnonzero(band.trials == IDLE), len(band.trials)
    moving = source.occupied[: len(free)]
    free = free[: len(moving)]
    if not len(moving):
        return
    places = np.arange(width)
    places[free] = width + moving
    try:
        band.lanes = _merged(band.lanes, source.lanes, places)
    except MEMORY_ERRORS:  # there is no room to save room: they stay where they are
        return
    for name in ("trials", "evaluations", "begun_at"):
        getattr(band, name)[free] = getattr(source, name)[moving]
    source.trials[moving] = IDLE
    band.update()
    source.update()


@jax.jit
def _merged(lanes: Lane, others: Lane, places: jax.Array) -> Lane:
    """The lanes at these places of two blocks, one after the other."""
    return jax.tree.map(lambda x, y: jnp.concatenate([x, y])[places], lanes, others)
