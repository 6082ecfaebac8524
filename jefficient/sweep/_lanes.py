"""The device program: one lane trains one trial, a block of lanes is one vmap of it.

Everything here is a pure function of arrays. A lane that has finished or diverged is frozen: its numbers stay what
they are, and nothing that it computes reaches a neighbour.
"""

import concurrent.futures
import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from .._core import trees
from .._core.typing import Tree
from ..results import Score, Status
from ._trial import Trial


class Kept(NamedTuple):
    """Weights set aside, and the score they had (smaller is better)."""

    score: jax.Array
    weights: Tree


class Lane(NamedTuple):
    """One slot. Under vmap every leaf has the lane axis first."""

    hyperparameters: dict[str, jax.Array]
    key: jax.Array  # the trial's own, never changed
    steps: jax.Array  # int32: the trial's total; 0 in a lane that pads a block
    step: jax.Array  # int32: updates made
    status: jax.Array  # int32
    diverged_at: jax.Array  # int32, -1 for never
    loss_sum: jax.Array  # float32, over the steps since the last look
    state: Any
    kept: Kept | None


class Look(NamedTuple):
    """What the host reads after a segment."""

    values: dict[str, jax.Array]  # float32; NaN where the trial has diverged
    status: jax.Array
    step: jax.Array
    diverged_at: jax.Array


class Compiled(NamedTuple):
    """A program for blocks of one width.

    Attributes:
        start: ``(hyperparameters, keys, steps) -> lanes``, each argument with the lane axis first.
        segment: ``(lanes, data, steps) -> (lanes, look)``; the lanes given are consumed.
    """

    start: Callable[..., Lane]
    segment: Callable[..., tuple[Lane, Look]]


@dataclasses.dataclass(frozen=True)
class LaneProgram:
    """The program of one static combination.

    Attributes:
        trial: what a lane does.
        score: what is best, for `keep="best"`.
        bound: a loss above it is a divergence.
        keep: which weights a lane sets aside: "best", or those it ends with.
    """

    trial: Trial
    score: Score
    bound: float
    keep: str | None

    def compile(self, arguments: Any, data: Tree) -> "Compiled":
        """Compile for blocks of one width, both halves at the same time.

        Args:
            arguments: what `Compiled.start` will be called with, of the width of a block.
            data: what `Compiled.segment` will be called with.
        """
        start = jax.jit(jax.vmap(self._start))
        segment = jax.jit(jax.vmap(self._segment, in_axes=(0, None, None)), donate_argnums=0)
        lanes = jax.eval_shape(start, *arguments)
        steps = jax.ShapeDtypeStruct((), jnp.int32)
        lowered = (start.lower(*arguments), segment.lower(lanes, data, steps))
        with concurrent.futures.ThreadPoolExecutor() as pool:
            return Compiled(*pool.map(lambda half: half.compile(), lowered))

    def _start(self, hp: dict[str, jax.Array], key: jax.Array, steps: jax.Array) -> Lane:
        state = self.trial.init(key, steps=steps, **hp)
        weights = self.trial.weights(state)
        return Lane(
            hyperparameters=hp,
            key=key,
            steps=steps,
            step=jnp.zeros((), jnp.int32),
            status=jnp.where(steps > 0, Status.RUNNING, Status.FINISHED).astype(jnp.int32),
            diverged_at=jnp.full((), -1, jnp.int32),
            loss_sum=jnp.zeros((), jnp.float32),
            state=state,
            kept=Kept(jnp.full((), jnp.inf, jnp.float32), weights) if self.keep == "best" else None,
        )

    def _segment(self, lane: Lane, data: Tree, steps: jax.Array) -> tuple[Lane, Look]:
        begun_at = lane.step
        lane = lane._replace(loss_sum=jnp.zeros((), jnp.float32))
        lane = jax.lax.fori_loop(0, steps, lambda _, running: self._step(running, data), lane)
        return self._look(lane, data, lane.step - begun_at)

    def _step(self, lane: Lane, data: Tree) -> Lane:
        new_state, metrics = self.trial.step(
            lane.state, data, lane.step, lane.key, steps=lane.steps, **lane.hyperparameters
        )
        loss = metrics["loss"].astype(jnp.float32)
        is_running = lane.status == Status.RUNNING
        is_healthy = jnp.isfinite(loss) & (loss <= self.bound)
        goes = is_running & is_healthy
        diverges = is_running & ~is_healthy
        step = jnp.where(goes, lane.step + 1, lane.step)
        status = jnp.where(goes & (step >= lane.steps), Status.FINISHED, lane.status)
        return lane._replace(
            state=_select(goes, new_state, lane.state),
            loss_sum=lane.loss_sum + jnp.where(goes, loss, 0.0),
            step=step,
            status=jnp.where(diverges, Status.DIVERGED, status).astype(jnp.int32),
            diverged_at=jnp.where(diverges, lane.step, lane.diverged_at),
        )

    def _look(self, lane: Lane, data: Tree, steps_taken: jax.Array) -> tuple[Lane, Look]:
        values = self.trial.evaluate(lane.state, data, steps=lane.steps, **lane.hyperparameters)
        values = {name: x.astype(jnp.float32) for name, x in values.items()}
        if "valid_loss" in values:
            is_sound = jnp.isfinite(values["valid_loss"])
        else:  # nobody else looks at what the last update did
            is_sound = trees.all_finite(self.trial.weights(lane.state))
        fails = ~is_sound & (lane.status != Status.DIVERGED) & (lane.steps > 0)
        lane = lane._replace(
            status=jnp.where(fails, Status.DIVERGED, lane.status).astype(jnp.int32),
            diverged_at=jnp.where(fails, lane.step, lane.diverged_at),
        )
        values = {"train_loss": lane.loss_sum / steps_taken.astype(jnp.float32), **values}
        is_seen = (lane.status != Status.DIVERGED) & (steps_taken > 0)
        values = {name: jnp.where(is_seen, x, jnp.nan) for name, x in values.items()}
        return self._keep(lane, values), Look(values, lane.status, lane.step, lane.diverged_at)

    def _keep(self, lane: Lane, values: dict[str, jax.Array]) -> Lane:
        if lane.kept is None:
            return lane
        score = self.score.sign * values[self.score.metric]
        is_better = score < lane.kept.score  # never, where the score is NaN
        weights = _select(is_better, self.trial.weights(lane.state), lane.kept.weights)
        return lane._replace(kept=Kept(jnp.where(is_better, score, lane.kept.score), weights))

    def weights(self, lane: Lane) -> Tree:
        """The weights that are kept, with the lane axis."""
        return self.trial.weights(lane.state) if lane.kept is None else lane.kept.weights


def _select(condition: jax.Array, new: Tree, old: Tree) -> Tree:
    return jax.tree.map(lambda x, y: jnp.where(condition, x, y), new, old)
