"""What a trial draws from its key: ``fold_in(trial_key, INIT)``, and so on."""

from functools import partial

import jax

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


@partial(jax.jit, static_argnums=1)
def permutation(key: jax.Array, size: int) -> jax.Array:
    """Return a random order of so many examples; as one program, which compiles sooner."""
    return jax.random.permutation(key, size)
