"""Trials until a known optimum is nearly reached: Optuna's TPE against a random space.

The score is (log₁₀ rate + 2)² + (share - 0.3)², over rates of four decades and shares from 0 to 1.
TPE has the defaults of Optuna 5, multivariate with the constant liar; beside them each is switched
off, and both, which were the defaults of Optuna 4.
"""

import argparse
import statistics

import jax.numpy as jnp
import numpy as np
import optuna

import jefficient as jf

RANGES = {"rate": jf.LogUniform(1e-4, 1.0), "share": jf.Uniform(0.0, 1.0)}
TRIAL = jf.Trial(
    init=lambda key: jnp.zeros(()),
    step=lambda x, data, t, key: (x, {}),
    evaluate=lambda x, data, rate, share: {
        "valid_loss": (jnp.log10(rate) + 2) ** 2 + (share - 0.3) ** 2
    },
)

SAMPLERS = {
    "TPE": {},
    "TPE, each alone": {"multivariate": False},
    "TPE, no liar": {"constant_liar": False},
    "TPE, neither": {"multivariate": False, "constant_liar": False},
}


def trials_until(target, space):
    """Return how many trials it takes, or one more than there are if none reaches it."""
    result = jf.sweep(TRIAL, space=space, steps=1, keep=None, progress=False)
    reached = np.flatnonzero(result.dataset["valid_loss"].values[:, 0, 0, -1] <= target)
    return int(reached[0]) + 1 if len(reached) else result.dataset.sizes["config"] + 1


def report(name, counts):
    """One line."""
    low, high = np.quantile(counts, [0.25, 0.75])
    print(
        f"{name:<30} median {statistics.median(counts):6.1f} trials, "
        f"quartiles {low:.0f} to {high:.0f}",
        flush=True,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--target", type=float, default=0.005)
    parser.add_argument("--n", type=int, default=128, help="trials of TPE")
    parser.add_argument("--batches", default="8,16,32")
    parser.add_argument(
        "--random", type=int, default=1024, help="configurations of the random space"
    )
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    seeds = range(options.seeds)
    print(f"Optuna {optuna.__version__}, {options.seeds} seeds")
    report(
        "random",
        [trials_until(options.target, jf.random(options.random, seed=s, **RANGES)) for s in seeds],
    )
    for name, settings in SAMPLERS.items():
        for batch in map(int, options.batches.split(",")):
            counts = []
            for seed in seeds:
                sampler = optuna.samplers.TPESampler(seed=seed, **settings)
                search = jf.optuna(sampler, options.n, batch=batch, storage=None, **RANGES)
                counts.append(trials_until(options.target, search))
            report(f"{name}, batches of {batch}", counts)


if __name__ == "__main__":
    main()
