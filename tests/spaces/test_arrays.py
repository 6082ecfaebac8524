"""Hyperparameters that are arrays: values, hashes, ranges, and what is refused."""

import hashlib
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import jefficient as jf
from jefficient.spaces import from_points

A = np.array([0.1, 0.02, 0.003])
B = np.array([0.1, 0.1, 0.1])


def test_arrays_are_traced_and_numbers_are_as_of_scalars():
    space = jf.grid(rates=[A, jnp.asarray(B)], l2=[0.0, 0.1])
    assert len(space) == 4
    assert space.is_number("rates")
    assert space.numbers("rates").shape == (4, 3)
    assert space.numbers("rates").dtype == np.float32
    np.testing.assert_array_equal(space.numbers("rates"), np.float32([A, A, B, B]))
    # a float32 is the shortest decimal that rounds to it, as it is for scalars
    assert space[2]["rates"].tolist() == [0.1, 0.1, 0.1]
    assert not space[0]["rates"].flags.writeable
    assert repr(space) == (
        "Space(4 configurations; rates: 2 arrays of shape (3,), 0.003 to 0.1; l2: 0, 0.1)"
    )


def test_an_array_of_the_caller_may_change_afterwards():
    mine = A.copy()
    space = jf.grid(rates=[mine])
    mine[0] = 7
    assert space[0]["rates"].tolist() == A.tolist()


def test_the_first_axis_of_an_array_counts_the_values():
    table = np.arange(12).reshape(2, 3, 2)
    space = jf.grid(x=table)
    assert space.numbers("x").dtype == np.int32
    np.testing.assert_array_equal(space.numbers("x"), table)
    assert space == jf.grid(x=list(table)) == jf.Space({"x": table})
    assert space != jf.grid(x=list(table[::-1]))
    assert jf.grid(x=[np.array([1, 2]), np.array([0.5, 2])]).numbers("x").dtype == np.float32


def test_an_array_of_shape_nothing_is_the_scalar():
    given = [np.array(0.1), jnp.asarray(0.2), 0.3]
    assert jf.grid(x=given) == jf.grid(x=[0.1, 0.2, 0.3])
    assert jf.grid(x=given).hashes == jf.grid(x=[0.1, 0.2, 0.3]).hashes
    assert type(jf.grid(x=given)[0]["x"]) is float


def test_lists_and_tuples_are_static_as_before():
    space = jf.grid(hidden=[(64, 64), [32]])
    assert space.labels("hidden") == ("(64, 64)", "[32]")


def test_the_hash_is_of_the_documented_text():
    texts = {
        "float[2]": np.array([0.5, 0.1]),
        "int[2, 2]": np.array([[1, 2], [3, 4]]),
    }
    numbers = {"float[2]": f"{(0.5).hex()},{(0.1).hex()}", "int[2, 2]": "1,2,3,4"}
    for kind, array in texts.items():
        text = json.dumps({"x": f"{kind}:{numbers[kind]}"}, separators=(",", ":"))
        digest = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
        assert jf.grid(x=[array]).hashes == (digest,)
    assert jf.Space({"x": [np.float32(0.1)]}).columns["x"] == (0.1,)
    assert jf.grid(x=[np.float32(A)]).hashes == jf.grid(x=[A]).hashes


def test_spaces_of_arrays_are_joined_and_crossed():
    one = jf.grid(rates=[A])
    both = one + jf.grid(rates=[B])
    np.testing.assert_array_equal(both.numbers("rates"), np.float32([A, B]))
    with pytest.warns(jf.JefficientWarning, match="1 of 3 again"):
        assert len(both + one) == 2
    assert len(both * jf.grid(l2=[0.0, 1.0])) == 4
    whole = jf.grid(x=[np.array([0.5, 1.0]), np.array([1.0, 2.0])]).subset([1])
    assert whole.numbers("x").dtype == np.float32


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda: jf.grid(x=[A, A[:2]]), ValueError, r"x must have one shape, got \(3,\) and \(2,"),
        (lambda: jf.grid(x=[A, 0.1]), ValueError, r"one shape, got \(3,\) and \(\)"),
        (lambda: jf.grid(x=[A]) + jf.grid(x=[A[:2]]), ValueError, r"both spaces, got \(3,\) and"),
        (
            lambda: jf.grid(x=[A]) + jf.grid(x=[0.1]),
            ValueError,
            r"got \(3,\) and \(\)",
        ),
        (lambda: jf.grid(x=[A > 0]), TypeError, "real numbers, got dtype bool"),
        (lambda: jf.grid(x=[np.array(["a", "b"])]), TypeError, "got dtype <U1"),
        (lambda: jf.grid(x=[np.array([None, 1])]), TypeError, "got dtype object"),
        (lambda: jf.grid(x=[A + 1j]), TypeError, "got dtype complex128"),
        (lambda: jf.grid(x=[jax.random.key(0)[None]]), TypeError, "got dtype key"),
        (
            lambda: jf.grid(x=[np.zeros((2, 0))]),
            ValueError,
            r"one number, got shape \(2, ",
        ),
        (lambda: jf.grid(x=[A, A.copy()]), ValueError, "must not have a value twice"),
        (lambda: jf.grid(x=[A, None]), ValueError, "must have a label for each value"),
        (lambda: jf.static([A]), ValueError, "must have a label for each value"),
        (lambda: jf.grid(x=[A * 1e60]).numbers("x"), ValueError, "must fit float32"),
        (lambda: jf.grid(x=[np.array([2**40])]).numbers("x"), ValueError, "must fit int32"),
        (lambda: jf.Space({"x": (A, A[:2])}), ValueError, "must have one shape"),
        (lambda: jf.Uniform(0, 1, shape=3), TypeError, r"a tuple, got shape=3.*shape=\(k,\)"),
        (lambda: jf.Uniform(0, 1, shape=(2, 0)), ValueError, "shape >= 1 must hold, got shape=0"),
        (lambda: jf.LogUniform(1, 2, shape=(2.0,)), TypeError, "shape must be a whole number"),
        (lambda: jf.LogUniform(1, 2, shape=(10**6, 10**6)), ValueError, "at most 20,000,000 num"),
        (lambda: jf.random(10**6, x=jf.Uniform(0, 1, shape=(99,))), ValueError, "numbers, got 99,"),
        (lambda: jf.sobol(1, x=jf.Uniform(0, 1, shape=(30000,))), ValueError, "at most 21201 num"),
    ],
)
def test_what_is_no_array_of_one_shape_is_refused(make, error, match):
    with pytest.raises(error, match=match) as raised:
        make()
    assert isinstance(raised.value, jf.JefficientError)


def test_entries_of_a_range_are_drawn_as_dimensions_of_their_own():
    low, high = 1e-4, 1e-1
    ranges = {"b": jf.LogUniform(low, high, shape=(2, 3)), "a": jf.Uniform(0, 1)}
    drawn = jf.sobol(64, **ranges)
    points = stats.qmc.Sobol(7, scramble=True, rng=0).random_base2(6)
    expected = low * (high / low) ** points[:, 1:].reshape(64, 2, 3)
    np.testing.assert_allclose(drawn.numbers("b"), expected, rtol=1e-5)
    np.testing.assert_allclose(drawn.numbers("a"), points[:, 0], rtol=1e-6)

    draws = jf.random(5, seed=3, **ranges)
    points = np.random.default_rng(3).random((5, 7))
    np.testing.assert_allclose(
        draws.numbers("b").reshape(5, 6), low * (high / low) ** points[:, 1:], rtol=1e-5
    )
    assert draws == jf.random(5, seed=3, a=ranges["a"], b=ranges["b"])


def test_whole_numbers_are_drawn_as_arrays_of_them():
    space = jf.random(200, x=jf.Uniform(-2, 3, integer=True, shape=(9,)))
    assert space.numbers("x").dtype == np.int32
    assert set(space.numbers("x").ravel().tolist()) == set(range(-2, 4))


def test_scalars_are_drawn_as_before():
    assert jf.Uniform(0, 1, shape=()) == jf.Uniform(0, 1)
    assert jf.random(2, x=jf.Uniform(0, 1, shape=())) == jf.random(2, x=jf.Uniform(0, 1))


def test_a_choice_of_arrays_takes_one_dimension():
    space = jf.random(16, x=jf.Choice([A, B]), y=jf.Uniform(0, 1))
    first, second = np.random.default_rng(0).random((16, 2)).T
    np.testing.assert_allclose(space.numbers("y"), second, rtol=1e-6)
    expected = np.where(first[:, None] < 0.5, A, B)
    np.testing.assert_array_equal(space.numbers("x"), np.float32(expected))


def test_points_of_a_search_have_the_dtype_of_their_range():
    ranges = {
        "x": jf.Uniform(0, 4, shape=(2,)),
        "k": jf.Choice([np.array([1, 2]), np.array([3, 4])]),
    }
    space, places = from_points(ranges, {"x": np.array([[1, 2], [3, 4], [1, 2]]), "k": [0, 1, 0]})
    assert (len(space), places.tolist()) == (2, [0, 1, 0])
    assert space.numbers("x").dtype == np.float32
    assert space.numbers("k").tolist() == [[1, 2], [3, 4]]
    assert space.numbers("k").dtype == np.int32
