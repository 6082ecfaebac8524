"""Draws are SciPy's and NumPy's points, mapped to the ranges; equal ones are merged."""

import warnings

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.stats import qmc

import jefficient as jf

RANGES = {
    "rate": jf.LogUniform(1e-4, 1.0),
    "l2": jf.Uniform(-1, 1),
    "width": jf.Choice([8, 16, 32, 64]),
}
DRAWS = pytest.mark.parametrize("draw", [jf.sobol, jf.random])


def mapped(points):
    """Dimensions in alphabetical order: l2, rate, width."""
    l2, rate, width = points.T
    return {
        "rate": stats.loguniform(1e-4, 1.0).ppf(rate),
        "l2": stats.uniform(-1, 2).ppf(l2),
        "width": np.array([8, 16, 32, 64])[(4 * width).astype(int)],
    }


@pytest.mark.parametrize("seed", [0, 7])
def test_sobol_points_are_scipy_s(seed):
    space = jf.sobol(32, seed=seed, **RANGES)
    assert space.names == ("rate", "l2", "width")
    for name, expected in mapped(qmc.Sobol(3, scramble=True, rng=seed).random(32)).items():
        np.testing.assert_allclose(space.columns[name], expected, rtol=1e-6, atol=1e-7)


def test_random_points_are_numpy_s():
    space = jf.random(50, seed=3, **RANGES)
    for name, expected in mapped(np.random.default_rng(3).random((50, 3))).items():
        np.testing.assert_allclose(space.columns[name], expected, rtol=1e-6, atol=1e-7)


def test_independent_draws_pass_a_test_of_their_distribution():
    columns = jf.random(2000, **RANGES).columns
    assert stats.kstest(columns["rate"], stats.loguniform(1e-4, 1.0).cdf).pvalue > 0.01
    assert stats.kstest(columns["l2"], stats.uniform(-1, 2).cdf).pvalue > 0.01
    assert abs(stats.spearmanr(columns["rate"], columns["l2"]).statistic) < 0.1


@pytest.mark.parametrize("n", [64, 100])
def test_sobol_leaves_smaller_gaps_than_independent_draws(n):
    unit = {"x": jf.Uniform(0, 1), "y": jf.Uniform(0, 1)}

    def discrepancy(draw, seed):
        return qmc.discrepancy(
            np.array([*zip(*draw(n, seed=seed, **unit).columns.values(), strict=True)])
        )

    even, independent = (
        [discrepancy(draw, seed) for seed in range(5)] for draw in (jf.sobol, jf.random)
    )
    assert max(even) < min(independent)


@given(st.integers(1, 200), st.integers(0, 100))
@settings(max_examples=30, deadline=None)
def test_equal_intervals_of_a_range_have_equally_many_points_or_one_more(n, seed):
    x = np.array(jf.sobol(n, seed=seed, x=jf.Uniform(0, 1), y=jf.Uniform(0, 1)).columns["x"])
    for intervals in (2, 4, 8):
        counts = np.bincount((x * intervals).astype(int), minlength=intervals)
        assert counts.max() - counts.min() <= (n % intervals > 0)


@DRAWS
@pytest.mark.parametrize("n", [1, 2, 3, 13])
def test_any_count_is_the_beginning_of_a_larger_one(draw, n):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        few, many = draw(n, **RANGES), draw(16, **RANGES)
    assert list(few) == list(many)[:n]
    assert few.hashes == many.hashes[:n]


@DRAWS
def test_the_seed_alone_decides_and_not_the_order_of_the_names(draw):
    space = draw(8, **RANGES)
    assert space == draw(8, seed=0, **dict(reversed(RANGES.items())))
    assert not set(space.hashes) & set(draw(8, seed=1, **RANGES).hashes)


@DRAWS
def test_whole_numbers_and_choices_keep_their_python_types(draw):
    space = draw(
        16,
        rate=jf.Uniform(0, 1),
        batch_size=jf.LogUniform(16, 256, integer=True),
        activation=jf.static({"relu": jax.nn.relu, "double": lambda x: 2 * x}),
        width=jf.Choice(jf.static([32, 64])),
        nesterov=jf.Choice([True, False]),
    )
    assert {type(x) for x in space.columns["batch_size"]} == {int}
    assert set(space.columns["nesterov"]) == {True, False}
    assert set(space.labels("activation")) == {"relu", "double"}
    assert set(space.columns["width"]) == {32, 64}
    assert [space.is_number(name) for name in space.names] == [True, True, False, False, False]


@DRAWS
def test_a_choice_that_mixes_is_static_whatever_is_drawn(draw):
    kinds = [draw(1, seed=seed, momentum=jf.Choice([None, 0.9])) for seed in range(8)]
    assert {x.columns["momentum"] for x in kinds} == {(None,), (0.9,)}
    assert not any(x.is_number("momentum") for x in kinds)
    assert {x.labels("momentum") for x in kinds} == {("None",), ("0.9",)}


@DRAWS
def test_equal_draws_are_merged_with_a_warning(draw):
    with pytest.warns(jf.JefficientWarning) as caught:
        space = draw(10, kind=jf.Choice(["a", "b"]))
    assert sorted(space.columns["kind"]) == ["a", "b"]
    assert space.labels("kind") == space.columns["kind"]
    message = str(caught[0].message)
    assert f"jf.{draw.__name__}: every configuration comes once, got 8 of 10 again" in message
    assert "first {'kind': '" in message
    assert message.endswith("They are merged: 2 are left.")
    assert caught[0].filename == __file__


@DRAWS
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "at least one range must be given, got none"),
        (
            {"x": 0.1},
            r"x must be jf.Uniform, .* got x=0.1. For a single value write "
            r"x=jf.Choice\(\[0.1\]\)\.",
        ),
        ({"x": "adam"}, r"got x='adam'. For a single value write x=jf.Choice\(\['adam'\]\)\."),
        (
            {"x": [1, 2, 3]},
            r"got x=\[1, 2, 3\]. To choose one of the values write x=jf.Choice\(\[…\]\)\.$",
        ),
        ({"x": np.zeros((2, 2))}, r"To choose one of the values write x=jf.Choice\(\[…\]\)\.$"),
        (
            {"x": (0.0, 0.5)},
            r"x=jf.Choice\(\[…\]\), to draw between them x=jf.Uniform\(0.0, 0.5\)\.",
        ),
        ({"x": {"a": 1}}, r"got x={'a': 1}. For values with labels write x=jf.static\({…}\)\."),
        ({"x": jf.Uniform}, r"Call it with its bounds or values\."),
        ({"x": jf.Uniform(0, 1), "seed": -1}, r"0 <= seed < 2³¹ must hold"),
        (
            {"x": jf.Uniform(0, 1), "seed": jf.Choice([0, 1])},
            r"seed must be a number, got seed=Choice",
        ),
        (
            {"not a name": jf.Uniform(0, 1)},
            "a name must be an identifier and no keyword",
        ),
    ],
)
def test_what_is_no_range_is_refused_with_what_to_write(draw, arguments, message):
    with pytest.raises(jf.JefficientError, match=message):
        draw(4, **arguments)


@DRAWS
@pytest.mark.parametrize("n", [0, -1, 2.0, True])
def test_bad_counts_are_refused(draw, n):
    with pytest.raises(
        jf.JefficientError,
        match=f"jf.{draw.__name__}: n (>= 1 must hold|must be a whole number), got",
    ):
        draw(n, x=jf.Uniform(0, 1))


def test_n_may_be_a_hyperparameter():
    assert jf.random(3, n=jf.Uniform(0, 1)).names == ("n",)
