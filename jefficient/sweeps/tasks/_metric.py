"""Metrics that are not means over examples: they see the whole validation set at once."""

import dataclasses
from collections.abc import Callable, Hashable
from typing import Any

import jax

from ..._core.errors import ArgumentTypeError
from ..._core.reuse import same
from ..._core.typing import Tree


@dataclasses.dataclass(frozen=True, eq=False)
class Metric:
    """A metric of all predictions on a validation set, such as an area under a ROC curve.

    Predictions are collected over the validation set of a fold, in batches of `eval_batch_size`,
    and scored at once. So the score is exact for folds of any size, examples in memory or read from
    a disk, and `test`.

    Args:
        predict: ``(params, batch, …) -> (n, …)``, or a tree of such arrays: predictions for the n
            examples of a batch, each of which depends on its own example alone. It gets, by
            keyword, the hyperparameters that it names. With `Task(model_state=True)` it is
            called with ``(params, model_state, batch, …)``.
        score: ``(predictions, batch, weights) -> scalar``, in JAX: all predictions, the validation
            set as `predict` sees it, and the weight of each example, float32 (n,). Folds of unequal
            size are padded to the largest: padding has weight 0, all else 1. Whether the score
            honours the weights is checked before anything is compiled.
        on_host: call ``score(predictions, batch) -> float`` on the host instead, see
            `jf.host_metric`.

    Raises:
        ArgumentTypeError: if `predict` or `score` is not a function.

    Examples:
        >>> import jefficient as jf
        >>> import jax.numpy as jnp, numpy as np
        >>> x = np.linspace(-1, 1, 50, dtype=np.float32)
        >>> def r2(predicted, batch, weights):
        ...     mean = jnp.average(batch["y"], weights=weights)
        ...     residual = jnp.sum(weights * (batch["y"] - predicted) ** 2)
        ...     return 1 - residual / jnp.sum(weights * (batch["y"] - mean) ** 2)
        >>> task = jf.Task(
        ...     init=lambda key: jnp.zeros(()),
        ...     loss=lambda w, batch: jnp.mean((batch["x"] * w - batch["y"]) ** 2),
        ...     data={"x": x, "y": 3 * x},
        ...     metrics={"r2": jf.Metric(lambda w, batch: batch["x"] * w, r2)},
        ... )
        >>> rates = jf.grid(learning_rate=[0.1, 1.0])
        >>> best = {"metric": "valid_r2", "mode": "max"}
        >>> result = jf.sweep(task, jf.sgd, rates, steps=20, folds=3, **best, progress=False)
        >>> round(result.best().score, 3), result.best().hyperparameters
        (1.0, {'learning_rate': 1.0})
    """

    predict: Callable[..., Tree]
    score: Callable[..., jax.Array | float]
    on_host: bool = dataclasses.field(default=False, kw_only=True)

    def __post_init__(self):
        where = "jf.host_metric" if self.on_host else "jf.Metric"
        for name in ("predict", "score"):
            function: object = getattr(self, name)
            if not callable(function):
                raise ArgumentTypeError(f"{where}: {name} must be a function, got {function!r}.")

    def _reuse_key(self) -> Hashable:
        return same((self.predict, self.score, self.on_host))


def host_metric(predict: Callable[..., Tree], score: Callable[[Any, Any], float]) -> Metric:
    """Make a metric that is scored on the host, by scikit-learn for example.

    Args:
        predict: ``(params, batch, …) -> (n, …)``, in JAX, as in `jf.Metric`.
        score: ``(predictions, batch) -> float``, in NumPy: the predictions for exactly the examples
            of the validation set, and those examples as `predict` sees them (after
            ``Task(prepare=…)``), as NumPy arrays, bfloat16 as float32. It is called after every
            evaluation of every trial that has not diverged, by one thread at a time, and must be a
            pure function.

    Raises:
        ArgumentTypeError: if `predict` or `score` is not a function.

    Examples:
        >>> import jefficient as jf
        >>> import jax.numpy as jnp
        >>> from sklearn.metrics import roc_auc_score
        >>> auc = jf.host_metric(
        ...     predict=lambda params, batch: batch["x"] @ params,
        ...     score=lambda logits, batch: roc_auc_score(batch["y"], logits),
        ... )

        It goes to ``jf.Task(metrics={"auc": auc})``, and ``metric="valid_auc", mode="max"`` ranks
        by it.
    """
    return Metric(predict, score, on_host=True)
