"""Signatures: a function requests the hyperparameters that it names.

``**kwargs`` requests nothing, so a function never gets a number that it did not name.
"""

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from .errors import ArgumentTypeError

_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def _parameters(where: str, function: Callable[..., object]) -> Iterable[inspect.Parameter]:
    if not callable(function):
        raise ArgumentTypeError(f"{where}: a function must be given, got {function!r}.")
    try:
        return inspect.signature(function).parameters.values()
    except (ValueError, TypeError) as error:
        raise ArgumentTypeError(
            f"{where}: the signature of {function!r} cannot be read ({error}). Wrap it in a lambda."
        ) from None


def names_asked(
    where: str, function: Callable[..., object], positional: int = 0
) -> tuple[str, ...]:
    """Return the names that `function` takes by keyword, after its first `positional` ones."""
    return tuple(
        p.name for p in list(_parameters(where, function))[positional:] if p.kind in _NAMED
    )


def names_required(
    where: str, function: Callable[..., object], positional: int = 0
) -> tuple[str, ...]:
    """Return those of `names_asked` that have no default."""
    parameters = list(_parameters(where, function))[positional:]
    return tuple(p.name for p in parameters if p.kind in _NAMED and p.default is p.empty)


def takes_any(function: Callable[..., object]) -> bool:
    """Tell whether `function` takes ``**kwargs``."""
    return any(
        p.kind is inspect.Parameter.VAR_KEYWORD
        for p in _parameters("signatures.takes_any", function)
    )


def pick(values: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """Return those of `values` whose names are requested."""
    return {name: values[name] for name in names if name in values}
