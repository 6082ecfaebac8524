"""Equinox: tasks of models, and models of trained weights."""

import dataclasses
import os
from collections.abc import Callable, Hashable, Mapping
from functools import partial
from types import ModuleType
from typing import Any, Literal

import jax

from .._core import signatures
from .._core.typing import Examples, ModelState, Params, State, Tree
from ..sweeps import Metric, Task
from ..transforms import evaluation_params
from ._model import Model, flags, import_optional, names_beside, on_device, task_of, weights_of


def equinox_task(
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
    """Make a `jf.Task` of an Equinox model. Batch-norm and dropout are on in training only.

    The model is called on one example, under ``jax.vmap(…, axis_name="batch")``: ``model(x)``, or
    ``model(x, state)`` if it has state. If its `__call__` has an argument `key`, each example gets
    a key, split from the step's. Evaluation has no key and calls ``eqx.nn.inference_mode(model)``.
    Arguments of `__call__` that tell training from evaluation are set: `inference` and
    `deterministic` are True in evaluation; `train`, `training` and `is_training` in training.

    Args:
        build: ``(key, …) -> model``, such as a class of models. It gets a key as `key`; its other
            arguments are hyperparameters. Those that shape the model must be static,
            ``width=jf.static([32, 64])``; the rate of `eqx.nn.Dropout` may be traced. It may return
            ``(model, state)``, as ``eqx.nn.make_with_state(Model)`` does; this is done for a model
            with state if `build` does not.
        loss: ``(outputs, batch, …) -> scalar``, the mean over the batch. `outputs` is what the
            model returned, with a leading axis of examples. `jf.regularized` penalises the
            parameters.
        data: the training examples, as in `jf.Task`.
        inputs: the key of the batch's entry that the model gets, or ``batch -> array``, or
            ``batch -> tuple`` of the model's arguments, each with a leading axis of examples.
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
        A `jf.Task`. Weights are ``(params, (constants, state))``: the model's floating arrays,
        which are trained; its other arrays; its `eqx.nn.State`. A hyperparameter that the model
        stores as it is (a rate) is not trained; a number computed from one would be.
        `equinox_model` makes a model of the weights. They are trees of classes, so the weights of a
        saved result are read by ``jf.load(path, task=…)``. Loss, metrics and `build` may have
        hyperparameters in common.

    Raises:
        JefficientError: if equinox is not installed.
        ArgumentError: if `build` has no argument `key`, if loss or a metric has one, or as in
            `jf.Task`; by a sweep, if a batch has no such entry.
        ArgumentTypeError: as in `jf.Task`.

    Examples:
        >>> import equinox as eqx
        >>> import jax, numpy as np
        >>> import jefficient as jf
        >>> task = jf.integrations.equinox_task(
        ...     lambda key, width: eqx.nn.MLP(3, "scalar", width, depth=1, key=key),
        ...     loss=lambda outputs, batch: ((outputs - batch["y"]) ** 2).mean(),
        ...     data={"x": np.ones((10, 3), np.float32), "y": np.zeros(10, np.float32)},
        ... )
        >>> params, (constants, state) = task.init(jax.random.key(0), width=4)
        >>> params.layers[0].weight.shape, jax.tree.leaves((constants, state))
        ((4, 3), [])
    """
    where = "jf.integrations.equinox_task"
    eqx = import_optional(where, "equinox", "equinox")

    def init(key: jax.Array, given: dict[str, Any]) -> tuple[Params, ModelState]:
        model, state, _ = _built(eqx, build, key, given)
        params, constants, _ = _partition(eqx, model, given)
        return params, (constants, state)

    def apply(
        params: Params, carried: ModelState, x: tuple, key: jax.Array | None, given: dict[str, Any]
    ) -> tuple[Tree, ModelState]:
        constants, state = carried
        structure = _structure(eqx, build, given)
        model = eqx.combine(params, constants, structure.rest)
        if key is None:
            model = eqx.nn.inference_mode(model)
        outputs, state = _call(model, structure.has_state, x, state, key)
        return outputs, (constants, state)

    model = Model(where, names_beside(where, build, "key"), init, apply)
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


def equinox_model(
    build: Callable[..., Any],
    weights: tuple[Params, ModelState] | str | os.PathLike,
    hyperparameters: Mapping[str, Any] | None = None,
) -> Any:
    """Return the trained model of an `equinox_task`, in inference mode.

    Args:
        build: the task's `build`.
        weights: ``(params, (constants, state))``, as `result.params()` returns them, or the file
            that `result.save_params` wrote.
        hyperparameters: name to value, such as `result.best().hyperparameters`; `build` gets those
            that it takes.

    Returns:
        The model; the pair ``(model, state)`` if it has state.

    Raises:
        JefficientError: if equinox is not installed.
        ArgumentError: if `build` has no argument `key`, or the file is of another model.

    Examples:
        >>> import equinox as eqx
        >>> import jax, jax.numpy as jnp
        >>> import jefficient as jf
        >>> build = lambda key: eqx.nn.Linear(3, 1, key=key)
        >>> loss = lambda outputs, batch: outputs.mean()
        >>> task = jf.integrations.equinox_task(build, loss, {"x": jnp.ones((4, 3))})
        >>> params, rest = task.init(jax.random.key(0))
        >>> twos = jax.tree.map(lambda x: jnp.full_like(x, 2.0), params)
        >>> jf.integrations.equinox_model(build, (twos, rest))(jnp.ones(3)).item()
        8.0
    """
    where = "jf.integrations.equinox_model"
    eqx = import_optional(where, "equinox", "equinox")
    given = signatures.pick(hyperparameters or {}, names_beside(where, build, "key"))
    structure = _structure(eqx, build, given)
    like = partial(_like, eqx, build, given)
    params, (constants, state) = on_device(weights_of(weights, like))
    model = eqx.nn.inference_mode(eqx.combine(params, constants, structure.rest))
    return (model, state) if structure.has_state else model


@dataclasses.dataclass(frozen=True, eq=False)
class _Structure:
    """What of a model is not an array, hyperparameters included, and whether it has state.

    Not a pytree, and compared by identity: so it passes through `eval_shape` with traced numbers.
    """

    rest: Tree
    has_state: bool


def _structure(eqx: ModuleType, build: Callable[..., Any], given: dict[str, Any]) -> _Structure:
    def of(key: jax.Array) -> _Structure:
        model, _, has_state = _built(eqx, build, key, given)
        return _Structure(_partition(eqx, model, given)[2], has_state)

    return eqx.filter_eval_shape(of, jax.random.key(0))  # computes no array


def _like(
    eqx: ModuleType, build: Callable[..., Any], given: dict[str, Any]
) -> tuple[Params, ModelState]:
    """Return the weights as shapes and dtypes."""

    def of(key: jax.Array) -> tuple[Params, ModelState]:
        model, state, _ = _built(eqx, build, key, given)
        params, constants, _ = _partition(eqx, model, given)
        return params, (constants, state)

    return eqx.filter_eval_shape(of, jax.random.key(0))


def _built(
    eqx: ModuleType, build: Callable[..., Any], key: jax.Array, given: dict[str, Any]
) -> tuple[Tree, ModelState, bool]:
    """Return the model, its state, and whether it is called with state."""
    made = build(key=key, **given)
    if isinstance(made, tuple):
        return *made, True
    model, state = eqx.nn.make_with_state(lambda: made)()
    return model, state, bool(jax.tree.leaves(state))


def _partition(eqx: ModuleType, model: Tree, given: dict[str, Any]) -> tuple[Params, Tree, Tree]:
    """Split the model into trained arrays, other arrays and the rest, each with None elsewhere."""

    def is_array(x: object) -> bool:
        return eqx.is_array(x) and not any(x is value for value in given.values())

    arrays, rest = eqx.partition(model, is_array)
    return *eqx.partition(arrays, eqx.is_inexact_array), rest


def _call(
    model: Callable[..., Any], has_state: bool, x: tuple, state: ModelState, key: jax.Array | None
) -> tuple[Tree, ModelState]:
    """Return the outputs for all examples, and the state after them."""
    told = flags(model.__call__, key is not None)
    keys = None
    if key is not None and "key" in signatures.names_asked("jf.integrations", model.__call__):
        keys = jax.random.split(key, jax.tree.leaves(x)[0].shape[0])

    def one(x: tuple, state: ModelState, key: jax.Array | None) -> tuple[Tree, ModelState]:
        own = told if key is None else {**told, "key": key}
        return model(*x, state, **own) if has_state else (model(*x, **own), state)

    batched = jax.vmap(one, in_axes=(0, None, 0), out_axes=(0, None), axis_name="batch")
    return batched(x, state, keys)
