"""Image, text and numbers in one batch: a rate for each part, and what each part contributes.

    python examples/10_two_modalities.py [--output DIRECTORY]

1 797 examples of an image of a digit, eight words and six numbers, made so that the answer is
known. The label has 4 bits: one is whether the digit is 5 or more, two are which of four keywords
is among the words, one is the sign of the sum of two numbers. So of a loss in bits, each part that
is left out should cost its bits, and the best of all is 0. Three sweeps: a learning rate for each
part; every combination of parts at the best rates; and rates at which the text hardly learns, for
what the checks say of it. They have the same hyperparameters and 16 trials each, so they share one
program.
"""

import argparse
import itertools
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

BITS = {"image": 1, "text": 2, "numbers": 1}
"""What each part tells of the label."""

WORDS, LENGTH = 32, 8
KEYWORDS = 4
FEATURES = 16
HIDDEN = 32
CLASSES = 2 ** sum(BITS.values())

WHOLE = {part: [1.0] for part in BITS}
"""All parts are there."""

SETTINGS: dict[str, Any] = {
    "epochs": 12,
    "batch_size": 64,
    "select": "best",
    "layers": True,
    "progress": False,
}


def examples():
    """Return the batch of all examples: a tree with an array for each part, and the labels."""
    rng = np.random.default_rng(0)
    pixels, digits = load_digits(return_X_y=True)
    n = len(digits)

    keyword = rng.integers(0, KEYWORDS, n)
    words = rng.integers(KEYWORDS, WORDS, (n, LENGTH))
    words[np.arange(n), rng.integers(0, LENGTH, n)] = keyword

    numbers = rng.normal(size=(n, 6))
    is_positive = numbers[:, 0] + numbers[:, 1] > 0
    numbers[:, 0] += np.where(is_positive, 0.5, -0.5)  # a gap between the two

    return {
        "image": (pixels / 16).astype(np.float32),
        "text": words.astype(np.int32),
        "numbers": numbers.astype(np.float32),
        "label": ((digits >= 5) * 8 + keyword * 2 + is_positive).astype(np.int32),
    }


def dense(key, n, m):
    return {"kernel": jax.random.normal(key, (n, m)) * jnp.sqrt(2 / n), "bias": jnp.zeros(m)}


def init(key):
    keys = jax.random.split(key, 6)
    return {
        "image": {"hidden": dense(keys[0], 64, HIDDEN), "out": dense(keys[1], HIDDEN, FEATURES)},
        "text": jax.random.normal(keys[2], (WORDS, FEATURES)),
        "numbers": dense(keys[3], 6, FEATURES),
        "head": {
            "hidden": dense(keys[4], len(BITS) * FEATURES, HIDDEN),
            "out": dense(keys[5], HIDDEN, CLASSES),
        },
    }


def apply(layer, x):
    return x @ layer["kernel"] + layer["bias"]


def logits(params, batch, image, text, numbers):
    """Encode each part, multiply it by 1 or 0, and let the head see all of them."""
    pixels = jax.nn.relu(apply(params["image"]["hidden"], batch["image"]))
    parts = [
        image * apply(params["image"]["out"], pixels),
        text * params["text"][batch["text"]].sum(axis=1),
        numbers * apply(params["numbers"], batch["numbers"]),
    ]
    x = jax.nn.relu(jnp.concatenate(parts, axis=1))
    x = jax.nn.relu(apply(params["head"]["hidden"], x))
    return apply(params["head"]["out"], x)


def loss(params, batch, image, text, numbers):
    """Return the mean cross-entropy in bits. The three numbers are hyperparameters: 0 or 1."""
    outputs = logits(params, batch, image, text, numbers)
    each = optax.softmax_cross_entropy_with_integer_labels(outputs, batch["label"])
    return each.mean() / jnp.log(2.0)


def optimizer(image_rate, text_rate, numbers_rate):
    """Adam with a learning rate for each part; all rates are traced."""
    rates = {"image": image_rate, "text": text_rate, "numbers": numbers_rate, "head": 0.003}
    return jf.partition(
        {part: jf.adam(rate) for part, rate in rates.items()},
        lambda params: {part: part for part in params},
    )


def contributions(task, rates, seeds=2):
    """Return the validation loss of every combination of parts, dict from names to bits."""
    used = list(itertools.product([1.0, 0.0], repeat=len(BITS)))
    columns = dict(zip(BITS, zip(*used, strict=True), strict=True))
    fixed = {name: [rate] * len(used) for name, rate in rates.items()}
    result = jf.sweep(task, optimizer, jf.Space(columns | fixed), seeds=seeds, **SETTINGS)
    # The best evaluation: what is left to guess is learned by heart afterwards.
    scores = result.dataset["valid_loss"].min("evaluation").mean(("seed", "fold")).values
    names = [tuple(part for part, x in zip(BITS, row, strict=True) if x) for row in used]
    return dict(zip(names, scores.tolist(), strict=True))


def show(bits):
    """Print what each part contributes, beside what is known of it."""
    every = tuple(BITS)
    total = sum(BITS.values())
    print(f"All parts: {bits[every]:.2f} bits are left of {total}.")
    print(f"{'part':8s}{'alone':>8s}{'known':>7s}{'left out':>10s}{'known':>7s}   bits left")
    for part, known in BITS.items():
        others = tuple(x for x in every if x != part)
        print(f"{part:8s}{bits[part,]:8.2f}{total - known:7d}{bits[others]:10.2f}{known:7d}")


def main(output=Path(".")):
    data = examples()
    task = jf.Task(init, loss, data, validation=0.25)

    rates = [0.002, 0.01]
    space = jf.grid(image_rate=rates, text_rate=rates, numbers_rate=rates, **WHOLE)
    result = jf.sweep(task, optimizer, space, seeds=2, **SETTINGS)
    columns = ["image_rate", "text_rate", "numbers_rate", "valid_loss"]
    print(result.table()[columns].head(3).round(4).to_string())
    best = result.best().hyperparameters
    best_rates = {name: best[name] for name in best if name not in BITS}
    show(contributions(task, best_rates))

    slow = jf.grid(**{name: [x] for name, x in (best | {"text_rate": 1e-6}).items()})
    hardly = jf.sweep(task, optimizer, slow, seeds=16, **SETTINGS)
    print("With a rate of 1e-6 for the text:", *hardly.checks(), sep="\n")

    output.mkdir(parents=True, exist_ok=True)
    figure, axes = plt.subplots(1, 2, figsize=(11, 4.5), sharey=True, layout="constrained")
    titles = "The best rates", "A rate of 1e-6 for the text"
    for ax, each, title in zip(axes, (result, hardly), titles, strict=True):
        each.plot.layers(variable="update_ratio", ax=ax).set_title(title)
    figure.savefig(output / "two_modalities.png", dpi=150)
    plt.close(figure)
    print(f"Wrote {output / 'two_modalities.png'}.")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, default=Path("."), help="where to write the plot")
    main(parser.parse_args().output)
