"""One linear unit on five points, with Adam's default learning rate and with a chosen one.

    python examples/00_linear_regression.py

With the default learning rate 0.001, a thousand epochs of Adam do not converge: the updates are too
small. A sweep over rates from 0.001 to 0.1 finds one that does.
"""

import jax.numpy as jnp
import numpy as np

import jefficient as jf

X = np.array([[1.0], [2.0], [3.0], [4.0], [5.0]], np.float32)
Y = np.array([1.0, 2.0, 3.0, 4.0, 5.0], np.float32)
NEW_X = np.array([[6.0], [7.0], [8.0]], np.float32)
EPOCHS = 1000


def init(key):
    """Start at zero: one linear unit has no symmetry to break."""
    del key
    return {"weight": jnp.zeros(1), "bias": jnp.zeros(())}


def predict(params, x):
    return x @ params["weight"] + params["bias"]


def loss(params, batch):
    """Return the mean squared error."""
    x, y = batch
    return jnp.mean((predict(params, x) - y) ** 2)


def train(learning_rates):
    """Sweep over the rates; all five points are one batch, so an epoch is one update."""
    return jf.sweep(
        jf.Task(init=init, loss=loss, data=(X, Y)),
        optimizer=jf.adam,
        space=jf.grid(learning_rate=learning_rates),
        epochs=EPOCHS,
        batch_size=len(X),
        metric="train_loss",  # five points are too few for a validation set
        progress=False,
    )


def report(title, result):
    """Print and return the predictions of the best configuration."""
    best = result.best()
    predictions = predict(result.params(), NEW_X)
    rate = best.hyperparameters["learning_rate"]
    print(f"{title}: learning rate {rate:.3g}, train loss {best.score:.3g}")
    for x, y in zip(NEW_X[:, 0], predictions, strict=True):
        print(f"  f({x:.0f}) = {y:.4f}   off by {abs(y - x):.4f}")
    return predictions


def main():
    default = report("Adam's default rate", train([0.001]))
    print(
        "  Each of Adam's updates is about as long as the rate, so a thousand of them do not take "
        "the weight to 1.\n"
    )
    chosen = report("The best of 21 rates", train(np.geomspace(0.001, 0.1, 21)))
    return default, chosen


if __name__ == "__main__":
    main()
