"""DeepOBS's `quadratic_deep`: its 135 published runs, and the same runs as lanes of sweeps.

Schneider, Balles and Hennig (2019), "DeepOBS: a deep learning optimizer benchmark suite". The loss
of a point x is ½ (θ - x)ᵀ H (θ - x) in 100 dimensions, and θ begins at 1. 100 epochs are 700
updates with batches of 128. `quadratic_deep.csv` and the Hessian are DeepOBS's (`NOTICE.md`).

The published runs repeat one order of examples in every epoch: each epoch makes the iterator of
TensorFlow's data set anew, from the same seed. `tensorflow_order` is that order.
"""

import functools
import operator
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

import jefficient as jf

FOLDER = Path(__file__).parent
SIZE, BATCH, EPOCHS = 1000, 128, 100
BATCHES = SIZE // BATCH  # the rest of an epoch is dropped
STEPS = EPOCHS * BATCHES
FIRST_SEED, SEEDS = 42, 10
OPTIMIZERS = {
    "GradientDescentOptimizer": jf.sgd,
    "MomentumOptimizer": lambda learning_rate: jf.sgd(learning_rate, momentum=0.99),
    "AdamOptimizer": jf.adam,
}
"""By TensorFlow's names, with DeepOBS's settings."""


def philox(key, counter, size):
    """Draw 32-bit numbers with Philox 4x32-10 (Salmon et al. 2011), as TensorFlow seeds it.

    Args:
        key: the key, 64 bits.
        counter: the upper half of the counter, 64 bits; the lower one counts blocks of four.
        size: how many numbers.

    Returns:
        uint64 array (size,), of numbers below 2³².
    """
    low = np.uint64(0xFFFFFFFF)
    multipliers = np.array([[0xD2511F53], [0xCD9E8D57]], np.uint64)
    steps = np.array([0x9E3779B9, 0xBB67AE85], np.uint64)
    k = np.array([key, key >> 32], np.uint64) & low
    blocks = -(-size // 4)
    x = np.zeros((4, blocks), np.uint64)
    x[0] = np.arange(blocks)
    x[2] = counter & 0xFFFFFFFF
    x[3] = counter >> 32
    for _ in range(10):
        product = x[[0, 2]] * multipliers
        upper = product >> np.uint64(32)
        lower = product & low
        x = np.stack([upper[1] ^ x[1] ^ k[0], lower[1], upper[0] ^ x[3] ^ k[1], lower[0]])
        k = (k + steps) & low
    return x.T.ravel()[:size]


def tensorflow_order(seed):
    """Return the batches of each epoch after `tf.set_random_seed(seed)`, indices (7, 128).

    `Dataset.shuffle` has the seeds (seed, 2), 2 being the number of its operation in DeepOBS's
    graph. It draws two more from them, and with these exchanges each place with one of the rest.
    """
    key, counter = philox(seed, 2, 2).tolist()
    order = np.arange(SIZE)
    for i, number in enumerate(philox(key, counter, SIZE).tolist()):
        other = i + number % (SIZE - i)
        order[[i, other]] = order[[other, i]]
    return order[: BATCHES * BATCH].reshape(BATCHES, BATCH)


def points(seed):
    """Draw points as DeepOBS does, (1000, 100)."""
    return np.random.RandomState(seed).normal(0.0, 0.6, (SIZE, 100)).astype(np.float32)


def published():
    """Return the runs by optimizer, seed and rate; what is not finite is NaN."""
    runs = pd.read_csv(FOLDER / "quadratic_deep.csv").replace(np.inf, np.nan)
    return runs.sort_values(["optimizer", "seed", "learning_rate"], ignore_index=True)


def data():
    """Return the Hessian, the points, and the order of each published seed, (10, 7, 128)."""
    seeds = range(FIRST_SEED, FIRST_SEED + SEEDS)
    return {
        "hessian": np.load(FOLDER / "quadratic_deep.npz")["hessian"],
        "train": points(42),
        "test": points(43)[: BATCHES * BATCH],
        "orders": np.stack([tensorflow_order(seed) for seed in seeds]),
    }


def quadratic(theta, x, hessian):
    """Return the mean over points x of ½ (θ - x)ᵀ H (θ - x)."""
    d = theta - x
    return 0.5 * jnp.mean(jnp.sum((d @ hessian) * d, axis=-1))


def init(key, optimizer, learning_rate):
    theta = jnp.ones(100)
    return theta, optimizer(learning_rate).init(theta)


def step(state, data, t, key, optimizer, learning_rate, order):
    """Make update t, with the batch that the published run of this seed had."""
    theta, opt_state = state
    x = data["train"][data["orders"][order, t % BATCHES]]
    loss, g = jax.value_and_grad(quadratic)(theta, x, data["hessian"])
    u, opt_state = optimizer(learning_rate).update(g, opt_state, theta)
    return (jf.apply_updates(theta, u), opt_state), {"loss": loss}


def evaluate(state, data):
    return {"valid_loss": quadratic(state[0], data["test"], data["hessian"])}


def trained(runs):
    """Train published runs as one sweep; return their test losses, NaN where they diverged."""
    grids = [
        jf.grid(
            learning_rate=each["learning_rate"].tolist(),
            order=[seed - FIRST_SEED],
            optimizer=jf.static({name: OPTIMIZERS[name]}),
        )
        for (name, seed), each in runs.groupby(["optimizer", "seed"], sort=False)
    ]
    result = jf.sweep(
        jf.Trial(init, step, evaluate, data()),
        space=functools.reduce(operator.add, grids),
        steps=STEPS,
        eval_every=STEPS,
        keep=None,
        progress=False,
    )
    diverged = result.dataset["status"].values[:, 0, 0] == "diverged"
    return np.where(diverged, np.nan, result.dataset["valid_loss"].values[:, 0, 0, -1])


def reshuffled(name, rate, seeds):
    """Return test losses with a new order of all examples in every epoch, (seeds,)."""
    constants = data()
    task = jf.Task(
        init=lambda key: jnp.ones(100),
        loss=lambda theta, x: quadratic(theta, x, constants["hessian"]),
        data=constants["train"],
        validation=constants["test"],
    )
    settings = {"steps": STEPS, "eval_every": STEPS, "batch_size": BATCH, "seeds": seeds}
    space = jf.grid(learning_rate=[rate])
    result = jf.sweep(task, OPTIMIZERS[name], space, **settings, keep=None, progress=False)
    return result.dataset["valid_loss"].values[0, :, 0, -1]


def averaged_curve(runs):
    """Return the published losses of SGD's 18 finite rates, and ours over the ten orders."""
    is_curve = (runs["optimizer"] == "GradientDescentOptimizer") & (runs["seed"] == FIRST_SEED)
    curve = runs[is_curve].dropna(subset="test_loss_final")
    all_seeds = [curve.assign(seed=FIRST_SEED + i) for i in range(SEEDS)]
    losses = trained(pd.concat(all_seeds, ignore_index=True)).reshape(SEEDS, len(curve))
    return curve.assign(ours=losses.mean(axis=0)).set_index("learning_rate")


def report():
    """Print how the 135 runs compare with the published ones."""
    began = time.perf_counter()
    runs = published()
    runs["ours"] = trained(runs)
    runs["apart"] = abs(runs["ours"] / runs["test_loss_final"] - 1)
    print(f"135 runs in {time.perf_counter() - began:.0f} s")
    for name, each in runs.groupby("optimizer"):
        finite = each.dropna(subset="apart")
        agree = each["ours"].isna() == each["test_loss_final"].isna()
        first = each[each["seed"] == FIRST_SEED]
        ten = each[each["learning_rate"].isin(each[each["seed"] > FIRST_SEED]["learning_rate"])]
        print(
            f"\n{name}: {each['ours'].isna().sum()} of {len(each)} diverged, {agree.sum()} as "
            f"published; of the others {(finite['apart'] < 1e-6).sum()} of {len(finite)} agree to "
            f"1e-6, {(finite['apart'] < 1e-5).sum()} to 1e-5, median {finite['apart'].median():.1e}"
        )
        for row in finite[finite["apart"] >= 1e-5].itertuples():
            print(f"  rate {row.learning_rate:.3g}: {row.test_loss_final:.2f} and {row.ours:.2f}")
        for whose in ("test_loss_final", "ours"):
            best = first.loc[first[whose].idxmin()]
            print(
                f"  {whose}: best rate {best['learning_rate']:.4g} ({best[whose]:.4f}); ten seeds "
                f"at {ten['learning_rate'].iloc[0]:.4g}: {ten[whose].mean():.3f} "
                f"± {ten[whose].std():.3f}"
            )
        losses = reshuffled(name, ten["learning_rate"].iloc[0], SEEDS)
        print(
            f"  a new order in every epoch: {losses.mean():.3f} ± {losses.std(ddof=1):.3f}",
            flush=True,
        )
    curve = averaged_curve(runs)
    print(
        f"\nSGD, each rate with all ten orders: best rate {curve['ours'].idxmin():.4g}, "
        f"{(abs(curve['ours'] / curve['test_loss_final'] - 1)).median():.2%} from the published "
        f"curve of one order in the median"
    )
