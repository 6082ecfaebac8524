"""One trial of a finished sweep, trained again; a configuration, trained on all rows."""

import dataclasses
from contextlib import ExitStack

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from .._core.errors import ArgumentError
from .._core.typing import Tree
from ..results import Replay, looks_that_count
from .checkpoint import attributes, dataset_of
from .data import Chain, Source
from .planning import Prepared, assemble, plan_of, prepare
from .programs import Program
from .scheduler import Host
from .tasks import Supervised, Task


@dataclasses.dataclass(frozen=True)
class Trained:
    """A prepared sweep as what a result trains with."""

    prepared: Prepared

    def replay(self, dataset: xr.Dataset, config: int, seed: int, fold: int) -> Replay:
        """See `Result.replay`."""
        return replay(self.prepared, dataset, config, seed, fold)

    def refit(self, dataset: xr.Dataset, config: int, seed: int) -> Replay:
        """See `Result.refit`."""
        return refit(self.prepared, dataset, config, seed)


def replay(prepared: Prepared, dataset: xr.Dataset, config: int, seed: int, fold: int) -> Replay:
    """Train one trial again; see `Result.replay`."""
    trial = {"config": config, "seed": seed, "fold": fold}
    recorded = dataset.isel(trial)
    index = next(i for i, part in enumerate(prepared.parts) if config in part.configs)
    part, row = prepared.parts[index], int(np.flatnonzero(prepared.parts[index].configs == config)[0])
    taken, was_cut = int(recorded["steps_taken"]), str(recorded["status"].values) in ("stopped", "interrupted")
    if was_cut:
        part = _cut(part, row, taken)
    widths = [int(dataset["block_width"][part.configs[0]]) for part in prepared.parts]
    widths[index] = int(recorded["block_width"])
    waiting = [int((row * part.seeds + seed) * part.folds + fold)] if taken or not was_cut else []
    engine = _run(prepared, widths, index, part, waiting)
    engine.record.interrupt()
    again = dataset_of(prepared, engine.record, dataset.attrs).isel({name: [i] for name, i in trial.items()})
    if was_cut:
        again["status"] = again["status"].copy(data=recorded["status"].values.reshape(1, 1, 1))
    return Replay(again, engine.record.weights.get((config, seed, fold)))


def refit(prepared: Prepared, dataset: xr.Dataset, config: int, seed: int) -> Replay:
    """Train a configuration on all rows; see `Result.refit`."""
    problem = prepared.problem
    if not isinstance(problem, Supervised):
        raise ArgumentError("jf.Result.refit: the sweep must be of a jf.Task, got a jf.Trial, which has no rows.")
    part = next(part for part in prepared.parts if config in part.configs)
    one = prepared.space.part([config])
    settings = dataclasses.replace(
        prepared.settings,
        batch_size=None if "batch_size" in one.names else part.static["batch_size"],
        seeds=seed + 1,
        folds=None,
        metric="train_loss",
        mode="min",
        select="last",
        stop=None,
        keep="last",
        keep_configs=1,
    )
    whole = prepare(_with_all_rows(problem.task), problem.routes.optimizer.function, one, settings)
    (part,), share = whole.parts, _share_trained(dataset, config)
    if share < 1:
        part = _cut(part, 0, max(1, round(share * int(part.steps[0]))))
    plan = plan_of(whole)
    engine = _run(whole, [program.width for program in plan.programs], 0, part, [seed])
    engine.record.interrupt()
    about = attributes(whole, plan, engine.record.seconds, engine.record.busy)
    again = dataset_of(whole, engine.record, about).isel(seed=[seed]).assign_coords(config=[config])
    return Replay(again, engine.record.weights.get((0, seed, 0)))


def _run(prepared: Prepared, widths: list[int], index: int, part: Program, waiting: list[int]) -> Host:
    """Train these trials of a program, and keep their weights."""
    with ExitStack() as stack:
        engine = assemble(prepared, widths, jax.local_devices()[:1], lambda _: None, stack)
        for queue in engine.queues:
            queue.waiting.clear()
        engine.queues[index].part = part
        engine.queues[index].waiting.extend(waiting)
        engine = dataclasses.replace(engine, log=None, keeps=True)
        engine.run()
    return engine


def _cut(part: Program, row: int, steps: int) -> Program:
    """The program whose configuration `row` makes so many updates and no more; its schedules know its whole length."""
    looks = list(part.looks)
    before = tuple(look for look in looks[row] if look <= steps)
    looks[row] = before if steps in before else (*before, steps)
    return dataclasses.replace(part, looks=tuple(looks))


def _share_trained(dataset: xr.Dataset, config: int) -> float:
    """The share of its updates that a configuration had made at the looks that count, on average over its trials."""
    looks = looks_that_count(dataset)[config].ravel()
    if (looks < 0).any():
        return 1.0
    step = dataset["step"].transpose("config", "look").values[config]
    return float(step[looks].mean() / step.max())


def _with_all_rows(task: Task) -> Task:
    """The task without validation: rows of its own that were held out are added to the data."""
    rows = task.data
    if task.validation is not None and not isinstance(task.validation, float | int | np.floating):
        rows = _joined(rows, task.validation)
    return dataclasses.replace(task, data=rows, validation=None, test=None)


def _joined(rows: Tree, more: Tree) -> Tree:
    if isinstance(rows, Source):
        return Source.of("data", Chain(rows, more))
    return jax.tree.map(lambda x, y: jnp.concatenate([x, y]), rows, more)
