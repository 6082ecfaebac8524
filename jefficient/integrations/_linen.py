"""Flax Linen: a module, or a function that makes one, as a task."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from .._core.typing import Tree
from ..sweeps import Task
from ._model import Model, flags, names_of, needed, reader, task_of

WHERE = "jf.integrations.linen_task"


def linen_task(
    module: Any,
    loss: Callable,
    data: Tree,
    *,
    inputs: Any = "x",
    metrics: Mapping[str, Callable] | None = None,
    validation: Tree | float | None = None,
    test: Tree | None = None,
    prepare: tuple[Callable, Callable] | None = None,
) -> Task:
    """A Linen module as a `jf.Task`: batch-norm and dropout are on in training, off in evaluation.

    A flag that the module's `__call__` names is set: train, training or is_training is True in
    training, deterministic or use_running_average in evaluation. In training every collection
    beside "params" is mutable and goes from step to step; random streams draw from the step's key,
    ``rngs={"params": key}``, which stands for those of other names. In evaluation nothing is
    mutable, and nothing can be drawn.

    Args:
        module: a `flax.linen.Module`, or a function that returns one (a class is one). The names it
            asks for are hyperparameters: ``lambda width, rate=0.1: MLP(width, rate)``. Those that
            shape the model, and the rate of `flax.linen.Dropout`, which branches on it, have to be
            static: ``width=jf.static([32, 64])``.
        loss: ``(outputs, batch, …) -> scalar``, the mean over the batch. `outputs` is what the
            module returned. A `jf.regularized` one penalises the parameters.
        data: the training rows, as in `jf.Task`.
        inputs: the entry of a batch that the module gets (a key, a place), or ``batch -> array``,
            or ``-> tuple``, its arguments.
        metrics: name to ``(outputs, batch, …) -> (n,)`` or ``-> scalar``, as in `jf.Task`.
        validation: as in `jf.Task`.
        test: as in `jf.Task`.
        prepare: as in `jf.Task`. Its `fit` is called once more, on all of `data`, to learn the
            shapes of a batch.

    Returns:
        A `jf.Task`. The module is initialised for a row of zeros. Weights are pairs ``(params,
        state)``, `state` the other collections ({} for none), so that ``module.apply({"params":
        params, **state}, x, train=False)`` gives predictions. Where loss, metrics and module ask
        for the same hyperparameter, all get it.

    Raises:
        JefficientError: where flax is missing.
        ArgumentError: where a batch has no such entry, loss or a metric names `key`, or as for
            `jf.Task`.
        ArgumentTypeError: where `module` is neither, or as for `jf.Task`.

    Examples:
        >>> import flax.linen as nn
        >>> import jax, numpy as np, optax
        >>> import jefficient as jf
        >>> class Net(nn.Module):
        ...     width: int = 8
        ...     @nn.compact
        ...     def __call__(self, x, train):
        ...         x = nn.relu(nn.BatchNorm(use_running_average=not train)(nn.Dense(self.width)(x)))
        ...         return nn.Dense(2)(nn.Dropout(0.1, deterministic=not train)(x))
        >>> task = jf.integrations.linen_task(
        ...     Net,
        ...     loss=lambda logits, batch: optax.softmax_cross_entropy_with_integer_labels(logits, batch["y"]).mean(),
        ...     data={"x": np.ones((10, 3), np.float32), "y": np.zeros(10, np.int32)},
        ... )
        >>> params, state = task.init(jax.random.key(0), width=4)
        >>> sorted(params), sorted(state)
        (['BatchNorm_0', 'Dense_0', 'Dense_1'], ['batch_stats'])
    """
    linen = needed(WHERE, "flax", "flax.linen")
    build = (lambda: module) if isinstance(module, linen.Module) else module

    def init(key: jax.Array, given: dict[str, Any]) -> tuple[Tree, Tree]:
        made = build(**given)
        variables = dict(made.init(key, *example, **flags(made.__call__, False)))
        return variables.pop("params", {}), variables

    def apply(
        params: Tree, state: Tree, x: tuple, key: jax.Array | None, given: dict[str, Any]
    ) -> tuple[Any, Tree]:
        made, variables = build(**given), {"params": params, **state}
        told = flags(made.__call__, key is not None)
        if key is None:
            return made.apply(variables, *x, **told), state
        outputs, changed = made.apply(
            variables, *x, **told, mutable=list(state), rngs={"params": key}
        )
        return outputs, {**state, **changed}

    asked = names_of(f"{WHERE}: module", build)
    if isinstance(module, type):
        asked = {
            name: required for name, required in asked.items() if name not in ("parent", "name")
        }  # flax's own
    model = Model(WHERE, asked, init, apply)
    given = {"validation": validation, "test": test, "prepare": prepare}
    task = task_of(model, loss, data, inputs, metrics or {}, **given)
    example = _example(task, reader(WHERE, inputs))
    return task


def _example(task: Task, read: Callable[[Tree], tuple]) -> tuple:
    """The module's arguments for one row of zeros."""
    row = jax.tree.map(lambda x: jax.ShapeDtypeStruct((1, *x.shape), x.dtype), task.example)
    if task.prepare is not None:
        fit, apply = task.prepare
        row = jax.eval_shape(apply, jax.tree.map(jnp.asarray, fit(task.sample)), row)
    return jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), jax.eval_shape(read, row))
