"""Configurations from points that a search proposes."""

import jax.numpy as jnp
import numpy as np
import pytest

import jefficient as jf
from jefficient.spaces import from_points, static_combinations


def test_a_column_has_the_dtype_of_its_range_whatever_is_proposed():
    ranges = {
        "a": jf.Choice([0.5, 1, 2]),
        "b": jf.Choice([1, 2]),
        "c": jf.Uniform(0, 4, integer=True),
    }
    space, _ = from_points(ranges, {"a": [1, 2], "b": [0, 1], "c": [3, 4]})
    assert dict(space.columns) == {"a": (1, 2), "b": (1, 2), "c": (3, 4)}
    for some in (space, space.subset([1])):
        assert [some.numbers(name).dtype for name in ranges] == [jnp.float32, jnp.int32, jnp.int32]


def test_equal_points_are_one_configuration():
    ranges = {"rate": jf.LogUniform(1e-3, 1.0), "kind": jf.Choice(["a", "b"])}
    third = np.nextafter(np.float32(0.25), 1, dtype=np.float32).item()
    space, places = from_points(
        ranges, {"rate": [0.25, 0.25 + 1e-12, 0.25, third], "kind": [0, 0, 1, 0]}
    )
    assert places.tolist() == [0, 0, 1, 2]  # equal in float32, as programs get them
    assert space.columns["kind"] == ("a", "b", "a")
    assert space.hashes[0] == jf.grid(rate=[0.25], kind=["a"]).hashes[0]


def test_numbers_stay_within_the_bounds():
    ranges = {"x": jf.Uniform(0.1, 0.7), "k": jf.LogUniform(1, 8, integer=True)}
    space, _ = from_points(ranges, {"x": [0.1, 0.7], "k": [1, 8]})
    assert dict(space.columns) == {"x": (0.1, 0.7), "k": (1, 8)}


@pytest.mark.parametrize(
    ("ranges", "count"),
    [
        ({"x": jf.Uniform(0, 1)}, 1),
        ({"x": jf.Choice([1, 2])}, 1),
        ({"batch_size": jf.Choice([16, 32]), "kind": jf.Choice(["a", "b", "c"])}, 6),
    ],
)
def test_static_combinations(ranges, count):
    assert static_combinations(ranges) == count
