"""Notes on errors: which function and hyperparameters raised them, and what should be static."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import jax
from jax.extend.core import ClosedJaxpr

from ..._core import numerics
from ..._core.typing import Tree

WHERE = "jf.sweep"

_NEEDS_VALUES = (
    jax.errors.ConcretizationTypeError,
    jax.errors.TracerArrayConversionError,
    jax.errors.TracerIntegerConversionError,
    jax.errors.NonConcreteBooleanIndexError,
)
"""What jax raises where Python or NumPy needs the value of a traced array."""


@contextmanager
def annotate_errors(hyperparameters: Mapping[str, Any]) -> Iterator[None]:
    """Add a note with these hyperparameters to errors raised inside."""
    try:
        yield
    except Exception as error:
        shown = {name: numerics.plain(x) for name, x in hyperparameters.items()}
        error.add_note(f"{WHERE}: raised for the hyperparameters {shown}.")
        raise


@contextmanager
def annotate_function(name: str) -> Iterator[None]:
    """Add a note with the function to errors raised inside, and what to do if it needs values."""
    try:
        yield
    except Exception as error:
        error.add_note(f"{WHERE}: raised by {name}.")
        if isinstance(error, _NEEDS_VALUES):
            advice = "Write it with jax.numpy."
            if name.startswith("metrics["):
                advice = (
                    "Write it with jax.numpy, or give jf.host_metric(predict, score), whose score "
                    "is called with NumPy arrays."
                )
            error.add_note(
                f"{WHERE}: {name} is compiled, so that weights and batch are traced there: Python, "
                f"NumPy and scikit-learn cannot read them. {advice}"
            )
        raise


@contextmanager
def annotate_compilation_errors(static: Mapping[str, Any]) -> Iterator[None]:
    """Add a note with the static hyperparameters to errors raised inside."""
    try:
        yield
    except Exception as error:
        shown = {name: x for name, x in static.items() if name != "steps_per_epoch"}
        error.add_note(f"{WHERE}: raised while compiling for {shown}.")
        raise


@contextmanager
def annotate_checks() -> Iterator[None]:
    """Say what to do about a ``checkify.check``, which cannot be compiled as it is."""
    try:
        yield
    except Exception as error:
        if "checkify.check" in str(error) and "functionaliz" in str(error):
            error.add_note(
                f"{WHERE}: one program trains many trials, and checkify.check would end "
                "them all. Return NaN where the check fails, jnp.where(is_fine, loss, "
                "jnp.nan): that trial alone ends, as diverged, and with jax_debug_nans an error "
                "names the line. checkify.debug_check is left out when compiled."
            )
        raise


def traced_program(
    function: Callable[[jax.Array, Tree, dict[str, Any]], Any],
    key: jax.Array,
    data: Tree,
    static: Mapping[str, Any],
    numbers: dict[str, Any],
) -> tuple[ClosedJaxpr, Any]:
    """Trace ``function(key, data, numbers)``; return its program, and shapes of what it returns.

    Errors get a note with the numbers that must not be traced, if tracing them is the cause.
    """
    with annotate_compilation_errors(static):
        try:
            return jax.make_jaxpr(function, return_shape=True)(key, data, numbers)
        except Exception as error:

            def trace(known: dict[str, Any]) -> None:
                others = {name: x for name, x in numbers.items() if name not in known}
                jax.eval_shape(lambda k, d, n: function(k, d, {**known, **n}), key, data, others)

            _note_numbers(error, _needed(trace, numbers))
            raise


def _needed(trace: Callable[[dict[str, Any]], None], numbers: dict[str, Any]) -> list[str]:
    """Name the numbers that `trace` must be given, as few as possible; none where all do not do."""

    def works(known: dict[str, Any]) -> bool:
        try:
            trace(known)
        except Exception:
            return False
        return True

    known = dict(numbers)
    if not works(known):
        return []
    for name in numbers:
        fewer = {other: x for other, x in known.items() if other != name}
        if works(fewer):
            known = fewer
    return list(known)


def _note_numbers(error: Exception, names: list[str]) -> None:
    for name in names:
        why = f"{name} is a shape, or Python decides on it, and is traced"
        if name in ("steps", "seed"):
            advice = "It always is."
        elif name == "steps_per_epoch":
            advice = "Where folds differ in size, each has its own."
        else:
            advice = f"Mark it static: {name}=jf.static([…]), one program for each value."
        error.add_note(
            f"{WHERE}: {why}. {advice} Schedules and transforms of jf take theirs traced."
        )
