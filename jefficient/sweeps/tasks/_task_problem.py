"""A `Task` as what lanes run: batches in, the optimizer's step, means over held-out rows out."""

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax

from ..._core import trees
from ..._core.checks import check_loss, check_not_negative
from ..._core.errors import ArgumentError, ArgumentTypeError
from ..._core.typing import Tree
from ...spaces import Space
from ...training import TrainState, TrainStep, layer_norms, shuffled_batch, train_step
from ..data import Concatenated, EvaluationBatch, Source, Stream
from ._evaluation import BatchOf, means
from ._injection import WHERE, Injection, Requester, is_regularized
from ._notes import check_each, function_name, note_hyperparameters
from ._numbers import HyperparameterTable
from ._splits import rows_of
from ._task import Task, rows_in
from ._trial import Trial

INIT, ORDER, NOISE = range(3)
"""What a trial draws from: ``fold_in(trial_key, INIT)`` initialises, ORDER shuffles, NOISE is the loss's `key`."""

_SPLIT = 2**32 - 1  # what fold_in draws held-out rows with: no seed is that large


@dataclasses.dataclass(frozen=True)
class TaskProblem:
    """A task and an optimizer, their data arranged for lanes.

    Attributes:
        routes: who asks for what.
        data: what lanes read: `train` and `valid`, trees of rows (with folds `train` has all rows
            and `valid` is None), `folds`, `FoldRows` or None; `prepared`, what was fitted on each
            fold's training rows, or None.
        rows: training rows and held-out rows of each fold; of the only one where the data are not
            cut.
        eval_batch_size: rows at most that are evaluated at a time, or None.
        stream: where rows come from that are not in memory; then `data` has none of them.
        layers: those whose norms are recorded, of all programs.
    """

    routes: Injection
    task: Task
    data: dict[str, Any]
    rows: tuple[list[int], list[int]]
    eval_batch_size: int | None
    stream: Stream | None = None
    layers: tuple[str, ...] = ()

    @classmethod
    def of(
        cls, task: Task, optimizer: Any, folds: Any, eval_batch_size: int | None, key: jax.Array
    ) -> "TaskProblem":
        """Cut the data; `key` draws which rows are held out."""
        cut = rows_of(task, folds, eval_batch_size, jax.random.fold_in(key, _SPLIT))
        return cls(
            Injection.of(task, optimizer), task, cut.data, cut.sizes, eval_batch_size, cut.stream
        )

    @property
    def size(self) -> int:
        """Training rows, those of the largest fold."""
        return max(self.rows[0])

    @property
    def smallest(self) -> int:
        """Training rows of the smallest fold."""
        return min(self.rows[0])

    @property
    def valid(self) -> int:
        """Held-out rows, those of the largest fold; 0 for none."""
        return max(self.rows[1])

    @property
    def folds(self) -> int:
        """How many there are, 1 where the data are not cut."""
        return len(self.rows[0])

    @property
    def measured(self) -> tuple[str, ...]:
        """The names of what every evaluation measures."""
        held_out = (
            ("valid_loss", *(f"valid_{name}" for name in self.routes.metrics)) if self.valid else ()
        )
        return ("train_loss", *held_out)

    def with_layers(
        self, programs: Iterable[tuple[dict[str, Any], dict[str, Any]]]
    ) -> "TaskProblem":
        """With the norms of all layers of these programs: of each its static hyperparameters and some numbers."""
        names: dict[str, None] = {}
        for static, numbers in programs:

            def params(
                key: jax.Array, static: dict[str, Any] = static, numbers: dict[str, Any] = numbers
            ) -> Tree:
                return self.trial(static).init(key, **numbers, fold=0).params

            names |= dict.fromkeys(trees.layers(jax.eval_shape(params, jax.random.key(0))))
        return dataclasses.replace(self, layers=tuple(names))

    def step_diagnostics(self, has_clip: bool) -> tuple[str, ...]:
        """What a step measures beside the loss, where a clip is in the chain or not."""
        return (
            *(("clipped",) if has_clip else ()),
            *(("grad_norm", "update_norm") if self.layers else ()),
        )

    def diagnostics(self, has_clip: bool) -> dict[str, tuple[int, ...]]:
        """What evaluations measure beside `measured`, where any program has a clip in the chain or not; and the shapes."""
        norms = (
            dict.fromkeys(("grad_norm", "update_norm", "weight_norm"), (len(self.layers),))
            if self.layers
            else {}
        )
        return {"zeros": (), **({"clipped": ()} if has_clip else {}), **norms}

    def _of_layers(self, norms: Mapping[str, jax.Array]) -> jax.Array:
        """In the order of `layers`; NaN for one that this program does not have."""
        return jnp.stack(
            [norms.get(name, jnp.asarray(jnp.nan)).astype(jnp.float32) for name in self.layers]
        )

    @property
    def optimizer_name(self) -> str:
        """What the optimizer is called."""
        return function_name(self.routes.optimizer.function)

    def on_all_examples(self) -> tuple[Task, Callable]:
        """Return the task without validation, its own validation set added to the data."""
        data = self.task.data
        if self.valid and not isinstance(self.task.validation, float | int):
            if isinstance(data, Source):
                data = Source.of("data", Concatenated(data, self.task.validation))  # pyright: ignore[reportArgumentType]
            else:
                join = lambda x, y: jnp.concatenate([x, y])  # noqa: E731
                data = jax.tree.map(join, data, self.task.validation)
        task = dataclasses.replace(self.task, data=data, validation=None, test=None)
        return task, self.routes.optimizer.function

    def check_names(self, space: Space) -> None:
        """Every name of the space is asked for."""
        self.routes.check(space)

    def trial(self, static: Mapping[str, Any]) -> Trial:
        """The trial of one static combination, `batch_size` among it; its functions take every name by keyword."""
        routes, batch_size = self.routes, static["batch_size"]

        def built(given: dict[str, Any]) -> TrainStep:
            given = {**static, **given}
            loss, optimizer = routes.loss, build_optimizer(routes.optimizer, given)
            numbers, carries = (
                {name: x for name, x in loss.given(given).items() if name != "key"},
                self.task.model_state,
            )
            if "key" in loss.requested:
                noisy = lambda *arguments, key: loss.function(*arguments, key=key, **numbers)  # noqa: E731
                return train_step(noisy, optimizer, model_state=carries, layers=bool(self.layers))
            plain = lambda *arguments: loss.function(*arguments, **numbers)  # noqa: E731
            return train_step(plain, optimizer, model_state=carries, layers=bool(self.layers))

        def init(key: jax.Array, /, **given: Any) -> TrainState:
            made = routes.init.function(
                jax.random.fold_in(key, INIT), **routes.init.given({**static, **given})
            )
            params, model_state = self._pair(made) if self.task.model_state else (made, None)
            return built(given).init(
                params, key=jax.random.fold_in(key, NOISE), model_state=model_state
            )

        def step(
            state: TrainState, data: Tree, t: jax.Array, key: jax.Array, /, **given: Any
        ) -> tuple[TrainState, Any]:
            state, metrics = built(given).update(
                state, self._batch(data, t, key, given["fold"], batch_size)
            )
            norms = {name: self._of_layers(x) for name, x in metrics.get("layers", {}).items()}
            return state, {
                **{name: metrics[name] for name in ("loss", "clipped") if name in metrics},
                **norms,
            }

        def evaluate(state: TrainState, data: Tree, /, **given: Any) -> dict[str, jax.Array]:
            values = {"zeros": trees.zero_share(state.params)}
            if self.layers:
                values["weight_norm"] = self._of_layers(layer_norms(state.params))
            if self.stream is not None:
                values |= data["held_out"]
            elif self.valid:
                values |= self._held_out(weights(state), data, {**static, **given}, given["fold"])
            return values

        def weights(state: TrainState) -> Tree:
            return (state.params, state.model_state) if self.task.model_state else state.params

        return Trial(init, step, evaluate, self.data, weights)

    def _pair(self, made: Any) -> tuple[Tree, Tree]:
        if not (isinstance(made, tuple | list) and len(made) == 2):
            raise ArgumentTypeError(
                f"{WHERE}: with model_state, init must return a pair (params, model_state), got {type(made).__name__}."
            )
        return made[0], made[1]

    def _batch(
        self, data: Tree, t: jax.Array, key: jax.Array, fold: jax.Array, batch_size: int
    ) -> Tree:
        """Rows `t` of the trial's order."""
        if self.stream is not None:
            return self._prepare(data, data["fold"], data["batch"])
        folds, order = data["folds"], jax.random.fold_in(key, ORDER)
        if folds is None:
            rows = shuffled_batch(order, t, self.size, batch_size)
        else:
            rows = folds.train[fold, shuffled_batch(order, t, folds.train_size[fold], batch_size)]
        return self._prepare(data, fold, jax.tree.map(lambda x: x[rows], data["train"]))

    def _held_out(
        self, weights: Tree, data: Tree, given: dict[str, Any], fold: jax.Array
    ) -> dict[str, jax.Array]:
        """The means over the rows that `fold` holds out."""
        folds = data["folds"]

        def batch_of(begin: jax.Array | int, count: int) -> Tree:
            if folds is None:
                batch = jax.tree.map(
                    lambda x: jax.lax.dynamic_slice_in_dim(x, begin, count), data["valid"]
                )
            else:
                rows = jax.lax.dynamic_slice(folds.valid, (fold, begin), (1, count))[0]
                batch = jax.tree.map(lambda x: x[rows], data["train"])
            return self._prepare(data, fold, batch)

        count = None if folds is None or self._is_equal else folds.valid_size[fold]
        return self._measure("valid", weights, given, batch_of, self.valid, count)

    def tested(
        self, weights: Tree, rows: Tree, data: Tree, fold: jax.Array, given: dict[str, Any]
    ) -> dict[str, jax.Array]:
        """The means over the test rows, ``test_<name>``, of the weights that a trial on `fold` ended with."""

        def batch_of(begin: jax.Array | int, count: int) -> Tree:
            return self._prepare(
                data,
                fold,
                jax.tree.map(lambda x: jax.lax.dynamic_slice_in_dim(x, begin, count), rows),
            )

        return self._measure("test", weights, given, batch_of, rows_in(rows), None)

    def measured_sums(
        self,
        of: str,
        weights: Tree,
        piece: EvaluationBatch,
        data: Tree,
        fold: jax.Array,
        given: dict[str, Any],
    ) -> dict[str, jax.Array]:
        """Over a piece of rows (all of it, where `count` is None) the sums of what is shown as ``<of>_<name>``."""
        size, functions = rows_in(piece.rows), self._functions(of, weights, given)
        batch = self._prepare(data, fold, piece.rows)

        def total(function: Callable[[Tree], jax.Array]) -> jax.Array:
            x = function(batch)
            if piece.count is None:
                return jnp.sum(x) if x.ndim else x * size
            if x.ndim:
                return jnp.sum(jnp.where(jnp.arange(size, dtype=jnp.int32) < piece.count, x, 0))
            first = function(
                jax.tree.map(lambda rows: rows[:1], batch)
            )  # what stands for rows that are not there
            return x * size - jnp.reshape(first, ()) * (size - piece.count).astype(jnp.float32)

        return {name: total(function) for name, function in functions.items()}

    def example(self, static: Mapping[str, Any]) -> Tree:
        """What a step of this static combination reads; shapes and dtypes of what is not in memory."""
        if self.stream is None:
            return self.data
        fold = jax.ShapeDtypeStruct((), jnp.int32)
        return {**self.data, "batch": self.stream.source.batch(static["batch_size"]), "fold": fold}

    def _measure(
        self,
        of: str,
        weights: Tree,
        given: dict[str, Any],
        batch_of: BatchOf,
        rows: int,
        count: jax.Array | None,
    ) -> dict[str, jax.Array]:
        functions = self._functions(of, weights, given)
        return means(functions, batch_of, rows, min(self.eval_batch_size or rows, rows), count)

    def _functions(
        self, of: str, weights: Tree, given: dict[str, Any]
    ) -> dict[str, Callable[[Tree], jax.Array]]:
        """What is measured of these weights, as functions of a batch."""
        consumers = {f"{of}_loss": self.routes.evaluation}
        consumers |= {f"{of}_{name}": c for name, c in self.routes.metrics.items()}
        arguments, given = weights if self.task.model_state else (weights,), {**given, "key": None}

        def function(consumer: Requester) -> Callable[[Tree], jax.Array]:
            def value(batch: Tree) -> jax.Array:
                x = consumer.function(*arguments, batch, **consumer.given(given))
                if consumer.name == "loss":
                    x = x[0] if self.task.model_state else x
                    check_loss(WHERE, x)
                if jnp.shape(x) not in ((), (rows_in(batch),)):
                    raise ArgumentError(
                        f"{WHERE}: {consumer.name} must return shape () or (n,), got shape {jnp.shape(x)} for a batch "
                        f"of {rows_in(batch)} rows."
                    )
                return jnp.asarray(x, jnp.float32)

            return value

        return {name: function(c) for name, c in consumers.items()}

    @property
    def _is_equal(self) -> bool:
        return len(set(self.rows[1])) == 1

    def _prepare(self, data: Tree, fold: jax.Array, batch: Tree) -> Tree:
        if self.task.prepare is None:
            return batch
        return self.task.prepare[1](jax.tree.map(lambda x: x[fold], data["prepared"]), batch)

    def check(self, trial: Trial, static: dict[str, Any], rows: HyperparameterTable) -> None:
        """Build and trace with concrete numbers, so that bad ones fail here, by name, before anything is compiled.

        Each function is traced alone, once for each distinct set of what it asks for; see
        `each_named`.
        """
        key = jax.eval_shape(lambda: jax.random.key(0))
        weights: Tree = None

        def begin(hp: dict[str, Any]) -> None:
            nonlocal weights
            weights = jax.eval_shape(
                trial.weights, jax.eval_shape(lambda key: trial.init(key, **hp, fold=0), key)
            )

        note_hyperparameters(begin, rows[0], static)
        arguments = weights if self.task.model_state else (weights,)
        batch = jax.eval_shape(
            lambda d, k: self._batch(d, jnp.int32(0), k, jnp.int32(0), static["batch_size"]),
            self.example(static),
            key,
        )
        routes = self.routes

        def alone(consumer: Requester, *arguments: Any) -> Callable[[dict[str, Any]], None]:
            def check(hp: dict[str, Any]) -> None:
                given = consumer.given({**static, **hp})
                keys = {}
                if "key" in consumer.requested and consumer is not routes.init:
                    keys = {
                        "key": key if consumer is routes.evaluation else None
                    }  # as in training; metrics have none
                jax.eval_shape(
                    lambda arguments, keys: consumer.function(*arguments, **keys, **given),
                    arguments,
                    keys,
                )

            return check

        def strengths(hp: dict[str, Any]) -> None:
            check_not_negative(
                "jf.regularized", **{name: hp[name] for name in ("l1", "l2") if name in hp}
            )

        check_each(
            lambda hp: build_optimizer(routes.optimizer, {**static, **hp}),
            routes.optimizer.requested,
            rows,
            static,
        )
        check_each(alone(routes.init, key), routes.init.requested, rows, static, is_traced=True)
        for consumer in (routes.evaluation, *routes.metrics.values()):
            check_each(
                alone(consumer, *arguments, batch), consumer.requested, rows, static, is_traced=True
            )
        if is_regularized(routes.loss.function):
            check_each(strengths, ("l1", "l2"), rows, static)

    def check_lengths(self, static: Mapping[str, Any]) -> None:
        """The batch is no larger than the smallest fold."""
        batch_size = static["batch_size"]
        if not 1 <= batch_size <= self.smallest:
            raise ArgumentError(
                f"{WHERE}: 1 <= batch_size <= {self.smallest} (the training rows) must hold, got {batch_size=}."
            )

    def steps_per_epoch(self, static: Mapping[str, Any]) -> float:
        """Updates in which as many rows come as there are to train on; the largest fold's."""
        return self.size / static["batch_size"]

    def with_defaults(self, static: dict[str, Any], batch_size: int | None) -> dict[str, Any]:
        """The static hyperparameters and what the engine injects with them."""
        static = {
            "batch_size": batch_size if batch_size is not None else min(64, self.smallest),
            **static,
        }
        if isinstance(static["batch_size"], bool) or not isinstance(static["batch_size"], int):
            raise ArgumentTypeError(
                f"{WHERE}: batch_size must be a whole number, got {static['batch_size']!r}."
            )
        self.check_lengths(static)
        return {**static, "steps_per_epoch": math.ceil(self.steps_per_epoch(static))}


def build_optimizer(consumer: Requester, values: dict[str, Any]) -> optax.GradientTransformation:
    """The transform for some hyperparameters, checked to be one."""
    tx = consumer.function(**consumer.given(values))
    if not isinstance(tx, optax.GradientTransformation):
        raise ArgumentTypeError(
            f"{WHERE}: optimizer must return a gradient transformation, got {tx!r}."
        )
    return tx
