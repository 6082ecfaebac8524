"""What the benchmarks train: linear models, MLPs, a CNN and a transformer.

Data are scikit-learn's, and for the transformer the text of Python's `help()`.
"""

import functools
import pydoc_data.topics
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from sklearn.datasets import load_breast_cancer, load_digits

import jefficient as jf

CONTEXT, MODEL, HEADS, LAYERS = 64, 64, 4, 2


class Workload(NamedTuple):
    """A task; the optimizer, a function of `learning_rate`; the batch size."""

    task: jf.Task
    optimizer: Callable
    batch_size: int


def cross_entropy(logits, labels):
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()


def he_normal(key, *shape):
    """Draw normally with variance 2 / fan-in, all axes but the last being fan-in."""
    return jax.random.normal(key, shape) * (2 / np.prod(shape[:-1])) ** 0.5


@functools.cache
def digits():
    """1 797 images of 64 numbers in 0 … 1, and their labels."""
    x, y = load_digits(return_X_y=True)
    return {"x": (x / 16).astype(np.float32), "y": y.astype(np.int32)}


def line():
    """8 weights of a linear regression."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(256, 8)).astype(np.float32)
    data = {"x": x, "y": (x @ rng.normal(size=8) + rng.normal(size=256)).astype(np.float32)}
    return Workload(
        jf.Task(
            lambda key: jax.random.normal(key, (8,)),
            lambda params, batch: jnp.mean((batch["x"] @ params - batch["y"]) ** 2),
            data,
        ),
        jf.adam,
        8,
    )


def logistic():
    """Two classes by 30 features: 31 weights."""
    x, y = load_breast_cancer(return_X_y=True)
    data = {"x": ((x - x.mean(0)) / x.std(0)).astype(np.float32), "y": y.astype(np.float32)}

    def loss(params, batch):
        return optax.sigmoid_binary_cross_entropy(
            batch["x"] @ params["w"] + params["b"], batch["y"]
        ).mean()

    return Workload(
        jf.Task(lambda key: {"w": jnp.zeros(30), "b": jnp.zeros(())}, loss, data), jf.adam, 32
    )


def softmax():
    """Ten classes by 64 numbers: 650 weights."""

    def loss(params, batch):
        return cross_entropy(batch["x"] @ params["w"] + params["b"], batch["y"])

    return Workload(
        jf.Task(lambda key: {"w": jnp.zeros((64, 10)), "b": jnp.zeros(10)}, loss, digits()),
        jf.adam,
        64,
    )


def mlp(hidden):
    """64-hidden-10 with ReLU."""

    def init(key):
        first, second = jax.random.split(key)
        return {
            "w1": he_normal(first, 64, hidden),
            "b1": jnp.zeros(hidden),
            "w2": he_normal(second, hidden, 10),
            "b2": jnp.zeros(10),
        }

    def loss(params, batch):
        h = jax.nn.relu(batch["x"] @ params["w1"] + params["b1"])
        return cross_entropy(h @ params["w2"] + params["b2"], batch["y"])

    return Workload(jf.Task(init, loss, digits()), jf.adam, 64)


def cnn():
    """Two 3 x 3 convolutions of 16 and 32 channels with ReLU and 2 x 2 max pooling, one layer."""

    def init(key):
        keys = jax.random.split(key, 3)
        return {
            "conv1": he_normal(keys[0], 3, 3, 1, 16),
            "conv2": he_normal(keys[1], 3, 3, 16, 32),
            "w": he_normal(keys[2], 128, 10),
            "b": jnp.zeros(10),
        }

    def layer(x, kernel):
        x = jax.nn.relu(
            jax.lax.conv_general_dilated(
                x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
            )
        )
        n, height, width, channels = x.shape
        return jax.nn.relu(x).reshape(n, height // 2, 2, width // 2, 2, channels).max((2, 4))

    def loss(params, batch):
        x = batch["x"].reshape(-1, 8, 8, 1)
        x = layer(layer(x, params["conv1"]), params["conv2"]).reshape(-1, 128)
        return cross_entropy(x @ params["w"] + params["b"], batch["y"])

    return Workload(jf.Task(init, loss, digits()), jf.adam, 64)


@functools.cache
def text():
    """Return the text as characters' numbers, (n, CONTEXT + 1), and how many characters."""
    characters, numbers = np.unique(
        list("\n".join(pydoc_data.topics.topics.values())), return_inverse=True
    )
    n = len(numbers) // (CONTEXT + 1)
    return numbers[: n * (CONTEXT + 1)].reshape(n, -1).astype(np.int32), len(characters)


def transformer(model=MODEL, layers=LAYERS):
    """Next character: pre-norm blocks, causal attention, no biases, tied embeddings."""
    windows, characters = text()
    mask = np.tril(np.ones((CONTEXT, CONTEXT), bool))

    def init(key):
        embedding, place, *keys = jax.random.split(key, 2 + layers)
        return {
            "embedding": 0.02 * jax.random.normal(embedding, (characters, model)),
            "place": 0.02 * jax.random.normal(place, (CONTEXT, model)),
            "blocks": [block(k) for k in keys],
        }

    def block(key):
        qkv, out, up, down = jax.random.split(key, 4)
        return {
            "qkv": he_normal(qkv, model, 3 * model),
            "out": he_normal(out, model, model),
            "up": he_normal(up, model, 4 * model),
            "down": he_normal(down, 4 * model, model),
        }

    def attention(x, params):
        q, k, v = jnp.split((x @ params["qkv"]).reshape(*x.shape[:2], HEADS, -1), 3, axis=-1)
        weights = jnp.einsum("bqhd,bkhd->bhqk", q, k) * (model // HEADS) ** -0.5
        weights = jax.nn.softmax(jnp.where(mask, weights, -1e9))
        return jnp.einsum("bhqk,bkhd->bqhd", weights, v).reshape(x.shape) @ params["out"]

    def loss(params, batch):
        x = params["embedding"][batch[:, :-1]] + params["place"]
        for layer in params["blocks"]:
            x = x + attention(jax.nn.standardize(x), layer)
            x = x + jax.nn.gelu(jax.nn.standardize(x) @ layer["up"]) @ layer["down"]
        return cross_entropy(jax.nn.standardize(x) @ params["embedding"].T, batch[:, 1:])

    return Workload(jf.Task(init, loss, windows), jf.adam, 16)


WORKLOADS = {
    "line": line,
    "logistic": logistic,
    "softmax": softmax,
    "mlp-8": lambda: mlp(8),
    "mlp-32": lambda: mlp(32),
    "mlp-128": lambda: mlp(128),
    "mlp-512": lambda: mlp(512),
    "cnn": cnn,
    "transformer": transformer,
}
