"""Which learning rate at which time? A schedule of eight knots, on 1 797 images of digits.

    python examples/08_schedule_knots.py [--output DIRECTORY]

A hyperparameter is an array here: the rates at eight knots, between which the schedule goes in
straight lines of the logarithm. 128 such curves are drawn, a Sobol' sequence in eight dimensions,
and trained in one program, beside 16 constant rates. It prints the best of both, and the exact
derivative of the best curve's validation loss in the logarithm of each rate: which way to go from
there, and which knots do not matter. It draws the best ten, and the derivatives below them
(schedule_knots.png).
"""

import argparse
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

KNOTS = 8
SHARES = np.linspace(0, 1, KNOTS)
"""Where the knots are, as shares of the updates."""
CURVES = 128
LOW, HIGH = 1e-2, 1.0
HIDDEN = 32


def init(key):
    first, second = jax.random.split(key)
    return {
        "hidden": jax.random.normal(first, (64, HIDDEN)) * jnp.sqrt(2 / 64),
        "bias": jnp.zeros(HIDDEN),
        "out": jax.random.normal(second, (HIDDEN, 10)) * jnp.sqrt(1 / HIDDEN),
    }


def logits(params, x):
    return jax.nn.relu(x @ params["hidden"] + params["bias"]) @ params["out"]


def loss(params, batch):
    """Return the mean cross-entropy."""
    return optax.softmax_cross_entropy_with_integer_labels(
        logits(params, batch["x"]), batch["y"]
    ).mean()


def accuracy(params, batch):
    """Return whether each digit is recognised, shape (n,)."""
    return logits(params, batch["x"]).argmax(-1) == batch["y"]


def optimizer(rates, steps):
    """SGD with momentum, whose rate goes through `rates`, an array of shape (KNOTS,)."""
    return jf.sgd(jf.interpolated_schedule(SHARES * steps, rates), momentum=0.9)


def sweep(space, epochs=5, seeds=3):
    """Train all curves of a space in one program."""
    x, y = load_digits(return_X_y=True)
    task = jf.Task(
        init=init,
        loss=loss,
        data={"x": (x / 16).astype(np.float32), "y": y},
        metrics={"accuracy": accuracy},
        validation=0.2,
    )
    return jf.sweep(task, optimizer, space, epochs=epochs, batch_size=32, seeds=seeds)


def plot(result, sensitivity, path):
    """Draw the best ten in the colours of their losses, all others in grey; derivatives below."""
    heights = {"height_ratios": [2, 1]}
    figure, (above, below) = plt.subplots(
        2, figsize=(7, 6), sharex=True, layout="constrained", gridspec_kw=heights
    )
    result.plot.knots("rates", at=100 * SHARES, best=10, ax=above)
    above.set(xlabel="", ylabel="learning rate")
    errors = 2 * sensitivity["standard_error"]
    below.bar(100 * SHARES, sensitivity["derivative"], 8, yerr=errors, capsize=3)
    below.axhline(0, color="black", linewidth=0.8)
    below.set(xlabel="updates in %", ylabel="∂loss / ∂log rate\nof the best curve")
    figure.savefig(path, dpi=150)
    plt.close(figure)


def main(output=Path(".")):
    curves = jf.sobol(CURVES, rates=jf.LogUniform(LOW, HIGH, shape=(KNOTS,)))
    constants = jf.grid(rates=np.geomspace(LOW, HIGH, 16)[:, None] * np.ones(KNOTS))
    result = sweep(curves + constants)

    ranked = result.table()
    configs = ranked.index.tolist()  # best first
    best_curve = next(config for config in configs if config < CURVES)
    best_constant = next(config for config in configs if config >= CURVES)
    for name, config in (("curve", best_curve), ("constant", best_constant)):
        rates = " ".join(f"{rate:.2g}" for rate in result.space["rates"][config])
        print(f"Best {name}: valid_loss {ranked['valid_loss'][config]:.4f}, rates {rates}")

    sensitivity = result.sensitivity(best_curve)
    print("\nHow the best curve's loss moves with the logarithm of each rate:")
    print(sensitivity.to_string(float_format="{:.2g}".format))

    output.mkdir(parents=True, exist_ok=True)
    plot(result, sensitivity, output / "schedule_knots.png")
    print(f"Wrote {output / 'schedule_knots.png'}.")
    return result


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, default=Path("."), help="where to write the plot")
    main(parser.parse_args().output)
