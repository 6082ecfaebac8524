"""How wide should a block of lanes be here, and how many side by side? Microseconds for one trial's update.

    python tests/benchmarks/width.py [--hidden 64] [--segments 5]

MLP 64-hidden-10 on the digits, batches of 64, Adam under warmup-cosine, in the engine's own program: per-lane
batches, freezing and scores included. Median over segments of 100 updates after a warm-up, a width after another.
"""

import argparse
import statistics
import time
from concurrent.futures import ThreadPoolExecutor

import jax
import jax.numpy as jnp
import numpy as np
import optax
from sklearn.datasets import load_digits

import jefficient as jf
from jefficient.results import Score
from jefficient.sweep._lanes import LaneProgram
from jefficient.sweep._programs import workers
from jefficient.sweep._routes import Routes
from jefficient.sweep._trial import trial_of

BATCH_SIZE, UPDATES = 64, 100


def task(hidden):
    x, y = load_digits(return_X_y=True)

    def init(key):
        first, second = jax.random.split(key)
        return {
            "w1": jax.random.normal(first, (64, hidden)) * (2 / 64) ** 0.5,
            "b1": jnp.zeros(hidden),
            "w2": jax.random.normal(second, (hidden, 10)) * (2 / hidden) ** 0.5,
            "b2": jnp.zeros(10),
        }

    def loss(params, batch):
        h = jax.nn.relu(batch["x"] @ params["w1"] + params["b1"])
        return optax.softmax_cross_entropy_with_integer_labels(h @ params["w2"] + params["b2"], batch["y"]).mean()

    return jf.Task(init, loss, {"x": (x / 16).astype(np.float32), "y": y})


def optimizer(learning_rate, steps):
    return jf.adam(jf.warmup_cosine_decay_schedule(0.0, learning_rate, steps // 10, steps))


def microseconds(the_task, width, segments, threads):
    routes = Routes.of(the_task, optimizer)
    trial = trial_of(routes, {}, BATCH_SIZE, the_task.size)
    program = LaneProgram(trial, Score("train_loss", "min", "last"), float("inf"), "last")
    keys = jax.random.split(jax.random.key(0), width)
    rates = np.geomspace(1e-4, 1e-1, width).astype(np.float32)
    arguments = {"learning_rate": rates}, keys, np.full(width, (segments + 1) * UPDATES, np.int32)
    data = {"train": the_task.data, "valid": None}
    compiled = program.compile(arguments, data)

    def segment(lanes):
        return jax.block_until_ready(compiled.segment(lanes, data, np.int32(UPDATES))[0])

    times = []
    with ThreadPoolExecutor(threads) as pool:
        blocks = [compiled.start(*arguments) for _ in range(threads)]
        for _ in range(segments + 1):
            begun = time.perf_counter()
            blocks = list(pool.map(segment, blocks))
            times.append(time.perf_counter() - begun)
    return 1e6 * statistics.median(times[1:]) / UPDATES / width / threads


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hidden", type=int, default=64)
    parser.add_argument("--segments", type=int, default=5)
    arguments = parser.parse_args()
    print(f"{jax.devices()[0].device_kind}, jax {jax.__version__}, MLP 64-{arguments.hidden}-10, µs an update")
    for width in (1, 2, 4, 8, 16, 32, 64):
        times = [microseconds(task(arguments.hidden), width, arguments.segments, n) for n in sorted({1, workers()})]
        print(f"width {width:>3}: {times[0]:7.1f} one block, {times[-1]:7.1f} with {workers()} blocks side by side")
