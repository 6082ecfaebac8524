"""Parameters that are not floating, left out with a mask, as messages say."""

import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jefficient as jf

X = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)
Y = X @ np.array([1.0, -2.0, 0.5], np.float32)
PARAMS = {"w": jnp.zeros(3), "n": jnp.int32(3)}


def loss(params, batch):
    return jnp.mean((batch["x"] @ params["w"] - batch["y"]) ** 2)


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda learning_rate: jf.masked(jf.adam(learning_rate), {"w": True, "n": False}),
        lambda learning_rate: jf.partition(
            {"t": jf.adam(learning_rate), "f": optax.set_to_zero()}, {"w": "t", "n": "f"}
        ),
    ],
)
def test_a_whole_number_among_the_parameters_stays(optimizer):
    batch = {"x": X, "y": Y}
    step = jf.train_step(loss, optimizer(0.1), layers=True)
    state, metrics = step.update(step.init(PARAMS), batch)
    plain = jf.train_step(lambda w, batch: loss({"w": w}, batch), jf.adam(0.1))
    expected, of_plain = plain.update(plain.init(PARAMS["w"]), batch)
    np.testing.assert_array_equal(state.params["w"], expected.params)
    assert state.params["n"] == 3
    np.testing.assert_allclose(metrics["grad_norm"], of_plain["grad_norm"], rtol=1e-6)

    task = jf.Task(init=lambda key: PARAMS, loss=loss, data=batch, validation=0.2)
    rates = jf.grid(learning_rate=[0.1])
    result = jf.sweep(task, optimizer, rates, steps=3, batch_size=16, progress=False)
    assert result.params()["n"] == 3


def test_without_a_mask_the_message_says_so():
    with pytest.raises(
        jf.ArgumentTypeError, match=r"at \['n'\]. Put None in its place, or leave it"
    ):
        jf.adam(0.1).init(PARAMS)


@pytest.mark.parametrize("leaf", [jnp.tanh, "relu"])
@pytest.mark.parametrize(
    "tx", [jf.adam(0.1), jf.sgd(0.1, 0.9), jf.accumulate(jf.sgd(0.1), 2)], ids=["a", "m", "k"]
)
def test_what_is_no_array_is_named_with_its_place_and_a_remedy(tx, leaf):
    message = r"parameters must be arrays, got .* at \['act'\]. Keep what is not trained out"
    with pytest.raises(jf.ArgumentTypeError, match=message):
        tx.init({"w": jnp.ones(2), "act": leaf})


def test_a_whole_number_among_microbatches_stays():
    optimizer = jf.masked(jf.sgd(0.1), {"w": True, "n": False})
    batch = {"x": X, "y": Y}
    states = []
    for microbatches in (1, 3):
        step = jf.train_step(loss, optimizer, microbatches=microbatches)
        states.append(step.update(step.init(PARAMS), batch)[0])
    np.testing.assert_allclose(states[0].params["w"], states[1].params["w"], rtol=1e-5)
    assert states[1].params["n"] == 3
