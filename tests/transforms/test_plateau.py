"""reduce_on_plateau against a plain Python reference written from its description."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jefficient as jf


def scales(
    values,
    factor=0.1,
    patience=10,
    rtol=1e-4,
    atol=0.0,
    cooldown=0,
    accumulation_size=1,
    min_scale=0.0,
):
    """The factor in force at each value."""
    scale, best, bad, cooling, gathered, out = 1.0, float("inf"), 0, 0, [], []
    for value in values:
        gathered.append(value)
        if len(gathered) == accumulation_size:
            mean, gathered = sum(gathered) / accumulation_size, []
            improves = best == float("inf") or mean < best - rtol * abs(best) - atol
            best, bad = (mean, 0) if improves else (best, bad + 1)
            if cooling > 0:
                cooling, bad = cooling - 1, 0
            elif bad >= patience:
                scale, bad, cooling = max(scale * factor, min_scale), 0, cooldown
        out.append(scale)
    return out


def run(values, tx=None, **numbers):
    tx = tx or jf.reduce_on_plateau(**numbers)

    def body(state, value):
        updates, state = tx.update(jnp.ones(2), state, value=value)
        return state, updates[0]

    return jax.lax.scan(body, tx.init(jnp.ones(2)), jnp.asarray(values, jnp.float32))[1]


VALUES = np.round(np.abs(np.random.default_rng(0).normal(size=60)) + np.linspace(2, 0.5, 60), 3)
CASES = [
    {"factor": 0.5, "patience": 2},
    {"factor": 0.5, "patience": 1, "cooldown": 3},
    {"factor": 0.3, "patience": 1, "accumulation_size": 4},
    {"factor": 0.5, "patience": 3, "rtol": 0.1, "min_scale": 0.2},
    {"factor": 0.5, "patience": 2, "rtol": 0.0, "atol": 0.3, "cooldown": 1, "accumulation_size": 2},
]


@pytest.mark.parametrize("numbers", CASES, ids=str)
def test_every_step_against_the_reference(numbers):
    np.testing.assert_allclose(run(VALUES, **numbers), scales(VALUES, **numbers), rtol=1e-6)
    assert min(scales(VALUES, **numbers)) < 1  # else nothing was tested


@pytest.mark.parametrize("numbers", CASES, ids=str)
def test_every_step_is_optax_s(numbers):
    with jax.numpy_dtype_promotion("standard"):
        theirs = run(VALUES, optax.contrib.reduce_on_plateau(**numbers))
    np.testing.assert_allclose(run(VALUES, **numbers), theirs, rtol=1e-6)


def test_a_negative_value_must_fall_to_improve():
    """Where optax takes best · (1 - rtol), which lies above a best that is negative."""
    values = [-10.0, -9.9995, -9.9995, -9.9995]
    assert run(values, factor=0.5, patience=3).tolist() == [1.0, 1.0, 1.0, 0.5]


def test_a_value_that_is_not_a_number_does_not_improve():
    assert run([1.0, np.nan, np.nan], factor=0.5, patience=2).tolist() == [1.0, 1.0, 0.5]


def test_a_missing_value_is_refused():
    tx = jf.reduce_on_plateau()
    with pytest.raises(
        jf.JefficientError, match="update must be given the value to watch, got value=None"
    ):
        tx.update(jnp.ones(1), tx.init(jnp.ones(1)))
    with pytest.raises(jf.JefficientError, match=r"value must be a scalar, got shape \(3,\)"):
        tx.update(jnp.ones(1), tx.init(jnp.ones(1)), value=jnp.ones(3))


def test_a_train_step_gives_it_the_loss():
    def loss(params, batch):
        return jnp.sum(params) * 0 + batch

    step = jf.train_step(loss, jf.chain(jf.sgd(0.1), jf.reduce_on_plateau(factor=0.5, patience=1)))
    state = step.init(jnp.ones(1))
    for value, scale in ((1.0, 1.0), (1.0, 0.5), (0.5, 0.5), (0.6, 0.25)):
        state, metrics = step.update(state, jnp.float32(value))
        assert metrics["scale"] == scale
