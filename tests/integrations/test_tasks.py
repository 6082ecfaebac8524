"""What the three frameworks share: errors, imports, and what `inputs` may be."""

import functools
import subprocess
import sys

import equinox as eqx
import flax.linen as nn
import jax
import numpy as np
import pytest
from flax import nnx
from integrations.digits import DATA, VALID, accuracy, cross_entropy, sweep

import jefficient as jf

tools = jf.integrations
LINEAR = {
    "linen_task": nn.Dense(10),
    "nnx_task": lambda rngs: nnx.Linear(64, 10, rngs=rngs),
    "equinox_task": lambda key: eqx.nn.Linear(64, 10, key=key),
}


def made(name, loss=cross_entropy, data=DATA, **changes):
    return getattr(tools, name)(LINEAR[name], loss, data, **changes)


@pytest.mark.parametrize("name", LINEAR)
def test_inputs_may_be_a_key_an_index_or_a_function(name):
    """All three give the logits of the same weights."""
    pair = (DATA["x"], DATA["y"])
    tasks = [made(name), made(name, lambda z, b: cross_entropy(z, {"y": b[1]}), pair, inputs=0)]
    tasks.append(made(name, inputs=lambda batch: batch["x"]))
    losses = []
    for task in tasks:
        weights = task.init(jax.random.key(1))
        losses.append(task.loss(*weights, task.data, key=None)[0])
    np.testing.assert_allclose(losses, losses[0], rtol=1e-6)
    kernel, bias = sorted(jax.tree.leaves(weights), key=np.ndim, reverse=True)
    logits = DATA["x"] @ np.asarray(kernel if kernel.shape[0] == 64 else kernel.T) + np.asarray(
        bias
    )
    logits = logits.astype(np.float64)
    chosen = logits[np.arange(240), DATA["y"]]
    np.testing.assert_allclose(
        losses[0], (np.log(np.exp(logits).sum(1)) - chosen).mean(), rtol=1e-5
    )


@pytest.mark.parametrize("name", LINEAR)
def test_all_arguments_of_a_task_pass_through(name):
    prepare = (
        lambda data: {"mean": np.asarray(data["x"]).mean(axis=0)},
        lambda fitted, batch: batch,
    )
    task = made(name, validation=VALID, test=VALID, metrics={"accuracy": accuracy}, prepare=prepare)
    assert (task.model_state, task.size, set(task.metrics), task.prepare) == (
        True,
        240,
        {"accuracy"},
        prepare,
    )
    assert len(task.validation["y"]) == len(task.test["y"]) == 60


@pytest.mark.parametrize("name", LINEAR)
def test_a_penalised_loss_is_a_penalised_loss_of_the_parameters(name):
    task = made(name, jf.regularized(cross_entropy, l2=2.0))
    weights = task.init(jax.random.key(1))
    square = sum((np.asarray(x, np.float64) ** 2).sum() for x in jax.tree.leaves(weights[0]))
    penalised, plain = (
        f(*weights, task.data, key=None)[0] for f in (task.loss, task.loss.unpenalised)
    )
    np.testing.assert_allclose(penalised - plain, square, rtol=1e-4)


@pytest.mark.parametrize("name", LINEAR)
def test_bad_arguments_are_refused(name):
    where = rf"jf\.integrations\.{name}"
    with pytest.raises(
        jf.ArgumentError,
        match=rf"{where}: inputs must be an entry.*got inputs='image' for \['x', 'y'\]",
    ):
        made(name, inputs="image").loss({}, {}, DATA)
    with pytest.raises(jf.ArgumentError, match=rf"{where}: loss must not take key"):
        made(name, lambda logits, batch, key: 0.0)
    with pytest.raises(
        jf.ArgumentError, match=rf"{where}: loss must not be a partial of a jf\.regularized one"
    ):
        made(name, functools.partial(jf.regularized(cross_entropy), l2=0.1))
    with pytest.raises(
        jf.ArgumentTypeError, match=rf"{where}: loss: a function must be given, got 3"
    ):
        made(name, 3)
    with pytest.raises(
        jf.ArgumentTypeError, match=rf"{where}: metrics must map a name to a function"
    ):
        made(name, metrics=[accuracy])
    with pytest.raises(
        jf.ArgumentTypeError, match=rf"{where}: .*a function must be given, got 'net'"
    ):
        getattr(tools, name)("net", cross_entropy, DATA)
    with pytest.raises(jf.ArgumentError, match="validation"):
        made(name, validation=2.0)


@pytest.mark.parametrize(("name", "source"), [("nnx_task", "rngs"), ("equinox_task", "key")])
def test_build_takes_its_randomness_by_name(name, source):
    with pytest.raises(
        jf.ArgumentError,
        match=rf"{name}: build must take {source}, got \['width'\]. Write lambda {source}",
    ):
        getattr(tools, name)(lambda width: None, cross_entropy, DATA)


def test_a_traced_rate_on_which_flax_branches_is_explained():
    def build(rngs, rate):
        return nnx.Sequential(nnx.Linear(64, 10, rngs=rngs), nnx.Dropout(rate, rngs=rngs))

    with pytest.raises(TypeError) as caught:
        sweep(
            tools.nnx_task(build, cross_entropy, DATA, validation=VALID),
            jf.grid(rate=[0.1, 0.2]),
            jf.sgd(0.1),
        )
    assert any("rate=jf.static" in note for note in caught.value.__notes__)


@pytest.mark.parametrize(
    ("name", "module"),
    [("linen_task", "flax.linen"), ("nnx_task", "flax.nnx"), ("equinox_task", "equinox")],
)
def test_a_missing_package_is_named_with_its_extra(monkeypatch, name, module):
    monkeypatch.setitem(sys.modules, module, None)
    extra = module.partition(".")[0]
    with pytest.raises(
        jf.JefficientError,
        match=rf"{name}: {extra} must be installed: pip install 'jefficient\[{extra}\]'",
    ):
        made(name)


def test_importing_the_package_imports_no_framework():
    program = (
        "import sys, jefficient as jf; jf.integrations.nnx_task; "
        "print({'flax', 'equinox'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"
