"""Curves that were recorded whole, and the scheduler of a sweep that plays them back.

The scheduler is that of a sweep itself, with its queues, lanes, record and pruner. Only the program
of a block is another one: instead of training, its lanes look up what was recorded.
"""

import dataclasses
import json
from typing import Any, NamedTuple, TypeVar, cast

import jax
import numpy as np
import xarray as xr

from .._core.devices import host_device
from .._core.errors import ArgumentError
from ..results import (
    Result,
    Score,
    Status,
    at_evaluations,
    by_fold,
    last_evaluation,
    status_of,
)
from .planning import even_width
from .programs import Commands, Evaluation, Group, Shared
from .scheduler import Compiler, ContinuousScheduler, Queue, Record
from .stopping import PrunerLog, StopRule

WHERE = "jf.simulate"
TRIAL = ("config", "seed", "fold")

T = TypeVar("T")


@dataclasses.dataclass(frozen=True, eq=False)
class Recorded:
    """A sweep in which every trial finished or diverged.

    Attributes:
        score: what ranks configurations.
        values: its metric, float32 (configs, seeds, folds, evaluations).
        status: int array (configs, seeds, folds) of `Status`.
        steps_taken: updates that each trial made, int array (configs, seeds, folds).
        diverged_at: int array (configs, seeds, folds), -1 for never.
        last: the evaluation at which each trial ended, int array (configs, seeds, folds).
        step: updates at each evaluation, int array (configs, folds, evaluations), -1 past the last.
        groups: the configurations of each program, in the order of the programs.
        widths: lanes in a block of each program.
        blocks: blocks that run side by side.
    """

    score: Score
    values: np.ndarray
    status: np.ndarray
    steps_taken: np.ndarray
    diverged_at: np.ndarray
    last: np.ndarray
    step: np.ndarray
    groups: list[Group]
    widths: list[int]
    blocks: int

    def played(self, rule: StopRule) -> Record:
        """Run the sweep under a rule."""
        score = self.score
        record = Record(len(self.values), self.groups, self.widths, score, (score.metric,), {}, 1)
        queues = [
            Queue.of(group, cast(Any, Playback(self, width)), record.begin_at)
            for group, width in zip(self.groups, self.widths, strict=True)
        ]
        device = host_device()
        ContinuousScheduler(
            queues=queues,
            compiler=cast(Compiler, lambda queue, _: (queue.program, ())),
            devices=[device] * self.blocks,
            shared={device: Shared(None, cast(jax.Array, None))},
            record=record,
            scorer=None,
            pruner=PrunerLog(rule),
            keeps_weights=False,
            keep_states=None,
            starts={},
            on_segment=lambda: None,
            at_boundary=lambda _: None,
            is_ending=lambda: False,
        ).run()
        return record


@dataclasses.dataclass(frozen=True, eq=False)
class Playback:
    """Stands in for the compiled program of a group: lanes look up what their trials recorded."""

    recorded: Recorded
    width: int
    is_ranked_on_host: bool = False

    def __call__(self, lanes: T, commands: Commands, shared: Shared) -> tuple[T, Evaluation]:
        """Take every lane to its next evaluation; idle ones, whose `until` is 0, do not matter."""
        del shared
        known = self.recorded
        config, fold = commands.hyperparameters["config"], commands.fold
        trial = config, commands.seed, fold
        until = commands.until[:, None]
        steps = known.step[config, fold]
        evaluation = ((steps >= 0) & (steps < until)).sum(axis=1)

        is_over = evaluation >= known.last[trial]
        status = np.where(is_over, known.status[trial], Status.RUNNING)
        step = np.where(is_over, known.steps_taken[trial], commands.until)
        diverged_at = np.where(is_over, known.diverged_at[trial], -1)
        values: dict[str, Any] = {known.score.metric: known.values[(*trial, evaluation)]}
        return lanes, Evaluation(values, *cast(Any, (status, step, diverged_at)))


class Standing(NamedTuple):
    """Configurations ranked: numbers, best first; mean scores; whether all their trials finished.

    Arrays (configs,); the last two by configuration.
    """

    order: np.ndarray
    means: np.ndarray
    is_finished: np.ndarray

    @property
    def best(self) -> int | None:
        """The best of those that finished, as `Result.best` names it."""
        finished = self.order[self.is_finished[self.order]]
        return int(finished[0]) if len(finished) else None


def standing(
    score: Score, values: np.ndarray, status: np.ndarray, steps_taken: np.ndarray, step: np.ndarray
) -> Standing:
    """Rank configurations as a result does; arrays as in `Recorded`."""
    last = last_evaluation(step[:, None], steps_taken)
    scores = at_evaluations(values, score.evaluations(values, status, last))
    of_config = [x.reshape(len(values), -1) for x in (scores, status, steps_taken)]
    is_finished = (np.isfinite(of_config[0]) & (of_config[1] == Status.FINISHED)).all(axis=1)
    means = score.sign * np.array([rank[2] for rank in score.rank(*of_config)])
    return Standing(score.order(*of_config), means, is_finished)


def from_curves(
    curves: np.ndarray,
    score: Score,
    steps: np.ndarray,
    steps_per_epoch: float,
    lanes: int | None,
) -> Recorded:
    """Read curves (configs, evaluations) as a sweep of one seed and fold, in one block.

    Args:
        curves: what is not finite has diverged, and stays so.
        score: their direction.
        steps: updates at each evaluation, int array (configs, evaluations).
        steps_per_epoch: NaN for curves without epochs.
        lanes: of the block, by default one for each configuration.
    """
    values = curves[:, None, None].astype(np.float32)
    is_lost = ~np.isfinite(values)
    evaluations = values.shape[-1]
    has_diverged = is_lost.any(axis=-1)
    last = np.where(has_diverged, is_lost.argmax(axis=-1), evaluations - 1)
    step = steps[:, None]
    ends = np.take_along_axis(step[:, None], last[..., None], axis=-1)[..., 0]
    configs = np.arange(len(values))
    return Recorded(
        score=score,
        values=values,
        status=np.where(has_diverged, Status.DIVERGED, Status.FINISHED),
        steps_taken=ends,
        diverged_at=np.where(has_diverged, ends, -1),
        last=last,
        step=step,
        groups=[_group(configs, step, np.array([steps_per_epoch]), seeds=1)],
        widths=[len(configs) if lanes is None else lanes],
        blocks=1,
    )


def from_result(result: Result) -> Recorded:
    """Read a result as the sweep that it is of, laid out as it was planned then.

    Raises:
        ArgumentError: if the result does not tell in which order the engine would have observed it.
    """
    dataset = result.dataset
    plan = _plan_of(result)
    score = result.score
    status = status_of(dataset)
    by_trial = [dataset[x].transpose(*TRIAL).values for x in ("steps_taken", "diverged_at")]
    started_at = dataset["started_at"].transpose(*TRIAL).values
    seconds = dataset["seconds"].transpose(*TRIAL, "evaluation").values
    seeds, folds = status.shape[1:]
    step = by_fold(dataset, "step")
    step = np.broadcast_to(step, (len(step), folds, step.shape[-1]))

    groups, widths = [], []
    blocks = plan["devices"] * plan["blocks"]
    training = dataset["training_examples"].values
    for program, configs in zip(plan["programs"], _members(dataset, plan), strict=True):
        static = json.loads(program["static"])
        per_epoch = np.full(folds, np.nan)
        if "batch_size" in static and (training > 0).all():
            per_epoch = training / int(static["batch_size"])
        group = _group(configs, step[configs], per_epoch, seeds)
        if started_at.any():
            group = dataclasses.replace(group, started_at=started_at[configs].astype(np.int32))
        groups.append(group)
        widths.append(_width(dataset, group, blocks))
    return Recorded(
        score=score,
        values=dataset[score.metric].transpose(*TRIAL, "evaluation").values,
        status=status,
        steps_taken=by_trial[0],
        diverged_at=by_trial[1],
        last=np.isfinite(seconds).sum(axis=-1) - 1,  # also of what diverged at its first update
        step=step,
        groups=groups,
        widths=widths,
        blocks=blocks,
    )


def _group(configs: np.ndarray, step: np.ndarray, steps_per_epoch: np.ndarray, seeds: int) -> Group:
    """Make the group of these configurations; `step` (configs, folds, evaluations) is theirs.

    Their numbers are the hyperparameter by which `Playback` finds them.
    """
    distinct: dict[bytes, np.ndarray] = {}
    evaluations = []
    for own in step:
        kept = own[:, (own >= 0).all(axis=0)].astype(np.int32)
        evaluations.append(distinct.setdefault(kept.tobytes(), kept))
    return Group(
        configs=configs,
        static={},
        labels={},
        numbers={"config": configs},
        fold_numbers={},
        steps=np.stack([own[:, -1] for own in evaluations]),
        evaluations=tuple(evaluations),
        steps_per_epoch=steps_per_epoch,
        seeds=seeds,
        folds=step.shape[1],
    )


def _members(dataset: xr.Dataset, plan: dict[str, Any]) -> list[np.ndarray]:
    """Return the configurations of each program: those that share its static values."""
    statics = [name for name in json.loads(plan["programs"][0]["static"]) if name in dataset]
    columns = [dataset[name].values.tolist() for name in statics]
    keys = list(zip(*columns, strict=True)) or [()] * dataset.sizes["config"]
    members: dict[tuple, list[int]] = {}
    for config, key in enumerate(keys):
        members.setdefault(key, []).append(config)
    found = [np.array(configs) for configs in members.values()]
    if [len(configs) for configs in found] != [x["configs"] for x in plan["programs"]]:
        raise _unknown("which configurations shared a program", "labels that do not tell")
    return found


def _width(dataset: xr.Dataset, group: Group, blocks: int) -> int:
    """Return the lanes in a block: those of then, or as many as a rule needs.

    A sweep that stops makes blocks wide enough for all trials of a configuration.
    """
    widths = np.unique(dataset["block_width"].values[group.configs])
    if len(widths) > 1:
        raise _unknown("how wide its blocks are", f"widths {widths.tolist()}: memory ran out")
    needed = -(-group.seeds * group.folds // blocks)
    width = int(widths[0])
    return width if width >= needed else even_width(group.trials, blocks, needed)


def _plan_of(result: Result) -> dict[str, Any]:
    """Return the plan that a result records, if it is of one sweep in one process."""
    attributes = result.dataset.attrs
    plan = json.loads(attributes.get("plan", "null"))
    what = None
    if plan is None:
        what = "without a plan"
    elif isinstance(plan, list):
        what = "joined from several sweeps"
    elif "parts" in attributes:
        what = f"of {attributes['parts']} parts on an executor"
    elif "proposal_batches" in attributes:
        what = "a search's, in batches of proposals"
    elif plan["in_step"] is not None:
        what = "of data that were read during training"
    if what is not None:
        raise _unknown("in which order its evaluations are observed", f"one {what}")
    assert isinstance(plan, dict)
    return plan


def _unknown(what: str, got: str) -> ArgumentError:
    return ArgumentError(
        f"{WHERE}: a result must tell {what}, got {got}. Give its curves as an array: "
        f"jf.simulate(stop, result.dataset[metric].mean(('seed', 'fold')).values)."
    )
