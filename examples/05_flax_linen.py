"""An MLP of Flax Linen with batch-norm and dropout: which learning rate, width and decay?

    python examples/05_flax_linen.py

569 tumours, 30 measurements each (scikit-learn's breast cancer data), standardised within each of
five folds. The module's field `width` is a static axis; weight decay is a traced one, and leaves
out biases and batch-norm. The best configuration is trained on all examples, and its weights are
used by the module.
"""

import flax.linen as nn
import jax
import numpy as np
import optax
from sklearn.datasets import load_breast_cancer

import jefficient as jf


class Net(nn.Module):
    width: int

    @nn.compact
    def __call__(self, x, train):
        x = nn.Dense(self.width, use_bias=False)(x)
        x = nn.relu(nn.BatchNorm(use_running_average=not train, momentum=0.9)(x))
        return nn.Dense(1)(nn.Dropout(0.2, deterministic=not train)(x))[:, 0]


def cross_entropy(logits, batch):
    return optax.sigmoid_binary_cross_entropy(logits, batch["y"]).mean()


def error(logits, batch):
    return (logits > 0) != (batch["y"] > 0.5)


def fit(data):
    x = np.asarray(data["x"])
    return {"mean": x.mean(axis=0), "std": x.std(axis=0)}


def standardise(fitted, batch):
    return {**batch, "x": (batch["x"] - fitted["mean"]) / fitted["std"]}


def kernels(params):
    return jax.tree.map(lambda x: x.ndim > 1, params)


def optimizer(learning_rate, weight_decay):
    return jf.adamw(learning_rate, weight_decay=weight_decay, mask=kernels)


def main():
    x, y = load_breast_cancer(return_X_y=True)
    data = {"x": x.astype(np.float32), "y": y.astype(np.float32)}
    task = jf.integrations.linen_task(
        Net, cross_entropy, data, metrics={"error": error}, prepare=(fit, standardise)
    )
    space = jf.grid(
        learning_rate=np.geomspace(1e-3, 1e-1, 5),
        weight_decay=[0.0, 0.1, 1.0],
        width=jf.static([8, 32]),
    )
    result = jf.sweep(task, optimizer, space, epochs=10, batch_size=32, folds=5)
    columns = [
        "learning_rate",
        "weight_decay",
        "width",
        "valid_loss",
        "valid_loss_se",
        "valid_error",
    ]
    print(result.table()[columns].head(8).to_string())
    best = result.best()
    print(best)

    params, state = result.refit().params
    module = Net(width=best.hyperparameters["width"])
    examples = standardise(fit(data), data)
    logits = module.apply({"params": params, **state}, examples["x"], train=False)
    print(f"trained on all examples, it is wrong for {np.mean(error(logits, data)):.1%} of them")


if __name__ == "__main__":
    main()
