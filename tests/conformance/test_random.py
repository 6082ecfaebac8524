"""The laws on random trees, shapes, dtypes and numbers."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conformance.table import SCHEDULES, TRANSFORMS
from hypothesis import given, settings
from hypothesis import strategies as st

SETTINGS = settings(max_examples=8, deadline=None, derandomize=True)

shapes = st.sampled_from([(), (1,), (3,), (0,), (2, 2), (1, 2, 3)])
dtypes = st.sampled_from([jnp.float32, jnp.bfloat16, jnp.float16])


@st.composite
def leaves(draw):
    shape, dtype = draw(shapes), draw(dtypes)
    numbers = draw(
        st.lists(
            st.floats(-2, 2, width=16),
            min_size=2 * int(np.prod(shape)),
            max_size=2 * int(np.prod(shape)),
        )
    )
    p, g = np.array(numbers).reshape(2, *shape)
    return jnp.asarray(p, dtype), jnp.asarray(g, dtype)


trees = st.recursive(
    leaves() | st.none(),
    lambda inner: (
        st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
        | st.lists(inner, max_size=3)
        | st.tuples(inner, inner).map(lambda pair: {"left": pair[0], "right": pair[1]})
    ),
    max_leaves=5,
).map(lambda tree: {"root": tree})


def is_pair(x):
    return isinstance(x, tuple)


def split(tree):
    """Parameters and gradients of a tree of pairs."""
    return (jax.tree.map(lambda pair, i=i: pair[i], tree, is_leaf=is_pair) for i in (0, 1))


def between(row, share):
    """Numbers between both valid values of the table, as a sweep would pass them."""
    numbers = {}
    for name, (a, b, _) in row.numbers.items():
        whole = isinstance(a, int) and isinstance(b, int)
        x = a + share * (b - a)
        numbers[name] = jnp.int32(round(x)) if whole else jnp.float32(x)
    return numbers


@pytest.mark.parametrize("row", TRANSFORMS, ids=str)
@SETTINGS
@given(tree=trees, share=st.floats(0, 1, width=32))
def test_updates_are_like_the_gradients_and_states_stay(row, tree, share):
    params, grads = split(tree)
    tx, value = row.factory(**between(row, share)), jnp.float32(1)
    state = tx.init(params)
    for _ in range(2):
        updates, after = tx.update(grads, state, params, value=value)
        chex.assert_trees_all_equal_shapes_and_dtypes(updates, grads)
        chex.assert_trees_all_equal_shapes_and_dtypes(after, state)
        assert all(bool(jnp.isfinite(u).all()) for u in jax.tree.leaves(updates))
        state = after


WHOLE_TREE = {
    *("clip_by_global_norm", "flatten", "masked", "partition", "l2_decay_masked"),
    *("prune_rigl", "hypergradient_descent_additive", "hypergradient_descent_multiplicative"),
}


@pytest.mark.parametrize("row", [row for row in TRANSFORMS if row.name not in WHOLE_TREE], ids=str)
@SETTINGS
@given(tree=trees, share=st.floats(0, 1, width=32))
def test_every_leaf_is_treated_as_if_alone(row, tree, share):
    params, grads = split(tree)
    tx, value = row.factory(**between(row, share)), jnp.float32(1)
    together, _ = tx.update(grads, tx.init(params), params, value=value)
    for p, g, u in zip(*map(jax.tree.leaves, (params, grads, together)), strict=True):
        alone, _ = tx.update(g, tx.init(p), p, value=value)
        chex.assert_trees_all_equal_shapes_and_dtypes(alone, u)
        chex.assert_trees_all_equal(alone, u)


@functools.cache
def traced(name):
    row = next(row for row in SCHEDULES if row.name == name)
    return jax.jit(lambda step, numbers: row.factory(**numbers)(step))


@pytest.mark.parametrize("row", SCHEDULES, ids=str)
@settings(max_examples=30, deadline=None, derandomize=True)
@given(step=st.integers(0, 60) | st.integers(0, 2**31 - 1), share=st.floats(0, 1, width=32))
def test_a_schedule_is_finite_and_the_same_traced(row, step, share):
    numbers = between(row, share)
    got = traced(row.name)(jnp.int32(step), numbers)
    assert np.isfinite(got)
    expected = row.factory(**{name: x.item() for name, x in numbers.items()})(step)
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-7)
