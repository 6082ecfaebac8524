"""Equinox models as tasks, against loops written by hand in equinox and optax.

Equinox's batch-norm mixes dtypes, so all of this runs under the standard promotion.
"""

from collections.abc import Callable

import chex
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import safetensors.numpy
from integrations.digits import DATA, RATES, VALID, accuracy, batches, cross_entropy, keys, sweep

import jefficient as jf

equinox_task, equinox_model = jf.integrations.equinox_task, jf.integrations.equinox_model


@pytest.fixture(autouse=True, scope="module")
def _standard_promotion():
    with jax.numpy_dtype_promotion("standard"):
        yield


class Net(eqx.Module):
    """A model with leaves that are not trained: integers, a key, a function, a Python number."""

    first: eqx.nn.Linear
    norm: eqx.nn.BatchNorm
    dropout: eqx.nn.Dropout
    last: eqx.nn.Linear
    columns: jax.Array
    noise: jax.Array
    activation: Callable

    def __init__(self, width=16, rate=0.5, *, key):
        first, last = jax.random.split(key)
        # No bias, since the norm subtracts the mean.
        self.first = eqx.nn.Linear(64, width, use_bias=False, key=first)
        self.last = eqx.nn.Linear(width, 10, key=last)
        self.norm = eqx.nn.BatchNorm(width, "batch", momentum=0.8, mode="batch")
        self.dropout = eqx.nn.Dropout(rate)
        self.columns = jnp.arange(64)[::-1]
        self.noise = key
        self.activation = jax.nn.relu

    def __call__(self, x, state, key=None):
        x, state = self.norm(self.first(x[self.columns]), state)
        return self.last(self.dropout(self.activation(x), key=key)), state


def task(build=Net, loss=cross_entropy, **changes):
    return equinox_task(
        build, loss, DATA, **{"validation": VALID, "metrics": {"accuracy": accuracy}, **changes}
    )


@pytest.fixture(scope="module")
def result(_standard_promotion):
    return sweep(task())


def predicted(model, state):
    """The outputs of a model in inference mode."""
    call = jax.vmap(model, in_axes=(0, None), out_axes=(0, None), axis_name="batch")
    return call(jnp.asarray(VALID["x"]), state)[0]


def by_hand(rate):
    """The model in inference mode, and its state, after a loop of equinox and optax."""
    start, order, noise = keys()
    model, state = eqx.nn.make_with_state(Net)(key=start)
    tx = optax.adam(rate)
    opt_state = tx.init(eqx.filter(model, eqx.is_inexact_array))

    def loss(model, state, batch, key):
        call = jax.vmap(model, in_axes=(0, None, 0), out_axes=(0, None), axis_name="batch")
        logits, state = call(batch["x"], state, jax.random.split(key, len(batch["y"])))
        return cross_entropy(logits, batch), state

    @eqx.filter_jit
    def step(model, state, opt_state, batch, key):
        grads, state = eqx.filter_grad(loss, has_aux=True)(model, state, batch, key)
        updates, opt_state = tx.update(grads, opt_state)
        return eqx.apply_updates(model, updates), state, opt_state

    for t, batch in batches(order):
        model, state, opt_state = step(model, state, opt_state, batch, jax.random.fold_in(noise, t))
    return eqx.nn.inference_mode(model), state


def test_a_trial_is_the_loop_written_by_hand_and_its_weights_go_back(result):
    expected, model = by_hand(RATES[1]), equinox_model(Net, result.params(1))
    arrays, wanted = (eqx.filter(tree, eqx.is_inexact_array) for tree in (model, expected))
    assert jax.tree.structure(arrays) == jax.tree.structure(wanted)
    chex.assert_trees_all_close(arrays, wanted, rtol=2e-3, atol=2e-5)
    logits, again = predicted(*expected), predicted(*model)
    np.testing.assert_allclose(
        result.dataset["valid_loss"][1, 0, 0, -1], cross_entropy(logits, VALID), rtol=1e-3
    )
    np.testing.assert_allclose(
        result.dataset["valid_accuracy"][1, 0, 0, -1], accuracy(again, VALID).mean(), rtol=1e-6
    )
    state = model[1].get(model[0].norm.batch_state_index)
    assert abs(state[0]).max() > 0.1  # evaluation does not use the batch's mean
    assert model[0].activation is jax.nn.relu
    assert (model[0].columns == expected[0].columns).all()
    assert (model[0].noise == expected[0].noise).all()


def test_a_file_of_weights_is_a_model_in_one_call(result, tmp_path):
    path = result.save_params(tmp_path / "best.safetensors", 1)
    assert {"params.first.weight", "params.norm.bias"} <= set(safetensors.numpy.load_file(path))
    model, expected = equinox_model(Net, path), equinox_model(Net, result.params(1))
    np.testing.assert_array_equal(predicted(*model), predicted(*expected))
    assert (model[0].noise == expected[0].noise).all()
    with pytest.raises(jf.ArgumentError, match="like must have the shapes and dtypes in the file"):
        equinox_model(Net, path, {"width": 5})


def test_evaluations_change_nothing_and_lanes_are_independent(result):
    often = sweep(task(), jf.grid(learning_rate=RATES[1:2]), eval_every=1)
    params, expected = often.params(0)[0], result.params(1)[0]
    chex.assert_trees_all_close(params, expected, rtol=1e-5, atol=1e-6)


def test_a_width_is_static_and_a_rate_traced_and_not_trained():
    decayed = jf.adamw(0.03, weight_decay=1.0)
    rates = [0.1, 0.9]
    result = sweep(task(), jf.grid(rate=rates, width=jf.static([4])), decayed, eval_every=20)
    little, much = result.dataset["train_loss"].values.ravel()
    assert little < much
    best = result.best()
    params, _ = result.params()
    assert params.dropout.p is None
    assert params.first.weight.shape == (4, 64)
    model, state = equinox_model(Net, result.params(), best.hyperparameters)
    assert float(model.dropout.p) == pytest.approx(best.hyperparameters["rate"])
    np.testing.assert_allclose(cross_entropy(predicted(model, state), VALID), best.score, rtol=1e-5)


def test_a_model_without_state_or_key_and_one_that_was_made_with_state():
    result = sweep(task(lambda key: eqx.nn.MLP(64, 10, 8, 1, key=key)), eval_every=20)
    model = equinox_model(lambda key: eqx.nn.MLP(64, 10, 8, 1, key=key), result.params(1))
    logits = jax.vmap(model)(jnp.asarray(VALID["x"]))
    np.testing.assert_allclose(
        result.dataset["valid_loss"][1, 0, 0, -1], cross_entropy(logits, VALID), rtol=1e-5
    )
    made, plain = (
        task(build).init(jax.random.key(1)) for build in (eqx.nn.make_with_state(Net), Net)
    )
    chex.assert_trees_all_equal(made, plain)


def test_a_saved_result_gives_the_weights_back_to_the_task(result, tmp_path):
    result.save(tmp_path / "result.nc")
    loaded = jf.load(
        tmp_path / "result.nc", task=task(), optimizer=jf.adam, space=jf.grid(learning_rate=RATES)
    )
    assert eqx.tree_equal(*(jax.tree.map(jnp.asarray, r.params(1)) for r in (loaded, result)))
