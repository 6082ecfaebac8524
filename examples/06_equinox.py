"""An MLP of Equinox: which learning rate and dropout rate? One compiled program.

    python examples/06_equinox.py

1 797 images of digits; the MLP has batch-norm and dropout. Equinox takes a traced dropout rate, so
it is an axis like any other: 6 learning rates and 4 dropout rates, two seeds each, 48 trainings.
The best weights are put back into a model, which predicts.
"""

import equinox as eqx
import jax
import numpy as np
import optax
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import jefficient as jf


class Net(eqx.Module):
    first: eqx.nn.Linear
    norm: eqx.nn.BatchNorm
    dropout: eqx.nn.Dropout
    last: eqx.nn.Linear

    def __init__(self, dropout, *, key):
        first, last = jax.random.split(key)
        self.first = eqx.nn.Linear(64, 64, use_bias=False, key=first)
        self.norm = eqx.nn.BatchNorm(64, axis_name="batch", momentum=0.9, mode="batch")
        self.dropout = eqx.nn.Dropout(dropout)
        self.last = eqx.nn.Linear(64, 10, key=last)

    def __call__(self, x, state, key=None):
        x, state = self.norm(self.first(x), state)
        return self.last(self.dropout(jax.nn.relu(x), key=key)), state


def cross_entropy(logits, batch):
    return optax.softmax_cross_entropy_with_integer_labels(logits, batch["y"]).mean()


def accuracy(logits, batch):
    return logits.argmax(-1) == batch["y"]


def main():
    x, y = load_digits(return_X_y=True)
    x, x_test, y, y_test = train_test_split(
        (x / 16).astype(np.float32), y, test_size=300, random_state=0
    )
    task = jf.integrations.equinox_task(
        Net,
        loss=cross_entropy,
        data={"x": x, "y": y},
        metrics={"accuracy": accuracy},
        validation=0.2,
        test={"x": x_test, "y": y_test},
    )
    space = jf.grid(learning_rate=np.geomspace(3e-4, 1e-1, 6), dropout=[0.0, 0.2, 0.4, 0.6])
    result = jf.sweep(task, jf.adam, space, epochs=10, batch_size=64, seeds=2)
    columns = ["learning_rate", "dropout", "valid_loss", "valid_loss_std", "valid_accuracy"]
    print(result.table()[columns].head(8).to_string())
    best = result.best()
    print(best)

    model, state = jf.integrations.equinox_model(Net, result.params(), best.hyperparameters)
    batched = jax.vmap(model, in_axes=(0, None), out_axes=(0, None), axis_name="batch")
    logits, _ = batched(x_test, state)
    share = (logits.argmax(-1) == y_test).mean()
    assert result.test is not None  # the task has a test set
    in_sweep = float(result.test["test_accuracy"][0, 0])
    print(f"test accuracy {share:.4f} by the model, {in_sweep:.4f} by the sweep")


if __name__ == "__main__":
    main()
