"""The main job against the loops people write today, side by side in one process.

    python tests/benchmarks/sweep.py [--trials 96] [--epochs 20]

MLP 64-64-64-10 on the digits, batches of 64, Adam under warmup-cosine; every way trains the same trials:
  sweep         jf.sweep, from the call to the result, compiling, evaluation after every epoch and dataset included
  argument      a Python loop over one jitted optax step, the rate an argument: compiled once
  closed over   the same with the rate closed over: compiled for each trial (as many trials are run as --closed says,
                and the time is scaled)
The loops get their batches for nothing (a permutation made in advance) and evaluate nothing. Medians of --repeats
runs, after a warm-up of jax itself; nothing is cached from run to run but what a user's second call would reuse.
"""

import argparse
import importlib.util
import statistics
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax

EXAMPLE = Path(__file__).parents[2] / "examples" / "01_learning_rate_sweep.py"
spec = importlib.util.spec_from_file_location("example", EXAMPLE)
assert spec
assert spec.loader
example = importlib.util.module_from_spec(spec)
spec.loader.exec_module(example)

BATCH_SIZE = 64


def data():
    x, y = example.load_digits(return_X_y=True)
    train = np.random.default_rng(0).permutation(len(x))[: round(0.8 * len(x))]
    return jnp.asarray((x / 16)[train], jnp.float32), jnp.asarray(y[train], jnp.int32)


def transform(rate, steps):
    def schedule(t):
        warm = jnp.minimum(t / (steps // 10), 1.0)
        return rate * warm * 0.5 * (1 + jnp.cos(jnp.pi * jnp.clip((t - steps // 10) / (0.9 * steps), 0, 1)))

    return optax.adam(schedule)


def loop(rates, steps, closed_over):
    x, y = data()
    batches = np.random.default_rng(1).integers(0, len(x), (steps, BATCH_SIZE))

    def step(params, state, rows, rate):
        batch = {"x": x[rows], "y": y[rows]}
        grads = jax.grad(example.loss)(params, batch)
        updates, state = transform(rate, steps).update(grads, state, params)
        return optax.apply_updates(params, updates), state

    update = jax.jit(step)
    for seed, rate in enumerate(rates):
        if closed_over:
            bound = jax.jit(lambda params, state, rows, rate=rate: step(params, state, rows, rate))
        params = example.init(jax.random.key(seed))
        state = transform(rate, steps).init(params)
        for rows in batches:
            params, state = bound(params, state, rows) if closed_over else update(params, state, rows, rate)
        jax.block_until_ready(params)


def seconds(function, *arguments):
    begun = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - begun


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=96)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--closed", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    n = arguments.trials
    steps = int(np.ceil(arguments.epochs * round(0.8 * 1797) / BATCH_SIZE))
    rates = np.geomspace(1e-4, 1e-1, n).astype(np.float32)
    example.init(jax.random.key(0))
    ways = {
        "sweep": lambda: seconds(example.sweep, n // 3, 3, arguments.epochs),
        "argument": lambda: seconds(loop, rates, steps, False),
        "closed over": lambda: seconds(loop, rates[: arguments.closed], steps, True) * n / arguments.closed,
    }
    times = {name: [] for name in ways}
    for _ in range(arguments.repeats):
        for name, run in ways.items():
            times[name].append(run())
    print(f"{jax.devices()[0].device_kind}, jax {jax.__version__}: {n} trials of {steps} updates")
    for name, measured in times.items():
        median = statistics.median(measured)
        print(f"{name:<12} {median:7.1f} s, {median / statistics.median(times['sweep']):5.1f} x the sweep")
