"""Eight optimizers at equal tuning budget on three tasks: which differences are real?

Each gets the same learning rates on a wide grid, with a cosine decay to zero and all other numbers
at their defaults. The rate of least mean validation loss over the tuning seeds is chosen. Then each
trains with its rate and new seeds. Printed is its mean loss on a test set, and the optimizers that
it beats by Wilcoxon's signed-rank test over the same seeds, with Holm's correction for all 28 pairs
of a task. A seed is initial weights and order of examples; data and split are the same for all. So
a difference is real for this task and split, and need not be for another.
"""

import argparse
import itertools
import time

import jax
import jax.numpy as jnp
import numpy as np
import optax
import optax.contrib
import scipy.stats
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.model_selection import train_test_split
from timing import machine
from workloads import cross_entropy, digits, he_normal

import jefficient as jf

LEVEL = 0.05
BUDGET = 12
"""Learning rates for each optimizer."""


def momentum(learning_rate):
    return jf.sgd(learning_rate, momentum=0.9)


OPTIMIZERS = {
    "sgd": jf.sgd,
    "momentum": momentum,
    "adam": jf.adam,
    "nadam": jf.nadam,
    "rmsprop": optax.rmsprop,
    "adagrad": optax.adagrad,
    "lion": optax.lion,
    "muon": optax.contrib.muon,
}


def mlp(*sizes):
    """Return `init` and the function of parameters and x of an MLP."""

    def init(key):
        keys = jax.random.split(key, len(sizes) - 1)
        return [
            {"w": he_normal(k, n, m), "b": jnp.zeros(m)}
            for k, n, m in zip(keys, sizes, sizes[1:], strict=False)
        ]

    def apply(params, x):
        for layer in params[:-1]:
            x = jax.nn.relu(x @ layer["w"] + layer["b"])
        return x @ params[-1]["w"] + params[-1]["b"]

    return init, apply


def tasks():
    """Return for each task its model, its loss of outputs and labels, and its examples."""
    diabetes = load_diabetes(return_X_y=True)
    cancer = load_breast_cancer(return_X_y=True)

    def squared(outputs, y):
        return jnp.mean((outputs[:, 0] - y) ** 2)

    x, y = digits().values()
    standard = (diabetes[1] - diabetes[1].mean()) / diabetes[1].std()
    return {
        "digits, MLP 64-64-10": (mlp(64, 64, 10), cross_entropy, x, y),
        "diabetes, MLP 10-32-1": (mlp(10, 32, 1), squared, diabetes[0], standard),
        "breast cancer, logistic": (mlp(30, 2), cross_entropy, cancer[0], cancer[1]),
    }


def optimizer(kind, learning_rate, steps):
    return kind(jf.cosine_decay_schedule(learning_rate, steps))


def losses_on_test_set(model, loss_of, x, y, args):
    """Return the chosen rates, and the test losses, shape (optimizers, seeds)."""
    init, apply = model
    rest, test = train_test_split(np.arange(len(x)), test_size=0.25, random_state=0)
    train, valid = train_test_split(rest, test_size=0.25, random_state=0)
    x = (x - x[train].mean(axis=0)) / (x[train].std(axis=0) + 1e-3)
    y = y.astype(np.int32 if loss_of is cross_entropy else np.float32)

    def of(indices):
        return {"x": x[indices].astype(np.float32), "y": y[indices]}

    def task(evaluated):
        def loss(params, batch):
            return loss_of(apply(params, batch["x"]), batch["y"])

        return jf.Task(init, loss, of(train), validation=of(evaluated))

    settings = {"epochs": args.epochs, "batch_size": args.batch_size, "progress": False}
    rates = np.geomspace(1e-4, 3, BUDGET)
    space = jf.grid(kind=jf.static(OPTIMIZERS), learning_rate=rates)
    tuned = jf.sweep(task(valid), optimizer, space, seeds=args.tuning_seeds, **settings)
    score = tuned.dataset["valid_loss"].isel(evaluation=-1).mean(("seed", "fold"))
    chosen = rates[np.nanargmin(score.values.reshape(len(OPTIMIZERS), BUDGET), axis=1)]

    best = jf.Space(
        {"kind": list(OPTIMIZERS.values()), "learning_rate": chosen},
        static={"kind": list(OPTIMIZERS)},
    )
    again = jf.sweep(
        task(test), optimizer, best, seeds=args.seeds, key=jax.random.key(1), **settings
    )
    losses = again.dataset["valid_loss"].isel(evaluation=-1, fold=0)
    return chosen, losses.transpose("config", "seed").values


def holm(p_values):
    """Return Holm's corrected p-values."""
    order = np.argsort(p_values)
    steps = p_values[order] * np.arange(len(p_values), 0, -1)
    corrected = np.empty_like(steps)
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return corrected


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--tuning-seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--batch-size", type=int, default=64)
    args = parser.parse_args()
    print(f"{BUDGET} rates × {args.tuning_seeds} seeds, then {args.seeds} new seeds; {machine()}")
    pairs = list(itertools.combinations(range(len(OPTIMIZERS)), 2))
    names = list(OPTIMIZERS)
    for title, task in tasks().items():
        begun = time.perf_counter()
        chosen, losses = losses_on_test_set(*task, args)
        p_values = holm(
            np.array([scipy.stats.wilcoxon(losses[a], losses[b]).pvalue for a, b in pairs])
        )
        beaten = {name: [] for name in names}
        for (a, b), p in zip(pairs, p_values, strict=True):
            if p <= LEVEL:
                a, b = (a, b) if losses[a].mean() < losses[b].mean() else (b, a)
                beaten[names[a]].append(names[b])
        print(f"\n{title} ({time.perf_counter() - begun:.0f} s)")
        print(f"{'optimizer':10s}{'rate':>9s}{'test loss':>11s}   better than (p ≤ {LEVEL})")
        for i in np.argsort(losses.mean(axis=1)):
            print(
                f"{names[i]:10s}{chosen[i]:9.2g}{losses[i].mean():11.4f}   "
                f"{', '.join(beaten[names[i]]) or '—'}"
            )
        print(f"{(p_values <= LEVEL).sum()} of {len(pairs)} differences are real")


if __name__ == "__main__":
    main()
