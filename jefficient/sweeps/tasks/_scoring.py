"""Scores of all predictions on a validation or test set, on the device or on the host."""

import dataclasses
import functools
import threading
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from ..._core.checks import check_real
from ..._core.errors import ArgumentError, ArgumentTypeError
from ..._core.reuse import program, same
from ..._core.typing import Examples, Params, Tree
from ._evaluation import EvaluationSet
from ._injection import Injection
from ._metric import Metric
from ._notes import WHERE
from ._task import Task, count_examples

Predicts: TypeAlias = Mapping[str, Callable[[Examples], Tree]]
"""Name of a metric to ``batch -> predictions``, trees of arrays (n, …)."""


def predicts_of(
    task: Task, injection: Injection, weights: Params, hyperparameters: Mapping[str, Any]
) -> Predicts:
    """Return the `predict` of each `jf.Metric` of the task, for these weights."""
    arguments = weights if task.model_state else (weights,)

    def bound(name: str) -> Callable[[Examples], Tree]:
        requester = injection.predicts[name]
        chosen = requester.choose(hyperparameters)

        def predict(batch: Examples) -> Tree:
            size = count_examples(batch)
            made = requester.function(*arguments, batch, **chosen)
            shapes = [jnp.shape(x) for x in jax.tree.leaves(made)]
            if not shapes or any(shape[:1] != (size,) for shape in shapes):
                raise ArgumentError(
                    f"{WHERE}: {requester.name} must return arrays of shape (n, …), got shapes "
                    f"{shapes} for a batch of {size} examples."
                )
            return made

        return predict

    return {name: bound(name) for name in injection.predicts}


def score(
    name: str, metric: Metric, predictions: Tree, batch: Examples, weights: jax.Array
) -> jax.Array:
    """Return the score of predictions in JAX, float32."""
    value = metric.score(predictions, batch, weights)
    if jnp.shape(value) != ():
        raise ArgumentError(
            f"{WHERE}: metrics[{name!r}].score must return a scalar, got shape {jnp.shape(value)}."
        )
    check_real(WHERE, f"metrics[{name!r}].score", value)
    return jnp.asarray(value, jnp.float32)


def device_scores(
    metrics: Mapping[str, Metric],
    predicts: Predicts,
    examples: EvaluationSet,
    batch_size: int | None,
) -> dict[str, jax.Array]:
    """Return the scores of metrics in JAX on examples in memory, by name."""

    def of(name: str, metric: Metric) -> jax.Array:
        predictions = examples.map(predicts[name], batch_size)
        everything = examples.batch_of(0, examples.size)
        return score(name, metric, predictions, everything, examples.weights)

    return {name: of(name, metric) for name, metric in metrics.items()}


@dataclasses.dataclass(frozen=True, eq=False)
class HostScorer:
    """Scores predictions that have been collected on the host.

    Attributes:
        metrics: by name; those in JAX among them where the examples are read from a disk.
        examples: ``fold -> batch``, the whole validation set, as `predict` sees it.
    """

    metrics: Mapping[str, Metric]
    examples: Callable[[int], Examples]
    _lock: threading.Lock = dataclasses.field(default_factory=threading.Lock)
    _known: dict[int, Examples] = dataclasses.field(default_factory=dict)

    def scores(self, fold: int, predictions: Mapping[str, Tree]) -> dict[str, float]:
        """Return the score of each metric: of predictions (n, …), those for padding at the end."""
        with self._lock:  # blocks are scored in threads; a user's function need not be ready for it
            if fold not in self._known:
                self._known[fold] = jax.tree.map(host_array, self.examples(fold))
            return self.scores_on(self._known[fold], predictions)

    def scores_on(self, batch: Examples, predictions: Mapping[str, Tree]) -> dict[str, float]:
        """Return the score of each metric on these examples."""
        size = count_examples(batch)
        scores = {}
        for name, metric in self.metrics.items():
            own = jax.tree.map(lambda x: host_array(x)[:size], predictions[name])
            if metric.on_host:
                scores[name] = _host_score(name, metric, own, batch)
            else:
                arguments = own, batch, np.ones(size, np.float32)
                key = "score", name, same(metric)
                of_all = functools.partial(score, name, metric)
                scored = program(key, of_all, jax.local_devices()[0], *arguments)(*arguments)
                scores[name] = float(scored)
        return scores


def _host_score(name: str, metric: Metric, predictions: Tree, batch: Examples) -> float:
    try:
        value = np.asarray(metric.score(predictions, batch))
    except Exception as error:
        error.add_note(
            f"{WHERE}: raised by the score of metrics[{name!r}], which gets predictions and "
            f"examples as NumPy arrays."
        )
        raise
    if value.shape != () or value.dtype.kind not in "biuf":
        raise ArgumentTypeError(
            f"{WHERE}: metrics[{name!r}].score must return a number, got {value!r}."
        )
    return float(value)


def host_array(x: ArrayLike) -> np.ndarray:
    """Copy to NumPy; bfloat16, for which NumPy has no arithmetic, as float32."""
    array = np.asarray(x)
    is_unusual = array.dtype.kind == "V" and jnp.issubdtype(array.dtype, jnp.floating)
    return array.astype(np.float32) if is_unusual else array
