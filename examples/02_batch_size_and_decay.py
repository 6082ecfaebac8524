"""Which learning rate, batch size and L1 or L2 strength? Cross-validated and resumable.

    python examples/02_batch_size_and_decay.py [--directory DIRECTORY]

569 tumours, 30 measurements each (scikit-learn's breast cancer data), an MLP with 16 hidden units.
Learning rates from 0.001 to 0.1, batch sizes from 10 to 200, L1 and L2 penalties: 180
configurations, each with 5 stratified folds and 3 seeds: 2 700 trainings in five compiled programs,
one for each batch size. Successive halving stops poor configurations early. Give it a directory,
stop it with Ctrl-C or kill it, and run it again: it resumes.
"""

import argparse

import jax
import jax.numpy as jnp
import numpy as np
import optax
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import StratifiedKFold

import jefficient as jf

HIDDEN = 16


def init(key):
    first, second = jax.random.split(key)
    return {
        "w1": jax.random.normal(first, (30, HIDDEN)) * jnp.sqrt(2 / 30),
        "b1": jnp.zeros(HIDDEN),
        "w2": jax.random.normal(second, (HIDDEN,)) * jnp.sqrt(1 / HIDDEN),
        "b2": jnp.zeros(()),
    }


def logit(params, x):
    return jax.nn.relu(x @ params["w1"] + params["b1"]) @ params["w2"] + params["b2"]


def cross_entropy(params, batch):
    return optax.sigmoid_binary_cross_entropy(logit(params, batch["x"]), batch["y"]).mean()


def error(params, batch):
    return (logit(params, batch["x"]) > 0) != (batch["y"] > 0.5)


def fit(data):
    """Return mean and standard deviation of each measurement over a fold's training examples."""
    x = np.asarray(data["x"])
    return {"mean": x.mean(axis=0), "std": x.std(axis=0)}


def standardise(fitted, batch):
    return {**batch, "x": (batch["x"] - fitted["mean"]) / fitted["std"]}


def weights_only(params):
    """Mask the biases, which are not penalised."""
    return {name: name.startswith("w") for name in params}


def optimizer(learning_rate, steps):
    """Adam, whose rate falls to zero over the trial: small batches make more updates."""
    return jf.adam(jf.cosine_decay_schedule(learning_rate, steps))


def main(directory):
    x, y = load_breast_cancer(return_X_y=True)
    task = jf.Task(
        init=init,
        loss=jf.regularized(cross_entropy, mask=weights_only),  # takes l1 and l2
        data={"x": x.astype(np.float32), "y": y.astype(np.float32)},
        metrics={"error": error},
        prepare=(fit, standardise),
    )
    penalties = jf.grid(l1=[0.0], l2=[0.0, 1e-3, 1e-2, 1e-1]) + jf.grid(l1=[1e-3, 1e-2], l2=[0.0])
    rates = np.geomspace(1e-3, 1e-1, 6)
    space = jf.grid(learning_rate=rates, batch_size=[10, 25, 50, 100, 200]) * penalties
    settings = {
        "epochs": 12,
        "folds": StratifiedKFold(5, shuffle=True, random_state=0),
        "seeds": 3,
        "stop": jf.successive_halving(eta=3, min_epochs=2),
    }
    result = jf.sweep(task, optimizer, space, directory=directory, snapshot_every=5.0, **settings)

    columns = [
        "learning_rate",
        "batch_size",
        "l1",
        "l2",
        "valid_loss",
        "valid_loss_std",
        "valid_error",
        "stopped",
    ]
    print(result.table()[columns].head(10).to_string())
    print(result.best())
    taken = result.dataset["steps_taken"]
    left = result.dataset["step"].max("evaluation") - taken  # of each trial
    steps = int(taken.sum())
    whole = steps + int(left.sum())
    utilization = result.dataset.attrs["utilization"]
    print(f"{steps:,} of {whole:,} updates were made; utilization of lanes: {utilization:.0%}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--directory", help="keep the sweep here, so that it can be resumed")
    main(parser.parse_args().directory)
