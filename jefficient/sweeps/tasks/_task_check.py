"""Checks of a task's functions with the numbers of the configurations, before any compilation."""

from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ..._core import trees
from ..._core.checks import check_not_negative, check_real
from ..._core.errors import ArgumentError, ArgumentTypeError
from ..._core.reuse import key_like, once, shapes_of
from ..._core.typing import Examples, Params, Tree
from ._drawn_data import DrawnData
from ._hyperparameters import HyperparameterTable, check_configurations, check_traced
from ._injection import Injection, Requester, is_regularized
from ._lane_data import LaneData
from ._notes import WHERE, annotate_errors, annotate_function
from ._task import Task, count_examples
from ._trial import Trial


def check_functions(
    task: Task,
    injection: Injection,
    trial: Trial,
    data: LaneData,
    static: dict[str, Any],
    table: HyperparameterTable,
    reuse_key: Hashable,
    is_evaluated: bool,
) -> None:
    """Build the optimizer of every configuration, and trace the functions for some of them.

    Tracing takes milliseconds, so a function with many distinct sets of hyperparameters is traced
    for `MOST_CHECKED` of them and the extremes of each hyperparameter. Each function is traced
    alone, with concrete hyperparameters: what checks them in Python raises here. What was traced in
    an earlier call with the same functions (`reuse_key` is what they depend on) is not again.
    `is_evaluated`: whether there is a validation set, or a test set.
    """
    key = key_like()
    of_arguments = partial(_arguments, task, trial, data, static, table[0])
    weights, batch = once(("arguments", reuse_key), of_arguments)
    arguments = weights if task.model_state else (weights,)
    functions = _FunctionCheck(task, injection, static, table, reuse_key)

    requested = injection.optimizer.requested
    check_configurations(injection.build_optimizer, requested, table, static)
    functions.check(injection.init, _OF_ALL, key)
    _check_shapes(injection.init, key, static, table, reuse_key)
    if injection.augment is not None:
        functions.check(injection.augment, _OF_ALL, key, batch)
    functions.check(injection.evaluation, {**_of_metrics(batch), "key": key}, *arguments, batch)

    evaluated: tuple[Examples, ...] = (batch,)
    if isinstance(data, DrawnData):  # metrics see its points alone, and so does the loss
        evaluated = data.points
    takes_key = "key" in injection.evaluation.requested
    if isinstance(data, DrawnData) or (is_evaluated and takes_key):
        with _annotate_evaluation(task):
            for seen in evaluated:
                functions.check(injection.evaluation, _of_metrics(seen), *arguments, seen)
    for seen in evaluated:
        for requester in injection.metrics.values():
            functions.check(requester, _of_metrics(seen), *arguments, seen)
        for requester in injection.predicts.values():
            functions.check(requester, _OF_ALL, *arguments, seen)

    if is_regularized(injection.loss.function):
        check_configurations(_check_strengths, ("l1", "l2"), table, static)


_NUMBER = jax.ShapeDtypeStruct((), jnp.int32)
_OF_ALL = {"fold": _NUMBER}
"""What every function may request beside hyperparameters."""


def _of_metrics(batch: Examples) -> dict[str, Any]:
    """Return what a metric of these examples may request, and a loss in evaluation."""
    weights = jax.ShapeDtypeStruct((count_examples(batch),), jnp.float32)
    return {**_OF_ALL, "step": _NUMBER, "weights": weights, "key": None}


def _arguments(
    task: Task, trial: Trial, data: LaneData, static: dict[str, Any], first: dict[str, Any]
) -> tuple[Params, Examples]:
    """Return shapes of the weights of the first configuration, and of a batch."""
    key = key_like()
    with annotate_errors({**static, **first}):
        weights = jax.eval_shape(lambda key: trial.weights(trial.init(key, **first, fold=0)), key)
    batch = jax.eval_shape(
        lambda data, t, key, fold: data.training_batch(task, t, key, fold, static),
        data,
        _NUMBER,
        key,
        _NUMBER,
    )
    return weights, batch


class _FunctionCheck(NamedTuple):
    """Traces a task's functions for the hyperparameters of a table, each function alone."""

    task: Task
    injection: Injection
    static: dict[str, Any]
    table: HyperparameterTable
    reuse_key: Hashable

    def check(self, requester: Requester, values: dict[str, Any], *arguments: Tree) -> None:
        """Trace a function with those of the values that it requests, beside hyperparameters."""
        given = requester.choose(values)

        def trace(hyperparameters: dict[str, Any]) -> None:
            chosen = requester.choose(hyperparameters)
            with annotate_function(requester.name):
                value = jax.eval_shape(
                    lambda arguments, given: requester.function(*arguments, **given, **chosen),
                    arguments,
                    given,
                )
            if requester in (self.injection.evaluation, *self.injection.metrics.values()):
                has_state = self.task.model_state and requester is self.injection.evaluation
                _check_value(requester.name, value[0] if has_state else value)

        key = self.reuse_key, requester.name, shapes_of((arguments, given))
        check_traced(key, trace, requester.requested, self.table, self.static)


def _check_strengths(hyperparameters: dict[str, Any]) -> None:
    strengths = {name: x for name, x in hyperparameters.items() if name in ("l1", "l2")}
    check_not_negative("jf.regularized", **strengths)


def _check_value(name: str, value: object) -> None:
    """Check that a metric returns no dict, and a loss nothing beside: shapes are checked later."""
    parts = value if isinstance(value, tuple) and len(value) == 2 else (value,)
    if all(hasattr(x, "dtype") for x in parts):
        for x in parts:
            check_real(WHERE, name, x)
        return
    got = f"a dict with {list(value)}" if isinstance(value, dict) else type(value).__name__
    if name == "loss":
        raise ArgumentTypeError(
            f"{WHERE}: loss must return a scalar (the mean over the batch), got {got}. Return the "
            "loss alone: other numbers are metrics={'name': function}, and what training carries "
            "along needs model_state=True."
        )
    raise ArgumentTypeError(
        f"{WHERE}: {name} must return one number (the mean over the batch), or one for each "
        f"example, got {got}. Give each number a function of its own: "
        "metrics={'one': function, 'other': function}."
    )


def _check_shapes(
    init: Requester,
    key: jax.Array,
    static: dict[str, Any],
    table: HyperparameterTable,
    reuse_key: Hashable,
) -> None:
    """Check that what `init` returns has the same shapes for all numbers that are traced."""
    first = table[0]
    names = [name for name in init.requested if name in first]
    if not names:
        return

    def shapes(hyperparameters: dict[str, Any]) -> dict[str, str]:
        chosen = init.choose({**static, **hyperparameters, "fold": 0})
        made = trees.shown(jax.eval_shape(lambda key: init.function(key, **chosen), key))
        leaves = jax.tree_util.tree_leaves_with_path(made)
        return {trees.name_of(path): text for path, text in leaves}

    first, expected = once(("shapes", reuse_key), lambda: (first, shapes(first)))

    def check(name: str, hyperparameters: dict[str, Any]) -> None:
        x = hyperparameters[name]
        found = shapes({**first, name: x})
        if found != expected:
            place = next(x for x in {**expected, **found} if expected.get(x) != found.get(x))
            raise ArgumentError(
                f"{WHERE}: init must return the same shapes for all traced numbers, got "
                f"{expected.get(place)} at {place} for {name}={first[name]} and "
                f"{found.get(place)} for {name}={x}. Mark it static: "
                f"{name}=jf.static([…]), one program for each value."
            )

    for name in names:
        check_traced(("shapes", reuse_key), partial(check, name), [name], table, static)


@contextmanager
def _annotate_evaluation(task: Task) -> Iterator[None]:
    """Add to errors what a loss that takes a key gets in evaluation."""
    try:
        yield
    except Exception as error:
        if task.data is None:
            advice = (
                "a task with data=None has the points of validation for its batch and key None: "
                "write `x = batch if key is None else …`. Without validation, rank by "
                "metric='train_loss'."
            )
        else:
            advice = (
                "its key is None: draw only where there is one, `if key is not None: …`, and "
                "leave out there what is random in training, such as dropout."
            )
        error.add_note(f"{WHERE}: raised by the loss in evaluation, where {advice}")
        raise
