"""Ranges against SciPy's distributions, and refused arguments."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

import jefficient as jf

U = np.random.default_rng(0).random(2000)


@pytest.mark.parametrize(
    ("drawn", "distribution"),
    [
        (jf.Uniform(-3, 0.5), stats.uniform(-3, 3.5)),
        (jf.Uniform(0, 1e-6), stats.uniform(0, 1e-6)),
        (jf.LogUniform(1e-5, 10), stats.loguniform(1e-5, 10)),
        (jf.LogUniform(0.1, 0.2), stats.loguniform(0.1, 0.2)),
    ],
)
def test_numbers_are_the_quantiles_of_scipy_s_distribution(drawn, distribution):
    values = drawn.at(U).values
    np.testing.assert_allclose(values, distribution.ppf(U), rtol=2e-6, atol=1e-12)
    assert stats.kstest(values, distribution.cdf).pvalue > 0.05
    assert {type(x) for x in values} == {float}


def test_numbers_are_those_that_programs_get_and_short():
    values = jf.LogUniform(1e-4, 1.0).at(U).values
    assert all(float(str(np.float32(x))) == x for x in values)
    assert all(float(f"{x:.9g}") == x for x in values)


def test_whole_numbers_include_both_bounds_and_are_equally_likely():
    values = jf.Uniform(-2, 3, integer=True).at((np.arange(600) + 0.5) / 600).values
    assert {type(x) for x in values} == {int}
    assert {k: values.count(k) for k in range(-2, 4)} == dict.fromkeys(range(-2, 4), 100)


def test_whole_numbers_on_a_log_scale_are_as_likely_as_the_interval_that_rounds_to_them():
    values = jf.LogUniform(1, 8, integer=True).at((np.arange(100_000) + 0.5) / 100_000).values
    assert {type(x) for x in values} == {int}
    cdf = stats.loguniform(0.5, 8.5).cdf
    for k in range(1, 9):
        assert values.count(k) / 100_000 == pytest.approx(cdf(k + 0.5) - cdf(k - 0.5), abs=2e-5)


@given(
    st.sampled_from([jf.Uniform, jf.LogUniform]),
    st.tuples(*[st.floats(2.0**-100, 2.0**100)] * 2).filter(lambda x: x[0] < x[1]),
    st.lists(st.floats(0, 1, exclude_max=True), min_size=1),
)
def test_numbers_stay_inside_the_bounds(kind, bounds, u):
    low, high = bounds
    assert all(low <= x <= high for x in kind(low, high).at(np.array(u)).values)


@given(
    st.sampled_from([jf.Uniform, jf.LogUniform]),
    st.tuples(*[st.integers(1, 2**31 - 1)] * 2).filter(lambda x: x[0] < x[1]),
)
def test_whole_numbers_stay_inside_the_bounds_and_reach_them(kind, bounds):
    low, high = bounds
    first, last = kind(low, high, integer=True).at(np.array([0.0, np.nextafter(1, 0)])).values
    assert (first, last) == (low, high)


def test_a_choice_takes_each_value_equally_often():
    assert jf.Choice(["a", "b", "c"]).at((np.arange(6) + 0.5) / 6).values == (
        "a",
        "a",
        "b",
        "b",
        "c",
        "c",
    )
    assert jf.Choice(np.array([1, 2])).at(np.array([0.0, np.nextafter(1, 0)])).values == (1, 2)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: jf.Uniform(1, 1), r"jf.Uniform: low < high must hold, got low=1, high=1\."),
        (
            lambda: jf.Uniform(2.0, 1.0),
            r"jf.Uniform: low < high must hold, got low=2.0, high=1.0\.",
        ),
        (lambda: jf.Uniform("0", 1), r"jf.Uniform: low must be a Python number, got low='0'\."),
        (lambda: jf.Uniform(0, True), r"jf.Uniform: high must be a Python number, got high=True\."),
        (
            lambda: jf.Uniform(jnp.float32(0), 1),
            r"jf.Uniform: low must be a Python number, got low=Array\(",
        ),
        (
            lambda: jf.Uniform(0, float("inf")),
            r"jf.Uniform: -inf < high < inf must hold, got high=inf\.",
        ),
        (
            lambda: jf.Uniform(float("nan"), 1),
            r"jf.Uniform: -inf < low < inf must hold, got low=nan\.",
        ),
        (
            lambda: jf.Uniform(0, 1e39),
            r"jf.Uniform: the values of high must fit float32, got high=1e\+39\.",
        ),
        (
            lambda: jf.Uniform(0.5, 3, integer=True),
            r"jf.Uniform: low must be a whole number between -2³¹ and 2³¹ with integer=True, "
            r"got low=0.5\.",
        ),
        (
            lambda: jf.Uniform(0, 2**31, integer=True),
            r"high must be a whole number between .* got high=2147483648\.",
        ),
        (
            lambda: jf.Uniform(0, 1, integer=1),
            r"jf.Uniform: integer must be True or False \(static\), got integer=1\.",
        ),
        (
            lambda: jf.LogUniform(0.0, 1.0),
            r"^jf.LogUniform: 0 < low < high must hold, got low=0.0, high=1.0. "
            r"For a range that touches 0 use jf.Uniform\.$",
        ),
        (
            lambda: jf.LogUniform(1.0, 0.1),
            r"^jf.LogUniform: 0 < low < high must hold, got low=1.0, high=0.1\.$",
        ),
        (
            lambda: jf.LogUniform(1e-46, 1),
            r"jf.LogUniform: the values of low must fit float32, got low=1e-46\.",
        ),
        (
            lambda: jf.LogUniform(None, 1),
            r"jf.LogUniform: low must be a Python number, got low=None\.",
        ),
        (
            lambda: jf.Choice([]),
            r"jf.Choice: values must have at least one value, got values=\[\]\.",
        ),
        (
            lambda: jf.Choice(3),
            r"jf.Choice: values must be a list .* For a single value write values=\[3\]\.",
        ),
        (
            lambda: jf.Choice([1, 2, 1]),
            r"jf.Choice: values must not have a value twice, got 1 twice\.",
        ),
        (
            lambda: jf.Choice({"relu": jax.nn.relu}),
            r"jf.Choice: values must be a list .* Give labels: jf.static\(",
        ),
    ],
)
def test_bad_ranges_are_refused(make, message):
    with pytest.raises(jf.JefficientError, match=message):
        make()
