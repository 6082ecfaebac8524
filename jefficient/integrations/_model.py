"""A model of another framework as a `Task`: loss and metrics see its outputs, hyperparameters find their way."""

import dataclasses
import functools
import importlib
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from .._core import signatures
from .._core.errors import ArgumentError, ArgumentTypeError, JefficientError
from .._core.typing import Tree
from ..sweeps import Task
from ..training import regularized

Names = Mapping[str, bool]
"""The names that a function asks for, and whether it requires them."""


@dataclasses.dataclass(frozen=True)
class Model:
    """What a framework has to say.

    Attributes:
        where: the public name of the function that makes the task, for errors.
        asked: the hyperparameters of the model.
        init: ``(key, hyperparameters) -> (params, state)``.
        apply: ``(params, state, inputs, key, hyperparameters) -> (outputs, state)``; `inputs` are
            the model's arguments, and `key` is None in evaluation.
    """

    where: str
    asked: Names
    init: Callable[[jax.Array, dict[str, Any]], tuple[Tree, Tree]]
    apply: Callable[[Tree, Tree, tuple, jax.Array | None, dict[str, Any]], tuple[Any, Tree]]


def task_of(
    model: Model,
    loss: Callable,
    data: Tree,
    inputs: Any,
    metrics: Mapping[str, Callable],
    **rest: Any,
) -> Task:
    """The task; `rest` are the other arguments of `Task`."""
    where, read = model.where, reader(model.where, inputs)
    if not isinstance(metrics, Mapping):
        raise ArgumentTypeError(f"{where}: metrics must map a name to a function, got {metrics!r}.")

    def init(key: jax.Array, **given: Any) -> tuple[Tree, Tree]:
        return model.init(key, given)

    def of_outputs(name: str, function: Callable, has_key: bool) -> Callable:
        asked = names_of(f"{where}: {name}", function, 2)
        if "key" in asked:
            raise ArgumentError(
                f"{where}: {name} must not name key, got {list(asked)}. The model gets the key."
            )

        def value(
            params: Tree, model_state: Tree, batch: Tree, key: jax.Array | None = None, **given: Any
        ) -> Any:
            chosen = signatures.pick(given, model.asked)
            outputs, state = model.apply(params, model_state, read(batch), key, chosen)
            x = function(outputs, batch, **signatures.pick(given, asked))
            return (x, state) if has_key else x

        own = {"key": False} if has_key else {}
        return _naming(value, ("params", "model_state", "batch"), [own, model.asked, asked])

    return Task(
        init=_naming(init, ("key",), [model.asked]),
        loss=_loss(where, loss, lambda function: of_outputs("loss", function, True)),
        data=data,
        metrics={name: of_outputs(f"metrics[{name!r}]", f, False) for name, f in metrics.items()},
        model_state=True,
        **rest,
    )


def _loss(where: str, loss: Callable, of_outputs: Callable[[Callable], Callable]) -> Callable:
    """The loss of weights; a penalised one penalises them, not the outputs."""
    if isinstance(loss, functools.partial) and isinstance(loss.func, regularized):
        raise ArgumentError(
            f"{where}: loss must not be a partial of a jf.regularized one. Give it the strengths itself."
        )
    if isinstance(loss, regularized):
        return regularized(of_outputs(loss.unpenalised), loss.l1, loss.l2, mask=loss.mask)
    return of_outputs(loss)


def reader(where: str, inputs: Any) -> Callable[[Tree], tuple]:
    """``batch -> (x, …)``, the arguments of the model."""

    def entry(batch: Tree) -> Any:
        try:
            return batch[inputs]
        except (KeyError, IndexError, TypeError):
            held = list(batch) if isinstance(batch, Mapping) else type(batch).__name__
            raise ArgumentError(
                f"{where}: inputs must be an entry of the batch, or a function of it, got {inputs=} for {held}."
            ) from None

    read = inputs if callable(inputs) else entry

    def arguments(batch: Tree) -> tuple:
        x = read(batch)
        return x if isinstance(x, tuple) else (x,)

    return arguments


def names_of(where: str, function: Callable, positional: int = 0) -> dict[str, bool]:
    """The names that a function asks for after its first `positional` arguments."""
    required = signatures.names_required(where, function, positional)
    return {name: name in required for name in signatures.names_asked(where, function, positional)}


def names_beside(where: str, build: Callable, source: str) -> dict[str, bool]:
    """The hyperparameters of `build`, which has to take `source` (key, rngs) as well."""
    is_class = isinstance(build, type)
    function = build.__init__ if is_class else build
    names = names_of(f"{where}: build", function, int(is_class))
    if source not in names and not signatures.takes_any(function):
        raise ArgumentError(
            f"{where}: build must name {source}, got {list(names)}. Write lambda {source}: Model(…, {source}={source})."
        )
    return {name: required for name, required in names.items() if name != source}


_IN_TRAINING = {
    **dict.fromkeys(("train", "training", "is_training"), True),
    **dict.fromkeys(("deterministic", "use_running_average", "inference"), False),
}


def flags(model: Callable, is_training: bool) -> dict[str, bool]:
    """The arguments by which a model's call is told training from evaluation, those that it names."""
    asked = signatures.names_asked("jf.integrations", model)
    return {name: value == is_training for name, value in _IN_TRAINING.items() if name in asked}


def on_device(tree: Tree) -> Tree:
    """With jax arrays as leaves: weights that were kept are NumPy's."""
    return jax.tree.map(jnp.asarray, tree)


def needed(where: str, package: str, module: str) -> Any:
    """A module of an optional package."""
    try:
        return importlib.import_module(module)
    except ImportError:
        raise JefficientError(
            f"{where}: {package} must be installed: pip install 'jefficient[{package}]'."
        ) from None


def _naming(function: Callable, positional: Iterable[str], asked: Iterable[Names]) -> Callable:
    """The function, with a signature that asks for these names: a sweep reads it."""
    merged: dict[str, bool] = {}
    for names in asked:
        for name, required in names.items():
            merged[name] = required or merged.get(name, False)
    first = [
        inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in positional
    ]
    rest = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if required else None,
        )
        for name, required in merged.items()
    ]
    function.__signature__ = inspect.Signature([*first, *rest])  # pyright: ignore[reportFunctionMemberAccess]
    return function
