"""One trial of a finished sweep, trained again."""

import dataclasses
from contextlib import ExitStack

import jax
import numpy as np
import xarray as xr

from ..results import Replay
from ._assemble import assemble
from ._labelled import dataset_of
from ._prepared import Prepared


@dataclasses.dataclass(frozen=True)
class Trained:
    """A prepared sweep as what a result trains with."""

    prepared: Prepared

    def replay(self, dataset: xr.Dataset, config: int, seed: int, fold: int) -> Replay:
        """See `Result.replay`."""
        return replay(self.prepared, dataset, config, seed, fold)


def replay(prepared: Prepared, dataset: xr.Dataset, config: int, seed: int, fold: int) -> Replay:
    """Train one trial again; see `Result.replay`."""
    trial = {"config": config, "seed": seed, "fold": fold}
    recorded = dataset.isel(trial)
    index = next(i for i, part in enumerate(prepared.parts) if config in part.configs)
    part, row = prepared.parts[index], int(np.flatnonzero(prepared.parts[index].configs == config)[0])
    taken, was_cut = int(recorded["steps_taken"]), str(recorded["status"].values) in ("stopped", "interrupted")
    if was_cut:
        looks = list(part.looks)
        looks[row] = tuple(look for look in looks[row] if look <= taken)
        part = dataclasses.replace(part, looks=tuple(looks))
    widths = [int(dataset["block_width"][part.configs[0]]) for part in prepared.parts]
    widths[index] = int(recorded["block_width"])
    with ExitStack() as stack:
        engine = assemble(prepared, widths, jax.local_devices()[:1], lambda _: None, stack)
        for queue in engine.queues:
            queue.waiting.clear()
        if taken or not was_cut:
            engine.queues[index].part = part
            engine.queues[index].waiting.append(int((row * part.seeds + seed) * part.folds + fold))
        engine = dataclasses.replace(engine, log=None, keeps=True)
        engine.run()
    engine.record.interrupt()
    again = dataset_of(prepared, engine.record, dataset.attrs)
    again = again.isel({name: [i] for name, i in trial.items()})
    if was_cut:
        again["status"] = again["status"].copy(data=recorded["status"].values.reshape(1, 1, 1))
    return Replay(again, engine.record.weights.get((config, seed, fold)))
