"""One training step: the loss's gradient, the transform, the new parameters."""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from .._core import signatures, trees
from .._core.checks import check_count, check_loss
from .._core.errors import ArgumentError, ArgumentTypeError
from .._core.typing import Tree
from ..transforms import apply_updates, clipped, hyperparameters
from ._gradient import gradient, in_dtype

Metrics = Mapping[str, Any]


class TrainState(NamedTuple):
    """What a step carries.

    `step` counts the updates made (int32, shape ()); `params` and `opt_state` are the transform's;
    `key` is the key that a loss with a `key` argument draws from, `model_state` what a loss with
    model state carries, else None.
    """

    step: jax.Array
    params: Tree
    opt_state: Any
    key: jax.Array | None = None
    model_state: Tree = None


class TrainStep(NamedTuple):
    """The pair: ``init(params, *, key=None, model_state=None)`` and ``update(state, batch) -> (state, metrics)``."""

    init: Callable[..., TrainState]
    update: Callable[[TrainState, Tree], tuple[TrainState, Metrics]]


def train_step(
    loss: Callable,
    tx: optax.GradientTransformation,
    *,
    model_state: bool = False,
    layers: bool = False,
    microbatches: int = 1,
    compute_dtype: Any = None,
) -> TrainStep:
    """A loss and a transform as one pure step. Nothing is jitted for you.

    Args:
        loss: ``(params, batch) -> scalar``, the mean over the batch; with `model_state` ``(params,
            model_state, batch) -> (scalar, model_state)``. Where it names `key`, it gets a fresh
            key every step: ``fold_in(key, step)`` of the key that `init` was given.
        tx: a transform of jefficient or optax. Those that take `value` get the loss.
        model_state: whether the loss carries state of its own (batch-norm). Static.
        layers: whether `metrics` also has the norms of every layer. Static.
        microbatches: parts of the batch whose gradients are taken one after another, in the order
            of rows, and averaged: the step of the whole batch, to rounding, with the activations of
            one part in memory. It divides the rows. Model state goes from part to part, and each
            part has a key of its own, ``fold_in(fold_in(key, step), part)``. Static.
        compute_dtype: floating dtype in which the loss is computed, ``"bfloat16"`` above all: it
            sees parameters and the batch's floating arrays in it. The parameters that are kept, the
            optimizer's arithmetic, the model state (whose averages move by little) and the reported
            loss stay in theirs, float32. Reduce in float32 where digits matter:
            ``logits.astype(jnp.float32)`` before a softmax. There is no loss scaling, which float16
            may need. Static.

    Returns:
        A `TrainStep`. Its `update` returns the new `TrainState` and a dict of scalars: `loss`
        (before the update), `grad_norm` and `update_norm` (over all leaves, float32 at least),
        `clipped` (bool: whether `clip_by_global_norm` made the update shorter, where one is in the
        chain), and the numbers that transforms report (`learning_rate` …; by their address in
        `jf.hyperparameters`, ``l2_decay.strength``, where a name comes twice). With `layers` its
        entry `layers` is ``{"grad_norm": {layer: scalar}, "update_norm": {…}}``, a layer being the
        parameters that stand in one dict, list or module, or a parameter by itself at the top of
        the tree. Where `update` donates the state, the parameters, key and model state that `init`
        was given go with it.

    Raises:
        ArgumentTypeError: where `loss` is not a function, `tx` not a transform, `microbatches` no
            whole number or `compute_dtype` not floating; by `update`, where the loss is not a
            floating scalar.
        ArgumentError: where `microbatches` is below 1; by `init`, where the loss names `key` and
            none is given, or `model_state` is missing; by `update`, where `microbatches` does not
            divide the rows.

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
    where, has_model_state = "jf.train_step", model_state
    if not isinstance(tx, optax.GradientTransformation):
        raise ArgumentTypeError(f"{where}: tx must be a gradient transformation, got {tx!r}.")
    check_count(where, microbatches=microbatches)
    if compute_dtype is not None and not _is_floating(compute_dtype):
        raise ArgumentTypeError(
            f"{where}: compute_dtype must be floating, got compute_dtype={compute_dtype!r}."
        )
    tx = optax.with_extra_args_support(tx)
    wants_key = "key" in signatures.names_asked(where, loss)

    def init(params: Tree, *, key: jax.Array | None = None, model_state: Tree = None) -> TrainState:
        if wants_key and key is None:
            raise ArgumentError(
                f"{where}: init must be given a key, since loss names one, got key=None."
            )
        if has_model_state and model_state is None:
            raise ArgumentError(f"{where}: init must be given model_state, got model_state=None.")
        return TrainState(jnp.zeros((), jnp.int32), params, tx.init(params), key, model_state)

    def objective(
        params: Tree, model_state: Tree, batch: Tree, key: jax.Array | None
    ) -> tuple[jax.Array, Tree]:
        given = {"key": key} if wants_key else {}
        if has_model_state:
            value, model_state = loss(params, model_state, batch, **given)
        else:
            value = loss(params, batch, **given)
        check_loss(where, value)
        return jnp.asarray(value), model_state

    computed = objective if compute_dtype is None else in_dtype(objective, compute_dtype)
    value_and_grad = gradient(where, computed, microbatches)

    def update(state: TrainState, batch: Tree) -> tuple[TrainState, Metrics]:
        if not isinstance(state, TrainState):
            raise ArgumentTypeError(
                f"{where}: state must be what init returns, got {type(state).__name__}."
            )
        key = jax.random.fold_in(_key_of(state), state.step) if wants_key else None
        value, model_state, grads = value_and_grad(state.params, state.model_state, batch, key)
        updates, opt_state = tx.update(grads, state.opt_state, state.params, value=value)
        new_state = state._replace(
            step=optax.safe_increment(state.step),
            params=apply_updates(state.params, updates),
            opt_state=opt_state,
            model_state=model_state,
        )
        metrics: dict[str, Any] = {"loss": value}
        metrics |= {
            f"{name}_norm": trees.global_norm(tree)
            for name, tree in (("grad", grads), ("update", updates))
        }
        if (is_clipped := clipped(opt_state)) is not None:
            metrics["clipped"] = is_clipped
        if layers:
            metrics["layers"] = {
                "grad_norm": layer_norms(grads),
                "update_norm": layer_norms(updates),
            }
        return new_state, {**metrics, **_numbers(opt_state)}

    return TrainStep(init, update)


def layer_norms(tree: Tree) -> dict[str, jax.Array]:
    """The norm of every layer, float32 at least."""
    return {name: trees.global_norm(leaves) for name, leaves in trees.layers(tree).items()}


def _is_floating(dtype: Any) -> bool:
    try:
        return bool(jnp.issubdtype(dtype, jnp.floating))
    except TypeError:  # no dtype at all
        return False


def _key_of(state: TrainState) -> jax.Array:
    if state.key is None:
        raise ArgumentError(
            "jf.train_step: state.key must be a key, since loss names one, got None."
        )
    return state.key


def _numbers(opt_state: Any) -> dict[str, jax.Array]:
    """The reported numbers by name; those whose name comes twice by their address."""
    found = hyperparameters(opt_state)
    names = Counter(address.rpartition(".")[2] for address in found)
    taken = ("loss", "grad_norm", "update_norm", "clipped", "layers")

    def metric(address: str) -> str:
        name = address.rpartition(".")[2]
        return name if names[name] == 1 and name not in taken else address

    return {metric(address): value for address, value in found.items()}
