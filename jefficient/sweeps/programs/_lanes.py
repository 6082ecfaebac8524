"""The device program: a lane trains one trial at a time, a block is one vmap of lanes of fixed width.

Everything here is a pure function of arrays. A call makes one segment: lanes that the host has
given a new trial start it, every lane runs to its own next evaluation (those that get there first
wait, frozen), and all are evaluated. What a lane computes while it is frozen, or after it has
diverged, reaches neither its own numbers nor a neighbour's.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ..._core import trees
from ..._core.typing import Device, Tree
from ...results import Score, Status
from ..tasks import Trial
from ._convolutions import canonical


class Commands(NamedTuple):
    """What the host tells the lanes of a block before a segment.

    Every array has the lane axis first.

    `fresh` (bool): the lane starts the trial that the next four describe, instead of going on with
        its own.
    `until` (int32): how many updates the lane's trial has made at its next evaluation; lanes that
        idle have it behind them.
    """

    fresh: Any  # arrays of NumPy on the host, of jax in the program
    hyperparameters: dict[str, Any]
    seed: Any
    fold: Any
    steps: Any
    until: Any


class Shared(NamedTuple):
    """What all lanes of a sweep read: the data, and the key that trials draw theirs from."""

    data: Tree
    key: jax.Array


class Checkpointed(NamedTuple):
    """Weights set aside, and the score they had (smaller is better)."""

    score: jax.Array
    weights: Tree


class Lane(NamedTuple):
    """One slot. In a block every leaf has the lane axis first."""

    hyperparameters: dict[str, jax.Array]
    fold: jax.Array  # int32
    key: jax.Array  # the trial's own, never changed
    steps: jax.Array  # int32: the trial's total
    step: jax.Array  # int32: updates made
    status: jax.Array  # int32
    diverged_at: jax.Array  # int32, -1 for never
    sums: dict[
        str, jax.Array
    ]  # float32: metrics of training, over the updates since the last evaluation
    state: Any
    kept: Checkpointed | None


class Evaluation(NamedTuple):
    """What the host reads after a segment. Every array has the lane axis first."""

    values: dict[str, jax.Array]  # float32; NaN where the trial has diverged
    status: jax.Array
    step: jax.Array
    diverged_at: jax.Array


Segment = jax.stages.Compiled
"""``(lanes, orders, shared) -> (lanes, evaluation)``."""


@dataclasses.dataclass(frozen=True, eq=False)
class LaneProgram:
    """The program of one static combination.

    Attributes:
        trial: what a lane does.
        score: what is best, for `keep="best"`.
        bound: a loss above it is a divergence.
        keep: which weights a lane sets aside: "best", or those it ends with.
        width: lanes in a block.
        sums: what the trial's `step` measures: its name there, to its name in an evaluation and its
            shape.
        are_weights_finite: whether weights that are not finite are a divergence (a state of one's
            own may hold inf).
        has_convolution: whether a step has one; see `_convolutions`.
    """

    trial: Trial
    score: Score
    divergence_threshold: float
    keep: str | None
    width: int
    sums: Mapping[str, tuple[str, tuple[int, ...]]]
    are_weights_finite: bool
    has_convolution: bool = False

    def with_width(self, width: int) -> "LaneProgram":
        """The same in blocks of another width."""
        return dataclasses.replace(self, width=width)

    def single(self) -> "LaneProgram":
        """What stands for it wherever it runs: one lane."""
        return self.with_width(1)

    def empty(self, commands: Commands, shared: Shared) -> Lane:
        """Lanes without a trial, as shapes and dtypes."""
        return jax.eval_shape(jax.vmap(self._start, (0, None)), commands, shared)

    def lower(self, lanes: Lane, commands: Commands, shared: Shared) -> Any:
        """The whole program, lowered for the device that the arguments are on; its lanes are donated."""
        is_rewritten = self.has_convolution and jax.default_backend() == "cpu"
        segment = canonical(self._segment) if is_rewritten else self._segment
        return jax.jit(segment, donate_argnums=0).lower(lanes, commands, shared)

    def weights(self, lanes: Lane) -> Tree:
        """The weights that are kept, with the lane axis."""
        return (
            self._each(self.trial.weights, 0)(lanes.state)
            if lanes.kept is None
            else lanes.kept.weights
        )

    @functools.cached_property
    def pick(self) -> Callable[[Lane, Any], Tree]:
        """The weights that one lane keeps, on the device."""
        return jax.jit(lambda lanes, i: jax.tree.map(lambda x: x[i], self.weights(lanes)))

    def _each(self, function: Callable, *axes: int | None) -> Callable:
        """`function` for every lane. A single lane is run as it is: a vmap of one makes convolutions slower."""
        if self.width > 1:
            return jax.vmap(function, axes)

        def alone(*arguments: Any) -> Any:
            own = (
                x if axis is None else jax.tree.map(_only, x)
                for x, axis in zip(arguments, axes, strict=True)
            )
            return jax.tree.map(lambda x: jnp.asarray(x)[None], function(*own))

        return alone

    def _segment(self, lanes: Lane, commands: Commands, shared: Shared) -> tuple[Lane, Evaluation]:
        lanes = jax.lax.cond(
            jnp.any(commands.fresh),
            lambda lanes: self._restart(lanes, commands, shared),
            lambda lanes: lanes,
            lanes,
        )
        lanes = lanes._replace(sums=jax.tree.map(jnp.zeros_like, lanes.sums))
        begun_at, data = lanes.step, shared.data
        update = self._each(self._update, 0, 0, None)

        def is_any_on_its_way(lanes: Lane) -> jax.Array:
            return jnp.any((lanes.status == Status.RUNNING) & (lanes.step < commands.until))

        lanes = jax.lax.while_loop(
            is_any_on_its_way, lambda lanes: update(lanes, commands.until, data), lanes
        )
        return self._each(self._evaluate, 0, 0, None)(lanes, begun_at, data)

    def _restart(self, lanes: Lane, commands: Commands, shared: Shared) -> Lane:
        """Begin the trials of fresh lanes. On a CPU one lane after another: that compiles in half the time."""

        def restart(lane: Lane, own: Commands) -> Lane:
            return jax.lax.cond(own.fresh, lambda: self._start(own, shared), lambda: lane)

        if jax.default_backend() != "cpu":
            return self._each(restart, 0, 0)(lanes, commands)
        return jax.lax.map(lambda both: restart(*both), (lanes, commands))

    def _start(self, commands: Commands, shared: Shared) -> Lane:
        hp, seed, fold, steps = (
            commands.hyperparameters,
            commands.seed,
            commands.fold,
            commands.steps,
        )
        key = jax.random.fold_in(jax.random.fold_in(shared.key, seed), fold)
        given = {**hp, "steps": steps, "fold": fold}
        state = self.trial.init(key, **given)
        return Lane(
            hyperparameters=hp,
            fold=fold,
            key=key,
            steps=steps,
            step=jnp.zeros((), jnp.int32),
            status=jnp.full((), Status.RUNNING, jnp.int32),
            diverged_at=jnp.full((), -1, jnp.int32),
            sums={name: jnp.zeros(shape, jnp.float32) for name, (_, shape) in self.sums.items()},
            state=state,
            kept=self._nothing_kept(state),
        )

    def _nothing_kept(self, state: Any) -> Checkpointed | None:
        return (
            Checkpointed(jnp.full((), jnp.inf, jnp.float32), self.trial.weights(state))
            if self.keep == "best"
            else None
        )

    def _update(self, lane: Lane, until: jax.Array, data: Tree) -> Lane:
        new_state, metrics = self.trial.step(
            lane.state, data, lane.step, lane.key, **self._given(lane)
        )
        metrics = _float32(metrics)
        loss = metrics.get("loss", jnp.zeros(()))
        is_running = (lane.status == Status.RUNNING) & (lane.step < until)
        is_healthy = jnp.isfinite(loss) & (loss <= self.divergence_threshold)
        goes, diverges = is_running & is_healthy, is_running & ~is_healthy
        step = jnp.where(goes, lane.step + 1, lane.step)
        status = jnp.where(goes & (step >= lane.steps), Status.FINISHED, lane.status)
        return lane._replace(
            state=_select(goes, new_state, lane.state),
            sums={name: lane.sums[name] + jnp.where(goes, x, 0.0) for name, x in metrics.items()},
            step=step,
            status=jnp.where(diverges, Status.DIVERGED, status).astype(jnp.int32),
            diverged_at=jnp.where(diverges, lane.step, lane.diverged_at),
        )

    def _evaluate(self, lane: Lane, begun_at: jax.Array, data: Tree) -> tuple[Lane, Evaluation]:
        values = _float32(self.trial.evaluate(lane.state, data, **self._given(lane)))
        is_sound = jnp.array(True)
        if "valid_loss" in values:
            is_sound = jnp.isfinite(values["valid_loss"])
        elif self.are_weights_finite:  # nobody else evaluates what the last update did
            is_sound = trees.all_finite(self.trial.weights(lane.state))
        steps_taken = lane.step - begun_at
        fails = ~is_sound & (lane.status != Status.DIVERGED) & (steps_taken > 0)
        lane = lane._replace(
            status=jnp.where(fails, Status.DIVERGED, lane.status).astype(jnp.int32),
            diverged_at=jnp.where(fails, lane.step, lane.diverged_at),
        )
        means = {
            self.sums[name][0]: x / steps_taken.astype(jnp.float32) for name, x in lane.sums.items()
        }
        is_seen = (lane.status != Status.DIVERGED) & (steps_taken > 0)
        values = {name: jnp.where(is_seen, x, jnp.nan) for name, x in {**means, **values}.items()}
        return self._keep(lane, values), Evaluation(
            values, lane.status, lane.step, lane.diverged_at
        )

    def _given(self, lane: Lane) -> dict[str, jax.Array]:
        return {**lane.hyperparameters, "steps": lane.steps, "fold": lane.fold}

    def _keep(self, lane: Lane, values: dict[str, jax.Array]) -> Lane:
        if lane.kept is None:
            return lane
        score = self.score.sign * values[self.score.metric]
        is_better = score < lane.kept.score  # never, where the score is NaN
        weights = _select(is_better, self.trial.weights(lane.state), lane.kept.weights)
        return lane._replace(
            kept=Checkpointed(jnp.where(is_better, score, lane.kept.score), weights)
        )


def zeros(lanes: Lane, device: Device) -> Lane:
    """Lanes of these shapes on a device, without a trial: every one of them is to be started."""

    def leaf(x: Any) -> Any:
        is_key = jnp.issubdtype(x.dtype, jax.dtypes.prng_key)
        return (jnp if is_key else np).zeros(x.shape, x.dtype)  # NumPy's compile nothing

    return jax.device_put(jax.tree.map(leaf, lanes), device)


def _float32(values: Mapping[str, Any]) -> dict[str, jax.Array]:
    return {name: jnp.asarray(x, jnp.float32) for name, x in values.items()}


def _only(x: jax.Array) -> jax.Array:
    return x[0]


def _select(condition: Any, new: Tree, old: Tree) -> Tree:
    return jax.tree.map(lambda x, y: jnp.where(condition, x, y), new, old)
