"""Which peak learning rate for Adam with warmup and cosine decay, on 1 797 images of digits?

    python examples/01_learning_rate_sweep.py [--output DIRECTORY]

32 peak rates from 1e-4 to 1, three seeds each: 96 trainings in one compiled program. It prints the
table, best first, and writes a plot (learning_rate_sweep.png) and the result
(learning_rate_sweep.nc), which `jefficient show` and `jefficient report` read, and xarray too.
"""

import argparse
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import optax
from sklearn.datasets import load_digits

import jefficient as jf

LAYERS = (64, 64, 64, 10)
TWICE_GUESSING = 2 * np.log(10)
"""Training loss above which a trial has diverged: twice that of guessing among ten digits."""


def init(key):
    """Initialise an MLP with ReLU as He et al. do."""
    keys = jax.random.split(key, len(LAYERS) - 1)
    return [
        {"w": jax.random.normal(k, (n, m)) * jnp.sqrt(2 / n), "b": jnp.zeros(m)}
        for k, n, m in zip(keys, LAYERS, LAYERS[1:], strict=False)
    ]


def logits(params, x):
    for layer in params[:-1]:
        x = jax.nn.relu(x @ layer["w"] + layer["b"])
    return x @ params[-1]["w"] + params[-1]["b"]


def loss(params, batch):
    """Return the mean cross-entropy."""
    return optax.softmax_cross_entropy_with_integer_labels(
        logits(params, batch["x"]), batch["y"]
    ).mean()


def accuracy(params, batch):
    """Return whether each digit is recognised, shape (n,)."""
    return logits(params, batch["x"]).argmax(-1) == batch["y"]


def optimizer(peak_learning_rate, steps):
    """Adam, whose rate rises over a tenth of the trial and then falls in half a cosine."""
    return jf.adam(jf.warmup_cosine_decay_schedule(0.0, peak_learning_rate, steps // 10, steps))


def sweep(rates=32, seeds=3, epochs=20):
    """Train 32 rates with 3 seeds each in one program."""
    x, y = load_digits(return_X_y=True)
    task = jf.Task(
        init=init,
        loss=loss,
        data={"x": (x / 16).astype(np.float32), "y": y},
        metrics={"accuracy": accuracy},
        validation=0.2,
    )
    space = jf.grid(peak_learning_rate=np.geomspace(1e-4, 1, rates))
    return jf.sweep(
        task,
        optimizer,
        space,
        epochs=epochs,
        batch_size=64,
        seeds=seeds,
        diverged_above=TWICE_GUESSING,
    )


def plot(result, path):
    """Plot validation loss (on a log axis) and accuracy against the rate."""
    figure, (above, below) = plt.subplots(2, 1, figsize=(7, 7), sharex=True, layout="constrained")
    result.plot.values("peak_learning_rate", "valid_loss", ax=above).set(xlabel="", yscale="log")
    result.plot.values("peak_learning_rate", "valid_accuracy", ax=below)
    above.set_title("Digits: MLP 64-64-64-10, Adam, warmup-cosine, 20 epochs")
    figure.savefig(path, dpi=150)
    plt.close(figure)


def main(output=Path(".")):
    begun = time.perf_counter()
    result = sweep()
    seconds = time.perf_counter() - begun

    table = result.table()
    seeds = table["trials"].max()
    table["outcome"] = [f"{n} of {seeds} diverged" if n else "finished" for n in table["diverged"]]
    columns = ["peak_learning_rate", "valid_loss", "valid_loss_std", "valid_accuracy", "outcome"]
    print(f"Means and standard deviations over {seeds} seeds, diverged ones left out, best first:")
    print(table[columns].to_string(index=False, float_format="%.4g"))
    print(f"\nBest: {result.best()}")
    trials = result.dataset["status"].size
    print(f"{trials} trials of {int(result.dataset['step'].max())} updates in {seconds:.1f} s.")

    output.mkdir(parents=True, exist_ok=True)
    plot(result, output / "learning_rate_sweep.png")
    result.save(output / "learning_rate_sweep.nc")
    print(f"Wrote {output / 'learning_rate_sweep.png'} and {output / 'learning_rate_sweep.nc'}.")
    return result


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--output", type=Path, default=Path("."), help="where to write the plot and the result"
    )
    main(parser.parse_args().output)
