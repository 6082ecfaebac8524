"""What XLA's CPU compiler and kernels are slow at, or stand still on, in the form that runs.

Convolutions: the compiler brings them into the form of its fast kernels, but in the outermost
computation only; in the body of a loop the gradient of a convolution runs ten times slower (jax
issue 12868). So they are brought into that form before.

Factorizations: LAPACK's kernels split a batch of matrices among the threads that run programs, and
wait for them in such a thread. Where all threads wait, as in two blocks of lanes on two cores,
none is left to work. So the matrices of a batch are factorized one after another, which splits and
waits for nothing.
"""

import math
from collections.abc import Callable
from typing import Any

import jax
from jax import lax
from jax.extend import core

_CONVOLUTION = "conv_general_dilated"

_FACTORIZATIONS = {
    **dict.fromkeys(("cholesky", "eig", "eigh", "geqp3", "geqrf", "hessenberg", "ormqr"), 2),
    **dict.fromkeys(("householder_product", "lu", "qr", "schur", "svd", "tridiagonal"), 2),
    "triangular_solve": 2,
    "tridiagonal_solve": 1,
}
"""Primitives that call LAPACK, and the axes of their first operand that are not of the batch."""


def cpu_form(program: core.ClosedJaxpr) -> core.ClosedJaxpr | None:
    """Return the program in the form for a CPU, however deep what changes; None if nothing does."""
    return _rewritten(program) if _changes(program) else None


def _changes(x: object) -> bool:
    """Whether a program changes, or any other parameter of an equation."""
    if isinstance(x, core.ClosedJaxpr) and not isinstance(x, core.Jaxpr):
        x = x.jaxpr
    if isinstance(x, core.Jaxpr):
        return any(_form_of(e) or _changes(tuple(e.params.values())) for e in x.eqns)
    return isinstance(x, tuple | list) and any(map(_changes, x))


def _rewritten(x: Any) -> Any:
    """A program, or any other parameter of an equation."""
    if isinstance(x, core.Jaxpr):  # since jax 0.12 a closed one, too
        return x.replace(eqns=[_equation(e) for e in x.eqns])
    if isinstance(x, core.ClosedJaxpr):
        return x.replace(jaxpr=_rewritten(x.jaxpr))
    if hasattr(x, "_make"):  # a NamedTuple
        return x._make(map(_rewritten, x))
    if type(x) in (tuple, list):
        return type(x)(map(_rewritten, x))
    return x


def _equation(equation: core.JaxprEqn) -> core.JaxprEqn:
    form = _form_of(equation)
    if form is None:
        return equation.replace(params={name: _rewritten(x) for name, x in equation.params.items()})
    own = jax.jit(lambda *operands: form(equation, *operands))
    [call] = jax.make_jaxpr(own)(*(v.aval for v in equation.invars)).eqns
    return call.replace(invars=equation.invars, outvars=equation.outvars)


def _form_of(equation: core.JaxprEqn) -> Callable[..., Any] | None:
    """Return the function that computes what an equation does in another form, if there is one."""
    name = equation.primitive.name
    if name == _CONVOLUTION:
        return _convolution
    first: Any = equation.invars[0].aval if equation.invars else None
    if name in _FACTORIZATIONS and first.ndim > _FACTORIZATIONS[name]:
        return _one_matrix_at_a_time
    return None


def _convolution(equation: core.JaxprEqn, lhs: jax.Array, rhs: jax.Array) -> jax.Array:
    numbers = equation.params["dimension_numbers"]
    batch, channel, *space = numbers.lhs_spec
    features, inputs, *window = numbers.rhs_spec
    last, inner = lhs.ndim - 1, range(1, lhs.ndim - 1)
    fast = lax.ConvDimensionNumbers(
        (0, last, *inner), (last, last - 1, *range(last - 1)), (0, last, *inner)
    )
    lhs, rhs = (
        lax.transpose(lhs, (batch, *space, channel)),
        lax.transpose(rhs, (*window, inputs, features)),
    )
    out = equation.primitive.bind(lhs, rhs, **{**equation.params, "dimension_numbers": fast})
    batch, channel, *space = numbers.out_spec
    places = (batch, *space, channel)  # of the axes of `out` in the result
    return lax.transpose(out, tuple(places.index(axis) for axis in range(lhs.ndim)))


def _one_matrix_at_a_time(
    equation: core.JaxprEqn, *operands: jax.Array
) -> jax.Array | list[jax.Array]:
    own_axes = _FACTORIZATIONS[equation.primitive.name]
    batch = operands[0].shape[: operands[0].ndim - own_axes]
    count = math.prod(batch)

    def of_one(matrices: tuple[jax.Array, ...]) -> jax.Array | list[jax.Array]:
        return equation.primitive.bind(*matrices, **equation.params)

    flat = tuple(lax.reshape(x, (count, *x.shape[len(batch) :])) for x in operands)
    found = lax.map(of_one, flat)
    return jax.tree.map(lambda x: lax.reshape(x, (*batch, *x.shape[1:])), found)
