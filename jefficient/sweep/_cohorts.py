"""Lanes in step: blocks that train on the same batches at the same time."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from .._core.typing import Device
from ._lanes import Lane
from ._queue import IDLE, Queue
from ._stream import Ahead, Order
from ._streamed import Calls
from ._waiting import Who


@dataclasses.dataclass(eq=False)
class Band:
    """A block of lanes in step.

    Attributes:
        queue: where its trials come from.
        calls: the compiled program.
        device: where it runs.
        lanes: on the device.
        trials: which trial each lane trains, int array (width,), `IDLE` for none.
        looks: which look each lane comes to next.
        begun_at: updates made at each lane's last look, int32.
        until: updates made at its next one, int32; 0 where nobody is.
    """

    queue: Queue
    calls: Calls
    device: Device
    lanes: Lane
    trials: np.ndarray
    looks: np.ndarray
    begun_at: np.ndarray

    until: np.ndarray = dataclasses.field(init=False)

    def __post_init__(self):
        self.update()

    def update(self) -> None:
        """`until` follows from the rest."""
        self.until = self.queue.until(self.trials, self.looks)

    @property
    def busy(self) -> np.ndarray:
        """The lanes with a trial."""
        return np.flatnonzero(self.trials != IDLE)

    def due(self, step: int) -> np.ndarray:
        """The lanes that are looked at after so many updates."""
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

    who: Who
    bands: list[Band]
    order: Order
    step: int
    ahead: Ahead

    @property
    def until(self) -> int:
        """Updates made when somebody is looked at next."""
        return min(int(band.until[band.busy].min()) for band in self.bands)

    @property
    def bands_due(self) -> list[Band]:
        """The blocks in which somebody is looked at now."""
        return [band for band in self.bands if len(band.due(self.step))]

    @property
    def until_after(self) -> int | None:
        """Updates made when somebody is looked at after the look that is due now, if all go on; None for never."""
        later = [band.queue.until(band.trials, band.looks + (band.until == self.step)) for band in self.bands]
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
    return [band for group in groups.values() for band in _moved(group)]


def _moved(bands: list[Band]) -> list[Band]:
    first, width = bands[0], len(bands[0].trials)
    busy = np.flatnonzero(np.concatenate([band.trials for band in bands]) != IDLE)
    needed = -(-len(busy) // width)
    if needed == len(bands):
        return bands
    columns = ([getattr(band, name) for band in bands] for name in ("trials", "looks", "begun_at"))
    trials, looks, begun_at = (np.concatenate(column) for column in columns)
    moved = []
    for i in range(needed):
        here = busy[i * width : (i + 1) * width]
        lanes = _lanes_at([band.lanes for band in bands], np.resize(here, width))
        is_filling = np.arange(width) >= len(here)
        mine = np.where(is_filling, IDLE, trials[np.resize(here, width)])
        own = (np.where(is_filling, 0, x[np.resize(here, width)]).astype(x.dtype) for x in (looks, begun_at))
        moved.append(Band(first.queue, first.calls, first.device, lanes, mine, *own))
    return moved


@jax.jit
def _lanes_at(blocks: list[Lane], places: jax.Array) -> Lane:
    """The lanes at these places of some blocks, one after another."""
    return jax.tree.map(lambda *xs: jnp.concatenate(xs)[places], *blocks)
