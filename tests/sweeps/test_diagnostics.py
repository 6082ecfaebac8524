"""Diagnostics of an evaluation: zeros, clips, norms of layers; against numbers by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from sweeps import tiny

import jefficient as jf

STEPS, EVERY, MAX_NORM = 12, 4, 3.0


def init(key):
    first, second = jax.random.split(key)
    return {
        "a": {"w": jax.random.normal(first, (3, 2)), "b": jnp.zeros(2)},
        "out": jax.random.normal(second, (2,)),
    }


def loss(params, batch):
    x, y = batch
    return jnp.mean((jnp.tanh(x @ params["a"]["w"] + params["a"]["b"]) @ params["out"] - y) ** 2)


def optimizer(learning_rate, l1):
    return jf.chain(
        jf.clip_by_global_norm(MAX_NORM), jf.sgd(learning_rate), jf.proximal_l1(learning_rate * l1)
    )


SPACE = jf.grid(learning_rate=[0.01, 0.3], l1=[0.0, 0.5])


@pytest.fixture(scope="module")
def result():
    task = jf.Task(init=init, loss=loss, data=(tiny.X, tiny.Y), validation=0.2)
    return tiny.sweep(task, SPACE, optimizer, steps=STEPS, eval_every=EVERY, layers=True, seeds=2)


def by_hand(config, seed):
    """Zeros at each evaluation, clips and norms at each update, of an optax loop."""
    task = jf.Task(init=init, loss=loss, data=(tiny.X, tiny.Y), validation=0.2)
    numbers, _ = task.split(jax.random.key(0))
    train = jax.tree.map(lambda x: x[numbers], task.data)
    key = jax.random.fold_in(jax.random.fold_in(jax.random.key(0), seed), 0)
    params = init(jax.random.fold_in(key, 0))
    rate, l1 = (np.float32(x) for x in SPACE[config].values())
    zeros, clipped, grads, updates, weights = [], [], [], [], []
    for t in range(STEPS):
        rows = jf.shuffled_batch(jax.random.fold_in(key, 1), t, 24, 8)
        g = jax.grad(loss)(params, jax.tree.map(lambda x, rows=rows: x[rows], train))
        grads.append(norms(g))
        norm = float(optax.tree.norm(g))
        clipped.append(norm > MAX_NORM)
        moved = jax.tree.map(
            lambda p, g, norm=norm: p - rate * g * min(1, MAX_NORM / norm), params, g
        )
        new = jax.tree.map(lambda x: np.sign(x) * np.maximum(abs(x) - rate * l1, 0), moved)
        updates.append(norms(jax.tree.map(lambda x, y: x - y, new, params)))
        params = new
        if (t + 1) % EVERY == 0:
            leaves = np.concatenate([np.ravel(x) for x in jax.tree.leaves(params)])
            zeros.append((leaves == 0).mean())
            weights.append(norms(params))
    means = (np.reshape(x, (3, EVERY, -1)).mean(1) for x in (clipped, grads, updates))
    return np.array(zeros), *means, np.array(weights)


def norms(tree):
    layer = np.sqrt(
        (np.asarray(tree["a"]["w"]) ** 2).sum() + (np.asarray(tree["a"]["b"]) ** 2).sum()
    )
    return [layer, np.linalg.norm(tree["out"])]


def test_they_are_those_of_a_loop_by_hand(result):
    data = result.dataset
    assert data["layer"].values.tolist() == ["a", "out"]
    with jax.numpy_dtype_promotion("standard"):
        expected = {(c, s): by_hand(c, s) for c in range(4) for s in range(2)}
    for (config, seed), (zeros, clipped, grads, updates, weights) in expected.items():
        trial = data.isel(config=config, seed=seed, fold=0)
        np.testing.assert_allclose(trial["zeros"], zeros, atol=1e-6)
        np.testing.assert_allclose(trial["clipped"], clipped[:, 0], atol=1e-6)
        np.testing.assert_allclose(trial["grad_norm"], grads, rtol=2e-3)
        np.testing.assert_allclose(trial["update_norm"], updates, rtol=2e-3)
        np.testing.assert_allclose(trial["weight_norm"], weights, rtol=1e-4)
    assert any(zeros[-1] > 0 for zeros, *_ in expected.values())
    assert 0.1 < np.mean([clipped for _, clipped, *_ in expected.values()]) < 0.9


def test_without_being_asked_there_are_no_norms_and_without_a_clip_no_clipping():
    result = tiny.sweep(tiny.task(validation=0.2), jf.grid(learning_rate=[0.1]), steps=3)
    assert "layer" not in result.dataset.dims
    roles = {
        name: x.attrs["role"] for name, x in result.dataset.data_vars.items() if "role" in x.attrs
    }
    assert roles == {"train_loss": "measured", "valid_loss": "measured", "zeros": "diagnostic"}


def test_programs_of_other_layers_and_chains_share_a_dataset():
    """A layer that a program does not have, and clipping where nothing clips, are NaN."""

    def deep(key, depth):
        return {f"layer{i}": jax.random.normal(key, (3, 3)) for i in range(depth)} | {
            "out": jnp.ones(3)
        }

    def deep_loss(params, batch, depth):
        x, y = batch
        for i in range(depth):
            x = jnp.tanh(x @ params[f"layer{i}"])
        return jnp.mean((x @ params["out"] - y) ** 2)

    def maybe_clipped(learning_rate, clips):
        return (
            jf.chain(jf.clip_by_global_norm(1e-6), jf.sgd(learning_rate))
            if clips
            else jf.sgd(learning_rate)
        )

    task = jf.Task(init=deep, loss=deep_loss, data=(tiny.X, tiny.Y), validation=0.2)
    space = jf.grid(learning_rate=[0.1], depth=jf.static([1, 2]), clips=[True, False])
    data = tiny.sweep(task, space, maybe_clipped, steps=4, layers=True).dataset.isel(
        seed=0, fold=0, evaluation=-1
    )
    assert data["layer"].values.tolist() == ["layer0", "out", "layer1"]
    np.testing.assert_array_equal(
        np.isnan(data["grad_norm"].sel(layer="layer1")), [True, True, False, False]
    )
    assert np.isfinite(data["weight_norm"].sel(layer=["layer0", "out"])).all()
    np.testing.assert_array_equal(data["clipped"], [1.0, np.nan, 1.0, np.nan])


def test_layers_are_of_a_task_and_a_flag():
    with pytest.raises(jf.ArgumentTypeError, match="layers must be True or False"):
        tiny.sweep(tiny.task(validation=0.2), jf.grid(learning_rate=[0.1]), steps=3, layers="all")
    trial = jf.Trial(lambda key, x: x, lambda s, d, t, k: (s, {}), lambda s, d: {"x": s})
    with pytest.raises(jf.ArgumentError, match=r"a jf.Trial must come without layers"):
        jf.sweep(trial, space=jf.grid(x=[1.0]), steps=1, metric="x", mode="min", layers=True)


def test_refit_trains_on_every_row_as_long_as_it_is_asked():
    """A model that counts how often it has seen a row."""
    rows = np.arange(40)

    def seen(params, batch):
        return -jnp.sum(params[batch])

    def spy(**changes):
        task = {
            "init": lambda key: jnp.zeros(60),
            "loss": seen,
            "data": rows,
            "metrics": {"row": row},
        } | changes
        return jf.Task(**task)

    def row(params, batch):
        return batch

    def run(task, **settings):
        return tiny.sweep(
            task, jf.grid(learning_rate=[0.5, 1.0]), batch_size=4, seeds=2, **settings
        )

    for task, settings, count in (
        (spy(), {"folds": 4, "epochs": 3}, 40),
        (spy(validation=0.3), {"epochs": 3}, 40),
        (spy(validation=np.arange(40, 60)), {"epochs": 3}, 60),
    ):
        again = run(task, **settings).refit(1, seed=1)
        counts = np.round(again.params).astype(int)
        assert (counts[:count] == 3).all()
        assert counts.sum() == 3 * count
        assert again.dataset["training_examples"].item() == count
        assert again.dataset["learning_rate"].item() == 1.0
        assert again.dataset["seed"].item() == 1
    by_evaluation = run(
        spy(validation=0.3), epochs=4, eval_every=1, metric="valid_loss", select="best", mode="max"
    )
    assert (
        by_evaluation.refit(0).dataset["steps_taken"].item() == 1
    )  # the loss only falls: the first evaluation is the best


def test_refit_of_a_trial_is_refused():
    trial = jf.Trial(
        lambda key, x: x,
        lambda s, d, t, k: (s, {"loss": s}),
        lambda s, d: {"end": s},
        weights=lambda state: state,
    )
    result = jf.sweep(
        trial, space=jf.grid(x=[1.0]), steps=1, metric="end", mode="min", progress=False
    )
    with pytest.raises(jf.ArgumentError, match=r"jf.Result.refit: the sweep must be of a jf.Task"):
        result.refit()
    with pytest.raises(jf.ArgumentError, match=r"0 <= config < 1 must hold, got config=5"):
        result.refit(5)


def test_a_metric_that_is_nan_is_no_divergence():
    """One that is NaN in one fold, at some evaluations: all else is what it is without it."""

    def sick(params, batch):
        x, _ = batch
        is_here = (x[0, 0] == tiny.X[0, 0]) & (jnp.abs(params).max() > 0.5)
        return jnp.where(is_here, jnp.nan, 1.0)

    folds = [(np.arange(15, 30), np.arange(15)), (np.arange(15), np.arange(15, 30))]
    space = jf.grid(learning_rate=[0.1])
    settings = {"steps": 6, "eval_every": 2, "folds": folds}
    result = tiny.sweep(tiny.task(metrics={"sick": sick}), space, **settings)
    assert np.isnan(result.dataset["valid_sick"]).any()
    assert (result.dataset["status"] == "finished").all()
    healthy = tiny.sweep(tiny.task(), space, **settings)
    for name in ("valid_loss", "train_loss"):
        np.testing.assert_allclose(result.dataset[name], healthy.dataset[name], rtol=1e-6)
    assert result.best().score == pytest.approx(healthy.best().score, rel=1e-6)
