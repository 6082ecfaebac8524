"""300 images of digits, a loss and a metric of logits, and the keys of a trial."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from sklearn.datasets import load_digits

import jefficient as jf

IMAGES, DIGITS = load_digits(return_X_y=True)
IMAGES = (IMAGES[:300] / 16).astype(np.float32)
DIGITS = DIGITS[:300].astype(np.int32)
DATA = {"x": IMAGES[:240], "y": DIGITS[:240]}
VALID = {"x": IMAGES[240:], "y": DIGITS[240:]}
RATES = [0.003, 0.03, 0.3]
STEPS = 20
BATCH_SIZE = 32


def cross_entropy(logits, batch):
    return optax.softmax_cross_entropy_with_integer_labels(logits, batch["y"]).mean()


def accuracy(logits, batch):
    return logits.argmax(-1) == batch["y"]


def sweep(task, space=None, optimizer=jf.adam, **changes):
    settings = {
        "steps": STEPS,
        "batch_size": BATCH_SIZE,
        "progress": False,
        "keep_configs": 9,
        "eval_every": 10,
    }
    return jf.sweep(
        task, optimizer, space or jf.grid(learning_rate=RATES), **{**settings, **changes}
    )


def keys(seed=0):
    """A trial's keys: of its parameters, of the order of examples, of its noise."""
    trial = jax.random.fold_in(jax.random.fold_in(jax.random.key(0), seed), 0)
    return tuple(jax.random.fold_in(trial, i) for i in range(3))


def batches(order):
    for t in range(STEPS):
        indices = jf.shuffled_batch(order, t, len(DATA["y"]), BATCH_SIZE)
        yield t, {name: jnp.asarray(x)[indices] for name, x in DATA.items()}
