"""JAX's debugging tools: a healthy sweep is as without them; a sick one names the user's line."""

import re
import traceback
from concurrent.futures import Executor, Future

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental import checkify
from sweeps import sources, tiny

import jefficient as jf

RATES = jf.grid(learning_rate=[0.01, 0.03, 0.1])
FLAGS = ("jax_debug_nans", "jax_debug_infs", "jax_disable_jit")


@pytest.fixture
def switch():
    """Switch a flag on for all threads, until the test has ended."""
    switched = []

    def on(flag):
        jax.config.update(flag, True)
        switched.append(flag)

    yield on
    for flag in switched:
        jax.config.update(flag, False)


def sweep(task, space=RATES, **changes):
    return tiny.sweep(task, space, **{"steps": 6, "eval_every": 2, **changes})


KINDS = {
    "alone": lambda path: sweep(tiny.task(validation=0.2), jf.grid(learning_rate=[0.1])),
    "folds": lambda path: sweep(tiny.task(), folds=4, layers=True),  # of unequal sizes
    "source": lambda path: sweep(sources.task(path, validation=0.2)),
}


@pytest.fixture(scope="module", params=KINDS)
def expected(request, tmp_path_factory):
    run, path = KINDS[request.param], tmp_path_factory.mktemp("data")
    return run(path), lambda: run(path)


@pytest.mark.parametrize("flag", FLAGS)
def test_a_healthy_sweep_is_as_without(flag, expected, switch):
    plain, run = expected
    switch(flag)
    result = run()
    assert getattr(jax.config, flag)
    for name in ("valid_loss", "train_loss", "status"):
        np.testing.assert_array_equal(result.dataset[name], plain.dataset[name])


@pytest.fixture
def _guarded():
    """Refuse transfers in all threads that nobody has asked for."""
    jax.config.update("jax_transfer_guard", "disallow")
    yield
    jax.config.update("jax_transfer_guard", "allow")


@pytest.mark.usefixtures("_guarded")
def test_under_a_transfer_guard_it_is_as_without(expected, tmp_path):
    plain, run = expected
    result = run()
    for name in ("valid_loss", "train_loss", "status"):
        np.testing.assert_array_equal(result.dataset[name], plain.dataset[name])
    with pytest.raises(jax.errors.JaxRuntimeError, match="Disallowed host-to-device transfer"):
        jnp.float32(1) + np.float32(1)


@pytest.mark.usefixtures("_guarded")
def test_under_a_transfer_guard_all_else_is_possible_too(tmp_path):
    task = tiny.task(
        validation=0.2, metrics={"y": jf.host_metric(lambda w, b: b[1], lambda p, b: p.mean())}
    )
    settings = {"steps": 6, "batch_size": 8}
    assert jf.plan(task, jf.sgd, RATES, **settings).seconds > 0
    result = sweep(task, directory=tmp_path)
    assert result.replay(1).dataset.sizes["config"] == 1
    assert result.refit(1).params.shape == (3,)
    assert jf.load(tmp_path).best().score == result.best().score


def sick(params, batch):
    """The loss of the tiny task; NaN as soon as the parameters have moved by 0.1."""
    x, y = batch
    moved = jnp.abs(params).max()
    return jnp.mean((x @ params - y) ** 2) + 0 * jnp.log(0.1 - moved)  # the culprit


def sick_gradient(params, batch):
    """Its slope at 0 is NaN, and its value is not."""
    x, _ = batch
    return jnp.sqrt(jnp.sum((x @ params) ** 2))  # the culprit


def zeros(key):
    return jnp.zeros(3)


def culprit(run):
    """The error that it raises, and the line of this file that the traceback ends in."""
    with pytest.raises(FloatingPointError) as caught:
        run()
    lines = []
    error = caught.value
    while error is not None:
        lines += [x.line for x in traceback.extract_tb(error.__traceback__)]
        error = error.__cause__
    assert any("# the culprit" in line for line in lines)
    return caught.value


@pytest.mark.parametrize("loss", [sick, sick_gradient])
def test_a_sick_sweep_names_the_line(loss, switch):
    task = tiny.task(init=zeros, loss=loss, validation=0.2)
    assert (sweep(task).dataset["status"] == "diverged").any()
    switch("jax_debug_nans")
    error = culprit(lambda: sweep(task))
    assert "nan" in str(error)
    shown = " ".join(error.__notes__)
    named = re.search(r"config=(\d), seed=0, fold=0", shown)  # blocks run side by side: any of them
    assert f"learning_rate': {RATES[int(named[1])]['learning_rate']}}}" in shown
    assert "jax_debug_nans" in shown


def test_the_note_names_the_update_at_which_the_sweep_has_diverged(switch):
    """It is trained again with its own rate, key and order."""
    task = tiny.task(init=zeros, loss=sick, validation=0.2)
    result = sweep(task, folds=None, seeds=2)
    first = int(result.dataset["diverged_at"].values[1, 0, 0])
    assert first > 0
    switch("jax_debug_nans")
    space = jf.grid(learning_rate=[0.03])
    error = culprit(lambda: sweep(task, space, seeds=2))
    assert f"update {first} of" in " ".join(error.__notes__)


def test_a_sick_metric_is_found_in_the_evaluation(switch):
    def loss(params, batch, key=None):
        x, y = batch
        error = jnp.mean((x @ params - y) ** 2)
        return error if key is not None else error + jnp.log(-error)  # the culprit

    switch("jax_debug_nans")
    error = culprit(lambda: sweep(tiny.task(loss=loss, validation=0.2)))
    assert "the evaluation after update" in " ".join(error.__notes__)


def test_sources_and_parts_name_the_line_too(tmp_path, switch):
    class Inline(Executor):
        def submit(self, function, /, *arguments):
            future = Future()
            future.set_result(function(*arguments))
            return future

    switch("jax_debug_nans")
    task = sources.task(tmp_path, init=zeros, loss=sick, validation=0.2)
    culprit(lambda: sweep(task))
    in_memory = tiny.task(init=zeros, loss=sick, validation=0.2)
    culprit(lambda: sweep(in_memory, executor=Inline(), parts=2))


def test_what_diverges_without_nan_is_no_error_under_debug_nans(switch):
    switch("jax_debug_nans")
    result = sweep(tiny.task(validation=0.2), jf.grid(learning_rate=[0.1, 1e3]), diverged_above=1e3)
    assert result.dataset["status"].values.ravel().tolist() == ["finished", "diverged"]


def test_without_jit_the_functions_see_values(switch):
    seen = []

    def loss(params, batch):
        value = tiny.loss(params, batch)
        try:
            seen.append(bool(value < 1e9))
        except jax.errors.ConcretizationTypeError:
            seen.append(None)
        return value

    task = tiny.task(loss=loss, validation=0.2)
    sweep(task)
    assert not any(seen)
    switch("jax_disable_jit")
    sweep(task)
    assert seen.count(True) == 2  # an update and an evaluation of the first trial


def test_prints_come_from_the_device(capfd):
    def loss(params, batch):
        value = tiny.loss(params, batch)
        jax.debug.print("the loss is {}", value)
        return value

    sweep(tiny.task(loss=loss, validation=0.2), jf.grid(learning_rate=[0.1]))
    jax.effects_barrier()
    assert capfd.readouterr().out.count("the loss is") == 6 + 3  # updates and evaluations


def test_a_check_of_checkify_says_what_to_do():
    def loss(params, batch):
        value = tiny.loss(params, batch)
        checkify.check(value < 1e9, "large")
        return value

    with pytest.raises(ValueError, match="functionaliz") as caught:
        sweep(tiny.task(loss=loss, validation=0.2))
    assert "jnp.where(is_fine, loss, jnp.nan)" in " ".join(caught.value.__notes__)


def test_debug_checks_of_checkify_are_left_out():
    def loss(params, batch):
        checkify.debug_check(jnp.array(False), "never")
        return tiny.loss(params, batch)

    assert np.isfinite(sweep(tiny.task(loss=loss, validation=0.2)).best().score)
