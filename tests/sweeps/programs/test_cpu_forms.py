"""Programs in the form for a CPU: the same numbers, wherever in a program stands what changes."""

import re

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.extend import core

import jefficient as jf
from jefficient._core.cpu_forms import cpu_form
from jefficient._core.reuse import lowered

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


def in_cpu_form(function):
    def changed(*arguments):
        program, shapes = jax.make_jaxpr(function, return_shape=True)(*arguments)
        results = core.jaxpr_as_fun(cpu_form(program))(*jax.tree.leaves(arguments))
        return jax.tree.unflatten(jax.tree.structure(shapes), results)

    return changed


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
    chex.assert_trees_all_close(in_cpu_form(both)(kernel, x), both(kernel, x), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("case", ["images", "strided", "grouped"])
def test_lanes(case):
    convolve, kernel, x = convolution(case)
    kernels = jnp.stack([kernel, 2 * kernel])
    lanes = jax.vmap(jax.grad(lambda kernel, x: (convolve(kernel, x) ** 2).mean()), (0, None))
    chex.assert_trees_all_close(
        in_cpu_form(lanes)(kernels, x), lanes(kernels, x), rtol=1e-4, atol=1e-6
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
    found = list(dimension_numbers(jax.make_jaxpr(in_cpu_form(function))(kernel, x).jaxpr))
    assert found
    assert set(found) == {CANONICAL}
    chex.assert_trees_all_close(
        in_cpu_form(function)(kernel, x), function(kernel, x), rtol=1e-4, atol=1e-6
    )
    chex.assert_trees_all_close(
        jax.jit(in_cpu_form(function))(kernel, x), function(kernel, x), rtol=1e-4, atol=1e-6
    )


def test_a_program_of_other_things_does_not_change():
    function = lambda key, x: {"a": jax.random.normal(key, (3,)) + x, "b": jnp.linalg.svd(x * x.T)}  # noqa: E731
    assert cpu_form(jax.make_jaxpr(function)(jax.random.key(0), jnp.ones((3, 1)))) is None


SYMMETRIC = IMAGES[:, :, :5, :5] @ IMAGES[:, :, :5, :5].mT + jnp.eye(5)
FACTORIZATIONS = {
    "cholesky": jnp.linalg.cholesky,
    "eig": lambda x: jnp.sort(jnp.linalg.eigvals(x).real),
    "eigh": jnp.linalg.eigvalsh,
    "inverse": jnp.linalg.inv,
    "log determinant": lambda x: jnp.linalg.slogdet(x)[1],
    "qr": lambda x: abs(jnp.linalg.qr(x)[1]),
    "schur": lambda x: jnp.trace(jax.scipy.linalg.schur(x)[0]),
    "solve": lambda x: jnp.linalg.solve(x, jnp.ones((5, 2))),
    "singular values": lambda x: jnp.linalg.svd(x)[1],
    "triangular": lambda x: jax.scipy.linalg.solve_triangular(x, jnp.ones(5)),
}


def batched_factorizations(jaxpr):
    """Calls of LAPACK with more than one matrix, in whatever depth."""
    names = re.findall(r"custom_call @(lapack_\w+)\(.*?: \((tensor<[^>]*>)", jaxpr)
    return [name for name, shape in names if shape.count("x") > 2]


@pytest.mark.parametrize("name", FACTORIZATIONS)
def test_matrices_of_a_batch_are_factorized_one_after_another(name):
    """LAPACK's kernels wait for each other in the threads that they need (jax 0.10)."""
    function = jax.vmap(jax.vmap(FACTORIZATIONS[name]))
    program = lowered(function, SYMMETRIC)
    assert batched_factorizations(jax.jit(function).lower(SYMMETRIC).as_text())
    assert "lapack" in program.as_text()
    assert not batched_factorizations(program.as_text())
    expected = jnp.stack([jnp.stack([FACTORIZATIONS[name](x) for x in xs]) for xs in SYMMETRIC])
    chex.assert_trees_all_close(program.compile()(SYMMETRIC), expected, rtol=1e-3, atol=1e-3)


def test_a_sweep_whose_loss_factorizes_matrices_ends():
    """It stood still: two blocks' calls of LAPACK waited for the two threads that they were in."""
    weights = 0.1 * jax.random.normal(jax.random.key(0), (64, 64))
    task = jf.Task(
        init=lambda key: {"w": weights},
        loss=lambda params, batch: jnp.linalg.eigvalsh(
            params["w"] @ params["w"].T + jnp.diag(batch["x"].mean(0))
        ).sum(),
        data={"x": jnp.ones((8, 64))},
    )
    rates, steps = np.geomspace(1e-4, 1e-2, 16), 4
    given = {"steps": steps, "eval_every": steps, "metric": "train_loss", "keep": None}
    result = jf.sweep(task, jf.sgd, jf.grid(learning_rate=rates), **given)
    # The sum is the trace, 64 and the squares of the weights, which an update makes smaller.
    squares = float(np.square(np.float64(weights)).sum())
    shrink = (1 - 2 * rates) ** 2
    expected = 64 + squares * np.mean([shrink**t for t in range(steps)], axis=0)
    found = result.dataset.train_loss.values.squeeze()
    np.testing.assert_allclose(found, expected, rtol=1e-5)
