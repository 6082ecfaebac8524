"""Linen modules as tasks, against loops written by hand in flax and optax."""

import chex
import flax.errors
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import safetensors.numpy
from integrations.digits import DATA, RATES, VALID, accuracy, batches, cross_entropy, keys, sweep

import jefficient as jf

linen_task = jf.integrations.linen_task


class Net(nn.Module):
    width: int = 16
    rate: float = 0.5

    @nn.compact
    def __call__(self, x, train):
        x = nn.Dense(self.width, use_bias=False)(x)  # the norm subtracts the mean
        x = nn.relu(nn.BatchNorm(use_running_average=not train, momentum=0.8)(x))
        return nn.Dense(10)(nn.Dropout(self.rate, deterministic=not train)(x))


def task(module=Net, loss=cross_entropy, **changes):
    return linen_task(
        module, loss, DATA, **{"validation": VALID, "metrics": {"accuracy": accuracy}, **changes}
    )


@pytest.fixture(scope="module")
def result():
    return sweep(task())


def by_hand(rate):
    """The variables after a loop of flax and optax."""
    module = Net()
    start, order, noise = keys()
    variables = module.init({"params": start}, DATA["x"][:1], train=False)
    tx = optax.adam(rate)
    opt_state = tx.init(variables["params"])

    @jax.jit
    def step(variables, opt_state, batch, key):
        def loss(params):
            logits, changed = module.apply(
                {"params": params, "batch_stats": variables["batch_stats"]},
                batch["x"],
                train=True,
                rngs={"dropout": key},
                mutable=["batch_stats"],
            )
            return cross_entropy(logits, batch), changed

        grads, changed = jax.grad(loss, has_aux=True)(variables["params"])
        updates, opt_state = tx.update(grads, opt_state)
        return {"params": optax.apply_updates(variables["params"], updates), **changed}, opt_state

    with jax.numpy_dtype_promotion("standard"):
        for t, batch in batches(order):
            variables, opt_state = step(variables, opt_state, batch, jax.random.fold_in(noise, t))
    return variables


def test_a_trial_is_the_loop_written_by_hand_and_its_weights_go_back(result):
    variables = by_hand(RATES[1])
    params, state = result.params(1)
    chex.assert_trees_all_close(
        {"params": params, **state}, jax.device_get(variables), rtol=2e-3, atol=2e-5
    )
    logits = Net().apply(variables, VALID["x"], train=False)
    np.testing.assert_allclose(
        result.dataset["valid_loss"][1, 0, 0, -1], cross_entropy(logits, VALID), rtol=1e-3
    )
    again = Net().apply({"params": params, **state}, VALID["x"], train=False)
    np.testing.assert_allclose(
        result.dataset["valid_accuracy"][1, 0, 0, -1], accuracy(again, VALID).mean(), rtol=1e-6
    )
    mean = state["batch_stats"]["BatchNorm_0"]["mean"]
    assert abs(mean).max() > 0.1  # evaluation does not use the batch's mean


def test_evaluations_change_nothing_and_lanes_are_independent(result):
    often = sweep(task(), jf.grid(learning_rate=RATES[1:2]), eval_every=1)
    chex.assert_trees_all_close(often.params(0), result.params(1), rtol=1e-5, atol=1e-6)


def test_the_module_s_fields_are_hyperparameters(result):
    space = jf.grid(learning_rate=RATES, width=jf.static([12]), rate=jf.static([0.0]))
    whole = sweep(task(), space)
    assert whole.params(0)[0]["Dense_0"]["kernel"].shape == (64, 12)
    without_dropout = whole.dataset["train_loss"] < result.dataset["train_loss"]
    assert without_dropout[:, 0, 0, -1].all()
    with pytest.raises(jf.ArgumentError, match=r"init requests \['width', 'rate'\]"):
        sweep(task(), jf.grid(name=[1.0]))  # `parent` and `name` are flax's own


def test_a_traced_number_goes_to_module_loss_and_metric_alike():
    class Scaled(nn.Module):
        scale: float

        @nn.compact
        def __call__(self, x):
            return self.scale * nn.Dense(10)(x)

    def loss(logits, batch, scale):
        return cross_entropy(logits, batch) + scale

    def seen(logits, batch, scale):
        return scale

    scales = [0.5, 2.0]
    result = sweep(
        task(lambda scale: Scaled(scale), loss, metrics={"seen": seen}),
        jf.grid(scale=scales),
        jf.sgd(0.1),
    )
    np.testing.assert_allclose(result.dataset["valid_seen"][:, 0, 0, -1], scales)
    for config, scale in enumerate(scales):
        params, state = result.params(config)
        logits = Scaled(scale).apply({"params": params}, VALID["x"])
        expected = cross_entropy(logits, VALID) + scale
        np.testing.assert_allclose(
            result.dataset["valid_loss"][config, 0, 0, -1], expected, rtol=1e-5
        )
        assert state == {}


def test_a_penalised_loss_penalises_the_parameters():
    space = jf.grid(l2=[0.0, 10.0], learning_rate=[0.01])
    result = sweep(task(nn.Dense(10), jf.regularized(cross_entropy)), space, jf.sgd)
    free, held = (np.abs(result.params(config)[0]["kernel"]).sum() for config in range(2))
    assert held < 0.3 * free
    assert result.dataset["valid_loss"][1, 0, 0, -1] < 3  # evaluations see no penalty


def test_inputs_and_examples_that_are_prepared():
    """Two arguments of the module, whose shapes `prepare` made."""

    class Two(nn.Module):
        @nn.compact
        def __call__(self, x, more, deterministic):
            assert x.shape[1:] == (32,)
            assert more.dtype == jnp.float32
            return nn.Dense(10)(
                nn.Dropout(0.1, deterministic=deterministic)(jnp.concatenate([x, more], 1))
            )

    def halves(fitted, batch):
        x = batch["x"] - fitted
        return {"left": x[:, :32], "right": x[:, 32:], "y": batch["y"]}

    prepare = (lambda data: np.asarray(data["x"]).mean(axis=0), halves)
    two = task(Two(), inputs=lambda batch: (batch["left"], batch["right"]), prepare=prepare)
    result = sweep(two, jf.grid(learning_rate=[0.1]), eval_every=20)
    assert result.params()[0]["Dense_0"]["kernel"].shape == (64, 10)
    assert result.best().score < np.log(10)


FROZEN = {
    "dropout": (nn.Dropout(0.5, deterministic=False), "needs PRNG"),
    "batch-norm": (nn.BatchNorm(use_running_average=False), "immutable"),
}


@pytest.mark.parametrize("layer", FROZEN)
def test_layers_without_a_flag_cannot_be_evaluated(layer):
    """The module takes no flag, so these layers would be on in evaluation."""
    frozen, message = FROZEN[layer]
    made = task(nn.Sequential([nn.Dense(10), frozen]))
    weights = jax.eval_shape(made.init, jax.random.key(0))
    jax.eval_shape(lambda weights: made.loss(*weights, made.data, key=jax.random.key(1)), weights)
    with pytest.raises(flax.errors.FlaxError, match=message):
        jax.eval_shape(lambda weights: made.loss(*weights, made.data, key=None), weights)


def test_weights_go_through_files(result, tmp_path):
    result.save(tmp_path / "result.nc")
    chex.assert_trees_all_equal(jf.load(tmp_path / "result.nc").params(1), result.params(1))
    result.save_params(tmp_path / "best.safetensors")
    stored = safetensors.numpy.load_file(tmp_path / "best.safetensors")
    np.testing.assert_array_equal(
        stored["state.batch_stats.BatchNorm_0.mean"], jax.tree.leaves(result.params()[1])[0]
    )
