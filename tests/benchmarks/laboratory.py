"""What stopping rules save and lose where schedules fall to zero, and where they do not.

    python tests/benchmarks/laboratory.py [--configs 96] [--epochs 27] [--seeds 3]

Trains for random learning rates, once with a constant rate and once with a cosine to zero:

- quadratic: 50 noisy directions of curvature 1, and 50 of curvature 0.001 that hold nearly all of
  the loss, as in Wu, Ren, Liao and Grosse 2018, "Understanding Short-Horizon Bias in Stochastic
  Meta-Optimization"; an epoch is 100 updates;
- digits: a 64-32-10 network on scikit-learn's digits, a fifth of the training labels drawn at
  random, over L2 strengths too; the score is the validation error.

Simulates every rule on each sweep; prints what it costs, and how many times the best score the
score is that it ends with.
"""

import argparse
import itertools

import jax
import jax.numpy as jnp
import numpy as np
from workloads import digits, mlp

import jefficient as jf

EPOCH = 100
"""Updates of the quadratic that are called an epoch."""


def rules(per_epoch, epochs, has_epochs):
    """Return the rules; those of the quadratic count updates."""
    first, last = ("min_epochs", "max_epochs") if has_epochs else ("min_steps", "max_steps")
    whole = {first: per_epoch, last: epochs * per_epoch}
    return {
        **{
            f"halving from epoch {epoch}": jf.successive_halving(3, **{first: epoch * per_epoch})
            for epoch in (1, 3, 9)
        },
        "hyperband from epoch 1": jf.hyperband(3, **whole),
        "median": jf.median_stop(),
        **{f"patience of {n}": jf.patience(evaluations=n) for n in (2, 5)},
    }


def constant(learning_rate, l2):
    return jf.chain(jf.l2_decay(l2), jf.sgd(learning_rate, momentum=0.9))


def cosine(learning_rate, l2, steps):
    return constant(jf.cosine_decay_schedule(learning_rate, steps), l2)


def error(params, batch):
    hidden = jnp.maximum(batch["x"] @ params["w1"] + params["b1"], 0)
    return jnp.mean((hidden @ params["w2"] + params["b2"]).argmax(-1) != batch["y"])


def on_digits(optimizer, options):
    """Train every configuration of the network to its end."""
    rng = np.random.default_rng(0)
    data = digits()
    order = rng.permutation(len(data["y"]))
    train, valid = order[500:], order[:500]
    labels = data["y"].copy()
    drawn = train[rng.random(len(train)) < 0.2]
    labels[drawn] = rng.integers(0, 10, size=len(drawn))
    network = mlp(32).task
    return jf.sweep(
        jf.Task(
            network.init,
            network.loss,
            {"x": data["x"][train], "y": labels[train]},
            validation={"x": data["x"][valid], "y": data["y"][valid]},
            metrics={"error": error},
        ),
        optimizer,
        jf.random(
            options.configs,
            seed=0,
            learning_rate=jf.LogUniform(1e-4, 1.0),
            l2=jf.LogUniform(1e-6, 1e-2),
        ),
        epochs=options.epochs,
        batch_size=16,
        seeds=options.seeds,
        metric="valid_error",
        mode="min",
        keep=None,
        progress=False,
    )


CURVATURE = jnp.repeat(jnp.array([1.0, 1e-3]), 50)
START = jnp.repeat(jnp.array([0.0, 40.0**0.5]), 50)  # a loss of 1
NOISE = jnp.repeat(jnp.array([0.012**0.5, 0.0]), 50)  # a loss of 0.3 at a constant rate of 1


def on_quadratic(optimizer, options):
    """Train every configuration of the quadratic to its end."""

    def step(x, data, t, key, learning_rate, steps):
        rate = learning_rate
        if optimizer is cosine:
            rate = jf.cosine_decay_schedule(learning_rate, steps)(t)
        return x - rate * (
            CURVATURE * x + NOISE * jax.random.normal(jax.random.fold_in(key, t), x.shape)
        ), {}

    return jf.sweep(
        jf.Trial(
            init=lambda key: START,
            step=step,
            evaluate=lambda x, data: {"valid_loss": jnp.sum(CURVATURE * x**2) / 2},
        ),
        space=jf.random(options.configs, seed=0, learning_rate=jf.LogUniform(1e-3, 1.5)),
        steps=EPOCH * options.epochs,
        eval_every=EPOCH,
        seeds=options.seeds,
        keep=None,
        progress=False,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--configs", type=int, default=96)
    parser.add_argument("--epochs", type=int, default=27)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    for problem, optimizer in itertools.product((on_quadratic, on_digits), (constant, cosine)):
        result = problem(optimizer, options)
        best = result.best()
        print(f"{problem.__name__}, {optimizer.__name__}: {best}", flush=True)
        per_epoch = EPOCH if problem is on_quadratic else 1
        for name, rule in rules(per_epoch, options.epochs, problem is on_digits).items():
            found = jf.simulate(rule, result)
            print(
                f"  {name:<22} {found.cost:4.0%} of the updates, score "
                f"{1 + found.regret / best.score:5.2f} x the best, stops {len(found.stopped)}"
            )


if __name__ == "__main__":
    main()
