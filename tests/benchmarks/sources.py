"""Examples that are read while lanes train, against the same examples in memory.

    python tests/benchmarks/sources.py

A memmap that the page cache holds, and the same array in memory; sweeps of the same configurations
in turn, warm (a first sweep of each compiles and is not counted), medians. What counts is
lane-steps a second.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jefficient as jf


def task(data, widths):
    """Make a task of a network of these widths that classifies."""

    def init(key):
        keys = jax.random.split(key, len(widths) - 1)
        return [
            {"w": jax.random.normal(k, (a, b)) / np.sqrt(a).astype(np.float32), "b": jnp.zeros(b)}
            for k, a, b in zip(keys, widths[:-1], widths[1:], strict=True)
        ]

    def loss(params, batch):
        h = batch["x"]
        for layer in params[:-1]:
            h = jax.nn.relu(h @ layer["w"] + layer["b"])
        logits = h @ params[-1]["w"] + params[-1]["b"]
        return optax.softmax_cross_entropy_with_integer_labels(logits, batch["y"]).mean()

    return jf.Task(init=init, loss=loss, data=data, validation=0.1)


def rows(count, features, classes, folder):
    """Rows in memory and the same on disk."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(count, features)).astype(np.float32)
    y = (x[:, :classes] + rng.normal(size=(count, classes))).argmax(1).astype(np.int32)
    stored = {}
    for name, array in (("x", x), ("y", y)):
        file = np.memmap(folder / name, array.dtype, "w+", shape=array.shape)
        file[:] = array
        file.flush()
        stored[name] = np.memmap(folder / name, array.dtype, "r", shape=array.shape)
    return {"x": x, "y": y}, stored


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--steps", type=int, default=2_000)
    parser.add_argument("--configs", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    print(f"{options.rows:,} rows, {options.configs} configurations × {options.steps:,} updates")
    with tempfile.TemporaryDirectory() as folder:
        for widths in ((64, 32, 10), (64, 128, 10), (784, 128, 10)):
            memory, disk = rows(options.rows, widths[0], widths[-1], Path(folder))
            space = jf.grid(learning_rate=np.geomspace(1e-4, 1e-2, options.configs).tolist())
            seconds = {"memory": [], "memmap": []}
            for _ in range(1 + options.repeats):
                for name, data in (("memory", memory), ("memmap", disk)):
                    settings = {
                        "steps": options.steps,
                        "eval_every": options.steps // 4,
                        "batch_size": 64,
                    }
                    times = []
                    begun = time.perf_counter()
                    note = lambda progress, begun=begun, times=times: times.append(  # noqa: E731
                        (time.perf_counter() - begun, progress.steps_done)
                    )
                    jf.sweep(
                        task(data, widths), jf.adam, space, progress=note, keep=None, **settings
                    )
                    first = next(i for i, (_, done) in enumerate(times) if done)
                    (t0, s0), (t1, s1) = times[first], times[-1]
                    seconds[name].append((t1 - t0) / (s1 - s0))
            per_step = {name: statistics.median(x[1:]) for name, x in seconds.items()}
            share = per_step["memory"] / per_step["memmap"]
            figures = ", ".join(
                f"{name} {x * 1e6:.2f} µs a lane-step" for name, x in per_step.items()
            )
            print(
                f"{'-'.join(map(str, widths))}: {figures}; "
                f"{100 * share:.0f} % of the speed in memory",
                flush=True,
            )


if __name__ == "__main__":
    main()
