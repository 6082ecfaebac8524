"""The device program of a group: lanes begin trials, train them and evaluate them.

Everything here is a pure function of arrays. Each of the three stages is written for one lane and
mapped over a block of fixed width. Where the data are in memory they are fused into one segment: a
lane that is given a new trial begins it, every lane trains up to its own next evaluation (those
that get there first wait, frozen), and all are evaluated. What a lane computes while it is frozen,
or after it has diverged, reaches neither its own numbers nor a neighbour's.
"""

import dataclasses
import functools
from collections.abc import Callable, Hashable, Mapping
from functools import partial
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import SingleDeviceSharding
from numpy.typing import ArrayLike

from ..._core import trees
from ..._core.reuse import lowered, program, same
from ..._core.typing import Device, Params, State, Tree
from ...results import Score, Status
from ..tasks import Begin, Sums, Trial, trial_key
from ._lanes import Checkpointed, Commands, Evaluation, Lane, Shared, Start

T = TypeVar("T")

_WEIGHTS = "weights of a lane"
"""The small program that reads them."""

Segment = jax.stages.Compiled
"""``(lanes, commands, shared) -> (lanes, evaluation)``."""


@dataclasses.dataclass(frozen=True, eq=False)
class LaneProgram:
    """The program of one group of configurations.

    Attributes:
        key: equal for programs of the same functions, for data and numbers of the same kind.
        trial: what a lane does.
        score: what is best, for `keep="best"`.
        divergence_threshold: a loss above it is a divergence.
        keep: which weights a lane keeps: ``"best"``, or those it ends with.
        width: lanes in a block.
        step_metrics: what the trial's `step` measures: its name there, to its name in an evaluation
            and its shape.
        windows: those of them that are sums over the examples of a batch, `Sums`, whose ratio is
            the mean over all examples since the last evaluation.
        are_weights_finite: whether weights that are not finite are a divergence (the state of a
            `jf.Trial` may hold inf).
        predict: ``(state, data, **hyperparameters) -> predictions`` that the host scores, or None.
        is_ranked_on_host: whether `score` is of such a metric. Then the host says whether the last
            evaluation was the best one.
        begin: how a trial begins from elsewhere.
    """

    key: Hashable
    trial: Trial
    score: Score
    divergence_threshold: float
    keep: str | None
    width: int
    step_metrics: Mapping[str, tuple[str, tuple[int, ...]]]
    are_weights_finite: bool
    windows: tuple[str, ...] = ()
    predict: Callable[..., dict[str, Tree]] | None = None
    is_ranked_on_host: bool = False
    begin: Begin = dataclasses.field(default_factory=Begin)
    _small: dict[tuple[Hashable, Device], jax.stages.Compiled] = dataclasses.field(
        default_factory=dict, init=False
    )

    def with_width(self, width: int) -> "LaneProgram":
        """Return the same program for blocks of another width."""
        return dataclasses.replace(self, width=width)

    def single(self) -> "LaneProgram":
        """Return the program of one lane, which identifies the group whatever its width."""
        return self.with_width(1)

    def empty(self, commands: Commands, shared: Shared) -> Lane:
        """Return lanes without a trial, as shapes and dtypes."""
        return jax.eval_shape(jax.vmap(self.begin_lane, (0, None)), commands, shared)

    def lower(self, lanes: Lane, commands: Commands, shared: Shared) -> Any:
        """Lower the segment for the device that the arguments are on; its lanes are donated."""
        return lowered(self._segment, lanes, commands, shared, donate_argnums=0)

    def weights(self, lanes: Lane) -> Params:
        """Return the weights that lanes keep, with the lane axis."""
        if lanes.checkpoint is not None:
            return lanes.checkpoint.weights
        return self.each(self.trial.weights, 0)(lanes.state)

    @functools.cached_property
    def reuse_key(self) -> Hashable:
        """What the program depends on, shapes of its arguments apart."""
        return (
            type(self).__name__,
            self.key,
            (self.keep, self.width, self.is_ranked_on_host),
            same(self.step_metrics),
            self.windows,
        )

    def weights_of_lane(self, lanes: Lane, i: np.int32, has_improved: np.bool_) -> Params:
        """Return the weights of lane i, on the device."""
        return self._call(_WEIGHTS, self._weights_at, lanes, i, has_improved)

    def compile_reading(self, lanes: Lane, device: Device) -> None:
        """Compile `weights_of_lane` for lanes of these shapes, before they are there."""
        on_device = partial(jax.ShapeDtypeStruct, sharding=SingleDeviceSharding(device))
        like = jax.tree.map(lambda x: on_device(x.shape, x.dtype), lanes)
        i, has_improved = np.int32(0), np.bool_(False)
        self._compiled(_WEIGHTS, self._weights_at, device, like, i, has_improved)

    def state_of_lane(self, lanes: Lane, i: np.int32) -> State:
        """Return the state of lane i, on the device."""
        return self._call("state of a lane", _state_at, lanes, i)

    def start_lane(
        self, lanes: Lane, i: np.int32, commands: Commands, start: Start, shared: Shared
    ) -> Lane:
        """Begin the trial of lane i from elsewhere; lanes are donated."""
        kind = "start of a lane", jax.tree.structure(start)
        return self._call(
            kind, self._with_lane_begun, lanes, i, commands, start, shared, donate_argnums=0
        )

    def _call(
        self,
        kind: Hashable,
        function: Callable[..., Any],
        lanes: Lane,
        *others: object,
        **options: Any,
    ) -> Any:
        """Call a small program of a block's lanes, compiled the first time, where they are."""
        (device,) = lanes.step.devices()
        return self._compiled(kind, function, device, lanes, *others, **options)(lanes, *others)

    def _compiled(
        self,
        kind: Hashable,
        function: Callable[..., Any],
        device: Device,
        *arguments: object,
        **options: Any,
    ) -> jax.stages.Compiled:
        if (kind, device) not in self._small:
            key = kind, self.reuse_key
            self._small[kind, device] = program(key, function, device, *arguments, **options)
        return self._small[kind, device]

    def _with_lane_begun(
        self, lanes: Lane, i: jax.Array, commands: Commands, start: Start, shared: Shared
    ) -> Lane:
        own = jax.tree.map(lambda x: x[i], commands)
        lane = self.begin_lane(own, shared, start)
        return jax.tree.map(lambda of_all, x: of_all.at[i].set(x), lanes, lane)

    def _weights_at(self, lanes: Lane, i: jax.Array, has_improved: jax.Array) -> Params:
        if self.is_ranked_on_host:
            lanes = self._take_improved(lanes, jnp.broadcast_to(has_improved, self.width))
        return jax.tree.map(lambda x: x[i], self.weights(lanes))

    def _take_improved(self, lanes: Lane, has_improved: jax.Array) -> Lane:
        """Keep the weights of lanes whose last evaluation, scored on the host, was the best."""

        def take(lane: Lane, has_improved: jax.Array) -> Lane:
            if lane.checkpoint is None:
                return lane
            now = self.trial.weights(lane.state)
            weights = _select(has_improved, now, lane.checkpoint.weights)
            return lane._replace(checkpoint=lane.checkpoint._replace(weights=weights))

        return self.each(take, 0, 0)(lanes, has_improved)

    def _segment(self, lanes: Lane, commands: Commands, shared: Shared) -> tuple[Lane, Evaluation]:
        if self.is_ranked_on_host:
            lanes = self._take_improved(lanes, commands.has_improved)
        lanes = jax.lax.cond(
            jnp.any(commands.fresh),
            lambda lanes: self._begin_fresh(lanes, commands, shared),
            lambda lanes: lanes,
            lanes,
        )
        lanes = lanes._replace(accumulators=jax.tree.map(jnp.zeros_like, lanes.accumulators))

        begun_at = lanes.step
        update = self.each(self.update_lane, 0, 0, None)
        lanes = jax.lax.while_loop(
            lambda lanes: is_any_training(lanes, commands.until),
            lambda lanes: update(lanes, commands.until, shared.data),
            lanes,
        )
        return self.each(self.evaluate_lane, 0, 0, None)(lanes, begun_at, shared.data)

    def _begin_fresh(self, lanes: Lane, commands: Commands, shared: Shared) -> Lane:
        def begin(lane: Lane, own: Commands) -> Lane:
            return jax.lax.cond(own.fresh, lambda: self.begin_lane(own, shared), lambda: lane)

        return self.one_by_one(begin)(lanes, commands)

    def begin_lane(self, commands: Commands, shared: Shared, start: Start | None = None) -> Lane:
        """Begin the trial that one lane's commands describe, with `init` or from elsewhere."""
        key = trial_key(shared.key, commands.seed, commands.fold)
        given = {**commands.hyperparameters, "steps": commands.steps, "fold": commands.fold}
        if start is None:
            state = self.trial.init(key, **given)
        else:
            state = start.begun(self.begin, key, given)
        nothing: dict[str, jax.Array | Sums] = {
            name: jnp.zeros(shape, jnp.float32) for name, (_, shape) in self.step_metrics.items()
        }
        nothing |= {name: Sums(nothing[name], nothing[name]) for name in self.windows}
        return Lane(
            hyperparameters=commands.hyperparameters,
            fold=commands.fold,
            key=key,
            steps=commands.steps,
            step=jnp.zeros((), jnp.int32) if start is None else start.step,
            status=jnp.full((), Status.RUNNING, jnp.int32),
            diverged_at=jnp.full((), -1, jnp.int32),
            accumulators=nothing,
            state=state,
            checkpoint=self._first_checkpoint(state, start),
        )

    def _first_checkpoint(self, state: State, start: Start | None) -> Checkpointed | None:
        if self.keep != "best":
            return None
        if start is not None and start.best is not None:
            return start.best
        return Checkpointed(jnp.full((), jnp.inf, jnp.float32), self.trial.weights(state))

    def update_lane(self, lane: Lane, until: jax.Array, data: Tree) -> Lane:
        """Make one update of a lane's trial, unless it has diverged or is at its evaluation."""
        new_state, metrics = self.trial.step(
            lane.state, data, lane.step, lane.key, **hyperparameters_of(lane)
        )
        metrics = _float32(metrics)
        loss = metrics.get("loss", jnp.zeros(()))

        is_running = (lane.status == Status.RUNNING) & (lane.step < until)
        is_healthy = jnp.isfinite(loss) & (loss <= self.divergence_threshold)
        goes = is_running & is_healthy
        diverges = is_running & ~is_healthy

        def add(total: jax.Array, x: jax.Array) -> jax.Array:
            return total + jnp.where(goes, x, 0.0)

        step = jnp.where(goes, lane.step + 1, lane.step)
        status = jnp.where(goes & (step >= lane.steps), Status.FINISHED, lane.status)
        return lane._replace(
            state=_select(goes, new_state, lane.state),
            accumulators={
                name: jax.tree.map(add, lane.accumulators[name], x) for name, x in metrics.items()
            },
            step=step,
            status=jnp.where(diverges, Status.DIVERGED, status).astype(jnp.int32),
            diverged_at=jnp.where(diverges, lane.step, lane.diverged_at),
        )

    def evaluate_lane(self, lane: Lane, begun_at: jax.Array, data: Tree) -> tuple[Lane, Evaluation]:
        """Evaluate a lane that has trained since update `begun_at`."""
        values = _float32(self.trial.evaluate(lane.state, data, **hyperparameters_of(lane)))
        is_sound = self._is_sound(lane, values)

        steps_taken = lane.step - begun_at
        fails = ~is_sound & (lane.status != Status.DIVERGED) & (steps_taken > 0)
        lane = lane._replace(
            status=jnp.where(fails, Status.DIVERGED, lane.status).astype(jnp.int32),
            diverged_at=jnp.where(fails, lane.step, lane.diverged_at),
        )

        means = {
            self.step_metrics[name][0]: _mean(x, steps_taken)
            for name, x in lane.accumulators.items()
        }
        is_valid = (lane.status != Status.DIVERGED) & (steps_taken > 0)
        values = {name: jnp.where(is_valid, x, jnp.nan) for name, x in {**means, **values}.items()}
        predictions = None
        if self.predict is not None:
            predictions = self.predict(lane.state, data, **hyperparameters_of(lane))
        evaluation = Evaluation(values, lane.status, lane.step, lane.diverged_at, predictions)
        return self._with_checkpoint(lane, values), evaluation

    def _is_sound(self, lane: Lane, values: Mapping[str, jax.Array]) -> jax.Array:
        is_sound = jnp.isfinite(values.get("valid_loss", 0.0))
        if self.are_weights_finite:  # also those that no loss sees
            is_sound &= trees.all_finite(self.trial.weights(lane.state))
        return is_sound

    def _with_checkpoint(self, lane: Lane, values: Mapping[str, jax.Array]) -> Lane:
        if lane.checkpoint is None or self.is_ranked_on_host:
            return lane
        best = lane.checkpoint
        score = self.score.sign * values[self.score.metric]
        is_better = score < best.score  # never, where the score is NaN
        is_first = jnp.isposinf(best.score)  # until an evaluation has a number, the last weights
        weights = _select(is_better | is_first, self.trial.weights(lane.state), best.weights)
        checkpoint = Checkpointed(jnp.where(is_better, score, best.score), weights)
        return lane._replace(checkpoint=checkpoint)

    def each(self, function: Callable[..., T], *axes: int | None) -> Callable[..., T]:
        """Map a function of one lane over a block.

        A single lane runs as it is: a vmap of one makes convolutions slower.
        """
        if self.width > 1:
            return jax.vmap(function, axes)

        def alone(*arguments: object) -> T:
            own = (
                x if axis is None else jax.tree.map(_only, x)
                for x, axis in zip(arguments, axes, strict=True)
            )
            return jax.tree.map(lambda x: jnp.asarray(x)[None], function(*own))

        return alone

    def one_by_one(self, function: Callable[..., T]) -> Callable[..., T]:
        """Map over lanes; on a CPU one after another, which compiles in half the time."""
        if jax.default_backend() != "cpu":
            return lambda *trees: self.each(function, *(0 for _ in trees))(*trees)
        return lambda *trees: jax.lax.map(lambda own: function(*own), trees)


def is_any_training(lanes: Lane, until: jax.Array) -> jax.Array:
    """Return whether a lane of the block has updates to make before its evaluation, bool."""
    return jnp.any((lanes.status == Status.RUNNING) & (lanes.step < until))


def hyperparameters_of(lane: Lane) -> dict[str, jax.Array]:
    """Return what functions are called with, whether they request it or not."""
    return {**lane.hyperparameters, "steps": lane.steps, "fold": lane.fold}


def _state_at(lanes: Lane, i: jax.Array) -> State:
    return jax.tree.map(lambda x: x[i], lanes.state)


def _mean(accumulated: jax.Array | Sums, steps_taken: jax.Array) -> jax.Array:
    """Return the mean of a metric over steps, or over the examples of their batches."""
    if isinstance(accumulated, Sums):
        return accumulated.total / accumulated.weight
    return accumulated / steps_taken.astype(jnp.float32)


def _float32(values: Mapping[str, Any]) -> dict[str, Any]:
    def float32(x: ArrayLike) -> jax.Array:
        return jnp.asarray(x, jnp.float32)

    return {name: jax.tree.map(float32, x) for name, x in values.items()}


def _only(x: jax.Array) -> jax.Array:
    return x[0]


def _select(condition: jax.Array, new: Tree, old: Tree) -> Tree:
    return jax.tree.map(lambda x, y: jnp.where(condition, x, y), new, old)
