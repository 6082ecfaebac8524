"""NNX modules as tasks, against loops written by hand in flax and optax."""

import chex
import jax
import numpy as np
import optax
import pytest
import safetensors.numpy
from flax import nnx
from integrations.digits import DATA, RATES, VALID, accuracy, batches, cross_entropy, keys, sweep

import jefficient as jf

nnx_task, nnx_model = jf.integrations.nnx_task, jf.integrations.nnx_model


class Net(nnx.Module):
    def __init__(self, width=16, rate=0.5, *, rngs):
        self.layers = nnx.List(
            [nnx.Linear(64, width, use_bias=False, rngs=rngs), nnx.Linear(width, 10, rngs=rngs)]
        )
        self.norm = nnx.BatchNorm(width, momentum=0.8, rngs=rngs)
        self.dropout = nnx.Dropout(rate, rngs=rngs)

    def __call__(self, x):
        first, last = self.layers
        return last(self.dropout(nnx.relu(self.norm(first(x)))))


def task(build=Net, loss=cross_entropy, **changes):
    return nnx_task(
        build, loss, DATA, **{"validation": VALID, "metrics": {"accuracy": accuracy}, **changes}
    )


@pytest.fixture(scope="module")
def result():
    return sweep(task())


def by_hand(rate):
    """The module after a loop of flax and optax; each step builds one for its dropout."""
    start, order, noise = keys()
    model = Net(rngs=nnx.Rngs(start))
    optimizer = nnx.Optimizer(model, optax.adam(rate), wrt=nnx.Param)

    @nnx.jit
    def step(model, optimizer, batch, key):
        nnx.update(model, nnx.state(Net(rngs=nnx.Rngs(key)), nnx.RngState))
        grads = nnx.grad(lambda model: cross_entropy(model(batch["x"]), batch))(model)
        optimizer.update(model, grads)

    with jax.numpy_dtype_promotion("standard"):
        for t, batch in batches(order):
            step(model, optimizer, batch, jax.random.fold_in(noise, t))
    model.eval()
    return model


def variables(model, kind):
    return [np.asarray(x) for x in jax.tree.leaves(nnx.state(model, kind))]


def test_a_trial_is_the_loop_written_by_hand_and_its_weights_go_back(result):
    expected, model = by_hand(RATES[1]), nnx_model(Net, result.params(1))
    for kind in (nnx.Param, nnx.BatchStat):
        chex.assert_trees_all_close(
            variables(model, kind), variables(expected, kind), rtol=2e-3, atol=2e-5
        )
    loss = cross_entropy(expected(VALID["x"]), VALID)
    np.testing.assert_allclose(result.dataset["valid_loss"][1, 0, 0, -1], loss, rtol=1e-3)
    share = accuracy(model(VALID["x"]), VALID).mean()
    np.testing.assert_allclose(result.dataset["valid_accuracy"][1, 0, 0, -1], share, rtol=1e-6)
    params, state = result.params(1)
    assert sorted(params["layers"]) == ["0", "1"]
    assert abs(state["norm"]["mean"]).max() > 0.1  # evaluation does not use the batch's mean


def test_evaluations_change_nothing_and_lanes_are_independent(result):
    often = sweep(task(), jf.grid(learning_rate=RATES[1:2]), eval_every=1)
    chex.assert_trees_all_close(often.params(0), result.params(1), rtol=1e-5, atol=1e-6)


def test_names_of_build_are_hyperparameters(tmp_path):
    space = jf.grid(learning_rate=[0.03], width=jf.static([4]), rate=jf.static([0.1]))
    result = sweep(task(), space, eval_every=20)
    assert result.params()[0]["layers"]["0"]["kernel"].shape == (64, 4)
    best = result.best()
    model = nnx_model(Net, result.params(), best.hyperparameters)
    assert model.norm.num_features == best.hyperparameters["width"]
    np.testing.assert_allclose(cross_entropy(model(VALID["x"]), VALID), best.score, rtol=1e-5)
    result.save(tmp_path / "result.nc")
    chex.assert_trees_all_equal(jf.load(tmp_path / "result.nc").params(), result.params())


def test_a_file_of_weights_is_a_model_in_one_call(result, tmp_path):
    path = result.save_params(tmp_path / "best.safetensors", 1)
    names = set(safetensors.numpy.load_file(path))
    assert {"params.layers.0.kernel", "params.norm.scale", "state.norm.mean"} <= names
    model, expected = nnx_model(Net, path), nnx_model(Net, result.params(1))
    for kind in (nnx.Param, nnx.BatchStat):
        chex.assert_trees_all_equal(variables(model, kind), variables(expected, kind))
    np.testing.assert_array_equal(model(VALID["x"]), expected(VALID["x"]))
    with pytest.raises(jf.ArgumentError, match="like must have the shapes and dtypes in the file"):
        nnx_model(Net, path, {"width": 5})


def test_tied_weights_are_one_parameter_and_stay_tied():
    class Tied(nnx.Module):
        def __init__(self, *, rngs):
            self.first = nnx.Linear(64, 64, rngs=rngs)
            self.last = nnx.Linear(64, 64, use_bias=False, rngs=rngs)
            self.last.kernel = self.first.kernel

        def __call__(self, x):
            return self.last(nnx.relu(self.first(x)))

    tied = task(Tied)
    params, state = tied.init(jax.random.key(0))
    assert jax.tree.map(np.shape, params) == {"first": {"bias": (64,), "kernel": (64, 64)}}
    grads = jax.grad(lambda params: tied.loss(params, state, tied.data, key=None)[0])(params)
    model = nnx_model(Tied, (jax.tree.map(lambda p, g: p - g, params, grads), state))
    assert model.last.kernel is model.first.kernel
    assert (model.last.kernel[...] != params["first"]["kernel"]).any()


def test_a_flag_of_the_call_is_set_and_a_traced_number_is_an_attribute():
    class Told(nnx.Module):
        def __init__(self, scale, *, rngs):
            self.linear = nnx.Linear(64, 10, rngs=rngs)
            self.scale = scale

        def __call__(self, x, train):
            return self.linear(x) * (0.0 if train else self.scale)

    scales = [0.5, 2.0]
    result = sweep(task(Told), jf.grid(scale=scales), jf.sgd(0.1))
    np.testing.assert_allclose(result.dataset["train_loss"], np.log(10), rtol=1e-6)
    for config, scale in enumerate(scales):
        model = nnx_model(Told, result.params(config), {"scale": scale, "learning_rate": 0.1})
        expected = cross_entropy(model(VALID["x"], train=False), VALID)
        np.testing.assert_allclose(
            result.dataset["valid_loss"][config, 0, 0, -1], expected, rtol=1e-5
        )
    assert len(np.unique(result.dataset["valid_loss"][..., -1])) == 2
