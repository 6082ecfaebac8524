"""A noisy quadratic: losses of sweeps, and their expectation in closed form.

Zhang et al. (2019), "Which algorithmic choices matter at which batch sizes? Insights from a noisy
quadratic model": the loss of an example z ~ N(0, 1) is ½ Σ hᵢ (wᵢ - zᵢ)², examples are fresh in
every update, and SGD starts from w = 1. For a coordinate w of curvature h the update is
w ← (1 - ηh) w + ηh z̄, z̄ ~ N(0, 1/batch), whatever the schedule of η. So w stays Gaussian:
its mean shrinks by 1 - ηh, its variance by (1 - ηh)², and (ηh)² / batch is added.
"""

import time

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

import jefficient as jf

H = 1 / np.arange(1, 21)  # as in the paper, which has more of them
STEPS = 40
RATES = (0.03, 0.1, 0.3, 1.0)
BATCHES = (1, 4, 16, 64)
WARMUP = 10

SCHEDULES = {
    "constant": jf.constant_schedule,
    "linear": lambda rate: jf.linear_schedule(rate, 0.3 * rate, STEPS),
    "cosine": lambda rate: jf.cosine_decay_schedule(rate, STEPS, alpha=0.1),
    "exponential": lambda rate: jf.exponential_decay(rate, STEPS, 0.01),
    "warmup and cosine": lambda rate: jf.warmup_cosine_decay_schedule(0.0, rate, WARMUP, STEPS),
}
FORMULAS = {
    "constant": lambda t: np.ones(STEPS),
    "linear": lambda t: 1 - 0.7 * t / STEPS,
    "cosine": lambda t: 0.1 + 0.9 * (1 + np.cos(np.pi * t / STEPS)) / 2,
    "exponential": lambda t: 0.01 ** (t / STEPS),
    "warmup and cosine": lambda t: np.where(
        t < WARMUP, t / WARMUP, (1 + np.cos(np.pi * (t - WARMUP) / (STEPS - WARMUP))) / 2
    ),
}
"""The same schedules for a rate of 1, of updates t = 0 … STEPS - 1."""


def expected(rate, batch, schedule):
    """Return the expected loss of a fresh example after the last update."""
    mean, variance = np.ones(len(H)), np.zeros(len(H))
    for eta in rate * FORMULAS[schedule](np.arange(STEPS)):
        shrunk = 1 - eta * H
        mean = shrunk * mean
        variance = shrunk**2 * variance + (eta * H) ** 2 / batch
    return 0.5 * (H * (mean**2 + variance + 1)).sum()


def loss(w, batch, key, examples):
    """Return the mean loss of so many fresh examples; in evaluation its expectation given w."""
    h = jnp.asarray(H, jnp.float32)
    if key is None:
        return 0.5 * jnp.sum(h * (w**2 + 1))
    z = jax.random.normal(key, (examples, len(H)))
    return 0.5 * jnp.mean(jnp.sum(h * (w - z) ** 2, axis=-1))


def optimizer(learning_rate, schedule):
    """Follow the schedule of this index; all of them are in one program."""
    schedules = [make(learning_rate) for make in SCHEDULES.values()]
    return jf.sgd(lambda t: jnp.stack([each(t) for each in schedules])[schedule])


def compared(rates=RATES, batches=BATCHES, seeds=1000):
    """Return a row for each configuration: the exact loss, the mean over seeds, its error."""
    task = jf.Task(
        init=lambda key: jnp.ones(len(H)), loss=loss, data=None, validation=lambda key: None
    )
    space = jf.grid(
        examples=jf.static(list(batches)),
        schedule=list(range(len(SCHEDULES))),
        learning_rate=list(rates),
    )
    settings = {"steps": STEPS, "eval_every": STEPS, "seeds": seeds, "keep": None}
    result = jf.sweep(task, optimizer, space, **settings, progress=False)
    data = result.dataset
    rate, batch, index = (data[x].values for x in ("learning_rate", "examples", "schedule"))
    schedule = np.array(list(FORMULAS))[index.astype(int)]
    losses = data["valid_loss"].values[:, :, 0, -1].astype(float)
    return pd.DataFrame(
        {
            "schedule": schedule,
            "rate": rate,
            "batch": batch.astype(int),
            "exact": [expected(*each) for each in zip(rate, batch, schedule, strict=True)],
            "mean": losses.mean(axis=1),
            "error": losses.std(axis=1, ddof=1) / seeds**0.5,
        }
    )


def report():
    """Print how far the means over 1 000 seeds are from the exact losses."""
    began = time.perf_counter()
    table = compared()
    z = (table["mean"] - table["exact"]) / table["error"]
    print(
        f"{len(table)} configurations x 1000 seeds in {time.perf_counter() - began:.0f} s: "
        f"{(abs(z) < 3).sum()} means within 3 standard errors, the farthest {abs(z).max():.2f}; "
        f"root of the mean square {(z**2).mean() ** 0.5:.2f}"
    )
    print(f"a standard error is {(table['error'] / table['exact']).median():.2%} in the median")
    print(table.assign(z=z).to_string(index=False, float_format="%.4f"))
