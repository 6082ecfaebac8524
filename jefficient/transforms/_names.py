"""The name under which a transform reports: that of the function that was called.

`adamw` is a chain of `scale_by_adam`, `l2_decay` and `scale_by_learning_rate`. Their errors and the
numbers that they report must say ``jf.adamw`` and ``weight_decay``. So a factory that is made of
others builds them inside `reporting_as`, and each of these takes its name from `public`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple, TypeVar

Value = TypeVar("Value")


class _Caller(NamedTuple):
    """A public function, and its names for the arguments of its parts."""

    function: str
    arguments: dict[str, str]


_CALLER: ContextVar[_Caller | None] = ContextVar("the function that was called", default=None)


@contextmanager
def reporting_as(function: str, **arguments: str) -> Iterator[None]:
    """Let the factories that are called inside report as `function`; the outermost name counts.

    The keywords are ``argument of a part="argument of the function"`` where these differ.
    """
    outer = _CALLER.get()
    if outer is not None:
        function, arguments = outer.function, arguments | outer.arguments
    token = _CALLER.set(_Caller(function, arguments))
    try:
        yield
    finally:
        _CALLER.reset(token)


def public(function: str, **numbers: Value) -> tuple[str, dict[str, Value]]:
    """Return the public name to report under, and `numbers` by the names of its arguments.

    Outside `reporting_as` these are `function` and `numbers` themselves.
    """
    caller = _CALLER.get()
    if caller is None:
        return function, numbers
    renamed = {caller.arguments.get(name, name): x for name, x in numbers.items()}
    return caller.function, renamed
