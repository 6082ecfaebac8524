"""How long to train? Five cooldowns branched off one stable run, instead of five trainings.

    python examples/09_cooldowns.py [--output DIRECTORY]

An MLP on 1 797 images of digits, Adam with a warmup–stable–decay schedule (Hägele et al. 2024): the
rate rises, stays, and falls to zero in the last 200 updates. Where the fall begins may be decided
afterwards, since everything before it is the same training. So one stable run of 1 000 updates is
trained with its states kept, and a cooldown starts from each of five of them. For comparison the
five lengths are trained from scratch, too. All share one plan, so blocks have one width, and the
numbers are the same, bit for bit.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import optax
from sklearn.datasets import load_digits

import jefficient as jf

WARMUP = 50
COOLDOWN = 200
BRANCHES = (200, 400, 600, 800, 1000)
"""Updates after which the rate begins to fall."""

SETTINGS: dict[str, Any] = {"batch_size": 64, "eval_every": 50, "seeds": 16}


def init(key):
    """Initialise an MLP with one hidden layer as He et al. do."""
    first, second = jax.random.split(key)
    return {
        "w1": jax.random.normal(first, (64, 64)) * jnp.sqrt(2 / 64),
        "b1": jnp.zeros(64),
        "w2": jax.random.normal(second, (64, 10)) * jnp.sqrt(2 / 64),
        "b2": jnp.zeros(10),
    }


def loss(params, batch):
    """Return the mean cross-entropy."""
    hidden = jax.nn.relu(batch["x"] @ params["w1"] + params["b1"])
    logits = hidden @ params["w2"] + params["b2"]
    return optax.softmax_cross_entropy_with_integer_labels(logits, batch["y"]).mean()


def optimizer(begin):
    """Adam, whose rate falls from update `begin` on."""
    stable = begin - WARMUP
    return jf.adam(jf.warmup_stable_decay_schedule(0.0, 0.006, WARMUP, stable, COOLDOWN))


def branched(task, plan):
    """Train the stable run once and the cooldowns from its states; return both results."""
    stable = jf.sweep(
        task,
        optimizer,
        jf.grid(begin=[max(BRANCHES)]),
        steps=max(BRANCHES),
        keep_states=[begin // SETTINGS["eval_every"] - 1 for begin in BRANCHES],
        plan=plan,
        progress=False,
        **SETTINGS,
    )
    cooldowns = jf.sweep(
        task,
        optimizer,
        space(),
        start=lambda config, seed, fold: stable.state(
            0, seed, fold, evaluation=BRANCHES[config] // SETTINGS["eval_every"] - 1
        ),
        plan=plan,
        progress=False,
        **SETTINGS,
    )
    return stable, cooldowns


def space():
    """Return the lengths: when the rate begins to fall, and when training ends."""
    return jf.Space({"begin": BRANCHES, "steps": [begin + COOLDOWN for begin in BRANCHES]})


def plot(stable, cooldowns, path):
    """Draw the stable run and its branches, the median over seeds."""
    figure, ax = plt.subplots(figsize=(7, 4.5), layout="constrained")
    for result in (cooldowns, stable):
        for config in range(result.dataset.sizes["config"]):
            own = result.dataset.isel(config=config)
            ax.plot(
                own["step"].where(own["step"] > 0),
                own["valid_loss"].median(("seed", "fold")),
                label="stable" if result is stable else f"cooldown from {BRANCHES[config]}",
            )
    ax.set(xlabel="updates", ylabel="validation loss", ylim=(None, 0.2))
    ax.legend()
    figure.savefig(path, dpi=150)
    plt.close(figure)


def main(output=Path(".")):
    x, y = load_digits(return_X_y=True)
    task = jf.Task(
        init=init, loss=loss, data={"x": (x / 16).astype(np.float32), "y": y}, validation=0.2
    )
    plan = jf.plan(task, optimizer, space(), **SETTINGS)
    branched(task, plan)  # compile all programs, so that times compare

    begun = time.perf_counter()
    from_scratch = jf.sweep(task, optimizer, space(), plan=plan, progress=False, **SETTINGS)
    scratch_seconds = time.perf_counter() - begun
    begun = time.perf_counter()
    stable, cooldowns = branched(task, plan)
    branched_seconds = time.perf_counter() - begun

    made = from_scratch.dataset["steps_taken"]
    saved = cooldowns.dataset["started_at"].sum() - stable.dataset["steps_taken"].sum()
    print(cooldowns.table()[["begin", "steps", "valid_loss", "valid_loss_se"]].to_string())
    print(f"From scratch: {int(made.sum()):,} updates, {scratch_seconds:.2f} s.")
    print(f"Branched: {int(made.sum() - saved):,} updates, {branched_seconds:.2f} s.")
    print(
        f"Saved: {float(saved / made.sum()):.0%} of the updates, "
        f"{1 - branched_seconds / scratch_seconds:.0%} of the time."
    )
    last = [x.params(0, seed=3) for x in (from_scratch, cooldowns)]
    same = all(jax.tree.leaves(jax.tree.map(np.array_equal, *last)))
    print(f"The weights are {'the same, bit for bit' if same else 'others'}.")

    output.mkdir(parents=True, exist_ok=True)
    plot(stable, cooldowns, output / "cooldowns.png")
    print(f"Wrote {output / 'cooldowns.png'}.")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, default=Path("."), help="where to write the plot")
    main(parser.parse_args().output)
