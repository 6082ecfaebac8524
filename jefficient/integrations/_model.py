"""What the frameworks share: a `Task` of a model, with loss and metrics of its outputs."""

import dataclasses
import functools
import importlib
import inspect
import os
from collections.abc import Callable, Hashable, Iterable, Mapping
from types import ModuleType
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp

from .._core import signatures
from .._core.errors import ArgumentError, ArgumentTypeError, JefficientError
from .._core.typing import Examples, ModelState, Params, Tree
from ..sweeps import Metric, Task
from ..training import regularized

Names: TypeAlias = Mapping[str, bool]
"""The names that a function takes, and whether it requires them."""

_TRUE_IN_TRAINING = ("train", "training", "is_training")
_TRUE_IN_EVALUATION = ("deterministic", "use_running_average", "inference")


@dataclasses.dataclass(frozen=True)
class Model:
    """A model of a framework as pure functions.

    Attributes:
        where: the public name of the function that makes the task, for errors.
        names: the hyperparameters of the model.
        init: ``(key, hyperparameters) -> (params, state)``.
        apply: ``(params, state, inputs, key, hyperparameters) -> (outputs, state)``; `inputs` are
            the model's arguments, and `key` is None in evaluation.
    """

    where: str
    names: Names
    init: Callable[[jax.Array, dict[str, Any]], tuple[Params, ModelState]]
    apply: Callable[
        [Params, ModelState, tuple, jax.Array | None, dict[str, Any]], tuple[Tree, ModelState]
    ]


def task_of(
    model: Model,
    loss: Callable[..., jax.Array],
    data: Examples,
    inputs: Hashable | Callable[[Examples], Any],
    metrics: Mapping[str, Callable[..., Any] | Metric] | None,
    **others: Any,
) -> Task:
    """Make the task; `others` are further arguments of `Task`."""
    where = model.where
    if metrics is None:
        metrics = {}
    if not isinstance(metrics, Mapping):
        raise ArgumentTypeError(f"{where}: metrics must map a name to a function, got {metrics!r}.")
    read = reader(where, inputs)

    def init(key: jax.Array, **given: object) -> tuple[Params, ModelState]:
        return model.init(key, given)

    def loss_of_weights(function: Callable[..., jax.Array]) -> Callable[..., Any]:
        return _of_weights(model, read, "loss", function, has_key=True)

    def metric_of_weights(
        name: str, metric: Callable[..., Any] | Metric
    ) -> Callable[..., Any] | Metric:
        called = f"metrics[{name!r}]"
        if not isinstance(metric, Metric):
            return _of_weights(model, read, called, metric, has_key=False)
        predict = _of_weights(model, read, f"{called}.predict", metric.predict, has_key=False)
        return dataclasses.replace(metric, predict=predict)

    return Task(
        init=_with_signature(init, ("key",), [model.names]),
        loss=_loss(where, loss, loss_of_weights),
        data=data,
        metrics={name: metric_of_weights(name, metric) for name, metric in metrics.items()},
        model_state=True,
        **others,
    )


def _of_weights(
    model: Model,
    read: Callable[[Examples], tuple],
    name: str,
    function: Callable[..., jax.Array],
    *,
    has_key: bool,
) -> Callable[..., Any]:
    """Turn a function of outputs into one of weights; a loss has a key and returns the state."""
    names = names_of(f"{model.where}: {name}", function, 2)
    if "key" in names:
        raise ArgumentError(
            f"{model.where}: {name} must not take key, got {list(names)}. The model gets the key."
        )

    def value(
        params: Params,
        model_state: ModelState,
        batch: Examples,
        key: jax.Array | None = None,
        **given: object,
    ) -> jax.Array | tuple[jax.Array, ModelState]:
        own = signatures.pick(given, model.names)
        outputs, state = model.apply(params, model_state, read(batch), key, own)
        x = function(outputs, batch, **signatures.pick(given, names))
        return (x, state) if has_key else x

    key = {"key": False} if has_key else {}
    return _with_signature(value, ("params", "model_state", "batch"), [key, model.names, names])


def _loss(
    where: str,
    loss: Callable[..., jax.Array],
    of_weights: Callable[[Callable[..., jax.Array]], Callable[..., Any]],
) -> Callable[..., Any]:
    """Return the loss of weights; a `jf.regularized` one penalises them, not the outputs."""
    if isinstance(loss, functools.partial) and isinstance(loss.func, regularized):
        raise ArgumentError(
            f"{where}: loss must not be a partial of a jf.regularized one. Give the strengths to "
            f"jf.regularized."
        )
    if isinstance(loss, regularized):
        return regularized(of_weights(loss.unpenalised), loss.l1, loss.l2, mask=loss.mask)
    return of_weights(loss)


def reader(where: str, inputs: Hashable | Callable[[Examples], Any]) -> Callable[[Examples], tuple]:
    """Return ``batch -> (x, …)``, the arguments of the model."""

    def entry(batch: Examples) -> Examples:
        try:
            return batch[inputs]
        except (KeyError, IndexError, TypeError):
            held = list(batch) if isinstance(batch, Mapping) else type(batch).__name__
            raise ArgumentError(
                f"{where}: inputs must be an entry of the batch, or a function of it, got "
                f"{inputs=} for {held}."
            ) from None

    read = inputs if callable(inputs) else entry

    def arguments(batch: Examples) -> tuple:
        x = read(batch)
        return x if isinstance(x, tuple) else (x,)

    return arguments


def names_of(where: str, function: Callable[..., Any], positional: int = 0) -> dict[str, bool]:
    """Return the names that a function takes after its first `positional` arguments."""
    required = signatures.names_required(where, function, positional)
    return {name: name in required for name in signatures.names_asked(where, function, positional)}


def names_beside(where: str, build: Callable[..., Any], source: str) -> dict[str, bool]:
    """Return the hyperparameters of `build`, which must take `source` (key or rngs) as well."""
    is_class = isinstance(build, type)
    function = build.__init__ if is_class else build
    names = names_of(f"{where}: build", function, int(is_class))
    if source not in names and not signatures.takes_any(function):
        raise ArgumentError(
            f"{where}: build must take {source}, got {list(names)}. Write lambda {source}: "
            f"Model(…, {source}={source})."
        )
    return {name: required for name, required in names.items() if name != source}


def flags(model: Callable[..., Any], is_training: bool) -> dict[str, bool]:
    """Return the arguments of the model's call that tell training from evaluation."""
    taken = signatures.names_asked("jf.integrations", model)
    return {
        **{name: is_training for name in _TRUE_IN_TRAINING if name in taken},
        **{name: not is_training for name in _TRUE_IN_EVALUATION if name in taken},
    }


def weights_of(
    weights: tuple[Params, ModelState] | str | os.PathLike,
    like: Callable[[], tuple[Params, ModelState]],
) -> tuple[Params, ModelState]:
    """Return weights, or those in the file that `save_params` wrote of such weights."""
    if not isinstance(weights, str | os.PathLike):
        return weights
    from ..results import load_params  # which imports xarray

    return load_params(weights, like())


def on_device(tree: Tree) -> Tree:
    """Turn the leaves, NumPy arrays in a result, into jax arrays."""
    return jax.tree.map(jnp.asarray, tree)


def import_optional(where: str, package: str, module: str) -> ModuleType:
    """Import a module of an optional package."""
    try:
        return importlib.import_module(module)
    except ImportError:
        raise JefficientError(
            f"{where}: {package} must be installed: pip install 'jefficient[{package}]'."
        ) from None


def _with_signature(
    function: Callable[..., Any], positional: Iterable[str], names: Iterable[Names]
) -> Callable[..., Any]:
    """Give the function a signature with these names, by which sweeps find hyperparameters."""
    required: dict[str, bool] = {}
    for own in names:
        for name, is_required in own.items():
            required[name] = is_required or required.get(name, False)
    parameter = inspect.Parameter
    signature = [parameter(name, parameter.POSITIONAL_OR_KEYWORD) for name in positional]
    for name, is_required in required.items():
        default = parameter.empty if is_required else None
        signature.append(parameter(name, parameter.KEYWORD_ONLY, default=default))
    function.__signature__ = inspect.Signature(signature)  # pyright: ignore[reportFunctionMemberAccess]
    return function
