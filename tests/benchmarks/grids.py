"""Cross-validated grids of the MLP 64-128-10 against scikit-learn's GridSearchCV.

20 epochs of Adam on batches of 64, rates x L2 strengths x 5 folds. Each runs in a process of its
own, whose wall time is measured: imports, compiling, training, the best configuration. `warm` finds
its programs in jax's persistent cache.
"""

import argparse
import json
import os
import statistics
import tempfile

import numpy as np
from timing import fresh, machine

GRIDS = {"200 fits": (8, 5), "1000 fits": (25, 8)}
EPOCHS, FOLDS = 20, 5


def grid(rates, strengths):
    return {
        "rate": np.geomspace(1e-4, 3e-2, rates).astype(np.float32),
        "l2": np.geomspace(1e-5, 1e-1, strengths).astype(np.float32),
    }


def lanes(rates, strengths):
    import jax
    import jax.numpy as jnp
    from workloads import mlp

    import jefficient as jf

    task, _, batch_size = mlp(128)

    def accuracy(params, batch):
        h = jax.nn.relu(batch["x"] @ params["w1"] + params["b1"])
        return jnp.argmax(h @ params["w2"] + params["b2"], -1) == batch["y"]

    result = jf.sweep(
        jf.Task(task.init, task.loss, task.data, {"accuracy": accuracy}),
        lambda rate, l2: jf.chain(jf.l2_decay(l2), jf.adam(rate)),
        jf.grid(**grid(rates, strengths)),
        epochs=EPOCHS,
        batch_size=batch_size,
        folds=FOLDS,
        metric="valid_accuracy",
        mode="max",
        progress=False,
    )
    return float(result.best().score)


def scikit_learn(rates, strengths):
    import warnings

    from sklearn.datasets import load_digits
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.model_selection import GridSearchCV, KFold
    from sklearn.neural_network import MLPClassifier

    warnings.simplefilter("ignore", ConvergenceWarning)
    os.environ["PYTHONWARNINGS"] = "ignore"
    x, y = load_digits(return_X_y=True)
    axes = grid(rates, strengths)
    # scikit-learn divides alpha by the batch size.
    alphas = (64 * axes["l2"]).tolist()
    space = {"learning_rate_init": axes["rate"].tolist(), "alpha": alphas}
    model = MLPClassifier(
        (128,), solver="adam", batch_size=64, max_iter=EPOCHS, early_stopping=False, random_state=0
    )
    folds = KFold(FOLDS, shuffle=True, random_state=0)
    search = GridSearchCV(model, space, n_jobs=2, cv=folds, refit=False)
    return float(search.fit(x / 16, y).best_score_)


WAYS = {"lanes": lanes, "scikit-learn": scikit_learn}


def report(names, repeats, is_quick):
    """Print a table for each grid."""
    for name, (rates, strengths) in GRIDS.items():
        if is_quick and rates > 8:
            continue
        size = (str(rates), str(strengths))
        runs = {way: [] for way in ("scikit-learn", "lanes cold", "lanes warm")}
        for _ in range(1 if rates > 8 else min(repeats, 3)):
            with tempfile.TemporaryDirectory() as cache:
                runs["scikit-learn"].append(fresh(__file__, "scikit-learn", *size))
                for way in ("lanes cold", "lanes warm"):  # the first fills the cache
                    runs[way].append(fresh(__file__, "lanes", *size, "--cache", cache))
        theirs = statistics.median(run["wall"] for run in runs["scikit-learn"])
        print(f"{name}; {machine()}")
        for way, seen in runs.items():
            wall = statistics.median(run["wall"] for run in seen)
            print(
                f"  {way:<13} {wall:6.1f} s, {theirs / wall:5.1f} x as fast, best accuracy "
                f"{seen[0]['best']:.4f}",
                flush=True,
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("way", choices=WAYS)
    parser.add_argument("rates", type=int)
    parser.add_argument("strengths", type=int)
    parser.add_argument("--cache")
    arguments = parser.parse_args()
    if arguments.cache:
        import jax

        jax.config.update("jax_compilation_cache_dir", arguments.cache)
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    print(json.dumps({"best": WAYS[arguments.way](arguments.rates, arguments.strengths)}))
