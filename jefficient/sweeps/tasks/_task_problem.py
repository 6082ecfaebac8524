"""A `Task` and its optimizer as a `Problem`."""

import dataclasses
import functools
import math
from collections.abc import Hashable, Iterable, Iterator, Mapping
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import optax

from ..._core import trees
from ..._core.errors import ArgumentError, ArgumentTypeError
from ..._core.reuse import key_like, once, same, shapes_of
from ..._core.typing import Examples, Params, Tree
from ...spaces import Space
from ...training import TrainState
from ...transforms import clipped, sgd
from ..data import EvaluationBatch, Source, evaluation_batch_size
from ._drawn_data import DrawnData, drawn_data, points_as_examples
from ._evaluation import EvaluationSet, Sums, batch_sums, means_of
from ._exactness import FEWEST_TRIED, MOST_TRIED, Layout, check_exact
from ._folds import CrossValidation
from ._hyperparameters import HyperparameterTable
from ._injection import INJECTED, Injection, Optimizer, Requester
from ._keys import TEST
from ._lane_data import LaneData, ResidentData, StreamedData, slice_examples
from ._notes import WHERE
from ._probe import Probe
from ._problem import Begin, Problem, function_name
from ._scoring import HostScorer, predicts_of
from ._splits import Splits, split_examples, with_all_examples
from ._task import Task, count_examples, prepared
from ._task_check import check_functions
from ._task_trial import TaskTrial
from ._trial import Trial


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class TaskProblem(Problem):
    """A task and an optimizer, the examples split.

    Attributes:
        task: the task.
        injection: its functions and the optimizer, and the hyperparameters they request.
        eval_batch_size: examples evaluated at a time at most, or None.
    """

    task: Task
    injection: Injection
    eval_batch_size: int | None

    has_finite_weights: ClassVar[bool] = True

    @classmethod
    def of(
        cls,
        task: Task,
        optimizer: Optimizer,
        folds: CrossValidation | None,
        eval_batch_size: int | None,
        key: jax.Array,
        diagnostics: tuple[str, ...] = (),
    ) -> "TaskProblem":
        """Split the examples; `key` is that of the sweep."""
        injection = Injection.of(task, optimizer)
        test = task.test
        if task.data is None and test is not None:
            test = drawn_data("test", test, jax.random.fold_in(key, TEST))
        splits = split_examples(task, folds, eval_batch_size, key)
        return cls(
            data=splits.data,
            sizes=splits.sizes,
            stream=splits.stream,
            test=test,
            scorer=_scorer(task, splits),
            probe=Probe(diagnostics, min(splits.sizes.training)),
            about_data=task.about_data | injection.about_loss,
            task=task,
            injection=injection,
            eval_batch_size=eval_batch_size,
        )

    def reuse_key(self) -> Hashable:
        stream = self.stream
        read = None
        if stream is not None:
            batch = shapes_of(stream.source.batch(1))
            read = batch, stream.has_whole_batches, stream.evaluation_batch_size
        return (
            same((self.task, self.injection.optimizer.function)),
            (self.eval_batch_size, self.layers, self.probe),
            (shapes_of(self.data), tuple(self.sizes.training), tuple(self.sizes.validation), read),
        )

    @property
    def is_sequential(self) -> bool:
        return self.task.is_sequential

    @property
    def is_prequential(self) -> bool:
        return self.task.is_prequential

    @property
    def requesters(self) -> tuple[Requester, ...]:
        return self.injection.requesters

    @property
    def requests_seed(self) -> bool:
        return bool(self.requesters_of("seed"))

    @property
    def has_data(self) -> bool:
        """Whether there are examples; else the loss draws its own batches."""
        return self.task.data is not None

    @property
    def optimizer_name(self) -> str:
        return function_name(self.injection.optimizer.function)

    def gradient_descent(self, space: Space) -> str:
        optimizer = self.injection.optimizer
        given = [name for name in space.names if name in optimizer.requested]
        is_plain = optimizer.function in (sgd, optax.sgd) and given == ["learning_rate"]
        return "learning_rate" if is_plain else ""

    def check_names(self, space: Space) -> None:
        self.injection.check(space, INJECTED if self.has_data else ("steps",))

    def with_defaults(self, static: dict[str, Any], batch_size: int | None) -> dict[str, Any]:
        """Add `batch_size`, and `steps_per_epoch` where it is the same in all folds."""
        if not self.has_data:
            _check_no_batch_size(static.get("batch_size", batch_size))
            return static
        smallest = min(self.sizes.training)
        default = min(64, smallest) if batch_size is None else batch_size
        static = {"batch_size": default, **static}
        batch_size = static["batch_size"]
        if isinstance(batch_size, bool) or not isinstance(batch_size, int):
            raise ArgumentTypeError(
                f"{WHERE}: batch_size must be a whole number, got {batch_size!r}."
            )
        if not 1 <= batch_size <= smallest:
            raise ArgumentError(
                f"{WHERE}: 1 <= batch_size <= {smallest} (the training examples) must hold, got "
                f"{batch_size=}."
            )
        whole = set(np.ceil(self.steps_per_epoch(static)).astype(int).tolist())
        return {**static, "steps_per_epoch": whole.pop()} if len(whole) == 1 else static

    def steps_per_epoch(self, static: Mapping[str, Any]) -> np.ndarray:
        if not self.has_data:
            return np.array([np.nan])
        return np.array(self.sizes.training) / static["batch_size"]

    def fold_numbers(self, static: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """Return `steps_per_epoch` where folds differ in it."""
        if "steps_per_epoch" in static or not self.has_data:
            return {}
        return {"steps_per_epoch": np.ceil(self.steps_per_epoch(static)).astype(np.int32)}

    def trial(self, static: Mapping[str, Any]) -> Trial:
        return self._trial(static).trial(self.data)

    def begin(self, static: Mapping[str, Any]) -> Begin:
        trial = self._trial(static)
        return Begin(trial.restart, trial.resume)

    def steps_made(self, state: TrainState) -> int:
        return int(state.step)

    def _trial(self, static: Mapping[str, Any]) -> TaskTrial:
        return TaskTrial(
            self.task, self.injection, static, self.layers, self.eval_batch_size, self.probe
        )

    def step_data(self, static: Mapping[str, Any]) -> LaneData:
        if self.stream is None:
            return self.data
        batch = self.stream.source.batch(static["batch_size"])
        return self.data._replace(batch=batch, fold=jax.ShapeDtypeStruct((), np.int32))

    def check(
        self, trial: Trial, static: dict[str, Any], table: HyperparameterTable, key: Hashable
    ) -> None:
        data = self.step_data(static)
        is_evaluated = self._has_evaluation or self.test is not None
        check_functions(self.task, self.injection, trial, data, static, table, key, is_evaluated)
        if self.is_prequential:
            self._check_one_pass(static, int(table.columns["steps"].max()))
        layout = self._layout(static)
        if layout.is_padded or layout.is_cut:
            check_exact(
                self.task,
                self.injection,
                layout,
                self._some_examples(),
                lambda key, **numbers: trial.weights(trial.init(key, **numbers)),
                static,
                table[0],
                key,
            )

    def _check_one_pass(self, static: Mapping[str, Any], steps: int) -> None:
        most = math.ceil(self.task.size / static["batch_size"])
        if steps > most:
            raise ArgumentError(
                f"{WHERE}: with evaluate='prequential' a trial must see every example once at most "
                f"({most} updates of {static['batch_size']} of {self.task.size} examples), got "
                f"{steps} updates. In a second pass over the stream nothing is tested before it is "
                f"trained on."
            )

    def _layout(self, static: Mapping[str, Any]) -> Layout:
        if not self.has_data:
            return Layout(is_padded=False, is_cut=False)
        sizes = self.sizes.validation
        if self.is_prequential:
            is_padded = self.task.size % static["batch_size"] > 0
            is_cut = self.task.size > static["batch_size"]
        elif self.stream is None:
            is_padded = len(set(sizes)) > 1
            is_cut = max(sizes) > (self.eval_batch_size or max(sizes))
        else:
            is_padded = not self.stream.has_whole_batches
            is_cut = max(sizes) > self.stream.evaluation_batch_size
        if self.test is None:
            return Layout(is_padded, is_cut)
        size = count_examples(self.test)
        return Layout(is_padded, is_cut or size > self._test_batch_size)

    @property
    def _test_batch_size(self) -> int:
        """Test examples evaluated at a time at most."""
        size = count_examples(self.test)
        if isinstance(self.test, Source):
            return evaluation_batch_size(size, self.test, self.eval_batch_size)
        return self.eval_batch_size or size

    @property
    def _has_evaluation(self) -> bool:
        return max(self.sizes.validation) > 0 or self.is_prequential

    def _some_examples(self) -> Examples:
        """Return validation examples of the largest fold, or training examples, for a try."""
        has_validation = max(self.sizes.validation) > 0
        sizes = self.sizes.validation if has_validation else self.sizes.training
        fold = int(np.argmax(sizes))
        most = max(self.eval_batch_size or MOST_TRIED, FEWEST_TRIED)
        count = min(MOST_TRIED, most, sizes[fold])
        index = jnp.int32(fold)
        if self.stream is not None:
            splits = self.stream.valid if has_validation else self.stream.train
            some = splits[fold].read(np.arange(count))
        elif has_validation:
            return self.data.validation_set(self.task, index).batch_of(0, count)
        else:
            some = slice_examples(self.data.train, 0, count)
        return prepared(self.task, self.data.fitted, index, some)

    def metric_names(
        self, trial: Trial, static: dict[str, Any], hyperparameters: dict[str, Any]
    ) -> tuple[str, ...]:
        del trial, static, hyperparameters
        if not self._has_evaluation:
            return ("train_loss",)
        return ("train_loss", *self._names("valid"), *self.window_names)

    def _names(self, prefix: str) -> tuple[str, ...]:
        return tuple(f"{prefix}_{name}" for name in ("loss", *self.task.metrics))

    @property
    def window_names(self) -> tuple[str, ...]:
        return self._names("window") if self.is_prequential else ()

    def with_all_examples(self) -> tuple[Task, Any]:
        return with_all_examples(self.task), self.injection.optimizer.function

    def with_layers(
        self,
        layers: bool | tuple[str, ...],
        groups: Iterable[tuple[dict[str, Any], dict[str, Any]]],
    ) -> "TaskProblem":
        """Record norms; layers are found by tracing `init`."""
        names: dict[str, None] = {}
        if isinstance(layers, tuple):
            names = dict.fromkeys(layers)
        elif layers:
            own = self.reuse_key()
            for static, numbers in groups:
                key = "layers", own, same(static), shapes_of(numbers)
                found = once(key, functools.partial(self._layers_of, static, numbers))
                names |= dict.fromkeys(found)
        return dataclasses.replace(self, layers=tuple(names))

    def _layers_of(self, static: dict[str, Any], numbers: dict[str, Any]) -> tuple[str, ...]:
        trial = self.trial(static)
        state = jax.eval_shape(lambda k: trial.init(k, **numbers, fold=0), key_like())
        return tuple(trees.layers(state.params))

    def has_clip(self, state: TrainState) -> bool:
        return jax.eval_shape(clipped, state.opt_state) is not None

    def step_diagnostics(self, has_clip: bool) -> tuple[str, ...]:
        """Return the share of clipped steps, and norms of gradients and updates."""
        return (
            *(("clipped",) if has_clip else ()),
            *(("grad_norm", "update_norm") if self.layers else ()),
        )

    def diagnostics(self, has_clip: bool) -> dict[str, tuple[int, ...]]:
        """Return also the share of zero weights, norms of weights, and what is probed."""
        shapes: dict[str, tuple[int, ...]] = {"zeros": (), **dict.fromkeys(self.probe.names, ())}
        if has_clip:
            shapes["clipped"] = ()
        if self.layers:
            names = ("grad_norm", "update_norm", "weight_norm")
            shapes |= dict.fromkeys(names, (len(self.layers),))
        return shapes

    def validation_predictions(
        self, weights: Params, data: ResidentData, fold: jax.Array, hyperparameters: dict[str, Any]
    ) -> dict[str, Tree]:
        examples = data.validation_set(self.task, fold)
        if self.scorer is None or examples is None:
            return {}
        predicts = predicts_of(self.task, self.injection, weights, hyperparameters)
        return {
            name: examples.map(predicts[name], self.eval_batch_size) for name in self.scorer.metrics
        }

    def validation_batch(
        self,
        weights: Params,
        batch: EvaluationBatch,
        data: StreamedData,
        fold: jax.Array,
        hyperparameters: dict[str, Any],
    ) -> tuple[dict[str, Sums], dict[str, Tree]]:
        assert self.stream is not None
        examples = prepared(self.task, data.fitted, fold, batch.examples)
        count = None if self.stream.has_whole_batches else batch.count
        means = means_of(self.task, self.injection, "valid", weights, hyperparameters)
        predicts = predicts_of(self.task, self.injection, weights, hyperparameters)
        predictions = {name: predict(examples) for name, predict in predicts.items()}
        return batch_sums(means, EvaluationBatch(examples, count)), predictions

    def test_batches(self) -> Iterator[Examples]:
        test = self.test
        if isinstance(test, DrawnData):
            yield from test.points
            return
        if not isinstance(test, Source):
            yield test
            return
        size = self._test_batch_size
        for begin in range(0, test.size, size):
            yield test.read(np.arange(begin, min(begin + size, test.size)))

    def test_batch(
        self,
        weights: Params,
        batch: Examples,
        data: LaneData,
        fold: jax.Array,
        hyperparameters: dict[str, Any],
    ) -> tuple[dict[str, Sums], dict[str, Tree]]:
        def batch_of(begin: jax.Array | int, count: int) -> Examples:
            return prepared(self.task, data.fitted, fold, slice_examples(batch, begin, count))

        examples = EvaluationSet(batch_of, count_examples(batch))
        if not self.has_data:
            examples = points_as_examples(batch)
        means = means_of(self.task, self.injection, "test", weights, hyperparameters)
        predicts = predicts_of(self.task, self.injection, weights, hyperparameters)
        predictions = {
            name: examples.map(predict, self.eval_batch_size) for name, predict in predicts.items()
        }
        return examples.sums(means, self.eval_batch_size), predictions

    def test_scores(self, fold: int, predictions: dict[str, Tree]) -> dict[str, float]:
        scored = self.task.scored
        if not scored:
            return {}
        test = self.test
        if isinstance(test, Source):
            examples = test.read(np.arange(test.size))
        else:
            (examples,) = self.test_batches()
        batch = prepared(self.task, self.data.fitted, jnp.int32(fold), examples)
        scores = HostScorer(scored, lambda _: batch).scores(fold, predictions)
        return {f"test_{name}": x for name, x in scores.items()}


def _check_no_batch_size(batch_size: object) -> None:
    if batch_size is not None:
        raise ArgumentError(
            f"{WHERE}: batch_size must come with data, got {batch_size=} and a jf.Task with "
            f"data=None, whose loss draws its own batches. Name the number of points differently, "
            f"for example points=jf.static([16, 64])."
        )


def _scorer(task: Task, splits: Splits) -> HostScorer | None:
    """Return what scores the validation set on the host, None where nothing does."""
    is_streamed = splits.stream is not None
    metrics = {name: x for name, x in task.scored.items() if x.on_host or is_streamed}
    if not metrics or max(splits.sizes.validation) == 0:
        return None

    def examples(fold: int) -> Examples:
        data, index = splits.data, jnp.int32(fold)
        if splits.stream is not None:
            split = splits.stream.valid[fold]
            return prepared(task, data.fitted, index, split.read(np.arange(len(split))))
        assert isinstance(data, ResidentData | DrawnData)
        found = data.validation_set(task, index)
        assert found is not None
        batch = found.batch_of(0, found.size)
        return jax.tree.map(lambda x: x[: splits.sizes.validation[fold]], batch)

    return HostScorer(metrics, examples)
