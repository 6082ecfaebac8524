"""What one lane does: a `Task` as three pure functions."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from .._core.checks import check_loss, check_not_negative
from .._core.errors import ArgumentError, ArgumentTypeError
from .._core.typing import Tree
from ..training import TrainState, TrainStep, shuffled_batch, train_step
from ._routes import WHERE, Consumer, Routes, is_regularized

INIT, ORDER, NOISE = range(3)
"""What a trial draws from: ``fold_in(trial_key, INIT)`` initialises, ORDER shuffles, NOISE is the loss's `key`."""


@dataclasses.dataclass(frozen=True)
class Trial:
    """The engine's contract. All functions are pure; `hp` are the hyperparameters of one configuration.

    What comes before them is positional-only, so that a hyperparameter may have any name.

    Attributes:
        init: ``(key, **hp) -> state``.
        step: ``(state, data, t, key, **hp) -> (state, metrics)``, metrics holding `loss`; `key` is the trial's own.
        evaluate: ``(state, data, **hp) -> dict`` of scalars.
        weights: ``state -> tree``, what is kept of a trained state.
    """

    init: Callable[..., Any]
    step: Callable[..., tuple[Any, dict[str, jax.Array]]]
    evaluate: Callable[..., dict[str, jax.Array]]
    weights: Callable[[Any], Tree]


def trial_of(routes: Routes, static: dict[str, Any], batch_size: int, size: int) -> Trial:
    """The trial of a task: data are ``{"train": tree, "valid": tree or None}``.

    Args:
        routes: who asks for what.
        static: hyperparameters that the program is compiled for, `batch_size` among them.
        batch_size: rows in a batch.
        size: training rows.
    """

    def built(hp: dict[str, Any]) -> TrainStep:
        given = {**static, **hp}
        loss, optimizer = routes.loss, build_optimizer(routes.optimizer, given)
        numbers = {name: x for name, x in loss.given(given).items() if name != "key"}

        if "key" in loss.asked:
            return train_step(lambda params, batch, key: loss.function(params, batch, key=key, **numbers), optimizer)
        return train_step(lambda params, batch: loss.function(params, batch, **numbers), optimizer)

    def init(key: jax.Array, /, **hp: Any) -> TrainState:
        params = routes.init.function(jax.random.fold_in(key, INIT), **routes.init.given({**static, **hp}))
        return built(hp).init(params, key=jax.random.fold_in(key, NOISE))

    def step(state: TrainState, data: Tree, t: jax.Array, key: jax.Array, /, **hp: Any) -> tuple[TrainState, Any]:
        rows = shuffled_batch(jax.random.fold_in(key, ORDER), t, size, batch_size)
        return built(hp).update(state, jax.tree.map(lambda x: x[rows], data["train"]))

    def evaluate(state: TrainState, data: Tree, /, **hp: Any) -> dict[str, jax.Array]:
        if data["valid"] is None:
            return {}
        given = {**static, **hp, "key": None}
        consumers = {"loss": routes.evaluation, **routes.metrics}
        return {
            f"valid_{name}": _mean(c, c.function(state.params, data["valid"], **c.given(given)))
            for name, c in consumers.items()
        }

    return Trial(init, step, evaluate, weights=lambda state: state.params)


def build_optimizer(consumer: Consumer, values: dict[str, Any]) -> optax.GradientTransformation:
    """The transform for some hyperparameters, checked to be one."""
    tx = consumer.function(**consumer.given(values))
    if not isinstance(tx, optax.GradientTransformation):
        raise ArgumentTypeError(f"{WHERE}: optimizer must return a gradient transformation, got {tx!r}.")
    return tx


def check_trial(trial: Trial, routes: Routes, static: dict[str, Any], data: Tree, rows: list[dict[str, Any]]) -> None:
    """Build and trace with concrete numbers, so that bad ones fail here, by name, before anything is compiled.

    The whole trial is traced once; then each function alone, once for each distinct set of the numbers it asks for.
    """
    key = jax.eval_shape(lambda: jax.random.key(0))

    def whole(hp: dict[str, Any]) -> None:
        state = jax.eval_shape(lambda key: trial.init(key, **hp), key)
        jax.eval_shape(lambda s, d, key: trial.step(s, d, jnp.zeros((), jnp.int32), key, **hp), state, data, key)
        jax.eval_shape(lambda s, d: trial.evaluate(s, d, **hp), state, data)

    def alone(consumer: Consumer, *arguments: Any) -> Callable[[dict[str, Any]], None]:
        def check(hp: dict[str, Any]) -> None:
            given = consumer.given({**static, **hp})
            keys = {"key": key} if "key" in consumer.asked and consumer is not routes.init else {}
            jax.eval_shape(lambda arguments, keys: consumer.function(*arguments, **keys, **given), arguments, keys)

        return check

    def strengths(hp: dict[str, Any]) -> None:
        check_not_negative("jf.regularized", **{name: hp[name] for name in ("l1", "l2") if name in hp})

    _named(whole, rows[0], static)
    params = jax.eval_shape(trial.weights, jax.eval_shape(lambda key: trial.init(key, **rows[0]), key))
    batch = jax.eval_shape(lambda d: jax.tree.map(lambda x: x[: static["batch_size"]], d), data["train"])
    checks: list[tuple[tuple[str, ...], Callable[[dict[str, Any]], Any]]] = [
        (routes.optimizer.asked, lambda hp: build_optimizer(routes.optimizer, {**static, **hp})),
        (routes.init.asked, alone(routes.init, key)),
        *((c.asked, alone(c, params, batch)) for c in (routes.evaluation, *routes.metrics.values())),
    ]
    if is_regularized(routes.loss.function):
        checks.append((("l1", "l2"), strengths))
    for names, check in checks:
        seen = {tuple((name, x.item()) for name, x in hp.items() if name in names): hp for hp in rows}
        if len(seen) > 1:  # the only one has been through the whole trial
            for hp in seen.values():
                _named(check, hp, static)


def _named(check: Callable[[dict[str, Any]], None], hp: dict[str, Any], static: dict[str, Any]) -> None:
    try:
        check(hp)
    except Exception as error:
        shown = {name: x.item() if isinstance(x, np.generic) else x for name, x in {**static, **hp}.items()}
        error.add_note(f"{WHERE}: raised for the hyperparameters {shown}.")
        raise


def _mean(consumer: Consumer, values: Any) -> jax.Array:
    """The mean over the rows, float32."""
    if consumer.name == "loss":
        check_loss(WHERE, values)
    if jnp.ndim(values) > 1:
        raise ArgumentError(f"{WHERE}: {consumer.name} must return shape () or (n,), got shape {jnp.shape(values)}.")
    return jnp.mean(jnp.asarray(values, jnp.float32))
