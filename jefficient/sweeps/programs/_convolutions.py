"""Convolutions in the form that XLA's fast CPU kernels take.

The CPU compiler brings convolutions into that form itself, but in the outermost computation only:
in the body of a loop the gradient of a convolution runs ten times slower (jax issue 12868). So a
step is rewritten before it is looped.
"""

from collections.abc import Callable
from typing import Any

import jax
from jax import lax
from jax.extend import core
from jax.extend.core.primitives import conv_general_dilated_p


def canonical(function: Callable) -> Callable:
    """Return the function with all convolutions as (NHWC, HWIO) -> NHWC, however deep they are."""

    def rewritten(*arguments: Any) -> Any:
        closed, shapes = jax.make_jaxpr(function, return_shape=True)(*arguments)
        results = core.jaxpr_as_fun(_rewritten(closed))(*jax.tree.leaves(arguments))
        return jax.tree.unflatten(jax.tree.structure(shapes), results)

    return rewritten


def _rewritten(x: Any) -> Any:
    """A program, or any other parameter of an equation."""
    if isinstance(x, core.Jaxpr):  # since jax 0.12 a closed one, too
        return x.replace(eqns=[_equation(e) for e in x.eqns])
    if isinstance(x, core.ClosedJaxpr):
        return x.replace(jaxpr=_rewritten(x.jaxpr))
    if isinstance(x, tuple | list):
        return type(x)(map(_rewritten, x)) if type(x) in (tuple, list) else x
    return x


def _equation(equation: core.JaxprEqn) -> core.JaxprEqn:
    if equation.primitive is not conv_general_dilated_p:
        return equation.replace(params={name: _rewritten(x) for name, x in equation.params.items()})
    convolve = jax.jit(lambda lhs, rhs: _convolution(lhs, rhs, **equation.params))
    [call] = jax.make_jaxpr(convolve)(*(v.aval for v in equation.invars)).eqns
    return call.replace(invars=equation.invars, outvars=equation.outvars)


def _convolution(
    lhs: jax.Array, rhs: jax.Array, *, dimension_numbers: lax.ConvDimensionNumbers, **params: Any
) -> Any:
    batch, channel, *space = dimension_numbers.lhs_spec
    features, inputs, *window = dimension_numbers.rhs_spec
    last, inner = lhs.ndim - 1, range(1, lhs.ndim - 1)
    numbers = lax.ConvDimensionNumbers(
        (0, last, *inner), (last, last - 1, *range(last - 1)), (0, last, *inner)
    )
    lhs, rhs = (
        lax.transpose(lhs, (batch, *space, channel)),
        lax.transpose(rhs, (*window, inputs, features)),
    )
    out = conv_general_dilated_p.bind(lhs, rhs, dimension_numbers=numbers, **params)
    batch, channel, *space = dimension_numbers.out_spec
    places = (batch, *space, channel)  # of the axes of `out` in the result
    return lax.transpose(out, tuple(places.index(axis) for axis in range(lhs.ndim)))
