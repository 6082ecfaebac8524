"""Flax NNX: a function that builds a module, as a task; and a trained module back."""

from collections.abc import Callable, Mapping
from typing import Any

import jax

from .._core import signatures
from .._core.typing import Tree
from ..sweeps import Task
from ._model import Model, flags, names_beside, needed, on_device, task_of


def nnx_task(
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
    """An NNX module as a `jf.Task`: batch-norm and dropout are on in training, off in evaluation.

    Every step builds the module with the step's key and gives it the trial's parameters and state:
    so its random streams are fresh, and only the structure of what was built is used. In evaluation
    its `eval` method is called. A flag that its `__call__` names is set: train, training or
    is_training is True in training, deterministic or use_running_average in evaluation.

    Args:
        build: ``(rngs, …) -> module``; a class of modules is one. It gets an `nnx.Rngs` by the name
            `rngs`; the other names it asks for are hyperparameters. Those that shape the model, and
            the rate of `nnx.Dropout`, which branches on it, have to be static:
            ``width=jf.static([32, 64])``.
        loss: ``(outputs, batch, …) -> scalar``, the mean over the batch. `outputs` is what the
            module returned. A `jf.regularized` one penalises the parameters.
        data: the training rows, as in `jf.Task`.
        inputs: the entry of a batch that the module gets (a key, a place), or ``batch -> array``,
            or ``-> tuple``, its arguments.
        metrics: name to ``(outputs, batch, …) -> (n,)`` or ``-> scalar``, as in `jf.Task`.
        validation: as in `jf.Task`.
        test: as in `jf.Task`.
        prepare: as in `jf.Task`.

    Returns:
        A `jf.Task`. Weights are pairs of dicts ``(params, state)``: the `nnx.Param` variables,
        which are trained, and all others but those of random streams (batch-norm's averages), which
        go from step to step. `nnx_model` makes a module of them. Where loss, metrics and build ask
        for the same hyperparameter, all get it.

    Raises:
        JefficientError: where flax is missing.
        ArgumentError: where `build` does not name `rngs`, loss or a metric names `key`, or as for
            `jf.Task`; by a sweep, where a batch has no such entry.
        ArgumentTypeError: as for `jf.Task`.

    Examples:
        >>> from flax import nnx
        >>> import jax, numpy as np, optax
        >>> import jefficient as jf
        >>> class Net(nnx.Module):
        ...     def __init__(self, width=8, *, rngs):
        ...         self.first, self.last = nnx.Linear(3, width, rngs=rngs), nnx.Linear(width, 2, rngs=rngs)
        ...         self.norm, self.dropout = nnx.BatchNorm(width, rngs=rngs), nnx.Dropout(0.1, rngs=rngs)
        ...     def __call__(self, x):
        ...         return self.last(self.dropout(nnx.relu(self.norm(self.first(x)))))
        >>> task = jf.integrations.nnx_task(
        ...     Net,
        ...     loss=lambda logits, batch: optax.softmax_cross_entropy_with_integer_labels(logits, batch["y"]).mean(),
        ...     data={"x": np.ones((10, 3), np.float32), "y": np.zeros(10, np.int32)},
        ... )
        >>> params, state = task.init(jax.random.key(0), width=4)
        >>> sorted(params), sorted(state), params["first"]["kernel"].shape
        (['first', 'last', 'norm'], ['norm'], (3, 4))
    """
    where = "jf.integrations.nnx_task"
    nnx = needed(where, "flax", "flax.nnx")

    def init(key: jax.Array, given: dict[str, Any]) -> tuple[Tree, Tree]:
        return _weights(nnx, build(rngs=nnx.Rngs(key), **given))

    def apply(
        params: Tree, state: Tree, x: tuple, key: jax.Array | None, given: dict[str, Any]
    ) -> tuple[Any, Tree]:
        model = build(rngs=nnx.Rngs(jax.random.key(0) if key is None else key), **given)
        _fill(nnx, model, (params, state))
        if key is None:
            model.eval()
        outputs = model(*x, **flags(model.__call__, key is not None))
        return outputs, _weights(nnx, model)[1]

    model = Model(where, names_beside(where, build, "rngs"), init, apply)
    return task_of(
        model, loss, data, inputs, metrics or {}, validation=validation, test=test, prepare=prepare
    )


def nnx_model(
    build: Callable, weights: tuple[Tree, Tree], hyperparameters: Mapping[str, Any] | None = None
) -> Any:
    """The trained module of an `nnx_task`, in evaluation mode.

    Args:
        build: what the task was made with.
        weights: ``(params, state)``, as `result.params()` gives them.
        hyperparameters: name to value, of which `build` gets those it asks for:
            `result.best().hyperparameters`.

    Returns:
        An `nnx.Module` as `build` makes it, with the weights, after its `eval()`.

    Raises:
        JefficientError: where flax is missing.
        ArgumentError: where `build` does not name `rngs`.

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
    nnx = needed(where, "flax", "flax.nnx")
    given = signatures.pick(hyperparameters or {}, names_beside(where, build, "rngs"))
    model = build(rngs=nnx.Rngs(0), **given)
    _fill(nnx, model, on_device(weights))
    model.eval()
    return model


def _weights(nnx: Any, model: Any) -> tuple[Tree, Tree]:
    """What is trained and what is carried along, as dicts with texts as keys, which a file can describe."""
    _, params, _, state = nnx.split(model, nnx.Param, nnx.RngState, ...)
    return _texts(nnx.to_pure_dict(params)), _texts(nnx.to_pure_dict(state))


def _texts(tree: Any) -> Any:
    """With texts as keys: a list's places are numbers."""
    return {str(key): _texts(x) for key, x in tree.items()} if isinstance(tree, dict) else tree


def _fill(nnx: Any, model: Any, weights: tuple[Tree, Tree]) -> None:
    """Give the model these weights."""
    _, params, _, state = nnx.split(model, nnx.Param, nnx.RngState, ...)
    for kept, values in zip((params, state), weights, strict=True):
        nnx.replace_by_pure_dict(kept, values)
    nnx.update(model, params, state)
