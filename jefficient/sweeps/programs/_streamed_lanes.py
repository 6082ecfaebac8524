"""The device program where the data are read while lanes train.

The three stages of `_lane_program`, each compiled by itself: begin the trials of a block, train on
a prefetch chunk of batches, evaluate; and between the last two add up the metrics of evaluation
batches. All lanes of a block share their batches, so they belong to one seed and fold, and every
lane that runs is at the same step.

On a CPU each lane gets a copy of the batch, as lanes with an order of their own have one: a product
of all lanes with one shared batch comes out transposed, which takes longer.
"""

import dataclasses
import functools
from collections.abc import Callable, Hashable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import SingleDeviceSharding

from ..._core.reuse import lowered, shapes_of
from ..._core.typing import Device, Examples, Tree
from ..data import EvaluationBatch, PrefetchChunk
from ..tasks import StreamedData, Sums
from ._lane_program import LaneProgram, hyperparameters_of, is_any_training
from ._lanes import Commands, Evaluation, Lane, Shared

Accumulators = dict[str, Sums]
"""Sums of metrics over validation examples, for each lane: float32 (lanes,)."""


class StreamedCalls(NamedTuple):
    """The stages, lowered or compiled.

    `begin`: ``(commands, shared) -> lanes``.
    `train`: ``(lanes, until, chunk, shared) -> (lanes, goes_on)``, the last a bool for the block.
    `accumulate`: ``(accumulators, lanes, batch, fold, shared) -> (accumulators, predictions)``;
    None without validation.
    `evaluate`: ``(lanes, is_due, begun_at, accumulators, scores, shared) -> (lanes, evaluation)``,
    the scores being those that the host found, float32 (lanes,).
    """

    begin: Any
    train: Any
    accumulate: Any
    evaluate: Any


@dataclasses.dataclass(frozen=True, eq=False)
class StreamedProgram(LaneProgram):
    """The program of one group whose data are not in memory.

    Attributes:
        accumulate: ``(state, batch, data, fold, **hyperparameters) -> (accumulators,
            predictions)``.
        accumulated: the names of the accumulators.
        scored: the names of what the host scores.
        chunk: a prefetch chunk, as shapes and dtypes.
        evaluation_batch: validation examples, as shapes and dtypes; None without validation.
    """

    accumulate: Callable[..., tuple[Accumulators, dict[str, Tree]]] = dataclasses.field(
        kw_only=True
    )
    accumulated: tuple[str, ...] = dataclasses.field(kw_only=True)
    scored: tuple[str, ...] = dataclasses.field(kw_only=True)
    chunk: PrefetchChunk = dataclasses.field(kw_only=True)
    evaluation_batch: EvaluationBatch | None = dataclasses.field(kw_only=True)

    @functools.cached_property
    def reuse_key(self) -> Hashable:
        read = shapes_of((self.chunk, self.evaluation_batch))
        return super().reuse_key, read, self.accumulated, self.scored

    @property
    def batches(self) -> int:
        """Batches in a chunk."""
        return jax.tree.leaves(self.chunk.examples)[0].shape[0]

    def single(self) -> LaneProgram:
        """Return the program of one lane and one batch at a time."""
        examples = jax.tree.map(
            lambda x: jax.ShapeDtypeStruct((1, *x.shape[1:]), x.dtype), self.chunk.examples
        )
        return dataclasses.replace(self, width=1, chunk=self.chunk._replace(examples=examples))

    def lower(self, lanes: Lane, commands: Commands, shared: Shared) -> StreamedCalls:
        """Lower the stages for the device of the arguments; lanes and accumulators are donated."""
        device = shared.key.device
        lanes = _on(device, lanes)
        chunk = _on(device, self.chunk)
        one = jax.ShapeDtypeStruct((self.width,), jnp.float32)
        accumulators = _on(device, dict.fromkeys(self.accumulated, Sums(one, one)))
        scores = _on(device, dict.fromkeys(self.scored, one))
        is_due = _on(device, jax.ShapeDtypeStruct((self.width,), bool))

        return StreamedCalls(
            lowered(self._begin, commands, shared),
            lowered(self._train, lanes, commands.until, chunk, shared, donate_argnums=0),
            self._lower_accumulate(accumulators, lanes, chunk.fold, shared),
            lowered(
                self._evaluate_due,
                *(lanes, is_due, commands.until, accumulators, scores, shared),
                donate_argnums=0,
            ),
        )

    def _lower_accumulate(
        self, accumulators: Accumulators, lanes: Lane, fold: jax.Array, shared: Shared
    ) -> jax.stages.Lowered | None:
        if self.evaluation_batch is None:
            return None
        batch = _on(shared.key.device, self.evaluation_batch)
        own = accumulators, lanes, batch, fold, shared
        return lowered(self._accumulate, *own, donate_argnums=0)

    def _begin(self, commands: Commands, shared: Shared) -> Lane:
        return self.one_by_one(lambda own: self.begin_lane(own, shared))(commands)

    def _train(
        self, lanes: Lane, until: jax.Array, chunk: PrefetchChunk, shared: Shared
    ) -> tuple[Lane, jax.Array]:
        on_cpu = jax.default_backend() == "cpu"

        def update(lane: Lane, until: jax.Array, batch: Examples) -> Lane:
            data = shared.data._replace(batch=batch, fold=chunk.fold)
            return self.update_lane(lane, until, data)

        def batch_at(i: jax.Array) -> Examples:
            batch = jax.tree.map(
                lambda x: jax.lax.dynamic_index_in_dim(x, i, keepdims=False), chunk.examples
            )
            if not on_cpu:
                return batch
            copies = jax.tree.map(lambda x: jnp.broadcast_to(x, (self.width, *x.shape)), batch)
            return jax.lax.optimization_barrier(copies)

        def step(carry: tuple[jax.Array, Lane]) -> tuple[jax.Array, Lane]:
            i, lanes = carry
            update_each = self.each(update, 0, 0, 0 if on_cpu else None)
            return i + 1, update_each(lanes, until, batch_at(i))

        _, lanes = jax.lax.while_loop(
            lambda carry: (carry[0] < chunk.count) & is_any_training(carry[1], until),
            step,
            (jnp.zeros((), jnp.int32), lanes),
        )
        return lanes, is_any_training(lanes, until)

    def _accumulate(
        self,
        accumulators: Accumulators,
        lanes: Lane,
        batch: EvaluationBatch,
        fold: jax.Array,
        shared: Shared,
    ) -> tuple[Accumulators, dict[str, Tree]]:
        def of(
            lane: Lane, batch: EvaluationBatch, fold: jax.Array, data: StreamedData
        ) -> tuple[Accumulators, dict[str, Tree]]:
            traced = {**hyperparameters_of(lane), "step": lane.step}
            return self.accumulate(lane.state, batch, data, fold, **traced)

        here, predictions = self.each(of, 0, None, None, None)(lanes, batch, fold, shared.data)
        return jax.tree.map(jnp.add, accumulators, here), predictions

    def _evaluate_due(
        self,
        lanes: Lane,
        is_due: jax.Array,
        begun_at: jax.Array,
        accumulators: Accumulators,
        scores: dict[str, jax.Array],
        shared: Shared,
    ) -> tuple[Lane, Evaluation]:
        """Evaluate all lanes; those that are not due stay as they were."""

        def evaluate(
            lane: Lane,
            is_due: jax.Array,
            begun_at: jax.Array,
            validated: dict[str, jax.Array],
            data: StreamedData,
        ) -> tuple[Lane, Evaluation]:
            data = data._replace(validated=validated)
            after, evaluation = self.evaluate_lane(lane, begun_at, data)
            after = after._replace(accumulators=jax.tree.map(jnp.zeros_like, lane.accumulators))
            chosen = jax.tree.map(
                lambda x, y: jnp.where(is_due, x, y), _changed(after), _changed(lane)
            )
            diverged_at, checkpoint, status, accumulators = chosen
            kept = lane._replace(
                diverged_at=diverged_at,
                checkpoint=checkpoint,
                status=status,
                accumulators=accumulators,
            )
            return kept, evaluation

        means = {name: x.total / x.weight for name, x in accumulators.items()}
        evaluate_each = self.each(evaluate, 0, 0, 0, 0, None)
        return evaluate_each(lanes, is_due, begun_at, means | scores, shared.data)


def _changed(lane: Lane) -> tuple[Any, ...]:
    """Return what an evaluation changes."""
    return lane.diverged_at, lane.checkpoint, lane.status, lane.accumulators


def _on(device: Device, tree: Tree) -> Tree:
    """Place shapes and dtypes on a device."""
    where = SingleDeviceSharding(device)
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=where), tree)
