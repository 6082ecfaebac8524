"""Complex parameters descend, as the same numbers do as pairs of reals, in float64 NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from references import sgd

import jefficient as jf

BATCH = np.random.default_rng(0).normal(size=12).astype(np.float32)
TARGET = 2 - 3j
START = np.array([0.5 + 0.25j, -1j], np.complex64)


def loss(params, batch):
    distance = jnp.abs(params - TARGET)
    return jnp.mean((batch[:, None] * distance) ** 2) + jnp.mean(params.real)


def ascent(pairs):
    """The gradient in (x, y), stacked along the first axis."""
    x, y = pairs
    slope = np.mean(BATCH.astype(float) ** 2)
    return np.stack([slope * (x - 2) + 0.5, slope * (y + 3)])


def descend(tx, steps=30, **more):
    step = jf.train_step(loss, tx, **more)
    update, state = jax.jit(step.update), step.init(jnp.asarray(START))
    for _ in range(steps):
        state, metrics = update(state, BATCH)
    return np.asarray(state.params), metrics


def reference(rule, steps=30, **numbers):
    """Follow a rule of float64 NumPy on the pairs (x, y)."""
    pairs = np.stack([START.real, START.imag]).astype(float)
    grads = []
    for _ in range(steps):
        grads.append(ascent(pairs))
        pairs = pairs + list(rule(grads, **numbers))[-1]
    return pairs[0] + 1j * pairs[1]


@pytest.mark.parametrize("microbatches", [1, 3])
def test_sgd_makes_the_steps_of_pairs_of_reals(microbatches):
    params, _ = descend(jf.sgd(0.2, momentum=0.5), microbatches=microbatches)
    expected = reference(sgd, rate=lambda _: 0.2, momentum=0.5)
    np.testing.assert_allclose(params, expected, rtol=1e-5)


def test_adam_divides_by_the_root_of_the_mean_squared_modulus():
    def modulus_adam(grads, rate):
        squares = [np.sum(g**2, axis=0, keepdims=True) for g in grads]
        v_hat = adam_mean(squares, 0.999)
        yield -rate * adam_mean(grads, 0.9) / (np.sqrt(v_hat) + 1e-8)

    def adam_mean(values, decay):
        ages = np.arange(len(values))[::-1].reshape(-1, 1, 1)
        return np.sum((1 - decay) * decay**ages * values, axis=0) / (1 - decay ** len(values))

    params, _ = descend(jf.adam(0.1))
    np.testing.assert_allclose(params, reference(modulus_adam, rate=0.1), rtol=1e-4)


def test_the_norms_are_those_of_the_pairs():
    _, metrics = descend(jf.sgd(0.1), steps=1)
    slope = ascent(np.stack([START.real, START.imag]))
    np.testing.assert_allclose(metrics["grad_norm"], np.sqrt(np.sum(slope**2)), rtol=1e-5)


def test_a_sweep_finds_the_minimum_and_counts_complex_layers_and_zeros():
    def distance(params, batch):
        return jnp.mean((batch * jnp.abs(params["z"] - TARGET)) ** 2)

    task = jf.Task(
        init=lambda key: {
            "z": jnp.zeros((), jnp.complex64),
            "idle": {"w": jnp.zeros(3, jnp.complex64)},
        },
        loss=distance,
        data=BATCH,
        validation=0.25,
    )
    result = jf.sweep(
        task, jf.adam, jf.grid(learning_rate=[0.1]), steps=150, layers=True, progress=False
    )
    params = result.params()
    np.testing.assert_allclose(params["z"], TARGET, atol=1e-2)
    assert result.dataset["zeros"].values.ravel()[-1] == 0.75
    norms = result.dataset["weight_norm"].isel(evaluation=-1).squeeze()
    assert set(norms["layer"].values) == {"z", "idle"}
    np.testing.assert_allclose(norms.sel(layer="z"), abs(params["z"]), rtol=1e-5)
    assert "2 layers" in result.plot.describe("layers")
