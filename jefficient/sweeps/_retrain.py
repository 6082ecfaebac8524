"""One trial of a finished sweep, trained again; a configuration, trained on all rows."""

import dataclasses
from contextlib import ExitStack

import jax
import numpy as np
import xarray as xr

from ..results import Replay, counted_evaluations
from .checkpoint import attributes, dataset_of
from .planning import SweepSpec, assemble, plan_of, prepare
from .programs import Group
from .scheduler import Scheduler


@dataclasses.dataclass(frozen=True)
class Trained:
    """A prepared sweep as what a result trains with."""

    spec: SweepSpec

    def replay(self, dataset: xr.Dataset, config: int, seed: int, fold: int) -> Replay:
        """See `Result.replay`."""
        return replay(self.spec, dataset, config, seed, fold)

    def refit(self, dataset: xr.Dataset, config: int, seed: int) -> Replay:
        """See `Result.refit`."""
        return refit(self.spec, dataset, config, seed)


def replay(spec: SweepSpec, dataset: xr.Dataset, config: int, seed: int, fold: int) -> Replay:
    """Train one trial again; see `Result.replay`."""
    trial = {"config": config, "seed": seed, "fold": fold}
    recorded = dataset.isel(trial)
    index = next(i for i, group in enumerate(spec.groups) if config in group.configs)
    group, row = spec.groups[index], int(np.flatnonzero(spec.groups[index].configs == config)[0])
    taken, was_cut = (
        int(recorded["steps_taken"]),
        str(recorded["status"].values) in ("stopped", "interrupted"),
    )
    if was_cut:
        group = _cut(group, row, taken)
    widths = [int(dataset["block_width"][group.configs[0]]) for group in spec.groups]
    widths[index] = int(recorded["block_width"])
    waiting = [int((row * group.seeds + seed) * group.folds + fold)] if taken or not was_cut else []
    scheduler = _run(spec, widths, index, group, waiting)
    scheduler.record.interrupt()
    again = dataset_of(spec, scheduler.record, dataset.attrs).isel(
        {name: [i] for name, i in trial.items()}
    )
    if was_cut:
        again["status"] = again["status"].copy(data=recorded["status"].values.reshape(1, 1, 1))
    return Replay(again, scheduler.record.weights.get((config, seed, fold)))


def refit(spec: SweepSpec, dataset: xr.Dataset, config: int, seed: int) -> Replay:
    """Train a configuration on all rows; see `Result.refit`."""
    task, optimizer = spec.problem.with_all_examples()
    group = next(group for group in spec.groups if config in group.configs)
    one = spec.space.part([config])
    settings = dataclasses.replace(
        spec.settings,
        batch_size=None if "batch_size" in one.names else group.static["batch_size"],
        seeds=seed + 1,
        folds=None,
        metric="train_loss",
        mode="min",
        select="last",
        stop=None,
        keep="last",
        keep_configs=1,
    )
    whole = prepare(task, optimizer, one, settings)
    (group,), share = whole.groups, _share_trained(dataset, config)
    if share < 1:
        group = _cut(group, 0, max(1, round(share * int(group.steps[0]))))
    plan = plan_of(whole)
    scheduler = _run(whole, [program.width for program in plan.programs], 0, group, [seed])
    scheduler.record.interrupt()
    about = attributes(whole, plan, scheduler.record.seconds, scheduler.record.utilization)
    again = (
        dataset_of(whole, scheduler.record, about).isel(seed=[seed]).assign_coords(config=[config])
    )
    return Replay(again, scheduler.record.weights.get((0, seed, 0)))


def _run(
    spec: SweepSpec, widths: list[int], index: int, group: Group, waiting: list[int]
) -> Scheduler:
    """Train these trials of a program, and keep their weights."""
    with ExitStack() as stack:
        scheduler = assemble(spec, widths, jax.local_devices()[:1], lambda _: None, stack)
        for queue in scheduler.queues:
            queue.waiting.clear()
        scheduler.queues[index].group = group
        scheduler.queues[index].waiting.extend(waiting)
        scheduler = dataclasses.replace(scheduler, log=None, keeps=True)
        scheduler.run()
    return scheduler


def _cut(group: Group, row: int, steps: int) -> Group:
    """The program whose configuration `row` makes so many updates and no more; its schedules know its whole length."""
    evaluations = list(group.evaluations)
    before = tuple(evaluation for evaluation in evaluations[row] if evaluation <= steps)
    evaluations[row] = before if steps in before else (*before, steps)
    return dataclasses.replace(group, evaluations=tuple(evaluations))


def _share_trained(dataset: xr.Dataset, config: int) -> float:
    """The share of its updates that a configuration had made at the evaluations that count, on average over its trials."""
    evaluations = counted_evaluations(dataset)[config].ravel()
    if (evaluations < 0).any():
        return 1.0
    step = dataset["step"].transpose("config", "evaluation").values[config]
    return float(step[evaluations].mean() / step.max())
