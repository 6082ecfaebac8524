"""Which pruned network of digits is best: magnitude, also straight through, RigL, SET or random.

MLP 64-128-10, or two convolutions and a layer (--model cnn), Adam, kernels pruned over all layers;
a quarter of the images is the validation set.
Printed is its error in percent, the mean over seeds with a 95 % interval (Student's t), and the
difference from magnitude pruning over the same seeds.
"""

import argparse
import math

import jax
import numpy as np
import scipy.stats
from timing import machine
from workloads import cross_entropy, digits, he_normal

import jefficient as jf

METHODS = ("magnitude", "ste", "rigl", "set", "random")
SPARSITIES = (0.0, 0.8, 0.9, 0.95, 0.98)


def layer(key, inputs, outputs, *window):
    size = math.prod(window)
    kernel = he_normal(key, size * inputs, outputs).reshape(*window, inputs, outputs)
    return {"kernel": kernel, "bias": np.zeros(outputs, np.float32)}


def mlp(key):
    first, second = jax.random.split(key)
    return {"hidden": layer(first, 64, 128), "output": layer(second, 128, 10)}


def mlp_logits(params, x):
    hidden = jax.nn.relu(x @ params["hidden"]["kernel"] + params["hidden"]["bias"])
    return hidden @ params["output"]["kernel"] + params["output"]["bias"]


def cnn(key):
    """Windows of 3 × 3, 16 and 32 channels, each with a stride of 2: 8 × 8 to 2 × 2."""
    keys = jax.random.split(key, 3)
    return {
        "first": layer(keys[0], 1, 16, 3, 3),
        "second": layer(keys[1], 16, 32, 3, 3),
        "output": layer(keys[2], 128, 10),
    }


def cnn_logits(params, x):
    x = x.reshape(-1, 8, 8, 1)
    for name in ("first", "second"):
        x = jax.lax.conv_general_dilated(
            x, params[name]["kernel"], (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        x = jax.nn.relu(x + params[name]["bias"])
    return x.reshape(len(x), -1) @ params["output"]["kernel"] + params["output"]["bias"]


MODELS = {"mlp": (mlp, mlp_logits), "cnn": (cnn, cnn_logits)}


def task_of(model):
    init, logits = MODELS[model]

    def loss(params, batch):
        return cross_entropy(logits(params, batch["x"]), batch["y"])

    def error(params, batch):
        return logits(params, batch["x"]).argmax(-1) != batch["y"]

    return jf.Task(init, loss, digits(), validation=0.25, metrics={"error": error})


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


def errors(model, method, scope, seeds, epochs):
    """Errors by sparsity and seed, in percent."""
    result = jf.sweep(
        task_of(model),
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
    parser.add_argument("--model", choices=MODELS, default="mlp")
    args = parser.parse_args()
    found = {m: errors(args.model, m, args.scope, args.seeds, args.epochs) for m in METHODS}
    print(
        f"{args.model}, {args.seeds} seeds, {args.epochs} epochs, scope {args.scope}; {machine()}"
    )
    print(f"{'sparsity':10s}" + "".join(f"{m:>17s}" for m in METHODS))
    for i, sparsity in enumerate(SPARSITIES):
        print(f"{sparsity:<10.2f}" + "".join(f"{interval(found[m][i]):>17s}" for m in METHODS))
    print("difference from magnitude")
    for i, sparsity in enumerate(SPARSITIES[1:], start=1):
        beside = [interval(found[m][i] - found["magnitude"][i]) for m in METHODS[1:]]
        print(f"{sparsity:<27.2f}" + "".join(f"{x:>17s}" for x in beside))


if __name__ == "__main__":
    main()
