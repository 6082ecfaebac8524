"""Verification of a gradient transformation."""

from collections.abc import Callable, Iterable, Mapping

import jax.numpy as jnp
import optax

from .._core.trees import check_floating
from .._core.typing import Params
from ..transforms._base import check_transform
from ._law import built, check_numbers, verify
from ._transform_laws import TRANSFORM_LAWS, Case


def verify_transform(
    factory: Callable[..., optax.GradientTransformation],
    numbers: Mapping[str, tuple[float, float]] | None = None,
    *,
    params: Params = None,
    laws: Iterable[str] | None = None,
    rtol: float = 1e-5,
) -> None:
    """Hold a transform to the laws that jefficient's own transforms obey.

    Args:
        factory: ``(**numbers) -> transform``. Structure (Nesterov or not, masks) is fixed inside
            it.
        numbers: ``{name: (value, another value)}`` for each number that may be traced, both valid.
            A number whose values are both int is a count: traced as int32, without a gradient. So
            write (1.0, 2.0) for a rate.
        params: a tree of float32 arrays, without None; by default a dict of a matrix and a vector.
        laws: names from `TRANSFORM_LAWS`; by default all.
        rtol: relative tolerance between static and traced trajectories.

    Raises:
        LawError: if a law is broken; the message names the law, the number and the leaf.
        ArgumentError: if a law is unknown.
        ArgumentTypeError: if a number does not have two values, or if `factory` does not make a
            transform of them.

    Examples:
        >>> import jefficient as jf
        >>> import jax, optax
        >>> import jefficient.testing
        >>> jf.testing.verify_transform(jf.trace, {"decay": (0.9, 0.5)})
        >>> def signs(rate):
        ...     def update(updates, state, params=None):
        ...         return jax.tree.map(lambda g: rate * jax.numpy.sign(g), updates), state
        ...     return optax.GradientTransformation(lambda params: optax.EmptyState(), update)
        >>> jf.testing.verify_transform(signs, {"rate": (0.1, 0.5)}, laws=["dtype"])
        Traceback (most recent call last):
        ...
        jefficient.testing.LawError: jf.testing.verify_transform: the law 'dtype' is broken: ...
    """
    where = "jf.testing.verify_transform"
    if params is None:
        params = {
            "a": jnp.array([[0.5, -1.0, 0.25], [2.0, 0.1, -0.3]]),
            "b": jnp.array([1.5, -0.75]),
        }
    checked = check_numbers(where, numbers)
    check_transform(where, built(where, factory, checked), "what factory returns")
    check_floating(where, params)
    verify(where, TRANSFORM_LAWS, laws, Case(factory, checked, params, rtol))
