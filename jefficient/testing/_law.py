"""How a law is checked: what is compared, and what is said where it is broken."""

import contextlib
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np

from .._core.errors import ArgumentError, ArgumentTypeError, JefficientError

Numbers = Mapping[str, tuple[float, float]]


class LawError(JefficientError, AssertionError):
    """A law is broken; the message says which law, for which number, and at which leaf."""

    __module__ = "jefficient.testing"  # where it is imported from, as tracebacks show it


def verify(
    where: str, laws: Mapping[str, Callable], chosen: Iterable[str] | None, *args: Any
) -> None:
    """Call the chosen laws (all by default) with `args`."""
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
    """Failures within are a `LawError` that says `context` first."""
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


def check_numbers(where: str, numbers: Any) -> Numbers:
    """Each number is a pair of two valid values."""
    if not isinstance(numbers, Mapping | None):
        raise ArgumentTypeError(
            f"{where}: numbers must be a dict {{name: (value, another)}}, got {numbers!r}."
        )
    numbers = {} if numbers is None else dict(numbers)
    for name, pair in numbers.items():
        if not (isinstance(pair, tuple | list) and len(pair) == 2):
            raise ArgumentTypeError(
                f"{where}: each number must have two valid values, got {name}={pair!r}."
            )
        if pair[0] == pair[1]:
            raise ArgumentError(
                f"{where}: the two values of a number must differ, got {name}={pair!r}."
            )
    return {name: tuple(pair) for name, pair in numbers.items()}


def built(where: str, factory: Any, numbers: Numbers) -> Any:
    """What the factory makes of the first values: mistakes in calling it are no broken laws."""
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
    """Whether a number is a count: then it is traced as int32, and has no gradient."""
    return all(isinstance(x, int | np.integer) for x in pair)


def array_of(pair: tuple[float, float]) -> np.ndarray:
    """Both values as a program gets them, int32 or float32."""
    return np.array(pair, np.int32 if is_whole(pair) else np.float32)


def traceable(numbers: Numbers) -> dict[str, jax.Array]:
    """The first value of each as a strongly typed scalar, int32 or float32, as a sweep has it."""
    return {name: jnp.asarray(array_of(pair)[0]) for name, pair in numbers.items()}


def first_values(numbers: Numbers) -> dict[str, float]:
    """The first value of each."""
    return {name: pair[0] for name, pair in numbers.items()}


def same(got: Any, expected: Any, rtol: float, atol: float) -> None:
    """Equal structures, shapes and dtypes, and close values; chex alone would let dtypes and broadcasting pass."""
    chex.assert_trees_all_equal_shapes_and_dtypes(got, expected)
    chex.assert_trees_all_close(got, expected, rtol=rtol, atol=atol)


def strong(tree: Any, what: str) -> None:
    """No leaf is weakly typed: such a leaf changes its type in a scan, and traces a program twice."""
    for path, x in jax.tree_util.tree_leaves_with_path(tree):
        if not hasattr(x, "dtype"):
            raise LawError(f"{what} must hold arrays, got {x!r} at {_place(path)}.")
        if getattr(x, "weak_type", False):
            raise LawError(
                f"{what} must be strongly typed, got a weakly typed {x.dtype} at {_place(path)}."
            )


def donatable(tree: Any, what: str) -> None:
    """No array is in the tree twice: jax refuses to donate a buffer twice."""
    places: dict[int, str] = {}
    for path, x in jax.tree_util.tree_leaves_with_path(tree):
        if id(x) in places:
            raise LawError(
                f"{what} must not hold an array twice, got the same at {places[id(x)]} and {_place(path)}."
            )
        places[id(x)] = _place(path)


def finite(tree: Any, what: str) -> None:
    """Every number of the tree is finite."""
    for path, x in jax.tree_util.tree_leaves_with_path(tree):
        if not jnp.issubdtype(jnp.result_type(x), jnp.inexact):
            continue
        bad = int(jnp.sum(~jnp.isfinite(x)))
        if bad:
            raise LawError(
                f"{what} must be finite, got {bad} of {x.size} numbers that are not at {_place(path)}."
            )


def _place(path: tuple) -> str:
    return jax.tree_util.keystr(path) or "the root"


def agrees_when_traced(run: Callable[..., Any], numbers: Numbers, rtol: float, atol: float) -> None:
    """Check that ``run(**{number: x})`` is the same for x static, traced and vmapped, traced once.

    All numbers share their programs, since compiling is what costs here: with the first value of
    one number the others have theirs, so that one static run serves all of them.
    """
    if not numbers:
        return
    columns = {name: array_of(pair) for name, pair in numbers.items()}
    first, second = ({name: x[lane].item() for name, x in columns.items()} for lane in (0, 1))
    with broken("The first value of every number:"):
        at_first = jax.jit(lambda: run(**first))()
    at_second = jax.jit(lambda: _each(run, second))()
    traced, vmapped = _traced_once(run), jax.jit(jax.vmap(functools.partial(_each, run)))(columns)
    for lane, values in enumerate((first, second)):
        got = traced({name: column[lane] for name, column in columns.items()})
        for name, x in values.items():
            expected = at_second[name] if lane else at_first
            with broken(f"Number {name} = {x}:"):
                finite(expected, "the result")
            with broken(f"Number {name}, traced {x} against static:"):
                same(got[name], expected, rtol, atol)
            with broken(f"Number {name}, vmapped {x} against static:"):
                same(
                    jax.tree.map(lambda leaf, lane=lane: leaf[lane], vmapped[name]),
                    expected,
                    rtol,
                    atol,
                )


def has_gradients(total: Callable[..., jax.Array], numbers: Numbers, rtol: float = 1e-4) -> None:
    """Check that ``grad(total)`` in each float is finite and the finite difference, in float64."""
    points = {name: pair[0] for name, pair in numbers.items() if not is_whole(pair)}
    if not points:
        return
    with jax.enable_x64(True):
        value, slope = jax.jit(lambda xs: total(**xs)), jax.jit(jax.grad(lambda xs: total(**xs)))
        slopes = slope(_as_float64(points))
        for name, x in points.items():
            step = 1e-6 * max(abs(x), 1e-2)
            ahead, behind = (
                value(_as_float64({**points, name: x + sign * step})) for sign in (1, -1)
            )
            with broken(f"Number {name} at {x}:"):
                finite(slopes[name], "the gradient")
                difference = (ahead - behind) / (2 * step)
                np.testing.assert_allclose(slopes[name], difference, rtol=rtol, atol=1e-6)


def _as_float64(numbers: Mapping[str, float]) -> dict[str, jax.Array]:
    return {name: jnp.float64(x) for name, x in numbers.items()}


def _each(run: Callable[..., Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """``run(**{name: x})`` for each name alone."""
    results = {}
    for name, x in values.items():
        with broken(f"Number {name} = {x}:"):
            results[name] = run(**{name: x})
    return results


def _traced_once(run: Callable[..., Any]) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    """`_each` jitted; it fails where it is traced a second time.

    Counted here: `chex.assert_max_traces` counts in one place for the whole process, which is the
    user's to clear.
    """
    traces = []

    @jax.jit
    def once(values: Mapping[str, Any]) -> dict[str, Any]:
        traces.append(values)
        if len(traces) > 1:
            raise LawError("One trace must serve all values, got a second one.")
        return _each(run, values)

    return once
