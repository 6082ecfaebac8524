"""Modules of equinox, with leaves that have no gradient, trained by our transforms.

Ours run under strict dtype promotion; optax's Adam mixes dtypes, so the twins run under the
standard one.
"""

from collections.abc import Callable

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jefficient as jf

eqx = pytest.importorskip("equinox")

STEPS = 20
X = jax.random.normal(jax.random.key(0), (32, 4))
Y = jnp.sin(X.sum(axis=1))


class Model(eqx.Module):
    """Every kind of leaf: arrays to train, integers, a key, a function, a Python number, None."""

    layers: list
    columns: jax.Array
    key: jax.Array
    readout: Callable
    temperature: float
    nothing: None
    activation: Callable = eqx.field(static=True)

    def __init__(self, key):
        first, last = jax.random.split(key)
        self.layers = [
            eqx.nn.Linear(4, 8, key=first),
            eqx.nn.Linear(8, "scalar", use_bias=False, key=last),
        ]
        self.columns = jnp.array([3, 1, 0, 2])
        self.key = key
        self.readout = jnp.arcsinh
        self.temperature = 2.0
        self.nothing = None
        self.activation = jnp.tanh

    def __call__(self, x):
        first, last = self.layers
        return self.readout(last(self.activation(first(x[self.columns]) / self.temperature)))


def trained(model):
    return eqx.filter(model, eqx.is_inexact_array)


def loss(model):
    return jnp.mean((jax.vmap(model)(X) - Y) ** 2)


def train(tx, params_of=trained, apply=eqx.apply_updates):
    """Return the model, the state and the losses; `update` gets `params_of(model)`."""
    model = Model(jax.random.key(1))
    state = tx.init(trained(model))

    @eqx.filter_jit
    @eqx.debug.assert_max_traces(max_traces=1)
    def step(model, state):
        grads = eqx.filter_grad(loss)(model)
        updates, state = tx.update(grads, state, params_of(model))
        return apply(model, updates), state, loss(model)

    losses = []
    for _ in range(STEPS):
        model, state, value = step(model, state)
        losses.append(float(value))
    return model, state, losses


def decays(model):
    """Only matrices do."""
    return jax.tree.map(lambda x: x.ndim > 1, model)


OPTIMIZERS = {
    "adam": (lambda: jf.adam(0.05), lambda: optax.adam(0.05)),
    "sgd": (lambda: jf.sgd(0.2, momentum=0.9), lambda: optax.sgd(0.2, momentum=0.9)),
    "clipped_adamw": (
        lambda: jf.chain(jf.clip_by_global_norm(0.2), jf.adamw(0.05, weight_decay=0.1)),
        lambda: optax.chain(optax.clip_by_global_norm(0.2), optax.adamw(0.05, weight_decay=0.1)),
    ),
    "masked_adamw": (
        lambda: jf.adamw(0.05, weight_decay=0.5, mask=decays),
        lambda: optax.adamw(0.05, weight_decay=0.5, mask=decays),
    ),
    "injected": (
        lambda: optax.inject_hyperparams(jf.adam)(jf.exponential_decay(0.1, 10, 0.5)),
        lambda: optax.inject_hyperparams(optax.adam)(optax.exponential_decay(0.1, 10, 0.5)),
    ),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_module_learns_as_with_optax(name):
    ours, theirs = OPTIMIZERS[name]
    model, _, losses = train(ours())
    with jax.numpy_dtype_promotion("standard"):
        twin, _, expected = train(theirs())
    assert losses[-1] < 0.8 * losses[0]
    np.testing.assert_allclose(losses, expected, rtol=1e-4)
    chex.assert_trees_all_close(trained(model), trained(twin), rtol=1e-3, atol=1e-4)


def test_leaves_without_a_gradient_are_left_alone():
    before = Model(jax.random.key(1))
    after, state, _ = train(jf.chain(jf.clip_by_global_norm(1.0), jf.adamw(0.05)))
    assert jax.tree.structure(after) == jax.tree.structure(before)
    rest, expected = (eqx.filter(m, eqx.is_inexact_array, inverse=True) for m in (after, before))
    assert eqx.tree_equal(rest, expected)
    assert len(jax.tree.leaves(rest)) == 4
    moments = optax.tree_utils.tree_get(state, "mu")
    assert jax.tree.structure(moments) == jax.tree.structure(trained(before))
    assert moments.columns is None
    assert all(
        (x != y).all()
        for x, y in zip(*map(jax.tree.leaves, (trained(after), trained(before))), strict=True)
    )


@pytest.mark.parametrize("name", ["adam", "clipped_adamw"])
def test_update_takes_the_whole_module_as_parameters(name):
    ours, _ = OPTIMIZERS[name]
    whole, filtered = train(ours(), params_of=lambda model: model), train(ours())
    assert eqx.tree_equal(whole, filtered)


def test_our_apply_updates_takes_a_module():
    assert eqx.tree_equal(train(jf.adam(0.05), apply=jf.apply_updates), train(jf.adam(0.05)))


def test_a_filter_that_keeps_integers_is_refused_by_leaf():
    with pytest.raises(
        TypeError, match=r"jf\.adam: parameters must be floating, got dtype int32 at \.columns"
    ):
        jf.adam(0.05).init(eqx.filter(Model(jax.random.key(1)), eqx.is_array))


def test_a_state_written_by_equinox_comes_back(tmp_path):
    _, state, _ = train(jf.adamw(0.05))
    eqx.tree_serialise_leaves(tmp_path / "state.eqx", state)
    template = jf.adamw(0.05).init(trained(Model(jax.random.key(2))))
    assert eqx.tree_equal(eqx.tree_deserialise_leaves(tmp_path / "state.eqx", template), state)
