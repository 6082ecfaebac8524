"""The device program of lanes that train in step on the same batches, which are read while they train.

The same lanes as in `_lanes`, in four calls instead of one: begin the trials of a block, train on a
chunk of batches, add up what is measured on a piece of the held-out rows, and evaluation. A block
trains on one (seed, fold): its lanes share the batches, and every lane that runs is at the same
step. On a CPU each lane gets a copy of the batch, as lanes with orders of their own have one: a
product of all lanes with one batch has its results transposed, which takes longer.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import SingleDeviceSharding

from ..._core.typing import Device, Tree
from ...results import Status
from ..data import EvaluationBatch, PrefetchChunk
from ._convolutions import canonical
from ._lanes import Commands, Evaluation, Lane, LaneProgram, Shared

Sums = dict[str, jax.Array]
"""Of each lane, over held-out rows: float32 (lanes,)."""


class StreamedCalls(NamedTuple):
    """The four calls, lowered or compiled.

    `begin`: ``(orders, shared) -> lanes``; `train`: ``(lanes, until, chunk, shared) -> (lanes,
        goes_on)``, the last a
    bool for the whole block; `add`: ``(sums, lanes, piece, fold, shared) -> sums``, None where
    nothing is held out; `evaluation`: ``(lanes, is_due, begun_at, sums, rows, shared) -> (lanes,
    evaluation)``, the sums being over so many `rows`.
    """

    begin: Any
    train: Any
    add: Any
    evaluation: Any


@dataclasses.dataclass(frozen=True, eq=False)
class StreamProgram(LaneProgram):
    """The program of one static combination whose rows are not in memory.

    Attributes:
        sums_over: ``(state, piece, data, fold, **given) -> sums``, what is measured on held-out
            rows.
        names: of what `sums_over` gives.
        chunk: a chunk, as shapes and dtypes.
        piece: a piece of held-out rows, as shapes and dtypes, or None.
    """

    sums_over: Callable = dataclasses.field(kw_only=True)
    names: tuple[str, ...] = dataclasses.field(kw_only=True)
    chunk: PrefetchChunk = dataclasses.field(kw_only=True)
    piece: EvaluationBatch | None = dataclasses.field(kw_only=True)

    @property
    def batches(self) -> int:
        """Batches in a chunk."""
        return jax.tree.leaves(self.chunk.examples)[0].shape[0]

    def single(self) -> LaneProgram:
        """What stands for it wherever it runs: one lane, a batch at a time."""
        rows = jax.tree.map(
            lambda x: jax.ShapeDtypeStruct((1, *x.shape[1:]), x.dtype), self.chunk.examples
        )
        return dataclasses.replace(self, width=1, chunk=self.chunk._replace(examples=rows))

    def lower(self, lanes: Lane, commands: Commands, shared: Shared) -> StreamedCalls:
        """The calls, lowered for the device that the arguments are on.

        Lanes and sums are donated.
        """
        is_rewritten = self.has_convolution and jax.default_backend() == "cpu"
        device = shared.key.device
        here: Callable[[Tree], Tree] = lambda tree: _on(device, tree)  # noqa: E731
        lanes = here(lanes)
        sums = {name: here(jax.ShapeDtypeStruct((self.width,), jnp.float32)) for name in self.names}
        is_due = here(jax.ShapeDtypeStruct((self.width,), bool))
        train = canonical(self._train) if is_rewritten else self._train
        add, fold = jax.jit(self._add, donate_argnums=0), here(self.chunk.fold)
        return StreamedCalls(
            jax.jit(self._begin).lower(commands, shared),
            jax.jit(train, donate_argnums=0).lower(lanes, commands.until, here(self.chunk), shared),
            None if self.piece is None else add.lower(sums, lanes, here(self.piece), fold, shared),
            jax.jit(self._evaluate_due, donate_argnums=0).lower(
                lanes, is_due, commands.until, sums, fold, shared
            ),
        )

    def _begin(self, commands: Commands, shared: Shared) -> Lane:
        """All lanes of a block begin. On a CPU one after another: that compiles in half the time."""
        if jax.default_backend() == "cpu":
            return jax.lax.map(lambda own: self._start(own, shared), commands)
        return self._each(lambda own: self._start(own, shared), 0)(commands)

    def _train(
        self, lanes: Lane, until: jax.Array, chunk: PrefetchChunk, shared: Shared
    ) -> tuple[Lane, jax.Array]:
        on_cpu = jax.default_backend() == "cpu"

        def update(lane: Lane, until: jax.Array, batch: Tree) -> Lane:
            data = shared.data._replace(batch=batch, fold=chunk.fold)
            return self._update(lane, until, data)

        def goes_on(lanes: Lane) -> jax.Array:
            return jnp.any((lanes.status == Status.RUNNING) & (lanes.step < until))

        def batch_at(i: jax.Array) -> Tree:
            batch = jax.tree.map(
                lambda x: jax.lax.dynamic_index_in_dim(x, i, keepdims=False), chunk.examples
            )
            if not on_cpu:
                return batch
            copies = jax.tree.map(lambda x: jnp.broadcast_to(x, (self.width, *x.shape)), batch)
            return jax.lax.optimization_barrier(copies)

        def step(carry: tuple[jax.Array, Lane]) -> tuple[jax.Array, Lane]:
            i, lanes = carry
            return i + 1, self._each(update, 0, 0, 0 if on_cpu else None)(lanes, until, batch_at(i))

        begin = jnp.zeros((), jnp.int32), lanes
        _, lanes = jax.lax.while_loop(
            lambda carry: (carry[0] < chunk.count) & goes_on(carry[1]), step, begin
        )
        return lanes, goes_on(lanes)

    def _add(
        self, sums: Sums, lanes: Lane, piece: EvaluationBatch, fold: jax.Array, shared: Shared
    ) -> Sums:
        def of(lane: Lane, piece: EvaluationBatch, fold: jax.Array, data: Tree) -> Sums:
            return self.sums_over(lane.state, piece, data, fold, **self._given(lane))

        here = self._each(of, 0, None, None, None)(lanes, piece, fold, shared.data)
        return {name: sums[name] + here[name] for name in self.names}

    def _evaluate_due(
        self,
        lanes: Lane,
        is_due: jax.Array,
        begun_at: jax.Array,
        sums: Sums,
        rows: jax.Array,
        shared: Shared,
    ) -> tuple[Lane, Evaluation]:
        """Evaluate all lanes; those that are not due stay as they were."""

        def evaluation(
            lane: Lane, is_due: jax.Array, begun_at: jax.Array, means: Sums, data: Tree
        ) -> tuple[Lane, Evaluation]:
            after, evaluation = self._evaluate(lane, begun_at, data._replace(validation=means))
            after = after._replace(sums=jax.tree.map(jnp.zeros_like, lane.sums))
            seen = {
                name: getattr(after, name) for name in ("status", "diverged_at", "sums", "kept")
            }
            mine = {name: getattr(lane, name) for name in seen}
            return lane._replace(
                **jax.tree.map(lambda x, y: jnp.where(is_due, x, y), seen, mine)
            ), evaluation

        means = {name: x / rows.astype(jnp.float32) for name, x in sums.items()}
        return self._each(evaluation, 0, 0, 0, 0, None)(lanes, is_due, begun_at, means, shared.data)


def _on(device: Device, tree: Tree) -> Tree:
    """Shapes and dtypes on a device."""
    where = SingleDeviceSharding(device)
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=where), tree)
