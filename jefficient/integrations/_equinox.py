"""Equinox: a function that builds a model, as a task; and a trained model back."""

from collections.abc import Callable, Mapping
from typing import Any

import jax

from .._core import signatures
from .._core.typing import Tree
from ..sweeps import Task
from ._model import Model, flags, names_beside, needed, on_device, task_of


def equinox_task(
    build: Callable,
    loss: Callable,
    data: Tree,
    *,
    inputs: Any = "x",
    metrics: Mapping[str, Callable] | None = None,
    validation: Tree | float | None = None,
    test: Tree | None = None,
    prepare: tuple[Callable, Callable] | None = None,
) -> Task:
    """An Equinox model as a `jf.Task`: batch-norm and dropout are on in training, off in evaluation.

    The model is called on one row, under ``jax.vmap(…, axis_name="batch")``: ``model(x)``, or
    ``model(x, state)`` where it has state. Where its `__call__` names `key`, it gets one for each
    row, split from the step's. Evaluation has no key and calls ``eqx.nn.inference_mode(model)``. A
    flag that `__call__` names is set: inference or deterministic is True in evaluation, train,
    training or is_training in training.

    Args:
        build: ``(key, …) -> model``; a class of models is one. It gets a key by the name `key`; the
            other names it asks for are hyperparameters. Those that shape the model have to be
            static, ``width=jf.static([32, 64])``; the rate of `eqx.nn.Dropout` may be traced. It
            may return ``(model, state)``, as ``eqx.nn.make_with_state(Model)`` does; a model with
            state for which that was not called is taken as if it had been.
        loss: ``(outputs, batch, …) -> scalar``, the mean over the batch. `outputs` is what the
            model returned, with a leading axis of rows. A `jf.regularized` one penalises the
            parameters.
        data: the training rows, as in `jf.Task`.
        inputs: the entry of a batch that the model gets (a key, a place), or ``batch -> array``, or
            ``-> tuple``, its arguments, each with a leading axis of rows.
        metrics: name to ``(outputs, batch, …) -> (n,)`` or ``-> scalar``, as in `jf.Task`.
        validation: as in `jf.Task`.
        test: as in `jf.Task`.
        prepare: as in `jf.Task`.

    Returns:
        A `jf.Task`. Weights are ``(params, (constants, state))``: the model's floating arrays,
        which are trained; its other arrays; its `eqx.nn.State`. A hyperparameter that the model
        keeps as it came (a rate) is not trained; a number computed from one would be.
        `equinox_model` makes a model of the weights. They are in trees of classes, so a saved
        result gives them back by ``jf.load(path, task=…)``. Where loss, metrics and build ask for
        the same hyperparameter, all get it.

    Raises:
        JefficientError: where equinox is missing.
        ArgumentError: where `build` does not name `key`, loss or a metric names `key`, or as for
            `jf.Task`; by a sweep, where a batch has no such entry.
        ArgumentTypeError: as for `jf.Task`.

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
    eqx = needed(where, "equinox", "equinox")

    def init(key: jax.Array, given: dict[str, Any]) -> tuple[Tree, Tree]:
        model, state, _ = _built(eqx, build, key, given)
        params, constants, _ = _parts(eqx, model, given)
        return params, (constants, state)

    def apply(
        params: Tree, carried: Tree, x: tuple, key: jax.Array | None, given: dict[str, Any]
    ) -> tuple[Any, Tree]:
        (constants, state), (rest, has_state) = carried, _rest(eqx, build, given)
        model = eqx.combine(params, constants, rest)
        if key is None:
            model = eqx.nn.inference_mode(model)
        outputs, state = _rows(model, has_state, x, state, key)
        return outputs, (constants, state)

    model = Model(where, names_beside(where, build, "key"), init, apply)
    return task_of(
        model, loss, data, inputs, metrics or {}, validation=validation, test=test, prepare=prepare
    )


def equinox_model(
    build: Callable, weights: tuple[Tree, Tree], hyperparameters: Mapping[str, Any] | None = None
) -> Any:
    """The trained model of an `equinox_task`, in inference mode.

    Args:
        build: what the task was made with.
        weights: ``(params, (constants, state))``, as `result.params()` gives them.
        hyperparameters: name to value, of which `build` gets those it asks for:
            `result.best().hyperparameters`.

    Returns:
        The model; the pair ``(model, state)`` where it has state.

    Raises:
        JefficientError: where equinox is missing.
        ArgumentError: where `build` does not name `key`.

    Examples:
        >>> import equinox as eqx
        >>> import jax, jax.numpy as jnp
        >>> import jefficient as jf
        >>> build = lambda key: eqx.nn.Linear(3, 1, key=key)
        >>> task = jf.integrations.equinox_task(build, lambda outputs, batch: outputs.mean(), {"x": jnp.ones((4, 3))})
        >>> params, rest = task.init(jax.random.key(0))
        >>> twos = jax.tree.map(lambda x: jnp.full_like(x, 2.0), params)
        >>> jf.integrations.equinox_model(build, (twos, rest))(jnp.ones(3)).item()
        8.0
    """
    where = "jf.integrations.equinox_model"
    eqx = needed(where, "equinox", "equinox")
    given = signatures.pick(hyperparameters or {}, names_beside(where, build, "key"))
    rest, has_state = _rest(eqx, build, given)
    params, (constants, state) = on_device(weights)
    model = eqx.nn.inference_mode(eqx.combine(params, constants, rest))
    return (model, state) if has_state else model


def _built(
    eqx: Any, build: Callable, key: jax.Array, given: dict[str, Any]
) -> tuple[Any, Any, bool]:
    """The model, its state, and whether it is called with one."""
    made = build(key=key, **given)
    if isinstance(made, tuple):
        return *made, True
    model, state = eqx.nn.make_with_state(lambda: made)()
    return model, state, bool(jax.tree.leaves(state))


def _parts(eqx: Any, model: Any, given: dict[str, Any]) -> tuple[Tree, Tree, Tree]:
    """The model in three, None in place of what is in another: trained arrays, other arrays, the rest."""

    def is_array(x: Any) -> bool:
        return eqx.is_array(x) and not any(x is value for value in given.values())

    arrays, rest = eqx.partition(model, is_array)
    return *eqx.partition(arrays, eqx.is_inexact_array), rest


def _rest(eqx: Any, build: Callable, given: dict[str, Any]) -> tuple[Tree, bool]:
    """What of a model is no array, hyperparameters among it, and whether it is called with state."""
    found = []

    def shapes(key: jax.Array) -> None:
        model, _, has_state = _built(eqx, build, key, given)
        found[:] = [(_parts(eqx, model, given)[2], has_state)]

    jax.eval_shape(shapes, jax.random.key(0))
    return found[0]


def _rows(
    model: Any, has_state: bool, x: tuple, state: Tree, key: jax.Array | None
) -> tuple[Any, Tree]:
    """The outputs of all rows, and the state after them."""
    told = flags(model.__call__, key is not None)
    takes_key = key is not None and "key" in signatures.names_asked(
        "jf.integrations", model.__call__
    )
    keys = (
        jax.random.split(key, jax.tree.leaves(x)[0].shape[0])
        if takes_key and key is not None
        else None
    )

    def row(x: tuple, state: Tree, key: jax.Array | None) -> tuple[Any, Tree]:
        own = told if key is None else {**told, "key": key}
        return model(*x, state, **own) if has_state else (model(*x, **own), state)

    return jax.vmap(row, in_axes=(0, None, 0), out_axes=(0, None), axis_name="batch")(
        x, state, keys
    )
