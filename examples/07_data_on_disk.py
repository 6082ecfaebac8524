"""Data in a file that is never loaded whole: which learning rate, which batch size?

    python examples/07_data_on_disk.py [--examples 200000] [--directory D]

Writes an HDF5 file of artificial examples: 32 numbers each, and which of four spirals they lie on.
The sweep reads batches from it while it trains, each once for all learning rates; with --directory
it can be resumed after Ctrl-C.
"""

import argparse
import tempfile
from pathlib import Path

import h5py
import jax
import jax.numpy as jnp
import numpy as np
import optax

import jefficient as jf

FEATURES = 32
CLASSES = 4
HIDDEN = 64
AT_A_TIME = 10_000


def write(path, examples):
    """Write points on four spiral arms, projected to 32 noisy numbers."""
    rng = np.random.default_rng(0)
    view = rng.normal(size=(2, FEATURES)) / np.sqrt(2)
    with h5py.File(path, "w") as file:
        x = file.create_dataset("x", (examples, FEATURES), np.float32)
        y = file.create_dataset("y", (examples,), np.int8)
        for begin in range(0, examples, AT_A_TIME):
            size = min(AT_A_TIME, examples - begin)
            arm = rng.integers(0, CLASSES, size)
            radius = rng.uniform(0.3, 3, size)
            angle = 2 * np.pi * arm / CLASSES + radius + 0.15 * rng.normal(size=size)
            point = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
            x[begin : begin + size] = 5 + point @ view + 0.1 * rng.normal(size=(size, FEATURES))
            y[begin : begin + size] = arm


def init(key):
    first, second, third = jax.random.split(key, 3)
    return [
        {"w": jax.random.normal(k, (a, b)) * jnp.sqrt(2 / a), "b": jnp.zeros(b)}
        for k, a, b in (
            (first, FEATURES, HIDDEN),
            (second, HIDDEN, HIDDEN),
            (third, HIDDEN, CLASSES),
        )
    ]


def logits(params, x):
    *hidden, last = params
    for layer in hidden:
        x = jax.nn.relu(x @ layer["w"] + layer["b"])
    return x @ last["w"] + last["b"]


def loss(params, batch):
    return optax.softmax_cross_entropy_with_integer_labels(
        logits(params, batch["x"]), batch["y"]
    ).mean()


def accuracy(params, batch):
    return logits(params, batch["x"]).argmax(-1) == batch["y"]


def moments(examples):
    """Return mean and standard deviation over the training examples, read some at a time."""
    total = np.zeros(FEATURES)
    squares = np.zeros(FEATURES)
    for begin in range(0, len(examples), AT_A_TIME):
        x = examples[begin : begin + AT_A_TIME]["x"].astype(np.float64)
        total += x.sum(axis=0)
        squares += (x**2).sum(axis=0)
    mean = total / len(examples)
    std = np.sqrt(squares / len(examples) - mean**2)
    return {"mean": mean.astype(np.float32), "std": std.astype(np.float32)}


def standardised(fitted, batch):
    return {**batch, "x": (batch["x"] - fitted["mean"]) / fitted["std"]}


def main(examples=200_000, directory=None):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(directory or folder) / "examples.h5"
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            write(path, examples)
        file = h5py.File(path, "r")  # stays open, since the result may train again
        task = jf.Task(
            init=init,
            loss=loss,
            data={"x": file["x"], "y": file["y"]},
            metrics={"accuracy": accuracy},
            validation=0.05,
            prepare=(moments, standardised),
        )
        space = jf.grid(learning_rate=np.geomspace(1e-4, 1e-1, 8), batch_size=[100, 400])
        return jf.sweep(
            task,
            jf.adam,
            space,
            epochs=1,
            metric="valid_accuracy",
            mode="max",
            directory=None if directory is None else Path(directory) / "sweep",
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--examples", type=int, default=200_000)
    parser.add_argument("--directory", default=None)
    options = parser.parse_args()
    result = main(options.examples, options.directory)
    print(result.table()[["learning_rate", "batch_size", "valid_accuracy", "valid_loss"]].head(8))
    print(result.best())
