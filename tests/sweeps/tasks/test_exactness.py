"""A loss or metric whose number would depend on padding or on evaluation batches is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jefficient as jf

N = 33
RNG = np.random.default_rng(0)
X = RNG.normal(size=(N, 4)).astype(np.float32)
Y = (X[:, 0] + 0.5 * RNG.normal(size=N) > 0.4).astype(np.int32)
MASK = (np.arange(6) < RNG.integers(1, 7, size=(N, 1))).astype(np.float32)
DATA = {"x": X, "y": Y, "mask": MASK}
RATES = jf.grid(learning_rate=[0.1])
UNEQUAL = [(np.arange(10, N), np.arange(10)), (np.arange(16), np.arange(16, N))]


def logits(params, batch):
    return batch["x"] @ params


def losses(params, batch):
    """Binary cross entropy of each example."""
    z = logits(params, batch)
    return jnp.logaddexp(0.0, z) - batch["y"].astype(jnp.float32) * z


def loss(params, batch):
    return jnp.mean(losses(params, batch))


def contrastive(params, batch):
    z = batch["x"] @ params[:, None] + batch["x"]
    return -jnp.mean(jnp.diag(jax.nn.log_softmax(z @ z.T, axis=-1)))


def contrastive_each(params, batch):
    z = batch["x"] @ params[:, None] + batch["x"]
    return -jnp.diag(jax.nn.log_softmax(z @ z.T, axis=-1))


def class_weighted(params, batch):
    weight = jnp.where(batch["y"] == 1, 5.0, 1.0)
    return jnp.sum(weight * losses(params, batch)) / jnp.sum(weight)


def masked(params, batch):
    each = losses(params, batch)[:, None] * batch["mask"]
    return jnp.sum(each) / jnp.sum(batch["mask"])


def f1(params, batch):
    hit, true = logits(params, batch) > 0, batch["y"] == 1
    return 2 * jnp.sum(hit & true) / jnp.maximum(jnp.sum(hit) + jnp.sum(true), 1)


def root(params, batch):
    return jnp.sqrt(loss(params, batch))


def batch_normalised(params, batch):
    x = batch["x"] - batch["x"].mean(axis=0)
    return jnp.mean((x @ params) ** 2)


def deaf_to_weights(params, batch, weights):
    return jnp.mean(losses(params, batch)) + 0 * weights.sum()


def all_predictions_alike(params, batch):
    z = logits(params, batch)
    return z - z.mean()


def deaf_score(predictions, batch, weights):
    return jnp.mean(predictions) + 0 * weights.sum()


def task(**changes):
    return jf.Task(**{"init": lambda key: jnp.zeros(4), "loss": loss, "data": DATA, **changes})


def sweep(the_task, **settings):
    given = {"steps": 2, "batch_size": 8, "progress": False, **settings}
    return jf.sweep(the_task, jf.sgd, RATES, **given)


NOT_MEANS = {
    "contrastive": contrastive,
    "contrastive_each": contrastive_each,
    "class_weighted": class_weighted,
    "masked": masked,
    "f1": f1,
    "root": root,
    "batch_normalised": batch_normalised,
}


@pytest.mark.parametrize("name", NOT_MEANS)
def test_what_is_no_mean_over_examples_is_refused_where_there_is_padding(name):
    message = rf"metrics\['{name}'\] must be a mean over examples where they are padded"
    with pytest.raises(jf.ArgumentError, match=message):
        sweep(task(metrics={name: NOT_MEANS[name]}), folds=UNEQUAL)


@pytest.mark.parametrize("name", ["contrastive", "class_weighted", "masked"])
def test_a_loss_is_refused_in_evaluation_batches_with_both_numbers_and_the_ways_out(name):
    with pytest.raises(jf.ArgumentError) as caught:
        sweep(task(loss=NOT_MEANS[name], validation=DATA), eval_batch_size=8)
    message = str(caught.value)
    assert "loss must be a mean over examples where they are evaluated in batches" in message
    assert "for 32 examples together and" in message
    for way in ("(sum, weight)", "`weights`", "jf.Metric(predict, score)", "jf.host_metric"):
        assert way in message


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        (deaf_to_weights, r"metrics\['m'\] must give examples of weight 0 no say, got"),
        (jf.Metric(logits, deaf_score), r"metrics\['m'\].score must give examples of weight 0 no"),
        (
            jf.host_metric(all_predictions_alike, lambda predictions, batch: 0.0),
            r"metrics\['m'\].predict must be a mean over examples",
        ),
    ],
)
def test_what_takes_weights_must_honour_them_and_predictions_must_be_of_one_example(
    metric, message
):
    with pytest.raises(jf.ArgumentError, match=message):
        sweep(task(metrics={"m": metric}), folds=UNEQUAL)


def test_where_nothing_is_padded_or_cut_everything_is_allowed():
    result = sweep(task(loss=class_weighted, metrics=NOT_MEANS, validation=DATA))
    params, last = result.params(), result.dataset.isel(config=0, seed=0, fold=0, evaluation=-1)
    for name, function in {"loss": class_weighted, **NOT_MEANS}.items():
        np.testing.assert_allclose(
            last[f"valid_{name}"], np.mean(function(params, DATA)), rtol=1e-5
        )


def masked_sums(params, batch):
    each = losses(params, batch)[:, None] * batch["mask"]
    return jnp.sum(each), jnp.sum(batch["mask"])


def class_weighted_sums(params, batch, weights):
    weight = jnp.where(batch["y"] == 1, 5.0, 1.0) * weights
    return jnp.sum(weight * losses(params, batch)), jnp.sum(weight)


def weighted_mean(params, batch, weights):
    return jnp.sum(weights * losses(params, batch)) / jnp.sum(weights)


@pytest.mark.parametrize("eval_batch_size", [None, 3])
def test_pairs_and_functions_of_weights_are_exact_in_folds_of_unequal_size(eval_batch_size):
    """Against NumPy in float64, with batches that are padding alone (3 of a fold of 10 and 17)."""
    metrics = {
        "masked": masked_sums,
        "class_weighted": class_weighted_sums,
        "mean": loss,
        "each": losses,
    }
    if eval_batch_size is None:
        metrics["weighted"] = weighted_mean
    result = sweep(task(metrics=metrics), folds=UNEQUAL, eval_batch_size=eval_batch_size)
    for fold, (_, valid) in enumerate(UNEQUAL):
        z = X[valid].astype(float) @ result.params(0, fold=fold).astype(float)
        each = np.logaddexp(0, z) - Y[valid] * z
        weight = np.where(Y[valid] == 1, 5.0, 1.0)
        counts = MASK[valid].sum(axis=1)
        expected = {
            "loss": each.mean(),
            "mean": each.mean(),
            "each": each.mean(),
            "weighted": each.mean(),
            "masked": np.average(each, weights=counts),
            "class_weighted": np.average(each, weights=weight),
        }
        last = result.dataset.isel(config=0, seed=0, fold=fold, evaluation=-1)
        for name in ("loss", *metrics):
            np.testing.assert_allclose(last[f"valid_{name}"], expected[name], rtol=1e-6)
