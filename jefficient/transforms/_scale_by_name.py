"""A factor for each layer, or each group of parameters, by name."""

import re
from collections.abc import Callable, Sequence

import jax
import optax

from .._core import checks
from .._core.errors import ArgumentError, ArgumentTypeError
from .._core.typing import Params, Scalar, Tree
from ._chain import named_chain
from ._masked import masked
from ._names import reporting_as
from ._scale import scale
from ._where_name import compiled, is_found, names_in

WHERE = "jf.scale_by_name"


def scale_by_name(
    patterns: Sequence[str], step_sizes: Sequence[Scalar] | jax.Array
) -> optax.GradientTransformationExtraArgs:
    r"""Multiply the updates of each group of parameters by its own number: u = step_sizes[i] · g.

    Entry i is for the leaves in whose name pattern i is found; names and patterns are those of
    `where_name`. The updates of leaves that no pattern finds pass as they are. After an optimizer
    in a chain, ``learning_rate * step_sizes[i]`` is the learning rate of a group.

    Args:
        patterns: k different regular expressions. Each must be found in some name, and no name by
            two of them: ``"layer_1"`` is found in ``layer_10.kernel``, ``r"layer_1\."`` is not.
            Static.
        step_sizes: as many factors, finite, any sign: a sequence of numbers or an array of shape
            (k,), such as a hyperparameter with a rate for each layer. May be traced.

    Returns:
        The transform; updates keep their shapes and dtypes. It reports ``scale.step_size``
        under each pattern.

    Raises:
        ArgumentError: where patterns and step sizes differ in number, a pattern is no regular
            expression or given twice, or a number is not finite or not a scalar; by `init` and
            `update`, where a pattern is found in no name, or two in one (it says which).
        ArgumentTypeError: where `patterns` are no strings, or `step_sizes` no numbers.

    References:
        Howard and Ruder 2018, https://arxiv.org/abs/1801.06146, section 3.2 (a learning rate for
        each layer).

    Examples:
        One program for all rates:

        >>> import jefficient as jf
        >>> import jax, jax.numpy as jnp
        >>> params = {"embed": jnp.ones(1), "head": {"kernel": jnp.ones(1), "bias": jnp.ones(1)}}
        >>> def first_update(rates):
        ...     tx = jf.chain(jf.sgd(1.0), jf.scale_by_name(["^embed", "^head"], rates))
        ...     return tx.update(params, tx.init(params), params)[0]
        >>> updates = jax.vmap(first_update)(jnp.array([[0.0, 0.1], [0.5, 1.0]]))
        >>> print(updates["embed"][:, 0], updates["head"]["bias"][:, 0])
        [-0.  -0.5] [-0.1 -1. ]
    """
    expressions = compiled(WHERE, "patterns", patterns)
    texts = [expression.pattern for expression in expressions]
    if len(set(texts)) < len(texts):
        raise ArgumentError(f"{WHERE}: patterns must differ, got {texts}.")
    numbers = _numbers(step_sizes)
    if len(numbers) != len(texts):
        raise ArgumentError(
            f"{WHERE}: step_sizes must be as many as patterns, got {len(numbers)} for the "
            f"{len(texts)} patterns {texts}."
        )
    for number in numbers:
        checks.check_finite(WHERE, step_sizes=number)

    with reporting_as(WHERE):
        parts = [
            (text, masked(scale(number), _mask(expression, expressions)))
            for text, expression, number in zip(texts, expressions, numbers, strict=True)
        ]
    return named_chain(*parts)


def _numbers(given: Sequence[Scalar] | jax.Array) -> list[Scalar]:
    """Return the numbers of a sequence or of an array of one dimension."""
    shape = getattr(given, "shape", None)
    if shape is not None and len(shape) != 1:
        raise ArgumentError(f"{WHERE}: step_sizes must have shape (k,), got shape {shape}.")
    if shape is None and (isinstance(given, str) or not isinstance(given, Sequence)):
        raise ArgumentTypeError(
            f"{WHERE}: step_sizes must be a sequence of numbers, got step_sizes={given!r}."
        )
    return [given[i] for i in range(len(given) if shape is None else shape[0])]


def _mask(own: re.Pattern[str], every: list[re.Pattern[str]]) -> Callable[[Params], Tree]:
    """Return a mask of the leaves of one pattern; it checks that no other one finds them."""

    def mask(params: Params) -> Tree:
        for name in names_in(params):
            found = [expression.pattern for expression in every if expression.search(name)]
            if len(found) > 1:
                raise ArgumentError(
                    f"{WHERE}: a name must be found by one pattern at most, got {found} for "
                    f"{name!r}. Write the patterns so that they tell it apart."
                )
        return is_found(WHERE, [own], params)

    return mask
