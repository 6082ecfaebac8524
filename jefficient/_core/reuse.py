"""What one call has traced and compiled, for the calls after it in this process.

Two ways lead to a program that there is already. Functions that are the same objects, for arrays of
the same shapes and the same settings, are not traced again: so it is with `jax.jit`, whose rule
holds here, too, that a function must be pure. Functions that are new objects (a lambda written
again) are traced and lowered, and where that gives the same program as before, it is not compiled.

What is kept holds no arrays and no functions: programs, shapes, and functions by weak references.
(The structure of a tree holds what its classes keep beside the leaves.)
"""

import enum
import functools
import hashlib
import os
import threading
import types
import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

import jax
import numpy as np
from jax.extend import core

from . import trees
from .arithmetic import arithmetic
from .cpu_forms import cpu_form
from .typing import Device, Tree

T = TypeVar("T")

_LEVEL = "xla_backend_optimization_level"

_CALLS = ("callback", "stablehlo.send")
"""What the text of a program has that calls Python; which function it calls, the text does not say.
"""

_VALUES = (type(None), bool, int, float, complex, str, bytes, range)


MOST_PROGRAMS = 128
"""Entries with compiled code that are kept."""


class _Recent(Generic[T]):
    """The entries that were used last, so many at most; safe in threads."""

    def __init__(self, most: int):
        self._most = most
        self._entries: OrderedDict[Hashable, T] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> T | None:
        with self._lock:
            if key in self._entries:
                self._entries.move_to_end(key)
            return self._entries.get(key)

    def put(self, key: Hashable, entry: T) -> None:
        with self._lock:
            self._entries[key] = entry
            self._entries.move_to_end(key)
            while len(self._entries) > self._most:
                self._entries.popitem(last=False)

    def clear(self) -> None:
        with self._lock:
            self._entries.clear()


_facts: _Recent[Any] = _Recent(4096)
"""What was found by tracing, by functions, shapes and settings: nothing large."""

_programs: _Recent[Any] = _Recent(MOST_PROGRAMS)
"""What was compiled, by the same; a program takes some megabytes."""

_by_text: weakref.WeakValueDictionary[Hashable, jax.stages.Compiled] = weakref.WeakValueDictionary()
"""The same programs by their text, as long as they are kept."""

_compiling: weakref.WeakValueDictionary[Hashable, threading.Lock] = weakref.WeakValueDictionary()
"""Locks by programs' texts and devices, as long as somebody compiles or waits."""

_one_lock_each = threading.Lock()


def clear_programs() -> None:
    """Forget what sweeps of this process have traced and compiled; the next one does it anew.

    `jf.sweep`, `jf.plan`, `replay`, `refit`, the test set and searches reuse the programs of calls
    before them. Where the functions of task and optimizer are the same objects, and shapes, static
    values and settings are the same, nothing is traced: a function must be pure, as for `jax.jit`,
    and a global or an attribute that it reads and that has changed since is not noticed. Functions
    that are new objects are traced, so what they close over is noticed; the same program is not
    compiled again. The 128 programs that were used last are kept, some megabytes each; they hold no
    data.

    Examples:
        >>> import jefficient as jf
        >>> jf.clear_programs()
    """
    _facts.clear()
    _programs.clear()
    _by_text.clear()


def once(key: Hashable, find: Callable[[], T]) -> T:
    """Return what was found for this key, or find it.

    The key is to name all that the finding depends on, but for JAX's settings, which are added.
    """
    found = recall(key)
    if found is None:
        found = find()
        remember(key, found)
    return found


def once_compiled(key: Hashable, compile: Callable[[], T]) -> T:
    """Return the compiled program for this key, or compile it; as `once`, but fewer are kept."""
    found = recall_compiled(key)
    if found is None:
        found = compile()
        remember_compiled(key, found)
    return found


def recall_compiled(key: Hashable) -> Any:
    """Return what was compiled for this key under the present settings of JAX, or None."""
    return _programs.get((key, settings_key()))


def remember_compiled(key: Hashable, found: object, settings: Hashable = None) -> None:
    """Remember what was compiled for this key under these settings of JAX, else the present ones.

    A thread has settings of its own: those are meant under which a program was lowered.
    """
    _programs.put((key, settings or settings_key()), found)


def recall(key: Hashable) -> Any:
    """Return what was remembered for this key under the present settings of JAX, or None."""
    return _facts.get((key, settings_key()))


def remember(key: Hashable, found: object) -> None:
    """Remember what was found for this key under the present settings of JAX."""
    _facts.put((key, settings_key()), found)


def settings_key() -> Hashable:
    """Return what programs depend on beside functions and shapes: all settings of JAX and XLA."""
    settings = tuple(str(getattr(jax.config, name, None)) for name in sorted(jax.config.values))
    return settings, tuple(sorted(arithmetic().items()))


def lowered(function: Callable[..., Any], *arguments: Tree, **options: Any) -> jax.stages.Lowered:
    """Lower a function for arguments like these, in the form that runs well on a CPU, if on one.

    Its text shall tell programs apart, so unused arguments are in it, too: without them two
    programs that read different arguments of one shape have the same text. `options` are those of
    `jax.jit`.
    """
    traced = jax.jit(function, keep_unused=True, **options).trace(*arguments)
    changed = cpu_form(traced.jaxpr) if jax.default_backend() == "cpu" else None
    if changed is None:
        return traced.lower()

    def in_cpu_form(*arguments: Tree) -> Tree:
        results = core.jaxpr_as_fun(changed)(*jax.tree.leaves(arguments))
        return jax.tree.unflatten(jax.tree.structure(traced.out_info), results)

    return jax.jit(in_cpu_form, keep_unused=True, **options).lower(*arguments)


def compiled(program: jax.stages.Lowered, device: Device) -> jax.stages.Compiled:
    """Compile what a function was `lowered` to for a device, unless there is the same.

    Of threads with one program one compiles and the others wait: the time is spent once, and none
    reads from jax's compilation cache what another is writing there. On a CPU with fewer compiler
    passes than by default, unless ``XLA_FLAGS`` sets their level: it takes half the time, and the
    programs are as fast.
    """
    text = program.as_text()
    digest = hashlib.sha256(text.encode()).hexdigest()
    key = (digest, program.in_tree, program.out_tree, device, settings_key())
    options: Any = None
    if jax.default_backend() == "cpu" and _LEVEL not in os.environ.get("XLA_FLAGS", ""):
        options = {_LEVEL: 2}
    if any(name in text for name in _CALLS):  # jax's cache has none of these either
        return program.compile(compiler_options=options)
    with _one_lock_each:  # not by the whole key: trees are nothing to jax's cache
        lock = _compiling.setdefault((digest, device), threading.Lock())
    with lock:
        found = _by_text.get(key)
        if found is None:
            found = _by_text[key] = program.compile(compiler_options=options)
    return found


def key_like() -> Any:
    """Return shape and dtype of a random key of the kind that is set."""
    return once("key", lambda: jax.eval_shape(lambda: jax.random.key(0)))


def program(
    key: Hashable, function: Callable[..., Any], device: Device, *arguments: Tree, **options: object
) -> jax.stages.Compiled:
    """Return a function compiled for arguments like these on a device; `key` names it.

    `options` are those of `jax.jit`.
    """
    where = tuple(getattr(x, "sharding", None) for x in jax.tree.leaves(arguments))
    return once_compiled(
        ("program", key, device, shapes_of(arguments), where),
        lambda: compiled(lowered(function, *arguments, **options), device),
    )


def shapes_of(tree: Tree) -> Hashable:
    """Return structure, shapes and dtypes of a tree, as a part of a key."""
    leaves, structure = jax.tree.flatten(tree)
    return structure, tuple((*_shape(x), str(trees.dtype_of(x))) for x in leaves)


def _shape(x: Any) -> tuple[tuple[int, ...], bool]:
    """Return the shape of an array or number, and whether its dtype gives way to others."""
    if hasattr(x, "shape"):
        return x.shape, getattr(x, "weak_type", False)
    return np.shape(x), True


def same(x: Any) -> Hashable:
    """Return what is equal for the same function, or the same value, as a part of a key.

    Plain values count by value; tuples, lists, dicts, partial functions and bound methods by what
    they hold; an object of a class with a method `_reuse_key` by what that returns; all else is the
    same if it is the same object, a function with the same code and defaults (tools that reload
    modules replace these).
    """
    if type(x) in _VALUES:
        return type(x).__name__, repr(x)
    if isinstance(x, enum.Enum):
        return _Same(type(x)), x.name
    if isinstance(x, np.generic | np.dtype):
        return type(x).__name__, str(x)
    kind = type(x)
    if kind in (tuple, list) or (issubclass(kind, tuple) and hasattr(kind, "_fields")):
        return _Same(type(x)), tuple(map(same, x))
    if type(x) in (dict, OrderedDict, types.MappingProxyType):
        return tuple((same(name), same(value)) for name, value in x.items())
    if type(x) is functools.partial:
        return "partial", same(x.func), same(x.args), same(x.keywords)
    if isinstance(x, types.FunctionType):
        return _Same(x), _Same(x.__code__), same(x.__defaults__), same(x.__kwdefaults__)
    if isinstance(x, types.MethodType):
        return same(x.__self__), same(x.__func__)
    if hasattr(type(x), "_reuse_key"):
        return _Same(type(x)), x._reuse_key()
    try:
        return _Same(x)
    except TypeError:  # it takes no weak references
        return object()


class _Same:
    """An object, by identity; it is not kept alive, and dead it is like no other."""

    def __init__(self, x: object):
        self._reference = weakref.ref(x)
        self._hash = hash(id(x))

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        mine = self._reference()
        return mine is not None and isinstance(other, _Same) and mine is other._reference()
