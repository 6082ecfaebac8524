"""Notes on errors: which hyperparameters raised them, and which were traced."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

WHERE = "jf.sweep"


@contextmanager
def annotate_errors(hyperparameters: Mapping[str, Any]) -> Iterator[None]:
    """Add a note with these hyperparameters to errors raised inside."""
    try:
        yield
    except Exception as error:
        shown = {
            name: x.item() if isinstance(x, np.generic) else x
            for name, x in hyperparameters.items()
        }
        error.add_note(f"{WHERE}: raised for the hyperparameters {shown}.")
        raise


@contextmanager
def annotate_tracing_errors(static: Mapping[str, Any], traced: Iterable[str]) -> Iterator[None]:
    """Add a note with the static hyperparameters, and the names of the traced ones."""
    try:
        yield
    except Exception as error:
        shown = {name: x for name, x in static.items() if name != "steps_per_epoch"}
        names = [*traced, "steps"]
        error.add_note(f"{WHERE}: raised while compiling for {shown}, with {names} traced.")
        # jax's errors about numbers that must be known while tracing are TypeErrors.
        if isinstance(error, TypeError):
            error.add_note(
                f"{WHERE}: the numbers {names} are traced. A function that decides on one in "
                f"Python, or makes it a shape, cannot have it traced (jf's schedules and "
                f"transforms can)."
            )
        raise
