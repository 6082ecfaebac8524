"""A convolutional network of Flax NNX: which learning rate and dropout rate?

    python examples/04_flax_nnx.py

1 797 images of digits; the network has batch-norm and dropout. Four learning rates and two dropout
rates, two seeds each: 16 trainings in two compiled programs, one for each dropout rate, on which
flax branches. The best weights are put back into a module, which predicts.
"""

import numpy as np
import optax
from flax import nnx
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import jefficient as jf


class Net(nnx.Module):
    def __init__(self, dropout, *, rngs):
        self.conv = nnx.Conv(1, 8, (3, 3), use_bias=False, rngs=rngs)
        self.norm = nnx.BatchNorm(8, momentum=0.9, rngs=rngs)
        self.dropout = nnx.Dropout(dropout, rngs=rngs)
        self.linear = nnx.Linear(128, 10, rngs=rngs)

    def __call__(self, x):
        x = nnx.max_pool(nnx.relu(self.norm(self.conv(x))), (2, 2), strides=(2, 2))
        return self.linear(self.dropout(x.reshape(len(x), -1)))


def cross_entropy(logits, batch):
    return optax.softmax_cross_entropy_with_integer_labels(logits, batch["y"]).mean()


def accuracy(logits, batch):
    return logits.argmax(-1) == batch["y"]


def main():
    x, y = load_digits(return_X_y=True)
    x = (x / 16).astype(np.float32).reshape(-1, 8, 8, 1)
    x, x_test, y, y_test = train_test_split(x, y, test_size=300, random_state=0)
    task = jf.integrations.nnx_task(
        Net,
        loss=cross_entropy,
        data={"x": x, "y": y},
        metrics={"accuracy": accuracy},
        validation=0.2,
        test={"x": x_test, "y": y_test},
    )
    space = jf.grid(learning_rate=np.geomspace(3e-3, 1e-1, 4), dropout=jf.static([0.0, 0.5]))
    result = jf.sweep(task, jf.adam, space, epochs=4, batch_size=64, seeds=2)
    columns = ["learning_rate", "dropout", "valid_loss", "valid_loss_std", "valid_accuracy"]
    print(result.table()[columns].to_string())
    best = result.best()
    print(best)

    model = jf.integrations.nnx_model(Net, result.params(), best.hyperparameters)
    share = (model(x_test).argmax(-1) == y_test).mean()
    assert result.test is not None  # the task has a test set
    in_sweep = float(result.test["test_accuracy"][0, 0])
    print(f"test accuracy {share:.4f} by the module, {in_sweep:.4f} by the sweep")


if __name__ == "__main__":
    main()
