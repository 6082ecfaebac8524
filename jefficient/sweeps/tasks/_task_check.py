"""Checks of a task's functions with the numbers of the configurations, before any compilation."""

from typing import Any

import jax
import jax.numpy as jnp

from ..._core.checks import check_not_negative
from ..._core.typing import Tree
from ._hyperparameters import MOST_CHECKED, HyperparameterTable, check_configurations
from ._injection import Injection, Requester, is_regularized
from ._lane_data import LaneData
from ._notes import annotate_errors
from ._task import Task, count_examples
from ._trial import Trial


def check_functions(
    task: Task,
    injection: Injection,
    trial: Trial,
    data: LaneData,
    static: dict[str, Any],
    table: HyperparameterTable,
) -> None:
    """Build the optimizer of every configuration, and trace the functions for some of them.

    Tracing takes milliseconds, so a function with many distinct sets of hyperparameters is traced
    for `MOST_CHECKED` of them and the extremes of each hyperparameter. Each function is traced
    alone, with concrete hyperparameters: what checks them in Python raises here.
    """
    key = jax.eval_shape(lambda: jax.random.key(0))
    first = table[0]
    with annotate_errors({**static, **first}):
        weights = jax.eval_shape(lambda key: trial.weights(trial.init(key, **first, fold=0)), key)
    zero, batch_size = jnp.int32(0), static["batch_size"]
    batch = jax.eval_shape(
        lambda data, key: data.training_batch(task, zero, key, zero, batch_size), data, key
    )

    arguments = weights if task.model_state else (weights,)

    number = jax.ShapeDtypeStruct((), jnp.int32)
    example_weights = jax.ShapeDtypeStruct((count_examples(batch),), jnp.float32)
    of_all = {"fold": number}
    of_metrics = {**of_all, "step": number, "weights": example_weights, "key": None}
    of_loss = {**of_metrics, "key": key}

    def traced(requester: Requester, values: dict[str, Any], *arguments: Tree) -> None:
        """Trace a function with those of the values that it requests, beside hyperparameters."""
        given = requester.choose(values)

        def check(hyperparameters: dict[str, Any]) -> None:
            chosen = requester.choose(hyperparameters)
            jax.eval_shape(
                lambda arguments, given: requester.function(*arguments, **given, **chosen),
                arguments,
                given,
            )

        check_configurations(check, requester.requested, table, static, MOST_CHECKED)

    def check_strengths(hyperparameters: dict[str, Any]) -> None:
        strengths = {name: x for name, x in hyperparameters.items() if name in ("l1", "l2")}
        check_not_negative("jf.regularized", **strengths)

    requested = injection.optimizer.requested
    check_configurations(injection.build_optimizer, requested, table, static)
    traced(injection.init, of_all, key)
    if injection.augment is not None:
        traced(injection.augment, of_all, key, batch)
    traced(injection.evaluation, of_loss, *arguments, batch)
    for requester in injection.metrics.values():
        traced(requester, of_metrics, *arguments, batch)
    for requester in injection.predicts.values():
        traced(requester, of_all, *arguments, batch)
    if is_regularized(injection.loss.function):
        check_configurations(check_strengths, ("l1", "l2"), table, static)
