"""Grids: their order, their values, and refused arguments."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jefficient as jf


def test_the_last_axis_varies_fastest():
    space = jf.grid(a=[1, 2], b=("x", None), c=np.array([0.5]))
    assert list(space) == [
        {"a": 1, "b": "x", "c": 0.5},
        {"a": 1, "b": None, "c": 0.5},
        {"a": 2, "b": "x", "c": 0.5},
        {"a": 2, "b": None, "c": 0.5},
    ]
    assert space.names == ("a", "b", "c")
    assert [space.is_number(name) for name in space.names] == [True, False, True]


def test_numbers_become_int32_or_float32():
    space = jf.grid(n=range(3), x=[0, 0.5], flag=[True, False])
    assert space.numbers("n").dtype == np.int32
    assert space.numbers("x").dtype == np.float32
    assert not space.is_number("flag")


def test_float32_arrays_are_read_as_the_decimals_they_stand_for():
    assert jf.grid(x=jnp.array([0.1, 0.001])).columns["x"] == (0.1, 0.001)


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        ({}, "at least one axis must be given, got none"),
        ({"x": []}, r"x must have at least one value, got x=\[\]"),
        ({"x": 0.1}, r"must be a list .* got x=0.1. For a single value write x=\[0.1\]"),
        ({"x": "relu"}, "must be a list"),
        ({"x": np.float32(0.1)}, "must be a list"),
        ({"x": np.zeros((2, 2))}, r"must not have a value twice, got array\(\[0., 0.\]\) twice"),
        ({"x": [1, 2, 1]}, "x must not have a value twice, got 1 twice"),
        ({"x": [jax.nn.relu, jax.nn.relu]}, "x must not have a value twice"),
        ({"x": [float("nan"), float("nan")]}, "x must not have a value twice, got nan twice"),
        ({"x": {1, 2}}, "x must have an order, got the set x={1, 2}. Write a list."),
        (
            {"x": {"relu": jax.nn.relu}},
            r"x must be a list of values, got x={'relu': .*jf.static\({'label': value, …}\)",
        ),
        (
            {"x": jf.Uniform(0, 1)},
            r"x must be a list of values, got x=Uniform\(.* there are jf.sobol and jf.random",
        ),
        (
            {"x": [None, "None"]},
            "x must have one value for each label, got 'None' for None and 'None'",
        ),
        (
            {"learning rate": [1]},
            "jf.Space: a name must be an identifier and no keyword, got 'learning rate'",
        ),
        ({"lambda": [1]}, "a name must be an identifier and no keyword, got 'lambda'"),
    ],
)
def test_bad_axes_are_refused(axes, message):
    with pytest.raises(jf.JefficientError, match=message):
        jf.grid(**axes)


def test_values_that_differ_in_type_alone_are_different():
    assert len(jf.grid(x=[1, 1.0, True])) == 3


def test_functions_may_be_values():
    assert jf.grid(activation=[jax.nn.relu, jax.nn.gelu])[1]["activation"] is jax.nn.gelu


def test_products_and_draws_of_absurd_size_are_refused():
    many = range(1, 10**4)
    one = jf.grid(a=many)
    for make, message in (
        (
            lambda: jf.grid(a=many, b=many, c=many),
            "grid: .* got 999,700,029,999 .9,999 a × 9,999 b",
        ),
        (lambda: one * jf.grid(b=many), "Space: .* got 99,980,001 .9,999 first × 9,999 second"),
        (lambda: jf.random(2**40, a=jf.Uniform(0, 1)), "random: .* got 1,099,511,627,776"),
        (lambda: jf.sobol(2**40, a=jf.Uniform(0, 1)), "sobol: .* got 1,099,511,627,776"),
    ):
        with pytest.raises(jf.JefficientError, match=message):
            make()
