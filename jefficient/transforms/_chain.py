"""Transforms one after another."""

from collections import OrderedDict

import optax

from .._core.errors import ArgumentError, ArgumentTypeError
from .._core.typing import Params, State, Updates
from . import _base
from ._extra_args import accepting


def chain(*args: optax.GradientTransformation) -> optax.GradientTransformationExtraArgs:
    """Apply transforms in order: each one's updates are the next one's gradients.

    Args:
        *args: transforms of jefficient or optax, any number. Structure: static.

    Returns:
        The transform whose state is the tuple of theirs. Keyword arguments of its `update` reach
        the transforms that take them.

    Raises:
        ArgumentTypeError: where something is not a transform.
        ArgumentError: by `update`, where the state was made by another chain.

    Examples:
        >>> import jefficient as jf
        >>> import jax.numpy as jnp, optax
        >>> step = jf.scale_by_learning_rate(0.1)
        >>> tx = jf.chain(jf.clip_by_global_norm(1.0), optax.scale_by_rms(), step)
        >>> params = {"w": jnp.ones(3)}
        >>> state = tx.init(params)
        >>> updates, state = tx.update({"w": jnp.full(3, 2.0)}, state, params)
        >>> updates["w"].shape
        (3,)
    """
    for index, tx in enumerate(args):
        _base.check_transform("jf.chain", tx, f"argument {index}")
    transforms = [accepting(tx) for tx in args]

    def init(params: Params) -> tuple:
        return tuple(tx.init(params) for tx in transforms)

    def update(
        updates: Updates, state: State, params: Params = None, **extra_args: object
    ) -> tuple[Updates, tuple]:
        if not isinstance(state, tuple) or len(state) != len(transforms):
            raise ArgumentError(
                f"jf.chain: state must be the tuple of {len(transforms)} states that init returns, "
                f"got {_short(state)}."
            )
        states = []
        for tx, s in zip(transforms, state, strict=True):
            updates, s = tx.update(updates, s, params, **extra_args)
            states.append(s)
        return updates, tuple(states)

    return optax.GradientTransformationExtraArgs(init, update)


def named_chain(
    *args: tuple[str, optax.GradientTransformation],
) -> optax.GradientTransformationExtraArgs:
    """Apply transforms in order, as `chain` does, and find their states by name.

    Args:
        *args: pairs ``(name, transform)``, names unique. Structure: static.

    Returns:
        The transform whose state is an `OrderedDict` of theirs, ``state[name]``. Names are part of
        the addresses in `hyperparameters`.

    Raises:
        ArgumentTypeError: where something is not such a pair.
        ArgumentError: where a name comes twice; by `update`, where the state was made by another
            chain.

    Examples:
        >>> import jefficient as jf
        >>> import jax.numpy as jnp
        >>> tx = jf.named_chain(("weights", jf.l2_decay(0.1)), ("step", jf.sgd(0.5)))
        >>> state = tx.init(jnp.ones(2))
        >>> list(state)
        ['weights', 'step']
        >>> list(jf.hyperparameters(state))
        ['weights.l2_decay.strength', 'step.sgd.learning_rate']
    """
    where = "jf.named_chain"
    for pair in args:
        if not (isinstance(pair, tuple) and len(pair) == 2 and isinstance(pair[0], str)):
            raise ArgumentTypeError(
                f"{where}: every argument must be a pair (name, transform), got {pair!r}."
            )
        _base.check_transform(where, pair[1], f"{pair[0]!r}")
    names = [name for name, _ in args]
    if len(names) != len(set(names)):
        raise ArgumentError(f"{where}: names must be unique, got {names}.")
    transforms = {name: accepting(tx) for name, tx in args}

    def init(params: Params) -> OrderedDict:
        return OrderedDict((name, tx.init(params)) for name, tx in transforms.items())

    def update(
        updates: Updates, state: State, params: Params = None, **extra_args: object
    ) -> tuple[Updates, OrderedDict]:
        if not isinstance(state, dict) or set(state) != set(names):
            raise ArgumentError(
                f"{where}: state must be the dict of {names} that init returns, got "
                f"{_short(state)}."
            )
        states = OrderedDict()
        for name, tx in transforms.items():
            updates, states[name] = tx.update(updates, state[name], params, **extra_args)
        return updates, states

    return optax.GradientTransformationExtraArgs(init, update)


def _short(state: State) -> str:
    if isinstance(state, dict):
        return f"a dict of {list(state)}"
    return f"a tuple of {len(state)}" if isinstance(state, tuple) else type(state).__name__
