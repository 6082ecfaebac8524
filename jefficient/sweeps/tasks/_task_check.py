"""Checks of a task's functions with the numbers of the configurations, before any compilation."""

from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

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
    number = jax.ShapeDtypeStruct((), jnp.int32)
    first = table[0]

    def of_functions() -> tuple[Params, Examples]:
        with annotate_errors({**static, **first}):
            weights = jax.eval_shape(
                lambda key: trial.weights(trial.init(key, **first, fold=0)), key
            )
        batch = jax.eval_shape(
            lambda data, t, key, fold: data.training_batch(task, t, key, fold, static),
            data,
            number,
            key,
            number,
        )
        return weights, batch

    weights, batch = once(("arguments", reuse_key), of_functions)

    arguments = weights if task.model_state else (weights,)

    of_all = {"fold": number}

    def of_metrics(batch: Examples) -> dict[str, Any]:
        weights = jax.ShapeDtypeStruct((count_examples(batch),), jnp.float32)
        return {**of_all, "step": number, "weights": weights, "key": None}

    def traced(requester: Requester, values: dict[str, Any], *arguments: Tree) -> None:
        """Trace a function with those of the values that it requests, beside hyperparameters."""
        given = requester.choose(values)

        def check(hyperparameters: dict[str, Any]) -> None:
            chosen = requester.choose(hyperparameters)
            with annotate_function(requester.name):
                value = jax.eval_shape(
                    lambda arguments, given: requester.function(*arguments, **given, **chosen),
                    arguments,
                    given,
                )
            if requester in (injection.evaluation, *injection.metrics.values()):
                has_state = task.model_state and requester is injection.evaluation
                _check_value(requester.name, value[0] if has_state else value)

        kinds = shapes_of((arguments, given))
        check_traced((reuse_key, requester.name, kinds), check, requester.requested, table, static)

    def check_strengths(hyperparameters: dict[str, Any]) -> None:
        strengths = {name: x for name, x in hyperparameters.items() if name in ("l1", "l2")}
        check_not_negative("jf.regularized", **strengths)

    requested = injection.optimizer.requested
    check_configurations(injection.build_optimizer, requested, table, static)
    traced(injection.init, of_all, key)
    _check_shapes(injection.init, key, static, table, reuse_key)
    if injection.augment is not None:
        traced(injection.augment, of_all, key, batch)
    traced(injection.evaluation, {**of_metrics(batch), "key": key}, *arguments, batch)
    evaluated = (batch,)
    if isinstance(data, DrawnData):  # metrics see its points alone, and so does the loss
        evaluated = data.points
    takes_key = "key" in injection.evaluation.requested
    if isinstance(data, DrawnData) or (is_evaluated and takes_key):
        with _annotate_evaluation(task):
            for seen in evaluated:
                traced(injection.evaluation, of_metrics(seen), *arguments, seen)
    for seen in evaluated:
        for requester in injection.metrics.values():
            traced(requester, of_metrics(seen), *arguments, seen)
        for requester in injection.predicts.values():
            traced(requester, of_all, *arguments, seen)
    if is_regularized(injection.loss.function):
        check_configurations(check_strengths, ("l1", "l2"), table, static)


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
