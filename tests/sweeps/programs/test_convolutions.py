"""Convolutions brought into the CPU's form: the same numbers, wherever in a program they stand."""

import chex
import jax
import jax.numpy as jnp
import pytest
from jax import lax

from jefficient.sweeps.programs._convolutions import canonical

IMAGES = jax.random.normal(jax.random.key(0), (5, 6, 8, 9))
CASES = {
    "images": (IMAGES, (4, 6, 3, 2), ("NCHW", "OIHW", "NCHW"), {}),
    "channels last": (IMAGES, (3, 2, 9, 4), ("NHWC", "HWIO", "NHWC"), {}),
    "out another way": (IMAGES, (3, 2, 9, 4), ("NHWC", "HWIO", "NCHW"), {}),
    "strided": (IMAGES, (4, 6, 3, 2), ("NCHW", "OIHW", "NHWC"), {"window_strides": (2, 1)}),
    "dilated": (
        IMAGES,
        (4, 6, 3, 2),
        ("NCHW", "OIHW", "NCHW"),
        {"rhs_dilation": (2, 3), "lhs_dilation": (1, 2), "padding": [(1, 0)] * 2},
    ),
    "grouped": (IMAGES, (4, 3, 3, 2), ("NCHW", "OIHW", "NCHW"), {"feature_group_count": 2}),
    "one axis": (IMAGES[..., 0], (4, 6, 3), ("NCW", "OIW", "NCW"), {"window_strides": (1,)}),
    "no axis": (IMAGES[..., 0, 0], (4, 6), ("NC", "OI", "NC"), {"window_strides": ()}),
}
CANONICAL = lax.conv_dimension_numbers((1, 1, 1, 1), (1, 1, 1, 1), ("NHWC", "HWIO", "NHWC"))


def convolution(case):
    x, shape, numbers, options = CASES[case]

    def convolve(kernel, x):
        return lax.conv_general_dilated(
            x,
            kernel,
            dimension_numbers=numbers,
            **{"padding": "VALID", "window_strides": (1, 1), **options},
        )

    return convolve, jax.random.normal(jax.random.key(1), shape), x


def dimension_numbers(jaxpr):
    """Of all convolutions of a program, in whatever depth."""
    for equation in jaxpr.eqns:
        if equation.primitive is lax.conv_general_dilated_p:
            yield equation.params["dimension_numbers"]
        for inner in jax.tree.leaves(
            list(equation.params.values()), is_leaf=lambda x: hasattr(x, "eqns")
        ):
            if hasattr(inner, "eqns"):
                yield from dimension_numbers(getattr(inner, "jaxpr", inner))


@pytest.mark.parametrize("case", CASES)
def test_values_and_gradients(case):
    convolve, kernel, x = convolution(case)
    both = jax.value_and_grad(lambda kernel, x: (convolve(kernel, x) ** 2).mean(), argnums=(0, 1))
    chex.assert_trees_all_close(canonical(both)(kernel, x), both(kernel, x), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("case", ["images", "strided", "grouped"])
def test_lanes(case):
    convolve, kernel, x = convolution(case)
    kernels = jnp.stack([kernel, 2 * kernel])
    lanes = jax.vmap(jax.grad(lambda kernel, x: (convolve(kernel, x) ** 2).mean()), (0, None))
    chex.assert_trees_all_close(
        canonical(lanes)(kernels, x), lanes(kernels, x), rtol=1e-4, atol=1e-6
    )


@jax.custom_vjp
def doubled(x):
    return 2 * x


doubled.defvjp(lambda x: (2 * x, None), lambda _, g: (2 * g,))

INSIDE = {
    "jit": jax.jit,
    "checkpoint": jax.checkpoint,
    "scan": lambda f: lambda *a: lax.scan(lambda c, _: (c + f(*a), None), 0.0, None, length=2)[0],
    "while": lambda f: (
        lambda *a: lax.while_loop(lambda c: c[0] < 2, lambda c: (c[0] + 1, f(*a)), (0, 0.0))[1]
    ),
    "cond": lambda f: lambda *a: lax.cond(a[0].sum() > 0, f, lambda *a: 0.5 * f(*a), *a),
    "custom_vjp": lambda f: lambda *a: doubled(f(*a)),
}


@pytest.mark.parametrize("inside", INSIDE)
def test_functions_inside(inside):
    convolve, kernel, x = convolution("out another way")
    function = INSIDE[inside](lambda kernel, x: convolve(kernel, x).mean())
    function = function if inside == "while" else jax.grad(function)
    found = list(dimension_numbers(jax.make_jaxpr(canonical(function))(kernel, x).jaxpr))
    assert found
    assert set(found) == {CANONICAL}
    chex.assert_trees_all_close(
        canonical(function)(kernel, x), function(kernel, x), rtol=1e-4, atol=1e-6
    )
    chex.assert_trees_all_close(
        jax.jit(canonical(function))(kernel, x), function(kernel, x), rtol=1e-4, atol=1e-6
    )


def test_without_a_convolution():
    function = lambda key, tree: {"a": jax.random.normal(key, (3,)) + tree["x"], "b": None}  # noqa: E731
    arguments = jax.random.key(0), {"x": jnp.ones(3), "y": None}
    chex.assert_trees_all_equal(canonical(function)(*arguments), function(*arguments))
