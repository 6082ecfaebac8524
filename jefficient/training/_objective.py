"""The penalised objective J = J₁ + λ·J₂, which is trained on but not evaluated."""

import functools
import inspect
from collections.abc import Callable, Hashable
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from .._core import checks, numerics, trees
from .._core.errors import ArgumentTypeError
from .._core.reuse import same
from .._core.typing import Params, Scalar, Tree


class regularized:
    """A loss with penalties: loss(θ, …) + l1·‖θ‖₁ + (l2/2)·‖θ‖².

    It is called like `loss`, and takes `l1` and `l2` by keyword as well. So in a sweep both
    strengths can be axes of the grid: ``jf.Task(loss=jf.regularized(loss), …)`` with
    ``jf.grid(l2=[0, 1e-4])``. Evaluation uses `unpenalised`, the loss as it was given: so give the
    Task this object itself or a `functools.partial` of it; a sweep cannot look through a lambda.

    Args:
        loss: ``(params, …) -> scalar``, or ``-> (scalar, anything)`` (then the scalar alone is
            penalised). In `jf.train_step` it may return ``(sum, weight)``, too: the penalty is
            added to the mean.
        l1: strength of ‖θ‖₁, 0 <= l1 < inf; may be traced.
        l2: strength of ½‖θ‖², 0 <= l2 < inf; may be traced.
        mask: a tree of bools like the parameters (or a prefix), or ``params -> tree``: which leaves
            are penalised (often not the biases). Static.

    Raises:
        ArgumentError: if a strength is negative, not finite or not a scalar.
        ArgumentTypeError: if a penalised leaf is not floating.

    References:
        Tibshirani 1996, Regression shrinkage and selection via the lasso (l1); Hoerl and Kennard
        1970, Ridge regression (l2); Zou and Hastie 2005, Regularization and variable selection via
        the elastic net (both).

    Examples:
        >>> import jefficient as jf
        >>> import jax, jax.numpy as jnp
        >>> def loss(params, batch):
        ...     return jnp.mean((params * batch) ** 2)
        >>> penalised = jf.regularized(loss, l2=0.5)
        >>> params, batch = jnp.array([2.0, -2.0]), jnp.zeros(2)
        >>> float(penalised(params, batch)), float(penalised.unpenalised(params, batch))
        (2.0, 0.0)
        >>> jax.grad(penalised)(params, batch).tolist()
        [1.0, -1.0]
    """

    def __init__(
        self,
        loss: Callable[..., Any],
        l1: Scalar = 0,
        l2: Scalar = 0,
        *,
        mask: Tree | Callable[[Params], Tree] = None,
    ):
        if not callable(loss):
            raise ArgumentTypeError(f"jf.regularized: loss must be a function, got {loss!r}.")
        checks.check_not_negative("jf.regularized", l1=l1, l2=l2)
        self.unpenalised = loss
        self.l1 = l1
        self.l2 = l2
        self.mask = mask
        self.__signature__ = _with_strengths(inspect.signature(loss), l1, l2)

    def __call__(
        self,
        params: Params,
        *args: object,
        l1: Scalar | None = None,
        l2: Scalar | None = None,
        **kwargs: object,
    ) -> Any:
        """Return the penalised loss; `l1` and `l2`, if given, replace those it was made with."""
        l1 = self.l1 if l1 is None else l1
        l2 = self.l2 if l2 is None else l2
        checks.check_not_negative("jf.regularized", l1=l1, l2=l2)
        value = self.unpenalised(params, *args, **kwargs)
        if isinstance(value, tuple):
            penalty = self.penalty(params, jnp.result_type(value[0]), l1, l2)
            return (value[0] + penalty, *value[1:])
        return value + self.penalty(params, jnp.result_type(value), l1, l2)

    def penalty(
        self, params: Params, dtype: DTypeLike, l1: Scalar | None = None, l2: Scalar | None = None
    ) -> jax.Array:
        """Return l1·‖θ‖₁ + (l2/2)·‖θ‖² in this dtype, shape ()."""
        l1 = self.l1 if l1 is None else l1
        l2 = self.l2 if l2 is None else l2
        penalised = self._penalised(params)
        trees.check_floating("jf.regularized", penalised)
        total = jnp.zeros((), numerics.compute_dtype(dtype))
        for p in jax.tree.leaves(penalised):
            p = numerics.upcast(jnp.asarray(p))
            absolute = jnp.sum(_abs(p))
            square = jnp.sum(numerics.squared(p))
            strength1, strength2 = (numerics.scalar(x, absolute.dtype) for x in (l1, l2))
            total = total + (strength1 * absolute + 0.5 * strength2 * square).astype(total.dtype)
        return total.astype(dtype)

    def _reuse_key(self) -> Hashable:
        return same((self.unpenalised, self.l1, self.l2, self.mask))

    def _penalised(self, params: Params) -> Params:
        if self.mask is None:
            return params
        mask = self.mask(params) if callable(self.mask) else self.mask
        return jax.tree.map(lambda keep, subtree: subtree if keep else None, mask, params)


def penalised_parts(
    loss: Callable[..., Any],
) -> tuple[Callable[..., Any], Callable[[Params, DTypeLike], jax.Array] | None]:
    """Take a `regularized` loss, or a `functools.partial` of one, apart: the loss and its penalty.

    The penalty is None for any other loss.
    """
    inner = loss.func if isinstance(loss, functools.partial) else loss
    if not isinstance(inner, regularized):
        return loss, None
    given = dict(loss.keywords) if isinstance(loss, functools.partial) else {}
    strengths = {name: given.pop(name) for name in ("l1", "l2") if name in given}
    positional = loss.args if isinstance(loss, functools.partial) else ()
    plain = functools.partial(inner.unpenalised, *positional, **given)
    checks.check_not_negative("jf.regularized", **strengths)
    return plain, lambda params, dtype: inner.penalty(params, dtype, **strengths)


def _abs(p: jax.Array) -> jax.Array:
    """Return |p|, with the subgradient of a penalty at zero: 0, where jax's own is 1."""
    is_zero = p == 0
    return jnp.where(is_zero, 0.0, jnp.abs(jnp.where(is_zero, 1.0, p)))


def _with_strengths(signature: inspect.Signature, l1: Scalar, l2: Scalar) -> inspect.Signature:
    """Add `l1` and `l2` as keyword-only parameters, before ``**kwargs``."""
    keyword_only = inspect.Parameter.KEYWORD_ONLY
    strengths = [inspect.Parameter(k, keyword_only, default=x) for k, x in (("l1", l1), ("l2", l2))]
    given = [p for p in signature.parameters.values() if p.name not in ("l1", "l2")]
    named = [p for p in given if p.kind is not p.VAR_KEYWORD]
    rest = [p for p in given if p.kind is p.VAR_KEYWORD]
    return inspect.Signature([*named, *strengths, *rest])
