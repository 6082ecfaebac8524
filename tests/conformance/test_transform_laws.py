"""The laws every transform obeys."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from conformance.table import TRANSFORMS, cases

import jefficient as jf

STEPS = 6


def params_like(dtype=jnp.float32):
    return {"a": jnp.asarray([[0.5, -1.0, 0.25], [2.0, 0.1, -0.3]], dtype), "b": jnp.asarray([1.5, -0.75], dtype)}


def gradient(params, t):
    """Deterministic gradients of about unit size that change sign and never vanish."""
    return jax.tree.map(
        lambda p: (jnp.cos(3.0 * t + jnp.arange(p.size, dtype=jnp.float32)).reshape(p.shape) + 0.3).astype(p.dtype),
        params,
    )


def trajectory(tx, params):
    """The updates of some steps, scanned: a state whose dtype or weak type drifts cannot be carried."""

    def body(carry, t):
        params, state = carry
        updates, state = tx.update(gradient(params, t), state, params)
        return (jf.apply_updates(params, updates), state), updates

    return jax.lax.scan(body, (params, tx.init(params)), jnp.arange(STEPS, dtype=jnp.float32))[1]


@pytest.mark.parametrize("row", TRANSFORMS, ids=str)
def test_is_optax_pair(row):
    assert isinstance(row.build(), optax.GradientTransformationExtraArgs)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16, jnp.float32], ids=lambda d: d.__name__)
@pytest.mark.parametrize("row", TRANSFORMS, ids=str)
def test_dtype_in_is_dtype_out(row, dtype):
    """Under scan, with all numbers traced float32."""
    params = params_like(dtype)
    numbers = {name: jnp.float32(x) for name, x in row.values().items()}
    updates = jax.jit(lambda numbers: trajectory(row.factory(**numbers), params))(numbers)
    chex.assert_trees_all_equal_dtypes(jax.tree.map(lambda u: u[0], updates), params)
    exact = trajectory(row.build(), params_like())
    tolerance = {jnp.bfloat16: 0.05, jnp.float16: 0.01, jnp.float32: 1e-5}[dtype]
    chex.assert_trees_all_close(
        jax.tree.map(lambda u: u.astype(jnp.float32), updates), exact, rtol=tolerance, atol=tolerance
    )


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("row", TRANSFORMS, ids=str)
def test_x64_promotes_nothing(row):
    for dtype in (jnp.float32, jnp.float64):
        params = params_like(dtype)
        updates = jax.jit(lambda params=params: trajectory(row.build(), params))()
        chex.assert_trees_all_equal_dtypes(jax.tree.map(lambda u: u[0], updates), params)
        floats = [x for x in jax.tree.leaves(row.build().init(params)) if jnp.issubdtype(x.dtype, jnp.floating)]
        assert all(x.dtype == dtype or x.shape == () for x in floats)


@pytest.mark.parametrize(("row", "number"), **cases(TRANSFORMS))
def test_static_is_traced_is_vmapped(row, number):
    params = params_like()
    choices = np.array(row.numbers[number][:2], np.float32)

    def run(x):
        return trajectory(row.build(**{number: x}), params)

    vmapped = jax.jit(jax.vmap(run))(choices)
    for lane, x in enumerate(choices):
        static = jax.jit(lambda x=x: run(float(x)))()
        traced = jax.jit(run)(x)
        chex.assert_trees_all_close(traced, static, rtol=2e-6, atol=1e-7)
        chex.assert_trees_all_close(jax.tree.map(lambda u, i=lane: u[i], vmapped), static, rtol=2e-6, atol=1e-7)


@pytest.mark.parametrize(("row", "number"), **cases(TRANSFORMS))
def test_one_trace_serves_all_values(row, number):
    params = params_like()

    @jax.jit
    @chex.assert_max_traces(n=1)
    def run(x):
        return trajectory(row.build(**{number: x}), params)

    for x in np.linspace(*sorted(row.numbers[number][:2]), 8, dtype=np.float32):
        run(x)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(("row", "number"), **cases(TRANSFORMS))
def test_hypergradient_is_finite_difference(row, number):
    params = params_like(jnp.float64)

    def total(x):
        return sum(jnp.sum(jnp.sin(u)) for u in jax.tree.leaves(trajectory(row.build(**{number: x}), params)))

    x, h = jnp.float64(row.numbers[number][0]), 1e-6 * max(row.numbers[number][0], 1e-2)
    if number == "eps":
        x, h = jnp.float64(1e-3), 1e-8
    slope = jax.jit(jax.grad(total))(x)
    difference = (jax.jit(total)(x + h) - jax.jit(total)(x - h)) / (2 * h)
    np.testing.assert_allclose(slope, difference, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("row", TRANSFORMS, ids=str)
def test_state_is_strong_and_its_tree_depends_on_structure_alone(row):
    params = params_like()
    states = [row.factory(**row.values(which)).init(params) for which in (0, 1)]
    states.append(
        jax.jit(lambda n: row.factory(**n).init(params))({k: jnp.float32(x) for k, x in row.values().items()})
    )
    chex.assert_trees_all_equal_shapes_and_dtypes(*states)
    after = row.build().update(gradient(params, 0.0), states[0], params)[1]
    chex.assert_trees_all_equal_shapes_and_dtypes(after, states[0])
    assert not any(x.weak_type for x in jax.tree.leaves((states, after)))


@pytest.mark.parametrize("row", TRANSFORMS, ids=str)
def test_none_and_empty_leaves_pass(row):
    tx = row.build()
    params = {"a": jnp.ones(2), "frozen": jnp.ones(3), "nothing": None, "empty": {}, "zero": jnp.zeros((0,))}
    grads = {"a": jnp.ones(2), "frozen": None, "nothing": None, "empty": {}, "zero": jnp.zeros((0,))}
    state = tx.init(params)
    updates, after = tx.update(grads, state, params)
    assert updates["frozen"] is None
    assert updates["nothing"] is None
    chex.assert_trees_all_equal_shapes_and_dtypes(after, state)
    chex.assert_trees_all_equal(jf.apply_updates(params, updates)["frozen"], params["frozen"])
    tx.update({}, tx.init({}), {})


@pytest.mark.parametrize("row", [row for row in TRANSFORMS if row.twin], ids=str)
def test_every_step_is_optax_s(row):
    params = params_like()
    ours = jax.jit(lambda: trajectory(row.build(), params))()
    with jax.numpy_dtype_promotion("standard"):
        theirs = jax.jit(lambda: trajectory(row.twin(**row.values()), params))()
    chex.assert_trees_all_equal_shapes_and_dtypes(ours, theirs)
    chex.assert_trees_all_close(ours, theirs, rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("row", TRANSFORMS, ids=str)
def test_chains_with_optax_in_either_direction(row):
    params = params_like()
    ours = trajectory(jf.chain(row.build(), optax.scale(0.5)), params)
    theirs = trajectory(optax.chain(row.build(), optax.scale(0.5)), params)
    chex.assert_trees_all_equal(ours, theirs)


@pytest.mark.parametrize(("row", "number"), **cases(TRANSFORMS))
def test_bad_numbers_are_refused_by_name(row, number):
    bad = row.numbers[number][2]
    with pytest.raises(jf.JefficientError, match=number) as caught:
        row.build(**{number: bad})
    assert isinstance(caught.value, ValueError)
    assert "jf." in str(caught.value)
    assert str(bad) in str(caught.value)
    with pytest.raises(jf.JefficientError, match=rf"{number} must be a scalar, got shape \(2,\)"):
        row.build(**{number: jnp.array([0.1, 0.2])})
    with pytest.raises(TypeError, match=f"{number} must be a number"):
        row.build(**{number: "fast"})


@pytest.mark.parametrize("row", TRANSFORMS, ids=str)
def test_gradients_unlike_the_parameters_are_refused_by_leaf(row):
    tx, params = row.build(), params_like()
    grads = gradient(params, 0.0)
    state = tx.init(params)
    with pytest.raises(jf.JefficientError, match=r"shapes of the parameters, got \(1,\) against \(2,\) at \['b'\]"):
        tx.update({**grads, "b": jnp.ones(1)}, state, params)
    with pytest.raises(jf.JefficientError, match="tree structure"):
        tx.update({"a": grads["a"]}, state, params)
    with pytest.raises(TypeError, match=r"must be floating, got dtype int32 at \['b'\]"):
        tx.update({**grads, "b": jnp.ones(2, jnp.int32)}, state, params)


@pytest.mark.parametrize("row", [row for row in TRANSFORMS if row.numbers], ids=str)
def test_another_transform_s_state_is_refused(row):
    params = params_like()
    with pytest.raises(jf.JefficientError, match=r"state must be the .* that init returns, got"):
        row.build().update(gradient(params, 0.0), optax.ema(0.9).init(params), params)


@pytest.mark.parametrize("row", [row for row in TRANSFORMS if row.needs_params], ids=str)
def test_missing_parameters_are_asked_for(row):
    params = params_like()
    with pytest.raises(jf.JefficientError, match="parameters, got params=None"):
        row.build().update(gradient(params, 0.0), row.build().init(params))
