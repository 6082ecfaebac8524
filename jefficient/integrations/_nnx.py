"""Flax NNX: tasks of modules, and modules of trained weights."""

import os
from collections.abc import Callable, Hashable, Mapping
from types import ModuleType
from typing import Any, Literal

import jax

from .._core import signatures
from .._core.typing import Examples, ModelState, Params, State, Tree
from ..sweeps import Metric, Task
from ..transforms import evaluation_params
from ._model import Model, flags, import_optional, names_beside, on_device, task_of, weights_of


def nnx_task(
    build: Callable[..., Any],
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
    """Make a `jf.Task` of an NNX module. Batch-norm and dropout are on in training only.

    Every step builds the module with the step's key and gives it the trial's parameters and state,
    so its random streams are fresh, and of what is built the structure alone is used. In evaluation
    the module's `eval` method is called. Arguments of its `__call__` that tell training from
    evaluation are set: `train`, `training` and `is_training` are True in training; `deterministic`
    and `use_running_average` in evaluation.

    Args:
        build: ``(rngs, …) -> module``, such as a class of modules. It gets an `nnx.Rngs` as `rngs`;
            its other arguments are hyperparameters. Those that shape the model, and the rate of
            `nnx.Dropout`, which branches on it, must be static: ``width=jf.static([32, 64])``.
        loss: ``(outputs, batch, …) -> scalar``, the mean over the batch. `outputs` is what the
            module returned. `jf.regularized` penalises the parameters.
        data: the training examples, as in `jf.Task`.
        inputs: the key of the batch's entry that the module gets, or ``batch -> array``, or
            ``batch -> tuple`` of the module's arguments.
        metrics: name to ``(outputs, batch, …) -> (n,)`` or ``-> scalar``, or a `jf.Metric` whose
            `predict` is ``(outputs, batch, …) -> (n, …)``, as in `jf.Task`.
        validation: as in `jf.Task`.
        test: as in `jf.Task`.
        prepare: as in `jf.Task`.
        order: as in `jf.Task`.
        evaluate: as in `jf.Task`.
        augment: as in `jf.Task`.
        evaluation_params: as in `jf.Task`.
        check_finite: as in `jf.Task`.

    Returns:
        A `jf.Task`. Weights are pairs of dicts ``(params, state)``: the `nnx.Param` variables,
        which are trained, and all others except random streams (batch-norm's averages), which are
        carried from step to step. `nnx_model` makes a module of them. Loss, metrics and `build` may
        have hyperparameters in common.

    Raises:
        JefficientError: if flax is not installed.
        ArgumentError: if `build` has no argument `rngs`, if loss or a metric has an argument `key`,
            or as in `jf.Task`; by a sweep, if a batch has no such entry.
        ArgumentTypeError: as in `jf.Task`.

    Examples:
        >>> from flax import nnx
        >>> import jax, numpy as np, optax
        >>> import jefficient as jf
        >>> class Net(nnx.Module):
        ...     def __init__(self, width=8, *, rngs):
        ...         self.first = nnx.Linear(3, width, rngs=rngs)
        ...         self.norm = nnx.BatchNorm(width, rngs=rngs)
        ...         self.dropout = nnx.Dropout(0.1, rngs=rngs)
        ...         self.last = nnx.Linear(width, 2, rngs=rngs)
        ...     def __call__(self, x):
        ...         return self.last(self.dropout(nnx.relu(self.norm(self.first(x)))))
        >>> cross_entropy = optax.softmax_cross_entropy_with_integer_labels
        >>> task = jf.integrations.nnx_task(
        ...     Net,
        ...     loss=lambda logits, batch: cross_entropy(logits, batch["y"]).mean(),
        ...     data={"x": np.ones((10, 3), np.float32), "y": np.zeros(10, np.int32)},
        ... )
        >>> params, state = task.init(jax.random.key(0), width=4)
        >>> sorted(params), sorted(state), params["first"]["kernel"].shape
        (['first', 'last', 'norm'], ['norm'], (3, 4))
    """
    where = "jf.integrations.nnx_task"
    nnx = import_optional(where, "flax", "flax.nnx")

    def init(key: jax.Array, given: dict[str, Any]) -> tuple[Params, ModelState]:
        return _weights(nnx, build(rngs=nnx.Rngs(key), **given))

    def apply(
        params: Params, state: ModelState, x: tuple, key: jax.Array | None, given: dict[str, Any]
    ) -> tuple[Tree, ModelState]:
        model = build(rngs=nnx.Rngs(jax.random.key(0) if key is None else key), **given)
        _fill(nnx, model, (params, state))
        if key is None:
            model.eval()
        outputs = model(*x, **flags(model.__call__, key is not None))
        return outputs, _weights(nnx, model)[1]

    model = Model(where, names_beside(where, build, "rngs"), init, apply)
    return task_of(
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


def nnx_model(
    build: Callable[..., Any],
    weights: tuple[Params, ModelState] | str | os.PathLike,
    hyperparameters: Mapping[str, Any] | None = None,
) -> Any:
    """Return the trained module of an `nnx_task`, in evaluation mode.

    Args:
        build: the task's `build`.
        weights: ``(params, state)``, as `result.params()` returns them, or the file that
            `result.save_params` wrote.
        hyperparameters: name to value, such as `result.best().hyperparameters`; `build` gets those
            that it takes.

    Returns:
        An `nnx.Module` as `build` makes it, with the weights, after its `eval()`.

    Raises:
        JefficientError: if flax is not installed.
        ArgumentError: if `build` has no argument `rngs`, or the file is of another model.

    Examples:
        >>> from flax import nnx
        >>> import jax.numpy as jnp
        >>> import jefficient as jf
        >>> weights = {"kernel": 2.0 * jnp.ones((3, 1)), "bias": jnp.ones(1)}, {}
        >>> model = jf.integrations.nnx_model(lambda rngs: nnx.Linear(3, 1, rngs=rngs), weights)
        >>> model(jnp.ones((1, 3))).item()
        7.0
    """
    where = "jf.integrations.nnx_model"
    nnx = import_optional(where, "flax", "flax.nnx")
    given = signatures.pick(hyperparameters or {}, names_beside(where, build, "rngs"))
    model = build(rngs=nnx.Rngs(0), **given)
    _fill(nnx, model, on_device(weights_of(weights, lambda: _weights(nnx, model))))
    model.eval()
    return model


def _weights(nnx: ModuleType, model: object) -> tuple[Params, ModelState]:
    """Return parameters and carried state as dicts with strings as keys, which files need."""
    _, params, _, state = nnx.split(model, nnx.Param, nnx.RngState, ...)
    return _with_string_keys(nnx.to_pure_dict(params)), _with_string_keys(nnx.to_pure_dict(state))


def _with_string_keys(tree: Tree) -> Tree:
    """Turn the indices of lists into strings."""
    if not isinstance(tree, dict):
        return tree
    return {str(key): _with_string_keys(x) for key, x in tree.items()}


def _fill(nnx: ModuleType, model: object, weights: tuple[Params, ModelState]) -> None:
    """Set the model's variables to these weights."""
    _, params, _, state = nnx.split(model, nnx.Param, nnx.RngState, ...)
    for variables, values in zip((params, state), weights, strict=True):
        nnx.replace_by_pure_dict(variables, values)
    nnx.update(model, params, state)
