"""What a transform averages is scored, ranked, kept, tested and refitted."""

import jax.numpy as jnp
import numpy as np
import optax
import optax.contrib
import pytest

import jefficient as jf

X = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)
Y = X @ np.array([1.0, -2.0, 0.5], np.float32)
DATA = {"x": X, "y": Y}


def mse(params, batch):
    return jnp.mean((batch["x"] @ params - batch["y"]) ** 2)


def task(**changes):
    given = {"data": DATA, "validation": DATA, "test": DATA, **changes}
    return jf.Task(init=lambda key: jnp.zeros(3), loss=mse, **given)


def sweep(the_task, optimizer, **changes):
    given = {"steps": 8, "batch_size": 60, "progress": False, **changes}
    return jf.sweep(the_task, optimizer, jf.grid(learning_rate=[0.3]), **given)


def averaged(learning_rate):
    return jf.chain(jf.clip(1e3), jf.average_weights(jf.sgd(learning_rate), 0.5))


def loop(tx, steps=8):
    step = jf.train_step(mse, tx)
    state = step.init(jnp.zeros(3))
    for _ in range(steps):
        state, _ = step.update(state, DATA)
    return state


@pytest.mark.parametrize(
    ("optimizer", "expected"),
    [
        (
            lambda learning_rate: optax.contrib.schedule_free_sgd(learning_rate),
            lambda s: optax.contrib.schedule_free_eval_params(s.opt_state, s.params),
        ),
        (averaged, lambda s: jf.evaluation_params(s.opt_state, s.params)),
    ],
)
def test_the_result_is_of_the_parameters_that_are_to_be_evaluated(optimizer, expected):
    state = loop(optimizer(0.3))
    wanted = np.asarray(expected(state))
    assert not np.allclose(wanted, state.params, rtol=1e-3)
    result = sweep(task(), optimizer)
    np.testing.assert_allclose(result.params(), wanted, rtol=1e-5)
    score = np.mean((X.astype(float) @ wanted - Y) ** 2)
    assert result.best().score == pytest.approx(score, rel=1e-4)
    assert result.test["test_loss"].item() == pytest.approx(score, rel=1e-4)


def test_an_argument_says_otherwise():
    the_task = task(evaluation_params=lambda opt_state, params: params)
    np.testing.assert_allclose(
        sweep(the_task, averaged).params(), loop(averaged(0.3)).params, rtol=1e-5
    )
    wrong = task(evaluation_params=lambda opt_state, params: params[:2])
    with pytest.raises(jf.ArgumentError, match="must return parameters like those that are traine"):
        sweep(wrong, averaged)
    with pytest.raises(jf.ArgumentTypeError, match="evaluation_params: a function must be given"):
        task(evaluation_params=3)
