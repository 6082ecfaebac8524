"""A `Task` as what lanes run: batches in, the optimizer's step, means over held-out rows out."""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from .._core import trees
from .._core.checks import check_loss, check_not_negative
from .._core.errors import ArgumentError, ArgumentTypeError
from .._core.typing import Tree
from ..spaces import Space
from ..training import TrainState, TrainStep, layer_norms, shuffled_batch, train_step
from ._evaluate import BatchOf, means
from ._folds import Folds, folds_of
from ._named import named, named_function
from ._programs import Program
from ._routes import WHERE, Consumer, Routes, is_regularized
from ._task import Task
from ._trial import Trial

INIT, ORDER, NOISE = range(3)
"""What a trial draws from: ``fold_in(trial_key, INIT)`` initialises, ORDER shuffles, NOISE is the loss's `key`."""

_SPLIT = 2**32 - 1  # what fold_in draws held-out rows with: no seed is that large


@dataclasses.dataclass(frozen=True)
class Supervised:
    """A task and an optimizer, their data arranged for lanes.

    Attributes:
        routes: who asks for what.
        data: what lanes read: `train` and `valid`, trees of rows (with folds `train` has all rows and `valid` is
            None), `folds`, `FoldRows` or None; `prepared`, what was fitted on each fold's training rows, or None.
        size: training rows, those of the largest fold.
        smallest: training rows of the smallest fold.
        valid: held-out rows, those of the largest fold; 0 for none.
        folds: how many there are, 1 where the data are not cut.
        eval_batch_size: rows at most that are evaluated at a time, or None.
        layers: those whose norms are recorded, of all programs.
    """

    routes: Routes
    task: Task
    data: dict[str, Any]
    size: int
    smallest: int
    valid: int
    folds: int
    eval_batch_size: int | None
    layers: tuple[str, ...] = ()

    @classmethod
    def of(cls, task: Task, optimizer: Any, folds: Any, eval_batch_size: int | None, key: jax.Array) -> "Supervised":
        """Cut the data; `key` draws which rows are held out."""
        routes, split_key = Routes.of(task, optimizer), jax.random.fold_in(key, _SPLIT)
        if folds is None:
            train, valid = task.split(split_key)
            cut, size = None, _rows(train)
            smallest, held_out, many = size, 0 if valid is None else _rows(valid), 1
        else:
            if task.validation is not None:
                raise ArgumentError(
                    f"{WHERE}: folds and Task(validation=…) must not both be given: folds hold out rows themselves."
                )
            train, valid, cut = task.data, None, folds_of(folds, task.data, task.size, split_key)
            size, smallest = max(cut.train_sizes), min(cut.train_sizes)
            held_out, many = max(cut.valid_sizes), len(cut)
        data = {
            "train": train,
            "valid": valid,
            "folds": None if cut is None else cut.arrays(),
            "prepared": _prepared(task, train, cut),
        }
        return cls(routes, task, data, size, smallest, held_out, many, eval_batch_size)

    @property
    def measured(self) -> tuple[str, ...]:
        """The names of what every look measures."""
        held_out = ("valid_loss", *(f"valid_{name}" for name in self.routes.metrics)) if self.valid else ()
        return ("train_loss", *held_out)

    def watching(self, parts: Sequence[Program]) -> "Supervised":
        """With the norms of all layers that a program has."""
        names: dict[str, None] = {}
        for part in parts:

            def params(key: jax.Array, part: Program = part) -> Tree:
                return self.trial(part.static).init(key, **part.rows()[0], fold=0).params

            names |= dict.fromkeys(trees.layers(jax.eval_shape(params, jax.random.key(0))))
        return dataclasses.replace(self, layers=tuple(names))

    def watched(self, has_clip: bool) -> tuple[str, ...]:
        """What a step measures beside the loss, where a clip is in the chain or not."""
        return (*(("clipped",) if has_clip else ()), *(("grad_norm", "update_norm") if self.layers else ()))

    def diagnostics(self, has_clip: bool) -> dict[str, tuple[int, ...]]:
        """What looks measure beside `measured`, where any program has a clip in the chain or not; and the shapes."""
        norms = dict.fromkeys(("grad_norm", "update_norm", "weight_norm"), (len(self.layers),)) if self.layers else {}
        return {"zeros": (), **({"clipped": ()} if has_clip else {}), **norms}

    def _of_layers(self, norms: Mapping[str, jax.Array]) -> jax.Array:
        """In the order of `layers`; NaN for one that this program does not have."""
        return jnp.stack([norms.get(name, jnp.asarray(jnp.nan)).astype(jnp.float32) for name in self.layers])

    @property
    def rows(self) -> tuple[list[int], list[int]]:
        """Training rows and held-out rows of each fold."""
        cut = self.data["folds"]
        if cut is None:
            return [self.size], [self.valid]
        return cut.train_size.tolist(), cut.valid_size.tolist()

    @property
    def optimizer_name(self) -> str:
        """What the optimizer is called."""
        return named_function(self.routes.optimizer.function)

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
            if "key" in loss.asked:
                noisy = lambda *arguments, key: loss.function(*arguments, key=key, **numbers)  # noqa: E731
                return train_step(noisy, optimizer, model_state=carries, layers=bool(self.layers))
            plain = lambda *arguments: loss.function(*arguments, **numbers)  # noqa: E731
            return train_step(plain, optimizer, model_state=carries, layers=bool(self.layers))

        def init(key: jax.Array, /, **given: Any) -> TrainState:
            made = routes.init.function(jax.random.fold_in(key, INIT), **routes.init.given({**static, **given}))
            params, model_state = self._pair(made) if self.task.model_state else (made, None)
            return built(given).init(params, key=jax.random.fold_in(key, NOISE), model_state=model_state)

        def step(
            state: TrainState, data: Tree, t: jax.Array, key: jax.Array, /, **given: Any
        ) -> tuple[TrainState, Any]:
            state, metrics = built(given).update(state, self._batch(data, t, key, given["fold"], batch_size))
            norms = {name: self._of_layers(x) for name, x in metrics.get("layers", {}).items()}
            return state, {**{name: metrics[name] for name in ("loss", "clipped") if name in metrics}, **norms}

        def evaluate(state: TrainState, data: Tree, /, **given: Any) -> dict[str, jax.Array]:
            values = {"zeros": trees.zero_share(state.params)}
            if self.layers:
                values["weight_norm"] = self._of_layers(layer_norms(state.params))
            if self.valid:
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

    def _batch(self, data: Tree, t: jax.Array, key: jax.Array, fold: jax.Array, batch_size: int) -> Tree:
        """Rows `t` of the trial's order."""
        folds, order = data["folds"], jax.random.fold_in(key, ORDER)
        if folds is None:
            rows = shuffled_batch(order, t, self.size, batch_size)
        else:
            rows = folds.train[fold, shuffled_batch(order, t, folds.train_size[fold], batch_size)]
        return self._prepare(data, fold, jax.tree.map(lambda x: x[rows], data["train"]))

    def _held_out(self, weights: Tree, data: Tree, given: dict[str, Any], fold: jax.Array) -> dict[str, jax.Array]:
        """The means over the rows that `fold` holds out."""
        folds = data["folds"]

        def batch_of(begin: jax.Array | int, count: int) -> Tree:
            if folds is None:
                batch = jax.tree.map(lambda x: jax.lax.dynamic_slice_in_dim(x, begin, count), data["valid"])
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
                data, fold, jax.tree.map(lambda x: jax.lax.dynamic_slice_in_dim(x, begin, count), rows)
            )

        return self._measure("test", weights, given, batch_of, _rows(rows), None)

    def _measure(
        self, of: str, weights: Tree, given: dict[str, Any], batch_of: BatchOf, rows: int, count: jax.Array | None
    ) -> dict[str, jax.Array]:
        consumers = {f"{of}_loss": self.routes.evaluation}
        consumers |= {f"{of}_{name}": c for name, c in self.routes.metrics.items()}
        arguments, given = weights if self.task.model_state else (weights,), {**given, "key": None}

        def function(consumer: Consumer) -> Callable[[Tree], jax.Array]:
            def value(batch: Tree) -> jax.Array:
                x = consumer.function(*arguments, batch, **consumer.given(given))
                if consumer.name == "loss":
                    x = x[0] if self.task.model_state else x
                    check_loss(WHERE, x)
                if jnp.shape(x) not in ((), (_rows(batch),)):
                    raise ArgumentError(
                        f"{WHERE}: {consumer.name} must return shape () or (n,), got shape {jnp.shape(x)} for a batch "
                        f"of {_rows(batch)} rows."
                    )
                return jnp.asarray(x, jnp.float32)

            return value

        functions = {name: function(c) for name, c in consumers.items()}
        return means(functions, batch_of, rows, min(self.eval_batch_size or rows, rows), count)

    @property
    def _is_equal(self) -> bool:
        sizes = np.asarray(self.data["folds"].valid_size)
        return bool((sizes == sizes[0]).all())

    def _prepare(self, data: Tree, fold: jax.Array, batch: Tree) -> Tree:
        if self.task.prepare is None:
            return batch
        return self.task.prepare[1](jax.tree.map(lambda x: x[fold], data["prepared"]), batch)

    def check(self, trial: Trial, static: dict[str, Any], rows: list[dict[str, Any]]) -> None:
        """Build and trace with concrete numbers, so that bad ones fail here, by name, before anything is compiled.

        Each function is traced alone, once for each distinct set of what it asks for.
        """
        key = jax.eval_shape(lambda: jax.random.key(0))
        weights: Tree = None

        def begin(hp: dict[str, Any]) -> None:
            nonlocal weights
            weights = jax.eval_shape(trial.weights, jax.eval_shape(lambda key: trial.init(key, **hp, fold=0), key))

        named(begin, rows[0], static)
        arguments = weights if self.task.model_state else (weights,)
        batch = jax.eval_shape(
            lambda d, k: self._batch(d, jnp.int32(0), k, jnp.int32(0), static["batch_size"]), self.data, key
        )
        routes = self.routes

        def alone(consumer: Consumer, *arguments: Any) -> Callable[[dict[str, Any]], None]:
            def check(hp: dict[str, Any]) -> None:
                given = consumer.given({**static, **hp})
                keys = {}
                if "key" in consumer.asked and consumer is not routes.init:
                    keys = {"key": key if consumer is routes.evaluation else None}  # as in training; metrics have none
                jax.eval_shape(lambda arguments, keys: consumer.function(*arguments, **keys, **given), arguments, keys)

            return check

        def strengths(hp: dict[str, Any]) -> None:
            check_not_negative("jf.regularized", **{name: hp[name] for name in ("l1", "l2") if name in hp})

        checks: list[tuple[tuple[str, ...], Callable[[dict[str, Any]], Any]]] = [
            (routes.optimizer.asked, lambda hp: build_optimizer(routes.optimizer, {**static, **hp})),
            (routes.init.asked, alone(routes.init, key)),
            *((c.asked, alone(c, *arguments, batch)) for c in (routes.evaluation, *routes.metrics.values())),
        ]
        if is_regularized(routes.loss.function):
            checks.append((("l1", "l2"), strengths))
        for names, check in checks:
            seen = {tuple((name, x.item()) for name, x in hp.items() if name in names): hp for hp in rows}
            for hp in seen.values():
                named(check, hp, static)

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
        static = {"batch_size": batch_size if batch_size is not None else min(64, self.smallest), **static}
        if isinstance(static["batch_size"], bool) or not isinstance(static["batch_size"], int):
            raise ArgumentTypeError(f"{WHERE}: batch_size must be a whole number, got {static['batch_size']!r}.")
        self.check_lengths(static)
        return {**static, "steps_per_epoch": math.ceil(self.steps_per_epoch(static))}


def build_optimizer(consumer: Consumer, values: dict[str, Any]) -> optax.GradientTransformation:
    """The transform for some hyperparameters, checked to be one."""
    tx = consumer.function(**consumer.given(values))
    if not isinstance(tx, optax.GradientTransformation):
        raise ArgumentTypeError(f"{WHERE}: optimizer must return a gradient transformation, got {tx!r}.")
    return tx


def _prepared(task: Task, train: Tree, folds: Folds | None) -> Tree:
    """What `prepare`'s first function finds in the training rows of each fold, with a leading axis of folds."""
    if task.prepare is None:
        return None
    fit = task.prepare[0]
    parts = [train] if folds is None else [jax.tree.map(lambda x, r=r: x[r], train) for r in folds.train]
    fitted = [jax.tree.map(jnp.asarray, fit(part)) for part in parts]
    for other in fitted:
        if trees.kind_of(other) != trees.kind_of(fitted[0]):
            raise ArgumentError(
                f"{WHERE}: prepare's fit must return alike in every fold, got {trees.shown(fitted[0])} and "
                f"{trees.shown(other)}."
            )
    return jax.tree.map(lambda *xs: jnp.stack(xs), *fitted)


def _rows(tree: Tree) -> int:
    return jax.tree.leaves(tree)[0].shape[0]
