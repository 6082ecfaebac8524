"""Flax Linen: tasks of modules."""

from collections.abc import Callable, Hashable, Mapping
from typing import Any, Literal

import jax
import jax.numpy as jnp

from .._core.typing import Examples, ModelState, Params, State, Tree
from ..sweeps import Metric, Task
from ..transforms import evaluation_params
from ._model import Model, flags, import_optional, names_of, reader, task_of

WHERE = "jf.integrations.linen_task"


def linen_task(
    module: Any,
    loss: Callable[..., jax.Array],
    data: Examples,
    *,
    inputs: Hashable | Callable[[Examples], Any] = "x",
    metrics: Mapping[str, Callable[..., jax.Array] | Metric] | None = None,
    validation: Examples | float | None = None,
    test: Examples | None = None,
    prepare: tuple[Callable[[Examples], Tree], Callable[[Tree, Examples], Examples]] | None = None,
    order: Literal["shuffled", "sequential"] = "shuffled",
    evaluate: Literal["held_out", "prequential"] = "held_out",
    augment: Callable[..., Examples] | None = None,
    evaluation_params: Callable[[State, Params], Params] = evaluation_params,
    check_finite: bool = True,
) -> Task:
    """Make a `jf.Task` of a Linen module. Batch-norm and dropout are on in training only.

    Arguments of the module's `__call__` that tell training from evaluation are set: `train`,
    `training` and `is_training` are True in training; `deterministic` and `use_running_average` in
    evaluation. In training all collections except "params" are mutable and carried from step to
    step, and all random streams draw from the step's key, ``rngs={"params": key}``. In evaluation
    nothing is mutable and nothing can be drawn.

    Args:
        module: a `flax.linen.Module`, or a function that returns one, such as its class. The
            function's arguments are hyperparameters: ``lambda width, rate=0.1: MLP(width, rate)``.
            Those that shape the model, and the rate of `flax.linen.Dropout`, which branches on it,
            must be static: ``width=jf.static([32, 64])``.
        loss: ``(outputs, batch, …) -> scalar``, the mean over the batch. `outputs` is what the
            module returned. `jf.regularized` penalises the parameters.
        data: the training examples, as in `jf.Task`.
        inputs: the key of the batch's entry that the module gets, or ``batch -> array``, or
            ``batch -> tuple`` of the module's arguments.
        metrics: name to ``(outputs, batch, …) -> (n,)`` or ``-> scalar``, or a `jf.Metric` whose
            `predict` is ``(outputs, batch, …) -> (n, …)``, as in `jf.Task`.
        validation: as in `jf.Task`.
        test: as in `jf.Task`.
        prepare: as in `jf.Task`. Its `fit` is called once more, on all of `data`, to learn the
            shapes of a batch.
        order: as in `jf.Task`.
        evaluate: as in `jf.Task`.
        augment: as in `jf.Task`.
        evaluation_params: as in `jf.Task`.
        check_finite: as in `jf.Task`.

    Returns:
        A `jf.Task`. The module is initialised with one example of zeros. Weights are pairs
        ``(params, state)``, `state` being the other collections, so that ``module.apply({"params":
        params, **state}, x, train=False)`` predicts. Loss, metrics and module may have
        hyperparameters in common.

    Raises:
        JefficientError: if flax is not installed.
        ArgumentError: if a batch has no such entry, if loss or a metric has an argument `key`, or
            as in `jf.Task`.
        ArgumentTypeError: if `module` is not a module or function, or as in `jf.Task`.

    Examples:
        >>> import flax.linen as nn
        >>> import jax, numpy as np, optax
        >>> import jefficient as jf
        >>> class Net(nn.Module):
        ...     width: int = 8
        ...     @nn.compact
        ...     def __call__(self, x, train):
        ...         x = nn.BatchNorm(use_running_average=not train)(nn.Dense(self.width)(x))
        ...         return nn.Dense(2)(nn.Dropout(0.1, deterministic=not train)(nn.relu(x)))
        >>> cross_entropy = optax.softmax_cross_entropy_with_integer_labels
        >>> task = jf.integrations.linen_task(
        ...     Net,
        ...     loss=lambda logits, batch: cross_entropy(logits, batch["y"]).mean(),
        ...     data={"x": np.ones((10, 3), np.float32), "y": np.zeros(10, np.int32)},
        ... )
        >>> params, state = task.init(jax.random.key(0), width=4)
        >>> sorted(params), sorted(state)
        (['BatchNorm_0', 'Dense_0', 'Dense_1'], ['batch_stats'])
    """
    linen = import_optional(WHERE, "flax", "flax.linen")
    build = (lambda: module) if isinstance(module, linen.Module) else module

    def init(key: jax.Array, given: dict[str, Any]) -> tuple[Params, ModelState]:
        made = build(**given)
        variables = dict(made.init(key, *example, **flags(made.__call__, False)))
        return variables.pop("params", {}), variables

    def apply(
        params: Params, state: ModelState, x: tuple, key: jax.Array | None, given: dict[str, Any]
    ) -> tuple[Tree, ModelState]:
        made = build(**given)
        variables = {"params": params, **state}
        told = flags(made.__call__, key is not None)
        if key is None:
            return made.apply(variables, *x, **told), state
        outputs, changed = made.apply(
            variables, *x, **told, mutable=list(state), rngs={"params": key}
        )
        return outputs, {**state, **changed}

    names = names_of(f"{WHERE}: module", build)
    if isinstance(module, type):  # every class of modules has these two, which flax sets
        names = {name: names[name] for name in names if name not in ("parent", "name")}
    model = Model(WHERE, names, init, apply)
    task = task_of(
        model,
        loss,
        data,
        inputs,
        metrics,
        validation=validation,
        test=test,
        prepare=prepare,
        order=order,
        evaluate=evaluate,
        augment=augment,
        evaluation_params=evaluation_params,
        check_finite=check_finite,
    )
    example = _example(task, reader(WHERE, inputs))
    return task


def _example(task: Task, read: Callable[[Examples], tuple]) -> tuple:
    """Return the module's arguments for one example of zeros."""
    row = jax.tree.map(lambda x: jax.ShapeDtypeStruct((1, *x.shape), x.dtype), task.example)
    if task.prepare is not None:
        fit, apply = task.prepare
        row = jax.eval_shape(apply, jax.tree.map(jnp.asarray, fit(task.sample)), row)
    return jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), jax.eval_shape(read, row))
