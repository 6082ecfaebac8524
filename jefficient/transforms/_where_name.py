"""Masks by the names of parameters."""

import re
from collections.abc import Callable, Sequence

import jax
import optax

from .._core.errors import ArgumentError, ArgumentTypeError
from .._core.typing import Params, Tree

WHERE = "jf.where_name"


def where_name(pattern: str | Sequence[str]) -> Callable[[Params], Tree]:
    r"""Make a mask that selects parameters by name, wherever a mask is taken.

    The name of a parameter is its place in the tree, the keys, attributes and indices on the way
    joined by dots: ``"dense_1.kernel"``. A regular expression selects it if it is found anywhere in
    the name: ``"kernel"``, ``r"^encoder\."``, ``r"\.(kernel|embedding)$"``.

    Args:
        pattern: a regular expression, or several of which one must be found.

    Returns:
        ``params -> tree`` of bools like the parameters. It raises `ArgumentError` where a pattern
        is found in no name, and says which names there are.

    Raises:
        ArgumentTypeError: where `pattern` is neither a string nor strings.
        ArgumentError: where a pattern is no regular expression, or there is none.

    Examples:
        >>> import jefficient as jf
        >>> import jax.numpy as jnp
        >>> params = {"dense": {"kernel": jnp.ones((2, 2)), "bias": jnp.ones(2)}}
        >>> jf.where_name("kernel")(params)
        {'dense': {'bias': False, 'kernel': True}}
        >>> tx = jf.adamw(0.1, weight_decay=0.01, mask=jf.where_name("kernel"))
    """
    patterns = [pattern] if isinstance(pattern, str) else pattern
    expressions = compiled(WHERE, "pattern", patterns)
    return lambda params: is_found(WHERE, expressions, params)


def compiled(where: str, argument: str, patterns: Sequence[str]) -> list[re.Pattern[str]]:
    """Check for strings that are regular expressions, one at least."""
    is_one = isinstance(patterns, str) or not isinstance(patterns, Sequence)
    if is_one or not all(isinstance(one, str) for one in patterns):
        what = "a string or strings" if argument == "pattern" else "strings"
        raise ArgumentTypeError(f"{where}: {argument} must be {what}, got {patterns!r}.")
    if not patterns:
        raise ArgumentError(f"{where}: {argument} must hold at least one string, got {patterns!r}.")
    return [_compiled(where, argument, one) for one in patterns]


def is_found(where: str, expressions: list[re.Pattern[str]], params: Params) -> Tree:
    """Tell for each leaf whether one of these is found in its name; each must be in some name."""
    names = names_in(params)
    for expression in expressions:
        if names and not any(map(expression.search, names)):
            raise ArgumentError(
                f"{where}: pattern must be found in the name of a parameter, got "
                f"{expression.pattern!r} and the names {names}."
            )
    return jax.tree_util.tree_map_with_path(
        lambda path, _: any(e.search(_name(path)) for e in expressions), params
    )


def names_in(params: Params) -> list[str]:
    """Return the names of all leaves; those that a mask or a partition leaves out have one, too."""
    every = jax.tree_util.tree_leaves_with_path(params, is_leaf=_is_masked)
    return [_name(path) for path, _ in every]


def _is_masked(x: object) -> bool:
    return isinstance(x, optax.MaskedNode)


def _compiled(where: str, argument: str, pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise ArgumentError(
            f"{where}: {argument} must be a regular expression, got {pattern!r}: {error}."
        ) from None


def _name(path: tuple) -> str:
    return jax.tree_util.keystr(path, simple=True, separator=".")
