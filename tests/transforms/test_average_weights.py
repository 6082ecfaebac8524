"""The average of parameters against NumPy in float64, and where it is found."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import optax.contrib
import pytest

import jefficient as jf

GRADS = np.random.default_rng(0).normal(size=(7, 3)).astype(np.float32)


def trained(tx, params, grads=GRADS):
    state = tx.init(params)
    path = []
    for g in grads:
        updates, state = tx.update(
            jax.tree.map(lambda p, g=g: g.astype(p.dtype), params), state, params
        )
        params = jf.apply_updates(params, updates)
        path.append(params)
    return params, state, path


def by_hand(path, decay):
    """Weights (1 - decay)·decayᵗ⁻ⁱ of the parameters after update i, made to add up to 1."""
    share = np.array([float(decay) ** (len(path) - 1 - i) for i in range(len(path))])
    return np.average([np.asarray(p, complex) for p in path], axis=0, weights=share)


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.999, 0.9999])
@pytest.mark.parametrize("dtype", ["float32", "complex64"])
def test_it_is_the_debiased_exponential_average_after_each_update(decay, dtype):
    params, state, path = trained(jf.average_weights(jf.sgd(0.1), decay), jnp.ones(3, dtype))
    found = jf.evaluation_params(state, params)
    assert found.dtype == params.dtype
    np.testing.assert_allclose(found, by_hand(path, decay), rtol=1e-6)
    plain, _, _ = trained(jf.sgd(0.1), jnp.ones(3, dtype))
    np.testing.assert_array_equal(params, plain)
    assert jf.hyperparameters(state)["average_weights.decay"] == np.float32(decay)


def test_bfloat16_parameters_have_a_float32_average_and_a_bfloat16_answer():
    params, state, path = trained(jf.average_weights(jf.sgd(0.1), 0.9), jnp.ones(3, jnp.bfloat16))
    assert state.average.dtype == jnp.float32
    found = jf.evaluation_params(state, params)
    assert found.dtype == jnp.bfloat16
    np.testing.assert_allclose(found.astype(np.float32), by_hand(path, 0.9).real, rtol=1e-2)


def test_before_any_update_the_parameters_are_evaluated():
    params = jnp.arange(3.0)
    state = jf.average_weights(jf.adam(0.1), 0.9).init(params)
    np.testing.assert_array_equal(jf.evaluation_params(state, params), params)


def test_it_is_found_in_chains_masks_and_partitions():
    params = {"a": jnp.ones(3), "b": jnp.ones(3)}
    average = jf.average_weights(jf.sgd(0.1), 0.5)
    for tx in (
        jf.chain(jf.clip(10.0), jf.masked(average, {"a": True, "b": False})),
        jf.partition({"x": average, "y": jf.sgd(0.2)}, {"a": "x", "b": "y"}),
        optax.chain(optax.identity(), optax.masked(average, {"a": True, "b": False})),
    ):
        last, state, path = trained(tx, params)
        found = jf.evaluation_params(state, last)
        np.testing.assert_allclose(found["a"], by_hand([p["a"] for p in path], 0.5), rtol=1e-6)
        np.testing.assert_array_equal(found["b"], last["b"])
    last, state, _ = trained(jf.adam(0.1), params)
    assert jf.evaluation_params(state, last) is last


def test_schedule_free_is_known_and_masked_too():
    params = {"a": jnp.ones(3), "b": jnp.ones(3)}
    free = optax.contrib.schedule_free_sgd(0.3)
    last, state, _ = trained(free, params)
    expected = optax.contrib.schedule_free_eval_params(state, last)
    np.testing.assert_allclose(jf.evaluation_params(state, last)["a"], expected["a"], rtol=1e-6)
    assert not np.allclose(expected["a"], last["a"])
    last, state, _ = trained(jf.masked(free, {"a": True, "b": False}), params)
    np.testing.assert_allclose(jf.evaluation_params(state, last)["a"], expected["a"], rtol=1e-6)


def test_wrong_arguments():
    with pytest.raises(jf.ArgumentError, match=r"average_weights: 0 <= decay < 1 must hold, got"):
        jf.average_weights(jf.sgd(0.1), 1.0)
    with pytest.raises(jf.ArgumentTypeError, match=r"average_weights: tx must be a gradient tr"):
        jf.average_weights(jf.sgd, 0.9)
    tx = jf.average_weights(jf.sgd(0.1), 0.9)
    with pytest.raises(jf.ArgumentError, match="update must be given the parameters, got params=N"):
        tx.update(jnp.ones(3), tx.init(jnp.ones(3)))


def test_two_averages_of_the_same_parameters_are_refused():
    average = jf.average_weights(jf.sgd(0.1), 0.9)
    state = jf.chain(average, jf.average_weights(jf.identity(), 0.5)).init(jnp.ones(3))
    with pytest.raises(jf.ArgumentError, match="one transform must say what is evaluated, got"):
        jf.evaluation_params(state, jnp.ones(3))
