"""A sweep that compiles fast: a noisy line, the sum of eight weights, a loss that draws noise."""

import jax
import jax.numpy as jnp
import numpy as np

import jefficient as jf

X = np.linspace(-1, 1, 40, dtype=np.float32)
DATA = {"x": X, "y": 3 * X + np.sin(9 * X)}


def init(key):
    return {"w": jax.random.normal(key, (8,)), "low": jnp.ones(3, jnp.bfloat16)}


def predict(params, x):
    return x * params["w"].sum() * params["low"].astype(jnp.float32).mean()


def loss(params, batch, key):
    noise = 0.0 if key is None else 0.1 * jax.random.normal(key)
    return ((predict(params, batch["x"]) - batch["y"] + noise) ** 2).mean()


def far(params, batch):
    return abs(predict(params, batch["x"]) - batch["y"]) > 1


def task(**changes):
    return jf.Task(**{"init": init, "loss": loss, "data": DATA, "metrics": {"far": far}, **changes})


def space(n=24):
    return jf.grid(learning_rate=np.geomspace(1e-4, 1.0, n).tolist())


SETTINGS = {
    "steps": 60,
    "eval_every": 10,
    "batch_size": 8,
    "folds": 2,
    "seeds": 2,
    "diverged_above": 1e3,
    "stop": jf.successive_halving(eta=2, min_steps=20),
    "keep": "best",
    "keep_configs": 3,
}


def sweep(n=24, the_task=None, the_space=None, **changes):
    settings = {**SETTINGS, "progress": False, **changes}
    return jf.sweep(the_task or task(), jf.adam, the_space or space(n), **settings)
