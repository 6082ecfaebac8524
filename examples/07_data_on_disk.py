"""Rows in a file that is never in memory: which learning rate, which batch size?

    python examples/07_data_on_disk.py [--rows 200000] [--directory D]

Writes an HDF5 file of made-up rows, a piece at a time: 32 numbers each, and which of four spirals
they lie on. The sweep reads batches from it while it trains, each once for all learning rates; with
--directory it survives Ctrl-C.
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

FEATURES, CLASSES, HIDDEN = 32, 4, 64
PIECE = 10_000


def write(path, rows):
    """Points on four spiral arms, seen through 32 noisy numbers."""
    rng = np.random.default_rng(0)
    view = rng.normal(size=(2, FEATURES)) / np.sqrt(2)
    with h5py.File(path, "w") as file:
        x = file.create_dataset("x", (rows, FEATURES), np.float32)
        y = file.create_dataset("y", (rows,), np.int8)
        for begin in range(0, rows, PIECE):
            size = min(PIECE, rows - begin)
            arm, radius = rng.integers(0, CLASSES, size), rng.uniform(0.3, 3, size)
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


def moments(rows):
    """Mean and standard deviation of each number over the training rows, read piece by piece."""
    total, squares = np.zeros(FEATURES), np.zeros(FEATURES)
    for begin in range(0, len(rows), PIECE):
        x = rows[begin : begin + PIECE]["x"].astype(np.float64)
        total, squares = total + x.sum(axis=0), squares + (x**2).sum(axis=0)
    mean = total / len(rows)
    return {
        "mean": mean.astype(np.float32),
        "std": np.sqrt(squares / len(rows) - mean**2).astype(np.float32),
    }


def standardised(fitted, batch):
    return {**batch, "x": (batch["x"] - fitted["mean"]) / fitted["std"]}


def main(rows=200_000, directory=None):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(directory or folder) / "rows.h5"
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            write(path, rows)
        file = h5py.File(path, "r")  # open as long as the result may train again
        task = jf.Task(
            init=init,
            loss=loss,
            data={"x": file["x"], "y": file["y"]},
            metrics={"accuracy": accuracy},
            validation=0.05,
            prepare=(moments, standardised),
        )
        space = jf.grid(learning_rate=np.geomspace(1e-4, 1e-1, 8).tolist()) * jf.grid(
            batch_size=[100, 400]
        )
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
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--directory", default=None)
    options = parser.parse_args()
    result = main(options.rows, options.directory)
    print(result.table()[["learning_rate", "batch_size", "valid_accuracy", "valid_loss"]].head(8))
    print(result.best())
