"""Every step of a hundred against float64 references written from the papers."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import references

import jefficient as jf

STEPS, SIZE = 100, 64
GRADS = np.random.default_rng(0).normal(size=(STEPS, SIZE)) * np.geomspace(1e-3, 10, SIZE) + 0.01
PARAMS = np.random.default_rng(1).normal(size=SIZE)


def schedule(t):
    return references.warmup_cosine_decay(t, 0.0, 0.1, 10, STEPS)


def fixed(rate):
    return lambda t: rate


FALLING = jf.linear_schedule(0.02, 0.001, 80)

OPTIMIZERS = {
    "sgd": (lambda: jf.sgd(0.1), lambda: optax.sgd(0.1), lambda: references.sgd(GRADS, fixed(0.1))),
    "sgd_momentum": (
        lambda: jf.sgd(0.1, momentum=0.9),
        lambda: optax.sgd(0.1, momentum=0.9),
        lambda: references.sgd(GRADS, fixed(0.1), 0.9),
    ),
    "sgd_nesterov": (
        lambda: jf.sgd(0.1, momentum=0.9, nesterov=True),
        lambda: optax.sgd(0.1, momentum=0.9, nesterov=True),
        lambda: references.sgd(GRADS, fixed(0.1), 0.9, nesterov=True),
    ),
    "sgd_schedule": (
        lambda: jf.sgd(jf.warmup_cosine_decay_schedule(0.0, 0.1, 10, STEPS)),
        None,  # optax's cosine loses digits near its end
        lambda: references.sgd(GRADS, schedule),
    ),
    "sgd_l1": (
        lambda: jf.chain(jf.l1_decay(0.01), jf.sgd(0.1)),
        None,  # optax has none
        lambda: references.decayed_sgd(GRADS, fixed(0.1), PARAMS, l1=0.01),
    ),
    "sgd_l2": (
        lambda: jf.chain(jf.l2_decay(0.01), jf.sgd(0.1)),
        lambda: optax.chain(optax.add_decayed_weights(0.01), optax.sgd(0.1)),
        lambda: references.decayed_sgd(GRADS, fixed(0.1), PARAMS, l2=0.01),
    ),
    "sgd_l2_initial": (
        lambda: jf.chain(jf.l2_decay(0.5, towards="initial"), jf.sgd(0.1)),
        None,  # optax has none
        lambda: references.decayed_sgd(GRADS, fixed(0.1), PARAMS, l2=0.5, towards=PARAMS),
    ),
    "sgd_l2_towards": (
        lambda: jf.chain(jf.l2_decay(0.5, towards=PARAMS[::-1].copy()), jf.sgd(0.1)),
        None,
        lambda: references.decayed_sgd(GRADS, fixed(0.1), PARAMS, l2=0.5, towards=PARAMS[::-1]),
    ),
    "sgd_clipped": (
        lambda: jf.chain(jf.clip_by_global_norm(20.0), jf.sgd(0.1)),
        lambda: optax.chain(optax.clip_by_global_norm(20.0), optax.sgd(0.1)),
        lambda: references.clipped_sgd(GRADS, fixed(0.1), 20.0),
    ),
    "adam": (
        lambda: jf.adam(0.1),
        lambda: optax.adam(0.1),
        lambda: references.adam(GRADS, fixed(0.1)),
    ),
    "adam_numbers": (
        lambda: jf.adam(0.01, b1=0.5, b2=0.9, eps=1e-3, eps_root=1e-2),
        lambda: optax.adam(0.01, b1=0.5, b2=0.9, eps=1e-3, eps_root=1e-2),
        lambda: references.adam(GRADS, fixed(0.01), 0.5, 0.9, 1e-3, 1e-2),
    ),
    "adam_b1_zero": (
        lambda: jf.adam(0.01, b1=0.0),
        lambda: optax.adam(0.01, b1=0.0),
        lambda: references.adam(GRADS, fixed(0.01), b1=0.0),
    ),
    "adam_b2_near_one": (
        lambda: jf.adam(0.01, b2=0.99999),
        None,  # optax forms 1 - b2**t in float32: 1e-3 off
        lambda: references.adam(GRADS, fixed(0.01), b2=0.99999),
    ),
    "adam_nesterov": (
        lambda: jf.adam(0.1, nesterov=True),
        lambda: optax.adam(0.1, nesterov=True),
        lambda: references.adam(GRADS, fixed(0.1), nesterov=True),
    ),
    "adam_schedule": (
        lambda: jf.adam(jf.warmup_cosine_decay_schedule(0.0, 0.1, 10, STEPS)),
        None,
        lambda: references.adam(GRADS, schedule),
    ),
    "adamw": (
        lambda: jf.adamw(0.01, weight_decay=0.1),
        lambda: optax.adamw(0.01, weight_decay=0.1),
        lambda: references.adamw(GRADS, fixed(0.01), PARAMS, 0.1),
    ),
    "nadam": (
        lambda: jf.nadam(0.1, b1=0.8),
        lambda: optax.nadam(0.1, b1=0.8),
        lambda: references.adam(GRADS, fixed(0.1), b1=0.8, nesterov=True),
    ),
    "nadamw": (
        lambda: jf.nadamw(0.01, weight_decay=0.1),
        lambda: optax.nadamw(0.01, weight_decay=0.1),
        lambda: references.adamw(GRADS, fixed(0.01), PARAMS, 0.1, nesterov=True),
    ),
    "sgd_hypergradient_descent": (
        lambda: jf.hypergradient_descent(jf.sgd(1.0), 0.1, 1e-6),
        None,  # optax has none
        lambda: references.hypergradient_descent(
            GRADS, references.sgd(GRADS, fixed(1.0)), 0.1, 1e-6, "additive"
        ),
    ),
    "adam_hypergradient_descent": (
        lambda: jf.hypergradient_descent(jf.adam(1.0), 0.1, 1e-5),
        None,
        lambda: references.hypergradient_descent(
            GRADS, references.adam(GRADS, fixed(1.0)), 0.1, 1e-5, "additive"
        ),
    ),
    "adam_hypergradient_descent_multiplicative": (
        lambda: jf.hypergradient_descent(jf.adam(1.0), 0.1, 0.1, rule="multiplicative"),
        None,
        lambda: references.hypergradient_descent(
            GRADS, references.adam(GRADS, fixed(1.0)), 0.1, 0.1, "multiplicative"
        ),
    ),
    "proximal_sgd": (
        lambda: jf.chain(jf.sgd(0.01), jf.proximal_elastic_net(0.01 * 2.0, 0.01 * 3.0)),
        None,  # optax has none
        lambda: references.proximal_sgd(GRADS, fixed(0.01), PARAMS, 2.0, 3.0),
    ),
    "proximal_sgd_schedule": (
        lambda: jf.chain(jf.sgd(FALLING), jf.proximal_l1(lambda t: FALLING(t) * 2.0)),
        None,
        lambda: references.proximal_sgd(
            GRADS, lambda t: references.polynomial(t, 0.02, 0.001, 1, 80), PARAMS, 2.0, 0
        ),
    ),
    "prune_schedule": (
        lambda: jf.prune(
            jf.sgd(0.01, momentum=0.9),
            jf.polynomial_schedule(0.0, 0.9, 3, 60, 10),
            begin=10,
            end=70,
            every=8,
        ),
        None,  # optax has none
        lambda: references.magnitude_pruned(
            GRADS,
            fixed(0.01),
            PARAMS,
            0.9,
            lambda t: references.polynomial(t, 0.0, 0.9, 3, 60, 10),
            {*range(10, 71, 8), 70},
        ),
    ),
    "prune_straight_through": (
        lambda: jf.prune(jf.sgd(0.01), 0.7, ste=True),
        None,
        lambda: references.straight_through(GRADS, fixed(0.01), PARAMS, 0.7),
    ),
    "proximal_adam": (
        lambda: jf.proximal_adam(0.02, b1=0.8, b2=0.99, l1=0.5, l2=2.0),
        None,
        lambda: references.proximal_adam(GRADS, fixed(0.02), PARAMS, 0.5, 2.0, 0.8, 0.99),
    ),
}


def updates_of(tx):
    def body(carry, g):
        params, state = carry
        u, state = tx.update(g, state, params)
        return (jf.apply_updates(params, u), state), u

    params = jnp.asarray(PARAMS, jnp.float32)
    return jax.lax.scan(body, (params, tx.init(params)), jnp.asarray(GRADS, jnp.float32))[1]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_step_against_the_paper(name):
    ours, _, reference = OPTIMIZERS[name]
    expected = np.stack(list(reference()))
    got = np.asarray(jax.jit(lambda: updates_of(ours()))(), np.float64)
    error = np.linalg.norm(got - expected, axis=1) / np.maximum(
        np.linalg.norm(expected, axis=1), 1e-30
    )
    assert error.max() < 1e-5
    # a proximal update is the difference of two parameters, and as exact as they are
    scale = np.abs(PARAMS).max() if "proximal" in name else np.abs(expected).max()
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6 * scale)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_float64_against_the_paper(name):
    """In float64 eps inside the root, or a step off by one, cannot hide in rounding."""
    ours, _, reference = OPTIMIZERS[name]

    def body(carry, g):
        params, state = carry
        u, state = ours().update(g, state, params)
        return (jf.apply_updates(params, u), state), u

    params = jnp.asarray(PARAMS, jnp.float64)
    got = jax.lax.scan(body, (params, ours().init(params)), jnp.asarray(GRADS, jnp.float64))[1]
    expected = np.stack(list(reference()))
    # a learning rate from a schedule is a float32 number, whatever the leaves are
    tolerance = 1e-6 if "schedule" in name else 1e-9
    np.testing.assert_allclose(
        got, expected, rtol=tolerance, atol=tolerance * np.abs(expected).max()
    )


@pytest.mark.parametrize("name", [name for name, (_, theirs, _) in OPTIMIZERS.items() if theirs])
def test_every_step_against_optax(name):
    ours, theirs, _ = OPTIMIZERS[name]
    got = jax.jit(lambda: updates_of(ours()))()
    with jax.numpy_dtype_promotion("standard"):
        expected = jax.jit(lambda: updates_of(theirs()))()
    chex.assert_trees_all_equal_shapes_and_dtypes(got, expected)
    np.testing.assert_allclose(got, expected, rtol=3e-5, atol=1e-6)
