"""What `jf.sweep(diagnostics=…)` costs: predicted seconds of a sweep, the least of eight.

python tests/benchmarks/diagnostics.py
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from sklearn.datasets import load_digits

import jefficient as jf

ROUNDS = 8
X, Y = load_digits(return_X_y=True)


def init(key):
    first, second = jax.random.split(key)
    return {
        "w": jax.random.normal(first, (64, 64)) / 8,
        "b": jnp.zeros(64),
        "out": jax.random.normal(second, (64, 10)) / 8,
    }


def loss(params, batch):
    hidden = jax.nn.relu(batch["x"] @ params["w"] + params["b"])
    return optax.softmax_cross_entropy_with_integer_labels(
        hidden @ params["out"], batch["y"]
    ).mean()


def main():
    """Print seconds for each choice of diagnostics, 20 epochs with an evaluation after each."""
    data = {"x": (X / 16).astype(np.float32), "y": Y.astype(np.int32)}
    task = jf.Task(init, loss, data, validation=0.2)
    space = jf.grid(learning_rate=np.geomspace(1e-3, 1e-1, 32))
    asked = ((), ("noise_scale",), ("sharpness",), ("sharpness", "noise_scale"))
    least = dict.fromkeys(asked, float("inf"))
    for _ in range(ROUNDS):  # in turns, since the machine may be busy
        for names in asked:
            plan = jf.plan(task, jf.adam, space, epochs=20, diagnostics=names)
            assert plan.seconds is not None
            least[names] = min(least[names], plan.seconds)
    for names, seconds in least.items():
        print(f"{' + '.join(names) or 'none'}: {seconds:.3g} s")


if __name__ == "__main__":
    main()
