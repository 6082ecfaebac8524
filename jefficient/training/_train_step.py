"""One training step: the loss's gradient, the transform, the new parameters."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import optax
from jax.typing import DTypeLike

from .._core import numerics, signatures, trees
from .._core.checks import check_count, check_loss, check_real, is_sum_and_weight, is_traced
from .._core.errors import ArgumentError, ArgumentTypeError
from .._core.typing import Examples, ModelState, Params, Tree, Updates
from ..transforms import accepting, apply_updates, clipped, hyperparameters
from ._gradient import (
    Injected,
    Loss,
    Objective,
    conjugate,
    gradient,
    in_dtype,
    in_microbatches,
)
from ._mean_check import check_mean
from ._objective import penalised_parts

WHERE = "jf.train_step"

_REFUSED = re.compile(r"unexpected keyword argument '(\w+)'")

Metrics: TypeAlias = Mapping[str, Any]
"""Scalars by name; `layers` is a dict of dicts of scalars."""


class TrainState(NamedTuple):
    """The state of a train step.

    Attributes:
        step: number of updates made, int32, shape ().
        params: the parameters.
        opt_state: the state of the transform.
        key: the key that a loss with a `key` argument draws from, else None.
        model_state: the state of a loss that has its own, else None.
        tested: of a `jf.Task` with ``evaluate="prequential"``, its sums over the stream so far;
            else None.
    """

    step: jax.Array
    params: Params
    opt_state: optax.OptState
    key: jax.Array | None = None
    model_state: ModelState = None
    tested: Tree = None


class TrainStep(NamedTuple):
    """The pair of functions that `jf.train_step` returns.

    Attributes:
        init: ``(params, *, key=None, model_state=None) -> state``.
        update: ``(state, batch) -> (state, metrics)``.
    """

    init: Callable[..., TrainState]
    update: Callable[[TrainState, Examples], tuple[TrainState, Metrics]]


class Made(NamedTuple):
    """What an update has made: the loss before it, gradients, updates, the transform's state."""

    loss: jax.Array
    grads: Updates
    updates: Updates
    opt_state: optax.OptState


def train_step(
    loss: Callable[..., Any],
    tx: optax.GradientTransformation,
    *,
    model_state: bool = False,
    layers: bool = False,
    microbatches: int = 1,
    compute_dtype: DTypeLike | None = None,
) -> TrainStep:
    """Make one pure training step of a loss and a transform. Nothing is jitted for you.

    Parameters may be complex. `jax.grad` of a real loss returns ∂/∂x - i·∂/∂y for θ = x + iy; the
    step conjugates it, so transforms get ∂/∂x + i·∂/∂y, the direction of steepest ascent. That is
    what optax expects of a caller, too. `sgd` then makes the steps of the pairs (x, y); Adam scales
    both parts of a number by the root of its mean |g|².

    Args:
        loss: ``(params, batch) -> scalar``, the mean over the batch; with `model_state` ``(params,
            model_state, batch) -> (scalar, model_state)``. In place of the scalar it may return a
            pair of scalars ``(sum, weight)``, whose weight does not depend on the parameters: the
            loss is sum / weight, a mean over tokens that are not masked, say. It gets what it
            names among these: `key`, a fresh key every step, ``fold_in(key, step)`` of the key that
            `init` was given; `step`, the updates made, int32; `weights`, of the examples, ones of
            shape (n,), float32 (0 for padding where a sweep evaluates).
        tx: a transform of jefficient or optax. It gets what it takes of optax's extra arguments:
            `value`, the loss; `grad`, as `jax.grad` returns it; `value_fn` and `obj_fn`, ``params
            -> loss`` on the same batch; `grad_fn`, ``(params, index) -> gradients`` on it. So line
            searches, `optax.lbfgs`, `optax.contrib.sam` and the like work as they stand. Where one
            of several takes fewer than the others, use `jf.chain`: `optax.chain` hands everything
            to each.
        model_state: whether the loss carries state of its own (batch-norm). Static.
        layers: whether `metrics` also has the norms of every layer. Static.
        microbatches: number of microbatches whose gradients are taken one after another, in the
            order of the examples, and averaged: the step of the whole batch, up to rounding, with
            the activations of one microbatch in memory. That holds for a loss that is the mean over
            examples, and for one that returns ``(sum, weight)``, whose microbatches count in
            proportion to their weights; another one is refused where `update` is called outside of
            `jax.jit`, on a few examples. It must divide the number of examples.
            Model state is passed on from one microbatch to the next, and each has a key of its
            own, ``fold_in(fold_in(key, step), index)``. Static.
        compute_dtype: floating dtype in which the loss is computed, most often ``"bfloat16"``:
            parameters and floating arrays of the batch are cast to it. The parameters of the state,
            the optimizer's arithmetic, the model state (whose averages move by little) and the
            reported loss stay in theirs, float32. Reduce in float32 if digits matter:
            ``logits.astype(jnp.float32)`` before a softmax. There is no loss scaling, which float16
            may need. Static.

    Returns:
        A `TrainStep`. Its `update` returns the new `TrainState` and a dict of scalars: `loss`
        (before the update), `grad_norm` and `update_norm` (over all leaves, at least float32),
        `clipped` (bool: whether a `clip_by_global_norm` in the chain made the update shorter), and
        the numbers that transforms report (`learning_rate`, …; by their address in
        `jf.hyperparameters`, such as ``l2_decay.strength``, if several have one name). With
        `layers` it has an entry `layers`, ``{"grad_norm": {layer: scalar}, "update_norm": {…}}``;
        a layer is the parameters of one dict, list or module, or a single parameter at the top of
        the tree. If the state is donated to `update`, the parameters, key and model state that
        `init` was given are donated with it.

    Raises:
        ArgumentTypeError: if `loss` is not a function, `tx` not a transform, `microbatches` not a
            whole number or `compute_dtype` not floating; by `update`, if the loss is not a floating
            scalar.
        ArgumentError: if `microbatches` is below 1; by `init`, if the loss has an argument `key`
            and none is given, or if `model_state` is missing; by `update`, if `microbatches` does
            not divide the number of examples.

    Examples:
        >>> import jefficient as jf
        >>> import jax, jax.numpy as jnp
        >>> def loss(params, batch):
        ...     x, y = batch
        ...     return jnp.mean((x * params["w"] - y) ** 2)
        >>> step = jf.train_step(loss, jf.sgd(0.1))
        >>> state = step.init({"w": jnp.zeros(())})
        >>> update = jax.jit(step.update, donate_argnums=0)
        >>> for _ in range(50):
        ...     state, metrics = update(state, (jnp.array([1.0, 2.0]), jnp.array([3.0, 6.0])))
        >>> round(float(state.params["w"]), 3), int(state.step), sorted(metrics)
        (3.0, 50, ['grad_norm', 'learning_rate', 'loss', 'update_norm'])
    """
    return measured_step(
        loss,
        tx,
        partial(_metrics, layers=layers),
        model_state=model_state,
        microbatches=microbatches,
        compute_dtype=compute_dtype,
    )


def measured_step(
    loss: Callable[..., Any],
    tx: optax.GradientTransformation,
    measure: Callable[[Made], Metrics],
    *,
    model_state: bool = False,
    microbatches: int = 1,
    compute_dtype: DTypeLike | None = None,
) -> TrainStep:
    """Make the step of `train_step` whose metrics are what `measure` returns, and nothing else.

    `measure` gets what an update has `Made`; the other arguments are those of `train_step`.
    """
    has_model_state = model_state
    if not isinstance(tx, optax.GradientTransformation):
        raise ArgumentTypeError(f"{WHERE}: tx must be a gradient transformation, got {tx!r}.")
    check_count(WHERE, microbatches=microbatches)
    if compute_dtype is not None and not _is_floating(compute_dtype):
        raise ArgumentTypeError(
            f"{WHERE}: compute_dtype must be floating, got compute_dtype={compute_dtype!r}."
        )
    tx = accepting(tx)
    names = signatures.names_asked(WHERE, loss)
    takes_key = "key" in names
    objective = objective_of(loss, has_model_state)
    if compute_dtype is not None:
        objective = in_dtype(objective, compute_dtype)
    value_and_grad = gradient(objective)
    if microbatches > 1:
        value_and_grad = in_microbatches(WHERE, value_and_grad, microbatches)

    def init(
        params: Params, *, key: jax.Array | None = None, model_state: ModelState = None
    ) -> TrainState:
        if takes_key and key is None:
            raise ArgumentError(
                f"{WHERE}: init must be given a key, since loss takes one, got key=None."
            )
        if has_model_state and model_state is None:
            raise ArgumentError(f"{WHERE}: init must be given model_state, got model_state=None.")
        return TrainState(jnp.zeros((), jnp.int32), params, tx.init(params), key, model_state)

    def update(state: TrainState, batch: Examples) -> tuple[TrainState, Metrics]:
        if not isinstance(state, TrainState):
            raise ArgumentTypeError(
                f"{WHERE}: state must be what init returns, got {type(state).__name__}."
            )
        injected = injected_at(names, state, state.step)
        if microbatches > 1 and not (takes_key or has_model_state):
            _check_microbatches(objective, state, batch, injected)
        loss, model_state, grads = value_and_grad(state.params, state.model_state, batch, injected)
        extra = extra_args(state, batch, injected, loss, grads)
        updates, opt_state = _updates(tx, grads, state, extra)
        updates = _of_floating(updates, state.params)
        new_state = state._replace(
            step=optax.safe_increment(state.step),
            params=apply_updates(state.params, updates),
            opt_state=opt_state,
            model_state=model_state,
        )
        grads = _of_floating(grads, state.params)
        return new_state, measure(Made(loss.value, grads, updates, opt_state))

    def extra_args(
        state: TrainState, batch: Examples, injected: Injected, loss: Loss, grads: Updates
    ) -> dict[str, Any]:
        """Return what line searches and their like are given beside the gradient."""

        # optax's line searches hand on the extra arguments that they do not know.
        def value_fn(params: Params, obj_fn: object = None, grad_fn: object = None) -> jax.Array:
            del obj_fn, grad_fn
            given = (params, state.model_state, batch, injected)
            if microbatches > 1:
                return value_and_grad(*given)[0].value
            return objective(*given)[0].value

        def grad_fn(params: Params, index: object = None) -> Updates:
            del index  # every gradient is of the same batch
            return value_and_grad(params, state.model_state, batch, injected)[2]

        return {
            "value": loss.value,
            "grad": jax.tree.map(conjugate, grads),
            "value_fn": value_fn,
            "obj_fn": value_fn,
            "grad_fn": grad_fn,
        }

    return TrainStep(init, update)


def layer_norms(tree: Tree) -> dict[str, jax.Array]:
    """Return the norm of every layer, in at least float32."""
    return {name: trees.global_norm(leaves) for name, leaves in trees.layers(tree).items()}


def _check_microbatches(
    objective: Objective, state: TrainState, batch: Examples, injected: Injected
) -> None:
    """Try a loss without noise and state on a few examples, where they are not traced."""
    if any(map(is_traced, jax.tree.leaves((state.params, batch)))):
        return
    leaves = jax.tree.leaves(batch)
    if not leaves or any(jnp.ndim(x) == 0 for x in leaves):
        return
    like, _ = jax.eval_shape(objective, state.params, None, batch, injected)
    if like.weight is None:
        check_mean(
            WHERE, lambda some: objective(state.params, None, some, injected)[0].value, batch
        )


def _of_floating(updates: Updates, params: Params) -> Updates:
    """Put None in place of the updates of parameters that are not floating: they stay."""
    if all(numerics.is_floating(trees.dtype_of(p)) for p in jax.tree.leaves(params)):
        return updates
    return jax.tree.map(
        lambda p, u: u if numerics.is_floating(trees.dtype_of(p)) else None, params, updates
    )


def _updates(
    tx: optax.GradientTransformationExtraArgs,
    grads: Updates,
    state: TrainState,
    extra: dict[str, Any],
) -> tuple[Updates, optax.OptState]:
    """Call the transform, and say what to do where one inside optax's own chain refuses."""
    try:
        return tx.update(grads, state.opt_state, state.params, **extra)
    except TypeError as error:
        refused = _REFUSED.search(str(error))
        if refused is None or refused[1] not in extra:
            raise
        raise ArgumentTypeError(
            f"{WHERE}: what tx calls must accept extra arguments, got a function that refuses "
            f"{refused[1]!r} ({error}). optax.chain and its like hand all of them to each "
            f"transform; jf.chain hands each what it takes."
        ) from error


def injected_at(names: Iterable[str], state: TrainState, i: jax.Array) -> dict[str, jax.Array]:
    """Return what a loss gets that asks for these names: key number `i`, and the updates made."""
    injected: dict[str, jax.Array] = {}
    if "key" in names:
        injected["key"] = jax.random.fold_in(_key_of(state), i)
    if "step" in names:
        injected["step"] = state.step
    return injected


def objective_of(loss: Callable[..., Any], has_model_state: bool) -> Objective:
    """Give every loss the same arguments and results."""
    plain, penalty = penalised_parts(loss)
    takes_weights = "weights" in signatures.names_asked(WHERE, loss)

    def objective(
        params: Params, model_state: ModelState, batch: Examples, injected: Injected
    ) -> tuple[Loss, ModelState]:
        given = dict(injected)
        if takes_weights:
            examples = jax.tree.leaves(batch)
            if not examples:
                raise ArgumentError(
                    f"{WHERE}: batch must hold examples where loss names weights, got {batch!r}."
                )
            size = jnp.shape(examples[0])[0]
            given["weights"] = jnp.ones(size, jnp.float32)
        if has_model_state:
            value, model_state = plain(params, model_state, batch, **given)
        else:
            value = plain(params, batch, **given)

        def penalised(x: jax.Array) -> jax.Array:
            return x if penalty is None else x + penalty(params, jnp.result_type(x))

        if not is_sum_and_weight(value):
            check_loss(WHERE, value)
            return Loss(jnp.asarray(penalised(value)), None), model_state

        total, weight = value
        check_loss(WHERE, total)
        check_real(WHERE, "loss", weight)
        weight = jax.lax.stop_gradient(jnp.asarray(weight, jnp.result_type(total)))
        is_empty = weight == 0  # every token of a microbatch may be masked
        mean = total / jnp.where(is_empty, 1, weight).astype(jnp.result_type(total))
        return Loss(jnp.asarray(penalised(mean)), weight), model_state

    return objective


def recorded_metrics(made: Made, layers: bool) -> Metrics:
    """Return what sweeps record: the loss, whether it was clipped, norms of layers if asked for."""
    metrics: dict[str, Any] = {"loss": made.loss}
    if (is_clipped := clipped(made.opt_state)) is not None:
        metrics["clipped"] = is_clipped
    if layers:
        metrics["layers"] = {
            "grad_norm": layer_norms(made.grads),
            "update_norm": layer_norms(made.updates),
        }
    return metrics


def _metrics(made: Made, layers: bool) -> Metrics:
    return {
        "loss": made.loss,  # which comes first
        "grad_norm": trees.global_norm(made.grads),
        "update_norm": trees.global_norm(made.updates),
        **recorded_metrics(made, layers),
        **_reported(made.opt_state),
    }


def _reported(opt_state: optax.OptState) -> dict[str, jax.Array]:
    """Return the numbers that transforms report: by name, or by address if several have one."""
    found = hyperparameters(opt_state)
    names = Counter(address.rpartition(".")[2] for address in found)
    taken = ("loss", "grad_norm", "update_norm", "clipped", "layers")

    def metric(address: str) -> str:
        name = address.rpartition(".")[2]
        return name if names[name] == 1 and name not in taken else address

    return {metric(address): value for address, value in found.items()}


def _is_floating(dtype: DTypeLike) -> bool:
    try:
        return bool(jnp.issubdtype(dtype, jnp.floating))
    except TypeError:  # not a dtype at all
        return False


def _key_of(state: TrainState) -> jax.Array:
    if state.key is None:
        raise ArgumentError(f"{WHERE}: state.key must be a key, since loss takes one, got None.")
    return state.key
