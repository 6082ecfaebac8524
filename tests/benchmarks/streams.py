"""Prequential evaluation of logistic regression by SGD: sweeps against river's loop.

Both test each example of one stream (river's Hyperplane, drifting) before they train on it, with
the same rates and log losses. Examples are ready before the clock starts: arrays here, dicts there.
River trains one rate after another; some of its runs are timed and stand for all. A sweep's first
call compiles, the second does not.

    .venv/bin/python tests/benchmarks/streams.py --examples 100000 --rates 1 64
"""

import argparse
import itertools
import time

import jax
import jax.numpy as jnp
import numpy as np
import river.evaluate
import river.linear_model
import river.metrics
import river.optim
from river.datasets import synth
from timing import Cost, machine, median

import jefficient as jf

RUNS = 3
"""Runs of river that are timed."""


def examples(count, features):
    dataset = synth.Hyperplane(seed=0, n_features=features, mag_change=0.001)
    pairs = list(itertools.islice(iter(dataset), count))
    x = np.array([list(row.values()) for row, _ in pairs], np.float32) - 0.5
    return x, np.array([label for _, label in pairs], np.float32)


def init(key):
    return {"w": jnp.zeros(FEATURES), "b": jnp.zeros(())}


def loss(p, batch):
    margin = batch["x"] @ p["w"] + p["b"]
    return jnp.mean(jax.nn.softplus((1 - 2 * batch["y"]) * margin))


def river_score(rows, labels, rate):
    model = river.linear_model.LogisticRegression(river.optim.SGD(rate), intercept_lr=rate)
    pairs = zip(rows, labels, strict=True)
    return river.evaluate.progressive_val_score(pairs, model, river.metrics.LogLoss()).get()


def main():
    rows = [dict(enumerate(row)) for row in X.tolist()]
    labels = (Y == 1).tolist()
    task = jf.Task(
        init, loss, {"x": X, "y": Y}, order="sequential", evaluate="prequential", check_finite=False
    )
    print(machine())
    print(f"{len(X):,} examples of {FEATURES} features, batches of one; wall time (CPU time), s")
    for count in ARGUMENTS.rates:
        rates = np.logspace(-3, 0, count).astype(np.float32) if count > 1 else np.float32([0.1])

        def sweep(rates=rates):
            space = jf.grid(learning_rate=rates.tolist())
            return jf.sweep(task, jf.sgd, space, epochs=1, batch_size=1, progress=False)

        seconds = 1_000_000  # Cost is in microseconds for an update
        result, first = timed(sweep)
        again = median([timed(sweep)[1] for _ in range(ARGUMENTS.repeats)])
        chosen = rates[np.linspace(0, count - 1, min(RUNS, count)).round().astype(int)]
        theirs = []
        for rate in chosen.tolist():
            expected, cost = timed(lambda rate=rate: river_score(rows, labels, rate))
            theirs.append(cost)
            own = result.dataset["valid_loss"].values[rates.tolist().index(rate), 0, 0, -1]
            np.testing.assert_allclose(own, expected, rtol=2e-6)
        all_runs = Cost(*(count * x for x in median(theirs)))
        for name, cost in (("river", all_runs), ("sweep, first", first), ("sweep, again", again)):
            wall, cpu = (x / seconds for x in cost)
            ratios = (a / b for a, b in zip(all_runs, cost, strict=True))
            print(
                f"{count:4d} rates  {name:12s} {wall:8.2f} ({cpu:8.2f})   river takes "
                "{:.1f} x ({:.1f} x)".format(*ratios)
            )


def timed(function):
    wall, cpu = time.perf_counter(), time.process_time()
    result = function()
    spent = time.perf_counter() - wall, time.process_time() - cpu
    return result, Cost(*(1e6 * x for x in spent))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=100_000)
    parser.add_argument("--features", type=int, default=10)
    parser.add_argument("--rates", type=int, nargs="+", default=[1, 64])
    parser.add_argument("--repeats", type=int, default=3)
    ARGUMENTS = parser.parse_args()
    FEATURES = ARGUMENTS.features
    X, Y = examples(ARGUMENTS.examples, FEATURES)
    main()
