"""Losses that are a sum and its weight, or name the weights of examples or the step."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jefficient as jf

RNG = np.random.default_rng(0)
N, LENGTH = 16, 6
X = RNG.normal(size=(N, LENGTH)).astype(np.float32)
Y = (2 * X + 0.3 * RNG.normal(size=(N, LENGTH))).astype(np.float32)
MASK = (np.arange(LENGTH) < RNG.integers(1, LENGTH + 1, size=(N, 1))).astype(np.float32)
MASK[8:12] = 0  # a microbatch in which every token is masked
BATCH = {"x": X, "y": Y, "mask": MASK}


def squares(params, batch):
    return batch["mask"] * (batch["x"] * params - batch["y"]) ** 2


def pair(params, batch):
    return jnp.sum(squares(params, batch)), jnp.sum(batch["mask"])


def pair_with_state(params, state, batch):
    return pair(params, batch), state + 1


EVERYTHING = np.arange(N)


def mean_of(p, examples):
    """Σ m(xp - y)² / Σ m in float64."""
    rest = X[examples].astype(float) * p - Y[examples]
    return np.sum(MASK[examples] * rest**2) / MASK[examples].sum()


def slope_of(p, examples):
    """Its derivative in p."""
    rest = X[examples].astype(float) * p - Y[examples]
    return np.sum(2 * MASK[examples] * rest * X[examples]) / MASK[examples].sum()


def by_hand(steps, rate):
    p, losses = 0.0, []
    for _ in range(steps):
        losses.append(mean_of(p, EVERYTHING))
        p -= rate * slope_of(p, EVERYTHING)
    return p, losses


@pytest.mark.parametrize("microbatches", [1, 2, 4, 16])
@pytest.mark.parametrize("compute_dtype", [None, "float32"])
def test_microbatches_of_a_masked_loss_are_one_batch(microbatches, compute_dtype):
    step = jf.train_step(pair, jf.sgd(0.1), microbatches=microbatches, compute_dtype=compute_dtype)
    state = step.init(jnp.zeros(()))
    expected, losses = by_hand(3, 0.1)
    for loss in losses:
        state, metrics = step.update(state, BATCH)
        np.testing.assert_allclose(metrics["loss"], loss, rtol=1e-6)
    np.testing.assert_allclose(state.params, expected, rtol=1e-6)


def test_with_a_model_state_and_a_penalty():
    """l2/2·p² is added to the mean, whatever the weight."""
    loss = jf.regularized(pair_with_state, l2=0.5)
    step = jf.train_step(loss, jf.sgd(0.1), model_state=True, microbatches=2)
    state, metrics = step.update(step.init(jnp.ones(()), model_state=jnp.int32(0)), BATCH)
    mean = mean_of(1.0, EVERYTHING) + 0.25
    slope = slope_of(1.0, EVERYTHING) + 0.5
    np.testing.assert_allclose(metrics["loss"], mean, rtol=1e-6)
    np.testing.assert_allclose(state.params, 1 - 0.1 * slope, rtol=1e-6)
    assert state.model_state == 2


def test_weights_are_ones_and_the_step_is_the_updates_made():
    def loss(params, batch, weights, step):
        assert weights.shape == (N,)
        assert weights.dtype == jnp.float32
        return jnp.mean(weights[:, None] * batch["x"]) * params * step.astype(jnp.float32)

    step = jf.train_step(loss, jf.sgd(1.0))
    state = step.init(jnp.zeros(()))
    for _ in range(4):
        state, _ = jax.jit(step.update)(state, BATCH)
    np.testing.assert_allclose(state.params, -X.mean() * (0 + 1 + 2 + 3), rtol=1e-5)


def test_a_sweep_anneals_by_the_step_and_evaluates_what_it_trains():
    """An annealed mean over tokens, with folds of unequal size."""

    def loss(params, batch, step, weights):
        total, _ = pair(params, {**batch, "mask": batch["mask"] * weights[:, None]})
        share = jnp.minimum(step.astype(jnp.float32) / 4, 1)
        return share * total, jnp.sum(batch["mask"] * weights[:, None])

    task = jf.Task(init=lambda key: jnp.zeros(()), loss=loss, data=BATCH)
    folds = [(np.arange(6, N), np.arange(6)), (np.arange(8), np.arange(8, N))]
    settings = {"steps": 6, "eval_every": 2, "batch_size": 8, "folds": folds, "progress": False}
    result = jf.sweep(task, jf.sgd, jf.grid(learning_rate=[0.1]), **settings)
    for fold, (_, valid) in enumerate(folds):
        shown = result.dataset["valid_loss"].values[0, 0, fold]
        expected = mean_of(float(result.params(0, fold=fold)), valid)
        np.testing.assert_allclose(shown[-1], expected, rtol=1e-5)

    # The second fold trains on 8 examples, all of them in every batch.
    train, valid = folds[1]
    p, expected = 0.0, []
    for step in range(6):
        p -= 0.1 * min(step / 4, 1) * slope_of(p, train)
        if step % 2:
            expected.append(min((step + 1) / 4, 1) * mean_of(p, valid))
    np.testing.assert_allclose(result.params(0, fold=1), p, rtol=1e-5)
    np.testing.assert_allclose(shown, expected, rtol=1e-5)


def test_a_penalty_does_not_take_a_model_state_for_a_weight():
    def counting(params, count, batch):
        return jnp.mean((batch["x"] * params - batch["y"]) ** 2), count

    step = jf.train_step(jf.regularized(counting, l2=1.0), jf.sgd(0.0), model_state=True)
    values = []
    for count in (0.0, 100.0):
        state = step.init(jnp.float32(3), model_state=jnp.float32(count))
        values.append(float(step.update(state, BATCH)[1]["loss"]))
    assert values[0] == values[1]
    np.testing.assert_allclose(values[0], np.mean((X.astype(float) * 3 - Y) ** 2) + 4.5, rtol=1e-6)


def test_microbatches_of_a_loss_that_is_no_mean_over_examples_are_refused():
    def masked_mean(params, batch):
        total, weight = pair(params, batch)
        return total / weight

    step = jf.train_step(masked_mean, jf.sgd(0.1), microbatches=2)
    with pytest.raises(
        jf.ArgumentError, match="must be a mean over examples with microbatches, or"
    ):
        step.update(step.init(jnp.zeros(())), BATCH)
    mean = jf.train_step(lambda p, b: jnp.mean((b["x"] * p - b["y"]) ** 2), jf.sgd(0.1))
    halves = jf.train_step(
        lambda p, b: jnp.mean((b["x"] * p - b["y"]) ** 2), jf.sgd(0.1), microbatches=2
    )
    one, two = (step.update(step.init(jnp.zeros(())), BATCH)[0] for step in (mean, halves))
    np.testing.assert_allclose(one.params, two.params, rtol=1e-6)
