"""Names in messages: which hyperparameters raised an error, what a function is called."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

WHERE = "jf.sweep"


def named(check: Callable[[dict[str, Any]], Any], hp: dict[str, Any], static: Mapping[str, Any]) -> None:
    """``check(hp)``; what it raises gets a note with the hyperparameters."""
    try:
        check(hp)
    except Exception as error:
        shown = {name: x.item() if isinstance(x, np.generic) else x for name, x in {**static, **hp}.items()}
        error.add_note(f"{WHERE}: raised for the hyperparameters {shown}.")
        raise


@contextmanager
def naming_traced(static: Mapping[str, Any], numbers: Iterable[str]) -> Iterator[None]:
    """What tracing raises inside gets a note with the static hyperparameters and the traced ones."""
    try:
        yield
    except Exception as error:
        shown, traced = {name: x for name, x in static.items() if name != "steps_per_epoch"}, [*numbers, "steps"]
        error.add_note(f"{WHERE}: raised while compiling for {shown}, with {traced} traced.")
        if isinstance(error, TypeError):  # jax's errors about numbers that must be known while tracing are such
            error.add_note(
                f"{WHERE}: the numbers {traced} are traced. Whoever decides on one in Python, or makes a shape "
                f"of one, cannot have it traced (jf's schedules and transforms can)."
            )
        raise


def named_function(function: Any) -> str:
    """What a function is called, where it has a name."""
    return str(getattr(function, "__name__", type(function).__name__))
