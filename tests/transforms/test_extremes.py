"""Numbers at the ends of float32: no eps, and gradients whose norm overflows."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from references import adam

import jefficient as jf

X = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)
Y = X @ np.array([1.0, -2.0, 0.5], np.float32)


@pytest.mark.parametrize("eps", [0.0, 1e-300])
@pytest.mark.parametrize(
    "optimizer",
    [jf.adam, jf.nadam, jf.adamw, jf.nadamw, jf.scale_by_adam],
    ids=lambda x: x.__name__,
)
def test_without_an_eps_a_gradient_of_zero_makes_no_step(optimizer, eps):
    rate = () if optimizer is jf.scale_by_adam else (0.1,)
    params, grads = jnp.zeros(2), jnp.array([0.0, 3.0])

    def step(grads):
        tx = optimizer(*rate, eps=eps)
        return tx.update(grads, tx.init(params), params)[0]

    updates = step(grads)
    assert updates[0] == 0
    nesterov = optimizer in (jf.nadam, jf.nadamw)
    alone = [np.array([3.0])]
    (expected,) = adam(alone, lambda _: 0.1 if rate else -1.0, eps=0.0, nesterov=nesterov)
    np.testing.assert_allclose(updates[1], expected[0], rtol=1e-5)
    assert np.isfinite(jax.jacobian(step)(grads)).all()


def with_unseen(weights):
    """A regression with weights that its loss does not see."""
    return jf.Task(
        init=lambda key: {"w": jnp.zeros(3), "unseen": weights},
        loss=lambda p, batch: jnp.mean((batch["x"] @ p["w"] - batch["y"]) ** 2),
        data={"x": X, "y": Y},
        validation=0.2,
    )


def test_a_sweep_without_an_eps_keeps_weights_that_no_loss_sees():
    task = with_unseen(jnp.zeros(2))
    space = jf.grid(learning_rate=[0.1], eps=[0.0])
    result = jf.sweep(task, jf.adam, space, steps=20, batch_size=16, progress=False)
    assert result.dataset["status"].item() == "finished"
    np.testing.assert_array_equal(result.params()["unseen"], 0)


def test_weights_that_are_not_finite_are_a_divergence_even_if_no_loss_sees_them():
    task = with_unseen(jnp.ones(2))

    def optimizer(learning_rate, growth):
        grows = jf.chain(jf.l2_decay(growth), jf.scale(growth))
        transforms = {"w": jf.sgd(learning_rate), "unseen": grows}
        return jf.partition(transforms, {"w": "w", "unseen": "unseen"})

    space = jf.grid(learning_rate=[0.1], growth=[1e30])
    result = jf.sweep(task, optimizer, space, steps=5, batch_size=16, progress=False)
    assert result.dataset["status"].item() == "diverged"


@pytest.mark.parametrize("dtype", ["float32", "complex64"])
def test_a_gradient_whose_norm_overflows_is_shortened_not_dropped(dtype):
    """‖(3e30, 4e30)‖ is 5e30, whose square float32 does not have."""
    tx = jf.clip_by_global_norm(1.0)
    for size in (1e30, 6e37):
        grads = jnp.array([3 * size, 4 * size], dtype)
        updates, _ = jax.jit(tx.update)(grads, tx.init(grads))
        np.testing.assert_allclose(updates, [0.6, 0.8], rtol=1e-6)

    step = jf.train_step(lambda p, batch: jnp.sum(p.real * batch), jf.sgd(0.0))
    state = step.init(jnp.zeros(2, dtype))
    _, metrics = step.update(state, jnp.array([3e30, 4e30], jnp.float32))
    np.testing.assert_allclose(metrics["grad_norm"], 5e30, rtol=1e-6)


def test_infinite_gradients_have_an_infinite_norm_and_zero_a_finite_slope():
    step = jf.train_step(lambda p, batch: jnp.sum(p * batch), jf.sgd(0.0))
    _, metrics = step.update(step.init(jnp.zeros(2)), jnp.array([jnp.inf, 1.0]))
    assert metrics["grad_norm"] == jnp.inf
    tx = jf.clip_by_global_norm(1.0)
    slope = jax.grad(lambda g: tx.update(g, tx.init(g))[0].sum())(jnp.zeros(2))
    assert np.isfinite(slope).all()
