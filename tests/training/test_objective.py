"""Penalties: their values, their gradients, and what evaluation sees."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jefficient as jf

PARAMS = {"w": jnp.array([1.0, -2.0, 0.0]), "b": jnp.array(3.0)}


def loss(params, batch, scale=1.0):
    return scale * jnp.sum(params["w"] * batch) + 0.0 * params["b"]


def test_value_and_gradient_of_both_penalties():
    penalised = jf.regularized(loss, l1=0.1, l2=0.5)
    batch = jnp.zeros(3)
    np.testing.assert_allclose(penalised(PARAMS, batch), 0.1 * 6 + 0.25 * 14, rtol=1e-6)
    grads = jax.grad(penalised)(PARAMS, batch)
    np.testing.assert_allclose(grads["w"], [0.1 + 0.5, -0.1 - 1.0, 0.0], rtol=1e-6)
    np.testing.assert_allclose(grads["b"], 0.1 + 1.5, rtol=1e-6)


def test_coupled_decay_is_the_penalty_s_gradient():
    batch = jnp.array([0.3, -0.1, 0.2])
    for decay, strengths in ((jf.l1_decay(0.2), {"l1": 0.2}), (jf.l2_decay(0.2), {"l2": 0.2})):
        grads = jax.grad(loss)(PARAMS, batch)
        decayed = decay.update(grads, decay.init(PARAMS), PARAMS)[0]
        expected = jax.grad(jf.regularized(loss, **strengths))(PARAMS, batch)
        jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-6), decayed, expected)


def test_a_mask_spares_leaves():
    for mask in ({"w": True, "b": False}, lambda p: {name: name == "w" for name in p}):
        np.testing.assert_allclose(
            jf.regularized(loss, l2=1.0, mask=mask)(PARAMS, jnp.zeros(3)), 2.5
        )


def test_strengths_are_asked_for_beside_what_the_loss_asks_for():
    penalised = jf.regularized(loss)
    assert list(inspect.signature(penalised).parameters) == ["params", "batch", "scale", "l1", "l2"]
    np.testing.assert_allclose(
        penalised(PARAMS, jnp.ones(3), scale=2.0, l2=jnp.float32(1.0)), -2.0 + 7.0
    )
    assert penalised.unpenalised is loss


def test_strengths_are_differentiable_and_keep_the_loss_s_dtype():
    assert jax.grad(lambda l1: jf.regularized(loss, l1=l1)(PARAMS, jnp.zeros(3)))(0.5) == 6.0
    half = jax.tree.map(lambda x: x.astype(jnp.bfloat16), PARAMS)
    assert (
        jf.regularized(loss, l2=jnp.float32(0.5))(half, jnp.zeros(3, jnp.bfloat16)).dtype
        == jnp.bfloat16
    )


def test_a_loss_with_model_state_keeps_it():
    value, state = jf.regularized(lambda p, s, b: (jnp.sum(p * b), s + 1), l2=1.0)(
        jnp.ones(2), 4, jnp.zeros(2)
    )
    assert (float(value), state) == (1.0, 5)


def test_bad_strengths_are_refused():
    with pytest.raises(
        jf.JefficientError, match=r"jf\.regularized: 0 <= l2 < inf must hold, got l2=-1"
    ):
        jf.regularized(loss, l2=-1)
    with pytest.raises(jf.JefficientError, match="got l1=nan"):
        jf.regularized(loss)(PARAMS, jnp.zeros(3), l1=float("nan"))
    with pytest.raises(TypeError, match="loss must be a function, got 3"):
        jf.regularized(3)
