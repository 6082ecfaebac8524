"""The key of a trial, and what is drawn from it: ``fold_in(key, INIT)``, and so on.

Each `fold_in` of a program is compiled by itself on a CPU, for a tenth of a second: so several are
one loop.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from ..._core.typing import Scalar

INIT, ORDER, NOISE, AUGMENT = range(4)
"""INIT draws the initial parameters, ORDER shuffles examples, NOISE is the `key` of the loss, and
AUGMENT that of `augment`.
"""

SPLIT = 2**32 - 1
"""Draws the validation examples from the key of the sweep: no seed is that large."""

EXAMPLES = 0
"""Draws a share of the training examples from what `SPLIT` gives."""

TEST = 2**32 - 2
"""Draws the points of the test set of a task without data."""


@jax.jit
def trial_key(key: jax.Array, seed: Scalar, fold: Scalar) -> jax.Array:
    """Return ``fold_in(fold_in(key, seed), fold)``, of the key of a sweep.

    Seed and fold are uint32 or int32, 0 or more, of JAX or NumPy.
    """
    both = jnp.stack([jnp.asarray(x).astype(jnp.uint32) for x in (seed, fold)])
    return jax.lax.fori_loop(0, 2, lambda i, key: jax.random.fold_in(key, both[i]), key)


def folded(key: jax.Array, *numbers: int) -> jax.Array:
    """Return the keys ``fold_in(key, number)``, in an array of keys."""
    return jax.lax.map(partial(jax.random.fold_in, key), jnp.array(numbers, jnp.uint32))


def permutation(key: jax.Array, size: int, *numbers: int) -> np.ndarray:
    """Return a random order of so many examples, drawn from the key folded with these numbers.

    As one program, which compiles sooner than one for each operation.
    """
    return np.asarray(_permutation(key, size, np.array(numbers, np.uint32)))


@partial(jax.jit, static_argnums=1)
def _permutation(key: jax.Array, size: int, numbers: jax.Array) -> jax.Array:
    for number in numbers:
        key = jax.random.fold_in(key, number)
    return jax.random.permutation(key, size)
