"""Transforms one after another."""

from typing import Any

import optax

from .._core.errors import ArgumentError, ArgumentTypeError
from .._core.typing import Tree


def chain(*args: optax.GradientTransformation) -> optax.GradientTransformationExtraArgs:
    """Apply transforms in order: each one's updates are the next one's gradients.

    Args:
        *args: transforms of jefficient or optax, any number. Structure: static.

    Returns:
        The transform whose state is the tuple of theirs. Keyword arguments of its `update` reach the transforms
        that take them.

    Raises:
        ArgumentTypeError: where something is not a transform.
        ArgumentError: by `update`, where the state was made by another chain.

    Examples:
        >>> import jefficient as jf
        >>> import jax.numpy as jnp, optax
        >>> tx = jf.chain(jf.clip_by_global_norm(1.0), optax.scale_by_rms(), jf.scale_by_learning_rate(0.1))
        >>> params = {"w": jnp.ones(3)}
        >>> state = tx.init(params)
        >>> updates, state = tx.update({"w": jnp.full(3, 2.0)}, state, params)
        >>> updates["w"].shape
        (3,)
    """
    for index, tx in enumerate(args):
        if not isinstance(tx, optax.GradientTransformation):
            raise ArgumentTypeError(
                f"jf.chain: every argument must be a gradient transformation, got {tx!r} at {index}. "
                f"Did you mean to call it?"
            )
    transforms = [optax.with_extra_args_support(tx) for tx in args]

    def init(params: Tree) -> tuple:
        return tuple(tx.init(params) for tx in transforms)

    def update(updates: Tree, state: Any, params: Tree = None, **extra_args: Any) -> tuple[Tree, tuple]:
        if not isinstance(state, tuple) or len(state) != len(transforms):
            raise ArgumentError(
                f"jf.chain: state must be the tuple of {len(transforms)} states that init returns, got {_short(state)}."
            )
        states = []
        for tx, s in zip(transforms, state, strict=True):
            updates, s = tx.update(updates, s, params, **extra_args)
            states.append(s)
        return updates, tuple(states)

    return optax.GradientTransformationExtraArgs(init, update)


def _short(state: Any) -> str:
    return f"a tuple of {len(state)}" if isinstance(state, tuple) else type(state).__name__
