"""Does a look at a share of the examples find the winner, and what does it save?

    python tests/benchmarks/fidelity.py [--configs 81] [--epochs 20] [--repeats 3]

An MLP 64-128-10 on digits: random learning rates and L2 strengths of Adam, batches of 32, three
seeds. For every share of the training examples: how its ranking agrees with that of all examples
(Spearman's correlation, all configurations, and the better half), and where the winner of all
examples stands. Then halving by shares, 1/9, 1/3 and all, each rung keeping a third: updates and
time against the sweep of all configurations on all examples, and the score of the winner there.
"""

import argparse
import time

import jax
import jax.numpy as jnp
import numpy as np
from scipy.stats import spearmanr
from timing import machine
from workloads import cross_entropy, digits, he_normal

import jefficient as jf

SHARES = (0.03, 0.1, 1 / 3, 1.0)
RUNGS = (1 / 9, 1 / 3, 1.0)


def init(key):
    first, second = jax.random.split(key)
    return {
        "w1": he_normal(first, 64, 128),
        "b1": jnp.zeros(128),
        "w2": he_normal(second, 128, 10),
        "b2": jnp.zeros(10),
    }


def loss(params, batch):
    hidden = jax.nn.relu(batch["x"] @ params["w1"] + params["b1"])
    return cross_entropy(hidden @ params["w2"] + params["b2"], batch["y"])


def optimizer(learning_rate, l2):
    return jf.chain(jf.l2_decay(l2), jf.adam(learning_rate))


def swept(task, space, share, options, repeat):
    """Return the result on a share of the examples, and the seconds of the call."""
    begun = time.perf_counter()
    result = jf.sweep(
        task.with_examples(share),
        optimizer,
        space,
        epochs=options.epochs,
        batch_size=32,
        seeds=3,
        key=jax.random.key(repeat),
        keep=None,
        progress=False,
    )
    return result, time.perf_counter() - begun


def updates_of(result):
    return int(result.dataset["steps_taken"].sum())


def scores_of(result):
    """Return the mean score of each configuration, inf where a trial diverged."""
    scores = result.dataset["valid_loss"].isel(evaluation=-1).mean(("seed", "fold"), skipna=False)
    return scores.fillna(np.inf).values


def halved(task, space, options, repeat):
    """Return the winner of halving by shares, its updates and its seconds."""
    chosen = np.arange(len(space))
    updates = seconds = 0
    for share in RUNGS:
        result, elapsed = swept(task, space.subset(chosen), share, options, repeat)
        updates += updates_of(result)
        seconds += elapsed
        chosen = chosen[np.argsort(scores_of(result), kind="stable")[: max(1, len(chosen) // 3)]]
    return chosen[0], updates, seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--configs", type=int, default=81)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    print(machine())
    task = jf.Task(init, loss, digits(), validation=0.3)
    agreement = {share: [] for share in SHARES}
    for repeat in range(options.repeats):
        ranges = {"learning_rate": jf.LogUniform(1e-5, 1), "l2": jf.LogUniform(1e-6, 1)}
        space = jf.random(options.configs, seed=repeat, **ranges)
        swept(task, space, 1.0, options, repeat)  # compiles
        halved(task, space, options, repeat)
        full, seconds = swept(task, space, 1.0, options, repeat)
        wanted = scores_of(full)
        is_better = wanted <= np.median(wanted)
        for share in SHARES:
            result, _ = swept(task, space, share, options, repeat)
            found = scores_of(result)
            agreement[share].append(
                (
                    spearmanr(found, wanted).statistic,
                    spearmanr(found[is_better], wanted[is_better]).statistic,
                    1 + np.sum(found < found[np.argmin(wanted)]),
                    updates_of(result) / updates_of(full),
                )
            )
        winner, updates, halved_seconds = halved(task, space, options, repeat)
        print(
            f"halving by shares: {updates / updates_of(full):.0%} of the updates, "
            f"{halved_seconds:.1f} s against {seconds:.1f} s; its winner has "
            f"{wanted[winner]:.4f} on all examples, the best {wanted.min():.4f}, place "
            f"{1 + np.sum(wanted < wanted[winner])}",
            flush=True,
        )
    print("share: correlation, of the better half, place of the winner; updates (means)")
    for share, each in agreement.items():
        of_all, of_better, place, updates = np.mean(each, axis=0)
        print(f"{share:.2f}: {of_all:.2f}, {of_better:.2f}, {place:.1f}; {updates:.0%}")


if __name__ == "__main__":
    main()
