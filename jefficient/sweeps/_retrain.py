"""One trial of a finished sweep, trained again; a configuration, trained on all examples."""

import dataclasses
from contextlib import ExitStack

import numpy as np
import xarray as xr

from .._core.debugging import tools_off
from .._core.devices import Machine
from .._core.errors import ArgumentError, JefficientError
from .._core.warn import warn
from ..results import (
    Derivatives,
    Length,
    Replay,
    at_evaluations,
    by_fold,
    counted_evaluations,
    score_of,
)
from .checkpoint import attributes, dataset_of
from .derivatives import Differentiator, without_derivative
from .planning import Plan, Starts, SweepSpec, assemble, plan_of, prepare
from .programs import Group
from .scheduler import Record

REFIT = "jf.Result.refit"


@dataclasses.dataclass(frozen=True)
class Retrainer:
    """Trains trials of a result again."""

    spec: SweepSpec

    @property
    def static(self) -> frozenset[str]:
        """Names of the hyperparameters that are compiled into programs."""
        return frozenset(self.spec.space.static)

    @tools_off()
    def replay(self, dataset: xr.Dataset, config: int, seed: int, fold: int) -> Replay:
        """Train one trial again; see `Result.replay`."""
        spec = self.spec
        self._check_start("jf.Result.replay", (config, seed, fold))
        index, row = spec.find(config)
        group = spec.groups[index]
        trial = {"config": config, "seed": seed, "fold": fold}
        recorded = dataset.isel(trial)
        taken = int(recorded["steps_taken"])
        was_cut_short = str(recorded["status"].values) in ("stopped", "interrupted")
        if was_cut_short:
            group = group.shortened(row, fold, taken)

        # Bits depend on the width: each program keeps the one it had, the trial's own its own.
        widths = [int(dataset["block_width"][group.configs[0]]) for group in spec.groups]
        widths[index] = int(recorded["block_width"])
        machine = Machine.here()
        plan = plan_of(spec, machine).with_widths(widths)
        number = int((row * group.seeds + seed) * group.folds + fold)
        has_trained = taken > int(recorded["started_at"])
        trials = [number] if has_trained or not was_cut_short else []
        record = _train_alone(spec, plan, machine, index, group, trials)

        again = dataset_of(spec, record, dataset.attrs)
        again = again.isel({name: [i] for name, i in trial.items()})
        about = attributes(spec, plan, record.seconds, record.utilization)
        if all(about[name] == dataset.attrs.get(name) for name in ("versions", "arithmetic")):
            _warn_of_others(trial, recorded, again.squeeze(tuple(trial)), spec.measured)
        if was_cut_short:
            again["status"] = again["status"].copy(data=recorded["status"].values.reshape(1, 1, 1))
        return Replay(again, record.weights.get((config, seed, fold)))

    @tools_off()
    def refit(self, dataset: xr.Dataset, config: int, seed: int, length: Length) -> Replay:
        """Train a configuration on all examples; see `Result.refit`."""
        task, optimizer = self.spec.problem.with_all_examples()
        group = self.spec.groups[self.spec.find(config)[0]]
        space = self.spec.space.subset([config])
        is_given = length != Length()
        if is_given:
            self._check_length(length)
        settings = dataclasses.replace(
            self.spec.settings,
            batch_size=None if "batch_size" in space.names else group.static.get("batch_size"),
            seeds=seed + 1,
            folds=None,
            start=self._start(config),
            keep_states=None,
            metric="train_loss",
            mode="min",
            select="last",
            stop=None,
            keep="last",
            keep_configs=1,
            **(length._asdict() if is_given else {}),
        )
        whole = prepare(task, optimizer, space, settings)
        (group,) = whole.groups
        share = 1.0 if is_given else _share_trained(dataset, config)
        if share < 1:
            group = group.shortened(0, 0, max(1, round(share * int(group.steps[0, 0]))))

        machine = Machine.here()
        plan = plan_of(whole, machine)
        record = _train_alone(whole, plan, machine, 0, group, [seed])
        about = attributes(whole, plan, record.seconds, record.utilization)
        again = dataset_of(whole, record, about).isel(seed=[seed]).assign_coords(config=[config])
        return Replay(again, record.weights.get((0, seed, 0)))

    @tools_off()
    def derivatives(self, dataset: xr.Dataset, config: int) -> Derivatives:
        """Differentiate the trials of a configuration; see `Result.sensitivity`."""
        where = "jf.Result.sensitivity"
        spec = self.spec
        status = dataset["status"].isel(config=config).transpose("seed", "fold").values
        unfinished = np.argwhere(status != "finished")
        if len(unfinished) > 0:
            seed, fold = unfinished[0]
            raise ArgumentError(
                f"{where}: every trial of the configuration must have finished, got seed {seed}, "
                f"fold {fold} of configuration {config}, which is {status[seed, fold]}. Its score "
                f"is not that of the whole training."
            )
        if spec.starts is not None and any(trial[0] == config for trial in spec.starts.of):
            raise ArgumentError(
                f"{where}: trials must begin with init, got a sweep with start=…: the derivative "
                f"would be that of a part of the training."
            )
        names = tuple(x for x in spec.space.names if without_derivative(spec.space, x) is None)
        if not names:
            raise ArgumentError(
                f"{where}: a hyperparameter must be a float to have a derivative, got "
                f"{spec.space[config]}."
            )
        spec = dataclasses.replace(spec, score=score_of(dataset))  # `ranked_by` may change it
        evaluations = counted_evaluations(dataset)[config]
        machine = Machine.here()
        differentiator = Differentiator(where, spec, config, names, evaluations)
        return differentiator.run(differentiator.layout("auto", machine), machine)

    def _check_length(self, length: Length) -> None:
        """Refuse another length where it would make another schedule."""
        if None not in length:
            raise ArgumentError(
                f"{REFIT}: steps or epochs must be given, not both, got steps={length.steps}, "
                f"epochs={length.epochs}."
            )
        names = self.spec.problem.requesters_of("steps")
        if "steps" in self.spec.space.names:
            names = ["the space"]
        if names:
            raise ArgumentError(
                f"{REFIT}: steps and epochs must be those of the sweep where a function requests "
                f"`steps` or the space names it, got {', '.join(names)}: another length would be "
                f"another schedule. Sweep with that length."
            )

    def _check_start(self, where: str, trial: tuple[int, int, int]) -> None:
        """Refuse a trial that started from something that is not held any more."""
        starts = self.spec.starts
        start = None if starts is None else starts.of.get(trial)
        if start is not None and not start.is_held:
            raise JefficientError(
                f"{where}: what a trial started from must be held, got configuration {trial[0]}. A "
                f"search holds it of its best configurations: ask for more with keep_configs."
            )

    def _start(self, config: int) -> Starts | None:
        """Return what the trial of one configuration on all examples starts from."""
        starts = None if self.spec.starts is None else self.spec.starts.subset([config])
        if starts is None or not starts.of:
            return None
        if self.spec.problem.folds > 1:
            raise ArgumentError(
                f"{REFIT}: trials must not start from states of several folds, got "
                f"{self.spec.problem.folds} of them. Sweep on all examples with start=…"
            )
        self._check_start(REFIT, (config, 0, 0))
        return starts


def _warn_of_others(
    trial: dict[str, int], recorded: xr.Dataset, again: xr.Dataset, measured: tuple[str, ...]
) -> None:
    """Warn if a replay measures other numbers than the sweep did."""
    for name in measured:
        before = recorded[name].values
        now = again[name].values
        is_other = ~((before == now) | (np.isnan(before) & np.isnan(now)))
        if not is_other.any():
            continue
        first = int(is_other.argmax())
        where = ", ".join(f"{dimension} {i}" for dimension, i in trial.items())
        warn(
            f"jf.Result.replay: the numbers must be those of the sweep, got {name}={now[first]} of "
            f"{where} at evaluation {first}, where the sweep recorded {before[first]}. A function "
            f"reads something that has changed since (a global variable, a file), or is not pure."
        )
        return


def _train_alone(
    spec: SweepSpec, plan: Plan, machine: Machine, index: int, group: Group, trials: list[int]
) -> Record:
    """Train these trials of one group on one device, and keep their weights."""
    alone = dataclasses.replace(plan, devices=1, blocks=1)
    with ExitStack() as stack:
        scheduler = assemble(spec, alone, machine, lambda _: None, stack)
        for queue in scheduler.queues:
            queue.waiting.clear()
        scheduler.queues[index].group = group
        scheduler.queues[index].waiting.extend(trials)
        scheduler.pruner = None
        scheduler.keeps_weights = True
        scheduler.run()
    scheduler.record.interrupt()
    return scheduler.record


def _share_trained(dataset: xr.Dataset, config: int) -> float:
    """Return the share of its updates that a configuration had made when it was at its best.

    That is at the evaluations that count, on average over its trials; 1 if one has none.
    """
    evaluations = counted_evaluations(dataset)[config]
    if (evaluations < 0).any():
        return 1.0
    step = by_fold(dataset, "step")[config][None]
    made = at_evaluations(np.broadcast_to(step, (*evaluations.shape, step.shape[-1])), evaluations)
    return float(np.mean(made / step.max(axis=-1)))
