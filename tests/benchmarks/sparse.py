"""Which pruned network of digits is best: magnitude, also straight through, RigL, SET or random.

MLP 64-128-10, Adam, kernels pruned over all layers; a quarter of the images is the validation set.
Printed is its error in percent, the mean over seeds with a 95 % interval (Student's t), and the
difference from magnitude pruning over the same seeds.
"""

import argparse

import jax
import numpy as np
import scipy.stats
from timing import machine
from workloads import cross_entropy, digits, he_normal

import jefficient as jf

METHODS = ("magnitude", "ste", "rigl", "set", "random")
SPARSITIES = (0.0, 0.8, 0.9, 0.95, 0.98)


def init(key):
    first, second = jax.random.split(key)
    return {
        "hidden": {"kernel": he_normal(first, 64, 128), "bias": np.zeros(128, np.float32)},
        "output": {"kernel": he_normal(second, 128, 10), "bias": np.zeros(10, np.float32)},
    }


def logits(params, x):
    hidden = jax.nn.relu(x @ params["hidden"]["kernel"] + params["hidden"]["bias"])
    return hidden @ params["output"]["kernel"] + params["output"]["bias"]


def loss(params, batch):
    return cross_entropy(logits(params, batch["x"]), batch["y"])


def error(params, batch):
    return logits(params, batch["x"]).argmax(-1) != batch["y"]


def optimizer_of(method, scope):
    """Three quarters of the training with changing masks, the last quarter with the last one."""

    def optimizer(sparsity, learning_rate, steps):
        is_gradual = method in ("magnitude", "ste")
        begin, end = (steps // 20 if is_gradual else 0), 3 * steps // 4
        if is_gradual:
            sparsity = jf.polynomial_schedule(0.0, sparsity, 3, end - begin, begin)
        return jf.prune(
            jf.adam(jf.cosine_decay_schedule(learning_rate, steps)),
            sparsity,
            method="magnitude" if is_gradual else method,
            begin=begin,
            end=end,
            every=1 if method == "ste" else 20,
            ste=method == "ste",
            scope=scope,
            mask=jf.where_name("kernel"),
        )

    return optimizer


def errors(method, scope, seeds, epochs):
    """Errors by sparsity and seed, in percent."""
    result = jf.sweep(
        jf.Task(init, loss, digits(), validation=0.25, metrics={"error": error}),
        optimizer_of(method, scope),
        jf.grid(sparsity=SPARSITIES, learning_rate=[0.003]),
        epochs=epochs,
        batch_size=64,
        seeds=seeds,
        progress=False,
    )
    return 100 * result.dataset["valid_error"].isel(evaluation=-1, fold=0).transpose(
        "config", "seed"
    ).to_numpy().astype(float)


def interval(values):
    """The mean and half the width of its 95 % interval."""
    n = len(values)
    half = scipy.stats.t.ppf(0.975, n - 1) * values.std(ddof=1) / n**0.5
    return f"{values.mean():6.2f} ± {half:.2f}"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--scope", default="global")
    args = parser.parse_args()
    found = {m: errors(m, args.scope, args.seeds, args.epochs) for m in METHODS}
    print(f"{args.seeds} seeds, {args.epochs} epochs, scope {args.scope}; {machine()}")
    print(f"{'sparsity':10s}" + "".join(f"{m:>17s}" for m in METHODS))
    for i, sparsity in enumerate(SPARSITIES):
        print(f"{sparsity:<10.2f}" + "".join(f"{interval(found[m][i]):>17s}" for m in METHODS))
    print("difference from magnitude")
    for i, sparsity in enumerate(SPARSITIES[1:], start=1):
        beside = [interval(found[m][i] - found["magnitude"][i]) for m in METHODS[1:]]
        print(f"{sparsity:<27.2f}" + "".join(f"{x:>17s}" for x in beside))


if __name__ == "__main__":
    main()
