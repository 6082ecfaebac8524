"""Numbers that notice whether somebody reads their value, so that one call of a function can stand for many.

What jax is given becomes an unknown of its trace, whatever its value is. So a function that hands
its numbers to jax, and does nothing else with them, does the same for all of them; one that
compares them, converts them to Python's or has NumPy compute with them may raise for some and not
for others.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

_DERIVING = (
    *(
        f"__{side}{name}__"
        for name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow")
        for side in ("", "r")
    ),
    *("__neg__", "__pos__", "__abs__"),
)
"""What makes another number, which is watched in its turn."""

_READING = (
    *(
        "__bool__",
        "__float__",
        "__int__",
        "__index__",
        "__complex__",
        "__hash__",
        "__round__",
        "__invert__",
    ),
    *(
        "__eq__",
        "__ne__",
        "__lt__",
        "__le__",
        "__gt__",
        "__ge__",
        "__str__",
        "__repr__",
        "__format__",
    ),
    *("__divmod__", "__rdivmod__", "__copy__", "__deepcopy__", "__reduce__", "__reduce_ex__"),
    *(
        f"__{side}{name}__"
        for name in ("and", "or", "xor", "lshift", "rshift")
        for side in ("", "r")
    ),
)
_HARMLESS = ("shape", "dtype", "ndim", "size", "_reads", "__class__")
"""Attributes that are the same for all values."""


def is_read(function: Callable[[dict[str, Any]], Any], numbers: Mapping[str, np.generic]) -> bool:
    """Call ``function(numbers)``, all of which is traced; whether it reads a value other than by giving it to jax.

    Not noticed are `np.asarray` and `np.array` of a float32, by which jax takes it, too. Of an
    int32 they are, so a whole number that is given to jax counts as read.
    """
    reads: list[str] = []
    function({name: _watched(x, reads) for name, x in numbers.items()})
    return bool(reads)


def _watched(x: np.generic, reads: list[str]) -> Any:
    number = _KINDS[type(x)](x)
    number._reads = reads
    return number


def _plain(x: Any) -> Any:
    """The number itself, nobody watching."""
    for base, kind in _KINDS.items():
        if type(x) is kind:
            return base(base.item(x))
    return x


def _kind(base: type) -> Any:
    """The subclass of one of NumPy's scalars that notes what is done with it."""

    def deriving(name: str) -> Callable:
        method = getattr(base, name)

        def derive(self: Any, *others: Any) -> Any:
            if any(isinstance(x, jax.Array) for x in others):
                return NotImplemented  # jax does it
            made = method(_plain(self), *map(_plain, others))
            if type(made) in _KINDS:
                return _watched(made, self._reads)
            self._reads.append(name)
            return made

        return derive

    def reading(name: str) -> Callable:
        method = getattr(base, name)

        def read(self: Any, *arguments: Any) -> Any:
            self._reads.append(name)
            return method(_plain(self), *map(_plain, arguments))

        return read

    def attribute(self: Any, name: str) -> Any:
        if name not in _HARMLESS and hasattr(base, name):  # jax asks for some that there are not
            self._reads.append(name)
        return object.__getattribute__(self, name)

    def of_ufunc(self: Any, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        self._reads.append(ufunc.__name__)
        return getattr(ufunc, method)(*map(_plain, inputs), **options)

    def of_function(self: Any, function: Callable, types: Any, arguments: Any, options: Any) -> Any:
        del types
        if function not in (np.shape, np.ndim, np.size):
            self._reads.append(function.__name__)
        return function(*jax.tree.map(_plain, arguments), **jax.tree.map(_plain, options))

    methods = {name: deriving(name) for name in _DERIVING}
    methods |= {name: reading(name) for name in _READING if hasattr(base, name)}
    others = {
        "__getattribute__": attribute,
        "__array_ufunc__": of_ufunc,
        "__array_function__": of_function,
    }
    return type(f"Watched{base.__name__}", (base,), {**methods, **others})


_KINDS: dict[type, Any] = {base: _kind(base) for base in (np.float32, np.int32)}
"""As programs get numbers. All others that are derived from them count as read."""
