"""The order of examples, augmentation, and what functions may name beside hyperparameters."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.model_selection import TimeSeriesSplit

import jefficient as jf

N = 23
ROWS = np.arange(N, dtype=np.int32)
X = np.random.default_rng(0).normal(size=(N, 2)).astype(np.float32)


def spy(data=None, **changes):
    """A model that counts how often it has seen an example; gradient ascent adds 1 for each."""
    given = {"data": {"row": ROWS} if data is None else data, **changes}
    return jf.Task(
        init=lambda key: jnp.zeros(N),
        loss=lambda seen, batch: -len(batch["row"]) * jnp.mean(seen[batch["row"]]),
        **given,
    )


def sweep(the_task, optimizer=None, space=None, **changes):
    given = {"steps": 4, "batch_size": 5, "progress": False, **changes}
    space = jf.grid(learning_rate=[1.0]) if space is None else space
    return jf.sweep(the_task, optimizer or jf.sgd, space, **given)


def on_disk(folder):
    stored = np.memmap(folder / "rows", ROWS.dtype, "w+", shape=ROWS.shape)
    stored[:] = ROWS
    return {"row": stored}


@pytest.mark.parametrize("where", ["memory", "disk"])
def test_sequential_training_goes_through_the_examples_in_order(where, tmp_path):
    data = on_disk(tmp_path) if where == "disk" else None
    held_out = sweep(spy(data, order="sequential", validation=0.2), steps=3)
    train = N - round(0.2 * N)
    assert held_out.dataset["validation_examples"].item() == N - train
    seen = np.bincount(np.arange(15) % train, minlength=N)
    np.testing.assert_array_equal(held_out.params(), seen)

    folds = TimeSeriesSplit(3)
    result = sweep(spy(data, order="sequential"), folds=folds, steps=6)
    for fold, (indices, _) in enumerate(folds.split(ROWS)):
        seen = np.bincount(np.resize(indices, 30), minlength=N)
        np.testing.assert_array_equal(result.params(0, fold=fold), seen)


def test_a_number_of_folds_is_refused_for_examples_in_order():
    with pytest.raises(jf.ArgumentError, match=r"got folds=3, which is drawn at random. Take"):
        sweep(spy(order="sequential"), folds=3)
    with pytest.raises(jf.ArgumentError, match="order must be 'shuffled' or 'sequential', got ord"):
        spy(order="random")


def regression(**changes):
    return jf.Task(
        **{
            "init": lambda key: jnp.zeros(2),
            "loss": lambda w, batch: jnp.mean((batch @ w - 1) ** 2),
            "data": X,
            "validation": X,
            **changes,
        }
    )


def test_augmentation_is_on_in_training_alone_and_requests_hyperparameters():
    """Against the loop by hand: each update has a key of its own, evaluation none."""
    keys = []

    def flip(key, batch, share):
        is_flipped = jax.random.bernoulli(key, share, (len(batch), 1))
        jax.debug.callback(lambda data: keys.append(data.tobytes()), jax.random.key_data(key))
        return jnp.where(is_flipped, -batch, batch)

    space = jf.grid(learning_rate=[0.1], share=[0.0, 1.0])
    result = sweep(regression(augment=flip), space=space, steps=3)
    assert len(set(keys)) == 3
    plain = sweep(regression(), steps=3, space=jf.grid(learning_rate=[0.1]))
    np.testing.assert_allclose(result.params(0), plain.params(0), rtol=1e-6)
    flipped = sweep(regression(data=-X), steps=3, space=jf.grid(learning_rate=[0.1]))
    np.testing.assert_allclose(result.params(1), flipped.params(0), rtol=1e-6)
    for config in (0, 1):  # evaluated on what is not flipped
        w = result.params(config).astype(float)
        shown = result.dataset["valid_loss"].values[config, 0, 0, -1]
        np.testing.assert_allclose(shown, np.mean((X @ w - 1) ** 2), rtol=1e-5)


def real(x):
    return jnp.asarray(x, jnp.float32)


def test_functions_name_seed_and_fold():
    """`init` begins at 10 · seed + fold, and nothing moves."""
    the_task = jf.Task(
        init=lambda key, seed, fold: real(10 * seed + fold),
        loss=lambda w, batch, seed: (w - real(10 * seed)) ** 2 + 0 * batch.mean(),
        data=X,
        metrics={"step": lambda w, batch, step: jnp.full(len(batch), real(step))},
        augment=lambda key, batch, seed, fold: batch + real(seed + fold),
    )
    space = jf.grid(learning_rate=[0.0])
    folds = [(np.arange(12), np.arange(12, N)), (np.arange(11, N), np.arange(11))]
    result = sweep(the_task, space=space, seeds=3, folds=folds, steps=4, eval_every=2)
    for seed in range(3):
        for fold in range(2):
            assert result.params(0, seed, fold) == 10 * seed + fold
            trial = result.dataset.isel(config=0, seed=seed, fold=fold)
            np.testing.assert_allclose(trial["valid_loss"], fold, atol=1e-6)
            assert trial["valid_step"].values.tolist() == [2, 4]
    for name in ("seed", "step"):
        with pytest.raises(jf.ArgumentError, match=rf"must not name '{name}' \(a value of the sw"):
            sweep(the_task, space=jf.grid(learning_rate=[0.1], **{name: [1]}))
