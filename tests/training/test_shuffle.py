"""The shuffled order: every example once an epoch, all orders equally likely."""

import functools
import itertools
import math
from collections import Counter

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

import jefficient as jf
from jefficient.training import shuffled_indices


def order(key, size, batch_size, epochs):
    """The indices of some epochs, as batches give them."""
    batches = math.ceil(epochs * size / batch_size)
    batch = jax.vmap(lambda step: jf.shuffled_batch(key, step, size, batch_size))
    return np.asarray(batch(jnp.arange(batches))).ravel()[: epochs * size].reshape(epochs, size)


@functools.cache
def compiled(batch_size, batches):
    """(key, size) to the indices of the first batches; one program for all keys and sizes."""
    steps = jnp.arange(batches)

    @jax.jit
    def indices(key, size):
        batch = jax.vmap(lambda step: jf.shuffled_batch(key, step, size, batch_size))
        return batch(steps).ravel()

    return indices


@settings(max_examples=200, deadline=None)
@given(
    size=st.integers(16, 300),
    batch_size=st.sampled_from([1, 3, 16]),
    seed=st.integers(0, 2**31 - 1),
)
def test_every_example_comes_once_an_epoch(size, batch_size, seed):
    indices = np.asarray(compiled(batch_size, 900 // batch_size)(jax.random.key(seed), size))
    for epoch in indices[: len(indices) // size * size].reshape(-1, size):
        assert sorted(epoch) == list(range(size))


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_every_example_comes_once_an_epoch_of_a_few(size):
    for batch_size in {1, (size + 1) // 2, size}:
        for epoch in order(jax.random.key(0), size, batch_size, epochs=4):
            assert sorted(epoch) == list(range(size))


@pytest.mark.parametrize("size", [3, 4, 5])
def test_every_order_of_a_few_examples_is_equally_likely(size):
    epochs = 20_000
    counts = Counter(map(tuple, order(jax.random.key(0), size, size, epochs)))
    observed = [counts[p] for p in itertools.permutations(range(size))]
    assert stats.chisquare(observed).pvalue > 1e-4


def test_neighbours_in_the_order_are_unrelated():
    epochs = order(jax.random.key(0), 1797, 64, 60)
    positions = np.argsort(epochs, axis=1)
    mean_position = positions.mean(axis=0)
    assert abs(mean_position - 898).max() < 5 * 1797 / math.sqrt(12 * 60)
    correlations = [np.corrcoef(e[:-1], e[1:])[0, 1] for e in epochs]
    assert abs(np.mean(correlations)) < 5 / math.sqrt(1797 * 60)
    between_epochs = [np.corrcoef(a, b)[0, 1] for a, b in itertools.pairwise(positions)]
    assert abs(np.mean(between_epochs)) < 5 / math.sqrt(1797 * 59)


def test_batch_size_does_not_change_the_order():
    key = jax.random.key(1)
    chex.assert_trees_all_equal(order(key, 50, 7, 4), order(key, 50, 50, 4))


def test_traced_vmapped_and_static_agree():
    keys = jax.random.split(jax.random.key(2), 3)
    sizes = jnp.array([40, 64, 1797])
    vmapped = jax.jit(jax.vmap(lambda k, n: jf.shuffled_batch(k, jnp.int32(9), n, 32)))(keys, sizes)
    for i in range(3):
        chex.assert_trees_all_equal(vmapped[i], jf.shuffled_batch(keys[i], 9, int(sizes[i]), 32))
        assert vmapped[i].dtype == jnp.int32


def test_steps_do_not_overflow():
    """Positions far beyond 2³², against Python's integers."""
    key, size, batch_size, step = jax.random.key(3), 1_000_003, 200, 2**31 - 1
    first = step * batch_size
    epoch, position = divmod(first, size)
    indices = np.asarray(jf.shuffled_batch(key, step, size, batch_size))
    assert len(set(indices.tolist())) == batch_size
    aligned = next(s for s in range(size) if (s * batch_size) % size == position)
    other = np.asarray(jf.shuffled_batch(key, aligned, size, batch_size))
    assert (aligned * batch_size) // size != epoch
    assert not np.array_equal(indices, other)
    largest = np.asarray(jf.shuffled_batch(key, step, 2**31 - 1, 4))
    assert (largest >= 0).all()


def test_other_keys_and_epochs_give_other_orders():
    first = order(jax.random.key(0), 100, 10, 2)
    assert not np.array_equal(first[0], first[1])
    assert not np.array_equal(first[0], order(jax.random.key(1), 100, 10, 1)[0])


def test_bad_sizes_are_refused():
    key = jax.random.key(0)
    with pytest.raises(
        jf.JefficientError, match="batch_size <= size must hold, got batch_size=8, size=5"
    ):
        jf.shuffled_batch(key, 0, 5, 8)
    with pytest.raises(jf.JefficientError, match="size >= 1 must hold, got size=0"):
        jf.shuffled_batch(key, 0, 0, 1)
    with pytest.raises(TypeError, match="batch_size must be a whole number"):
        jf.shuffled_batch(key, 0, 5, 2.0)
    with pytest.raises(TypeError, match="step must be a whole number, got dtype float32"):
        jf.shuffled_batch(key, 1.7, 5, 2)
    with pytest.raises(jf.JefficientError, match="0 <= step < inf must hold, got step=-1"):
        jf.shuffled_batch(key, -1, 5, 2)


@pytest.mark.parametrize(
    ("size", "batch_size", "step"),
    [(7, 3, 0), (1797, 64, 123), (10**6, 10_000, 250), (30, 8, 2**31 - 2)],
)
def test_indices_on_the_host_are_those_of_the_batches(size, batch_size, step):
    """More than are computed at once, across the ends of epochs, at the last possible steps."""
    key = jax.random.key(3)
    steps = range(step, min(step + 3, 2**31 - 1))
    batches = [jf.shuffled_batch(key, t, size, batch_size) for t in steps]
    indices = shuffled_indices(key, step * batch_size, len(steps) * batch_size, size)
    np.testing.assert_array_equal(indices, np.concatenate(batches))
    assert indices.dtype == np.int32
