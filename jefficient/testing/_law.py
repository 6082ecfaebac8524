"""How laws are checked and how a broken one is reported."""

import contextlib
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeAlias, TypeVar

import chex
import jax
import jax.numpy as jnp
import numpy as np

from .._core.errors import ArgumentError, ArgumentTypeError, JefficientError
from .._core.trees import name_of
from .._core.typing import Tree

Numbers: TypeAlias = Mapping[str, tuple[float, float]]
"""Two valid values of each number."""

T = TypeVar("T")


class LawError(JefficientError, AssertionError):
    """A law is broken; the message names the law, the number and the leaf."""

    __module__ = "jefficient.testing"  # shown in tracebacks


def verify(
    where: str, laws: Mapping[str, Callable[..., None]], chosen: Iterable[str] | None, *args: object
) -> None:
    """Check the chosen laws, by default all, with `args`."""
    if isinstance(chosen, str):
        raise ArgumentTypeError(f"{where}: laws must be a list of names, got laws={chosen!r}.")
    names = list(laws) if chosen is None else list(chosen)
    if not names:
        raise ArgumentError(f"{where}: laws must be some of {list(laws)}, got none.")
    for name in names:
        if name not in laws:
            raise ArgumentError(f"{where}: laws must be among {list(laws)}, got {name!r}.")
    for name in names:
        law = laws[name]
        with broken(f"{where}: the law {name!r} is broken: {(law.__doc__ or '').split('.')[0]}."):
            law(*args)


@contextlib.contextmanager
def broken(context: str) -> Iterator[None]:
    """Turn any failure within into a `LawError` whose message begins with `context`."""
    try:
        yield
    except LawError as error:
        raise LawError(f"{context}\n{error}") from error.__cause__
    except AssertionError as error:
        raise LawError(f"{context}\n{_tidy(str(error))}") from error
    except Exception as error:
        raise LawError(
            f"{context}\nIt raised {type(error).__name__}: {_tidy(str(error))}"
        ) from error


def _tidy(message: str) -> str:
    return "\n".join(line for line in message.splitlines() if line.strip())[:1500]


def check_numbers(where: str, numbers: Numbers | None) -> Numbers:
    """Check that each number is a pair of different values."""
    if numbers is None:
        return {}
    if not isinstance(numbers, Mapping):
        raise ArgumentTypeError(
            f"{where}: numbers must be a dict {{name: (value, another)}}, got {numbers!r}."
        )
    for name, pair in numbers.items():
        if not (isinstance(pair, tuple | list) and len(pair) == 2):
            raise ArgumentTypeError(
                f"{where}: each number must have two valid values, got {name}={pair!r}."
            )
        if pair[0] == pair[1]:
            raise ArgumentError(
                f"{where}: the two values of a number must differ, got {name}={pair!r}."
            )
    return {name: (pair[0], pair[1]) for name, pair in numbers.items()}


def built(where: str, factory: Callable[..., T], numbers: Numbers) -> T:
    """Call the factory with the first values; refuse a wrong call, which breaks no law."""
    if not callable(factory):
        raise ArgumentTypeError(
            f"{where}: factory must be a function of the numbers, got {factory!r}."
        )
    try:
        return factory(**first_values(numbers))
    except TypeError as error:
        raise ArgumentTypeError(
            f"{where}: factory must take the numbers {list(numbers)} by name: {error}"
        ) from error


def is_whole(pair: tuple[float, float]) -> bool:
    """Return whether a number is a count, which is traced as int32 and has no gradient."""
    return all(isinstance(x, int | np.integer) for x in pair)


def array_of(pair: tuple[float, float]) -> np.ndarray:
    """Return both values as a program gets them, int32 or float32."""
    return np.array(pair, np.int32 if is_whole(pair) else np.float32)


def traceable(numbers: Numbers) -> dict[str, jax.Array]:
    """Return the first values as a sweep traces them: strongly typed, int32 or float32."""
    return {name: jnp.asarray(array_of(pair)[0]) for name, pair in numbers.items()}


def first_values(numbers: Numbers) -> dict[str, float]:
    """Return the first value of each number."""
    return {name: pair[0] for name, pair in numbers.items()}


def same(got: Tree, expected: Tree, rtol: float, atol: float) -> None:
    """Check that structures, shapes and dtypes are equal, and values close.

    `chex.assert_trees_all_close` alone accepts other dtypes and shapes that broadcast.
    """
    chex.assert_trees_all_equal_shapes_and_dtypes(got, expected)
    chex.assert_trees_all_close(got, expected, rtol=rtol, atol=atol)


def raw(tree: Tree) -> Tree:
    """Replace typed keys by their numbers, which chex can compare."""
    return jax.tree.map(lambda x: jax.random.key_data(x) if _is_key(x) else x, tree)


def _is_key(x: object) -> bool:
    return isinstance(x, jax.Array) and jnp.issubdtype(x.dtype, jax.dtypes.prng_key)


def strong(tree: Tree, what: str) -> None:
    """Check that no leaf is weakly typed: such a leaf changes its type, and is traced twice."""
    for path, x in jax.tree_util.tree_leaves_with_path(tree):
        if not hasattr(x, "dtype"):
            raise LawError(f"{what} must hold arrays, got {x!r} at {name_of(path)}.")
        if getattr(x, "weak_type", False):
            raise LawError(
                f"{what} must be strongly typed, got a weakly typed {x.dtype} at {name_of(path)}."
            )


def donatable(tree: Tree, what: str) -> None:
    """Check that no array is in the tree twice, since jax refuses to donate a buffer twice."""
    places: dict[int, str] = {}
    for path, x in jax.tree_util.tree_leaves_with_path(tree):
        if id(x) in places:
            raise LawError(
                f"{what} must not hold an array twice, got the same at {places[id(x)]} and "
                f"{name_of(path)}."
            )
        places[id(x)] = name_of(path)


def finite(tree: Tree, what: str) -> None:
    """Check that every number of the tree is finite."""
    for path, x in jax.tree_util.tree_leaves_with_path(tree):
        if not jnp.issubdtype(jnp.result_type(x), jnp.inexact):
            continue
        bad = int(jnp.sum(~jnp.isfinite(x)))
        if bad:
            raise LawError(
                f"{what} must be finite, got {bad} of {x.size} numbers that are not at "
                f"{name_of(path)}."
            )


def agrees_when_traced(
    run: Callable[..., Tree], numbers: Numbers, rtol: float, atol: float
) -> None:
    """Check that ``run(**{name: x})`` is the same for x static, traced and vmapped, in one trace.

    All numbers share their programs, since compiling takes most of the time: where one number has
    its first value so have the others, and one static run serves all of them.
    """
    if not numbers:
        return
    columns = {name: array_of(pair) for name, pair in numbers.items()}
    first = {name: x[0].item() for name, x in columns.items()}
    second = {name: x[1].item() for name, x in columns.items()}
    with broken("The first value of every number:"):
        at_first = jax.jit(lambda: run(**first))()
    at_second = jax.jit(lambda: _each(run, second))()
    traced = _traced_once(run)
    vmapped = jax.jit(jax.vmap(functools.partial(_each, run)))(columns)
    for lane, values in enumerate((first, second)):
        got = traced({name: column[lane] for name, column in columns.items()})
        for name, x in values.items():
            expected = at_second[name] if lane else at_first
            with broken(f"Number {name} = {x}:"):
                finite(expected, "the result")
            with broken(f"Number {name}, traced {x} against static:"):
                same(got[name], expected, rtol, atol)
            with broken(f"Number {name}, vmapped {x} against static:"):
                own = jax.tree.map(lambda leaf, lane=lane: leaf[lane], vmapped[name])
                same(own, expected, rtol, atol)


def has_gradients(total: Callable[..., jax.Array], numbers: Numbers, rtol: float = 1e-4) -> None:
    """Check that ``grad(total)`` in each number is finite and the finite difference, in float64.

    Counts have no gradient.
    """
    points = {name: pair[0] for name, pair in numbers.items() if not is_whole(pair)}
    if not points:
        return
    with jax.enable_x64(True):
        value = jax.jit(lambda xs: total(**xs))
        slopes = jax.jit(jax.grad(lambda xs: total(**xs)))(_as_float64(points))
        for name, x in points.items():
            step = 1e-6 * max(abs(x), 1e-2)
            ahead = value(_as_float64({**points, name: x + step}))
            behind = value(_as_float64({**points, name: x - step}))
            with broken(f"Number {name} at {x}:"):
                finite(slopes[name], "the gradient")
                difference = (ahead - behind) / (2 * step)
                np.testing.assert_allclose(slopes[name], difference, rtol=rtol, atol=1e-6)


def _as_float64(numbers: Mapping[str, float]) -> dict[str, jax.Array]:
    return {name: jnp.float64(x) for name, x in numbers.items()}


def _each(run: Callable[..., T], values: Mapping[str, Any]) -> dict[str, T]:
    """Return ``run(**{name: x})`` for each name alone."""
    results = {}
    for name, x in values.items():
        with broken(f"Number {name} = {x}:"):
            results[name] = run(**{name: x})
    return results


def _traced_once(run: Callable[..., Tree]) -> Callable[[Mapping[str, Any]], dict[str, Tree]]:
    """Jit `_each` so that a second trace raises.

    `chex.assert_max_traces` is not used, since its counts are global and the user may clear them.
    """
    traces = []

    @jax.jit
    def once(values: Mapping[str, Any]) -> dict[str, Tree]:
        traces.append(values)
        if len(traces) > 1:
            raise LawError("One trace must serve all values, got a second one.")
        return _each(run, values)

    return once
