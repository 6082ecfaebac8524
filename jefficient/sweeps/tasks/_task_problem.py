"""A `Task` and its optimizer as a `Problem`."""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar

import jax
import numpy as np

from ..._core import trees
from ..._core.errors import ArgumentError, ArgumentTypeError
from ..._core.typing import Tree
from ...spaces import Space
from ...transforms import clipped
from ..data import EvaluationBatch, Source, evaluation_batch_size
from ._evaluation import batch_sums, means, metrics_of
from ._hyperparameters import HyperparameterTable
from ._injection import Injection
from ._keys import SPLIT
from ._lane_data import StreamedData, slice_examples
from ._notes import WHERE
from ._problem import Problem, function_name
from ._splits import split_examples, with_all_examples
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
        cls, task: Task, optimizer: Any, folds: Any, eval_batch_size: int | None, key: jax.Array
    ) -> "TaskProblem":
        """Split the examples; `key` is that of the sweep."""
        splits = split_examples(task, folds, eval_batch_size, jax.random.fold_in(key, SPLIT))
        return cls(
            data=splits.data,
            sizes=splits.sizes,
            stream=splits.stream,
            test=task.test,
            task=task,
            injection=Injection.of(task, optimizer),
            eval_batch_size=eval_batch_size,
        )

    @property
    def optimizer_name(self) -> str:
        return function_name(self.injection.optimizer.function)

    def check_names(self, space: Space) -> None:
        self.injection.check(space)

    def with_defaults(self, static: dict[str, Any], batch_size: int | None) -> dict[str, Any]:
        """Add `batch_size`, and `steps_per_epoch` where it is the same in all folds."""
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
        return np.array(self.sizes.training) / static["batch_size"]

    def fold_numbers(self, static: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """Return `steps_per_epoch` where folds differ in it."""
        if "steps_per_epoch" in static:
            return {}
        return {"steps_per_epoch": np.ceil(self.steps_per_epoch(static)).astype(np.int32)}

    def trial(self, static: Mapping[str, Any]) -> Trial:
        return TaskTrial(
            self.task, self.injection, static, self.layers, self.eval_batch_size
        ).trial(self.data)

    def step_data(self, static: Mapping[str, Any]) -> Tree:
        if self.stream is None:
            return self.data
        batch = self.stream.source.batch(static["batch_size"])
        return self.data._replace(batch=batch, fold=jax.ShapeDtypeStruct((), np.int32))

    def check(self, trial: Trial, static: dict[str, Any], table: HyperparameterTable) -> None:
        data = self.step_data(static)
        check_functions(self.task, self.injection, trial, data, static, table)

    def metric_names(
        self, trial: Trial, static: dict[str, Any], hyperparameters: dict[str, Any]
    ) -> tuple[str, ...]:
        del trial, static, hyperparameters
        if max(self.sizes.validation) == 0:
            return ("train_loss",)
        return ("train_loss", "valid_loss", *(f"valid_{name}" for name in self.injection.metrics))

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
            for static, numbers in groups:
                trial, key = self.trial(static), jax.random.key(0)
                state = jax.eval_shape(lambda k, t=trial, n=numbers: t.init(k, **n, fold=0), key)
                names |= dict.fromkeys(trees.layers(state.params))
        return dataclasses.replace(self, layers=tuple(names))

    def has_clip(self, state: Any) -> bool:
        return jax.eval_shape(clipped, state.opt_state) is not None

    def step_diagnostics(self, has_clip: bool) -> tuple[str, ...]:
        """Return the share of clipped steps, and norms of gradients and updates."""
        return (
            *(("clipped",) if has_clip else ()),
            *(("grad_norm", "update_norm") if self.layers else ()),
        )

    def diagnostics(self, has_clip: bool) -> dict[str, tuple[int, ...]]:
        """Return also the share of zero weights, and norms of weights."""
        shapes: dict[str, tuple[int, ...]] = {"zeros": ()}
        if has_clip:
            shapes["clipped"] = ()
        if self.layers:
            names = ("grad_norm", "update_norm", "weight_norm")
            shapes |= dict.fromkeys(names, (len(self.layers),))
        return shapes

    def validation_sums(
        self,
        weights: Tree,
        batch: EvaluationBatch,
        data: StreamedData,
        fold: jax.Array,
        hyperparameters: dict[str, Any],
    ) -> dict[str, jax.Array]:
        assert self.stream is not None
        examples = prepared(self.task, data.fitted, fold, batch.examples)
        count = None if self.stream.has_whole_batches else batch.count
        metrics = metrics_of(self.task, self.injection, "valid", weights, hyperparameters)
        return batch_sums(metrics, EvaluationBatch(examples, count))

    def test_batches(self) -> Iterator[Tree]:
        test = self.test
        if not isinstance(test, Source):
            yield test
            return
        size = evaluation_batch_size(test.size, test, self.eval_batch_size)
        for begin in range(0, test.size, size):
            yield test.read(np.arange(begin, min(begin + size, test.size)))

    def test_means(
        self,
        weights: Tree,
        batch: Tree,
        data: Tree,
        fold: jax.Array,
        hyperparameters: dict[str, Any],
    ) -> dict[str, jax.Array]:
        def batch_of(begin: jax.Array | int, count: int) -> Tree:
            return prepared(self.task, data.fitted, fold, slice_examples(batch, begin, count))

        metrics = metrics_of(self.task, self.injection, "test", weights, hyperparameters)
        return means(metrics, batch_of, count_examples(batch), self.eval_batch_size)
