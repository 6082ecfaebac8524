"""The laws that every transform obeys.

Those of `jefficient.testing`, and those that need an invalid value or optax's twin.
"""

import contextlib
import functools

import chex
import jax
import jax.numpy as jnp
import optax
import pytest
from conformance.table import TRANSFORMS, cases

import jefficient as jf
from jefficient.testing import TRANSFORM_LAWS, LawError, verify_transform
from jefficient.testing._transform_laws import gradients, trajectory

PARAMS = {"a": jnp.array([[0.5, -1.0, 0.25], [2.0, 0.1, -0.3]]), "b": jnp.array([1.5, -0.75])}
GRADS = gradients(PARAMS, jnp.float32(0))


@pytest.mark.parametrize("law", TRANSFORM_LAWS)
@pytest.mark.parametrize("row", TRANSFORMS, ids=str)
def test_law(row, law):
    if law == "sharding" and row.name.startswith("prune"):
        expected = pytest.raises(LawError, match="ShardingTypeError")  # see the law's text
    else:
        expected = contextlib.nullcontext()
    with expected:
        verify_transform(row.factory, row.pairs(), laws=[law], rtol=2e-6)


@pytest.mark.parametrize("row", TRANSFORMS, ids=str)
def test_is_optax_pair(row):
    assert isinstance(row.build(), optax.GradientTransformationExtraArgs)


@pytest.mark.parametrize("row", TRANSFORMS, ids=str)
def test_step_by_step_is_the_scan(row):
    """One trace for all steps, and the state of `init` donated to the first."""
    tx = row.build()

    @functools.partial(jax.jit, donate_argnums=1)
    @chex.assert_max_traces(n=1)
    def step(params, state, t):
        value = jnp.maximum(1 - jnp.float32(0.3) * t, jnp.float32(0.4))
        updates, state = tx.update(gradients(params, t), state, params, value=value)
        return jf.apply_updates(params, updates), state, updates

    expected = jax.jit(lambda: trajectory(tx, PARAMS))()
    params, state = PARAMS, tx.init(PARAMS)
    for t in range(len(expected["b"])):
        params, state, updates = step(params, state, jnp.float32(t))
        alike = jax.tree.map(lambda x, t=t: x[t], expected)
        chex.assert_trees_all_equal_shapes_and_dtypes(updates, alike)
        chex.assert_trees_all_close(updates, alike, rtol=2e-6, atol=2e-7)


@pytest.mark.parametrize("row", [row for row in TRANSFORMS if row.twin], ids=str)
def test_every_step_is_optax_s(row):
    ours = jax.jit(lambda: trajectory(row.build(), PARAMS))()
    with jax.numpy_dtype_promotion("standard"):
        twin = optax.with_extra_args_support(row.twin(**row.values()))
        theirs = jax.jit(lambda: trajectory(twin, PARAMS))()
    chex.assert_trees_all_equal_shapes_and_dtypes(ours, theirs)
    chex.assert_trees_all_close(ours, theirs, rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("row", TRANSFORMS, ids=str)
def test_chains_with_optax_in_either_direction(row):
    ours = trajectory(jf.chain(row.build(), optax.scale(0.5)), PARAMS)
    theirs = trajectory(optax.chain(row.build(), optax.scale(0.5)), PARAMS)
    chex.assert_trees_all_equal(ours, theirs)


@pytest.mark.parametrize(("row", "number"), **cases(TRANSFORMS))
def test_bad_numbers_are_refused_by_name(row, number):
    bad = row.numbers[number][2]
    if bad is not None:
        with pytest.raises(jf.JefficientError, match=number) as caught:
            row.build(**{number: bad})
        assert isinstance(caught.value, ValueError)
        assert "jf." in str(caught.value)
        assert str(bad) in str(caught.value)
    with pytest.raises(jf.JefficientError, match=r"must be a scalar, got shape \(2,\)"):
        row.build(**{number: jnp.array([0.1, 0.2])})
    with pytest.raises(TypeError, match="must be a number"):
        row.build(**{number: "fast"})


@pytest.mark.parametrize("row", TRANSFORMS, ids=str)
def test_gradients_unlike_the_parameters_are_refused_by_leaf(row):
    tx = row.build()
    state, value = tx.init(PARAMS), jnp.float32(1)
    with pytest.raises(
        jf.JefficientError, match=r"shapes of the parameters, got \(1,\) against \(2,\) at \['b'\]"
    ):
        tx.update({**GRADS, "b": jnp.ones(1)}, state, PARAMS, value=value)
    with pytest.raises(jf.JefficientError, match="tree structure"):
        tx.update({"a": GRADS["a"]}, state, PARAMS, value=value)
    if "masked" in row.name:
        return  # a leaf that the mask leaves out may be of any dtype
    with pytest.raises(TypeError, match=r"must be floating, got dtype int32 at \['b'\]"):
        tx.update({**GRADS, "b": jnp.ones(2, jnp.int32)}, state, PARAMS, value=value)


@pytest.mark.parametrize("row", [row for row in TRANSFORMS if row.numbers], ids=str)
def test_another_transform_s_state_is_refused(row):
    with pytest.raises(jf.JefficientError, match=r"state must be the .* that init returns, got"):
        row.build().update(GRADS, optax.ema(0.9).init(PARAMS), PARAMS, value=jnp.float32(1))


@pytest.mark.parametrize("row", [row for row in TRANSFORMS if row.needs_params], ids=str)
def test_missing_parameters_are_refused(row):
    with pytest.raises(jf.JefficientError, match="parameters, got params=None"):
        row.build().update(GRADS, row.build().init(PARAMS))
