"""The laws every schedule obeys."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conformance.table import SCHEDULES, cases

import jefficient as jf

STEPS = np.arange(40, dtype=np.int32)


def exact(row, number, x):
    return int(x) if number in row.lengths else float(np.float32(x))


@pytest.mark.parametrize(("row", "number"), **cases(SCHEDULES))
def test_static_is_traced_is_vmapped_and_step_by_step(row, number):
    dtype = np.int32 if number in row.lengths else np.float32
    choices = np.array(row.numbers[number][:2], dtype)

    def values(x):
        return row.build(**{number: x})(STEPS)

    vmapped = jax.jit(jax.vmap(values))(choices)
    for lane, x in enumerate(choices):
        static = values(exact(row, number, x))
        chex.assert_trees_all_close(jax.jit(values)(x), static, rtol=1e-6, atol=1e-8)
        chex.assert_trees_all_close(vmapped[lane], static, rtol=1e-6, atol=1e-8)
    schedule = row.build(**{number: exact(row, number, choices[0])})
    chex.assert_trees_all_close(jnp.stack([schedule(int(t)) for t in STEPS]), schedule(STEPS), rtol=1e-6)


@pytest.mark.parametrize(("row", "number"), **cases(SCHEDULES))
def test_one_trace_serves_all_values(row, number):
    @jax.jit
    @chex.assert_max_traces(n=1)
    def values(x):
        return row.build(**{number: x})(STEPS)

    for x in np.linspace(*sorted(row.numbers[number][:2]), 8, dtype=np.float32):
        values(x)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(("row", "number"), **cases(SCHEDULES))
def test_gradient_is_finite_difference(row, number):
    """At steps off the kinks; floor makes the lengths of a staircase flat."""
    steps = jnp.asarray([1.5, 6.3, 11.7, 30.2])
    x, h = jnp.float64(row.numbers[number][0]), 1e-6

    def total(x):
        return jnp.sum(row.build(**{number: x})(steps) * jnp.arange(1.0, 5.0))

    np.testing.assert_allclose(jax.grad(total)(x), (total(x + h) - total(x - h)) / (2 * h), rtol=1e-5, atol=1e-8)
    at_the_ends = jax.jacobian(lambda x: row.build(**{number: x})(jnp.asarray([0.0, 1000.0])))(x)
    assert np.isfinite(at_the_ends).all()


@pytest.mark.parametrize("row", SCHEDULES, ids=str)
def test_value_is_strong_float32_in_the_step_s_shape(row):
    schedule = row.build()
    for step in (3, np.int32(3), jnp.int32(3), 3.0, jnp.float32(3), STEPS):
        value = schedule(step)
        assert value.dtype == jnp.float32
        assert value.shape == np.shape(step)
        assert not value.weak_type
    np.testing.assert_allclose(schedule(STEPS.astype(np.float32)), schedule(STEPS), rtol=1e-6)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("row", SCHEDULES, ids=str)
def test_x64_widens_only_where_asked(row):
    assert row.build()(jnp.int32(3)).dtype == jnp.float32
    assert row.build()(jnp.float64(3)).dtype == jnp.float64


@pytest.mark.parametrize("row", [row for row in SCHEDULES if row.twin], ids=str)
def test_every_step_is_optax_s(row):
    """To 1e-6 of the largest value: optax's own cosine loses digits near its end."""
    theirs = jnp.stack([jnp.asarray(row.twin(**row.values())(int(t)), jnp.float32) for t in STEPS])
    np.testing.assert_allclose(row.build()(STEPS), theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("row", "number"), **cases(SCHEDULES))
def test_bad_numbers_are_refused_by_name(row, number):
    bad = row.numbers[number][2]
    with pytest.raises(jf.JefficientError, match=rf"jf\..*{number}.* must hold, got .*{number}={bad}"):
        row.build(**{number: bad})
    with pytest.raises(jf.JefficientError, match=rf"{number} must be a scalar, got shape \(2,\)"):
        row.build(**{number: jnp.array([1.0, 2.0])})
